//! What boots and from where: kernel, initramfs, SELinux, root, disk, deployments, artifacts.

use super::super::model::*;
use super::super::output::{Compression, Output, OutputFormat};
use super::super::raw::{Faults, Place};
use super::super::reader::Reader;
use super::check_name;
use crate::base::ByteSize;

pub(super) fn kernel(mut section: Reader<'_>, faults: &Faults) -> Kernel {
    let package = section.text("package").map(|package| package.value);
    let args = section.texts("args");
    for arg in &args {
        if arg.value.contains(char::is_whitespace) && !arg.value.contains('"') {
            faults.add(&arg.at, format!("kernel argument {:?} contains a space", arg.value), Some("write one argument a string".into()));
        }
        if arg.value.starts_with("ostree=") {
            faults.add(&arg.at, "`ostree=` is written by the builder for each deployment", None);
        }
    }
    section.finish();
    Kernel { package, args: args.into_iter().map(|arg| arg.value).collect() }
}

pub(super) fn initramfs(mut section: Reader<'_>) -> Initramfs {
    let generator = section.choice("generator", &[("dracut", InitramfsGenerator::Dracut), ("none", InitramfsGenerator::None)]);
    let initramfs = Initramfs {
        generator: generator.unwrap_or(InitramfsGenerator::Dracut),
        modules: section.plain_texts("modules"),
        drivers: section.plain_texts("drivers"),
        omit: section.plain_texts("omit"),
    };
    section.finish();
    initramfs
}

pub(super) fn selinux(mut section: Reader<'_>) -> Selinux {
    let modes = [("disabled", SelinuxMode::Disabled), ("permissive", SelinuxMode::Permissive), ("enforcing", SelinuxMode::Enforcing)];
    let mode = section.choice("mode", &modes).unwrap_or(SelinuxMode::Disabled);
    let policy = section.text("policy").map_or_else(|| "default".to_owned(), |policy| policy.value);
    section.finish();
    Selinux { mode, policy }
}

pub(super) fn root(mut section: Reader<'_>) -> RootModel {
    let model = section.choice("model", &[("ostree", RootModel::Ostree), ("composefs", RootModel::Composefs)]);
    section.finish();
    model.unwrap_or(RootModel::Ostree)
}

/// With the place where sectors of 4096 bytes are asked for.
pub(super) fn disk(mut section: Reader<'_>) -> (Disk, Option<Place>) {
    let size = section.size_or_auto("size");
    let esp = section.size("esp").unwrap_or(ByteSize::mib(64));
    let boot = section.size("boot").unwrap_or(ByteSize::mib(512));
    let reserve = section.size("reserve").unwrap_or(ByteSize::mib(1024));
    section.choice("filesystem", &[("ext4", Filesystem::Ext4)]);
    let mut firmware = section.choices("firmware", &[("bios", Firmware::Bios), ("uefi", Firmware::Uefi)]);
    if firmware.is_empty() {
        firmware = vec![Firmware::Bios, Firmware::Uefi];
    }
    firmware.sort();
    firmware.dedup();
    let grow = section.flag("grow", true);
    let sector = section.sector("sector");
    if let Some(at) = sector.as_ref().filter(|sector| sector.value == 4096 && firmware.contains(&Firmware::Bios)) {
        section.faults.add(&at.at, "no BIOS starts from a disk with sectors of 4096 bytes", Some("set firmware = [\"uefi\"]".into()));
    }
    section.finish();
    let large = sector.as_ref().filter(|sector| sector.value == 4096).map(|sector| sector.at.clone());
    let sector = sector.map_or(512, |sector| sector.value);
    (Disk { size, esp, boot, reserve, sector, filesystem: Filesystem::Ext4, firmware, grow }, large)
}

pub(super) fn deployments(mut section: Reader<'_>, faults: &Faults) -> (Option<String>, Rollback) {
    let os = section.text("os").filter(|os| check_name(os, faults)).map(|os| os.value);
    let rollback = section.choice("rollback", &[("same", Rollback::Same), ("previous", Rollback::Previous)]);
    section.finish();
    (os, rollback.unwrap_or(Rollback::Same))
}

pub(super) fn output(mut section: Reader<'_>) -> Output {
    let mut formats = section.choices("formats", &OutputFormat::ALL.map(|format| (format.name(), format)));
    if formats.is_empty() {
        formats = vec![OutputFormat::Raw, OutputFormat::Qcow2];
    }
    formats.sort();
    formats.dedup();
    let compression =
        section.choice("compression", &[("zstd", Compression::Zstd), ("zlib", Compression::Zlib), ("none", Compression::None)]);
    section.finish();
    Output { formats, compression: compression.unwrap_or(Compression::Zstd) }
}
