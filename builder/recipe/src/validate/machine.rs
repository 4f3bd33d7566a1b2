//! What boots and from where: kernel, initramfs, SELinux, root, disk, deployments, artifacts.

use super::super::raw::{Faults, Place};
use super::super::reader::Reader;
use super::contents::check_unit;
use super::{kernel_arguments, names, path_patterns};
use crate::recipe::*;
use crate::{Compression, Firmware, OutputFormat};
use model::ByteSize;

pub(super) fn kernel(mut section: Reader<'_>, selinux: SelinuxMode, faults: &Faults) -> Kernel {
    let package = section.typed("package", names::package_pattern).map(|package| package.value);
    let args = section.texts("args");
    kernel_arguments::check(&args, selinux, faults);
    section.finish();
    Kernel { package, args: args.into_iter().map(|arg| arg.value).collect() }
}

fn words(section: &mut Reader<'_>, key: &'static str) -> Vec<String> {
    section.typed_texts(key, names::dracut_word).into_iter().map(|word| word.value).collect()
}

pub(super) fn initramfs(mut section: Reader<'_>) -> Initramfs {
    let generator = section.choice("generator", &[("dracut", InitramfsGenerator::Dracut), ("none", InitramfsGenerator::None)]);
    let exclude = path_patterns(&mut section, "exclude");
    let initramfs = Initramfs {
        generator: generator.unwrap_or(InitramfsGenerator::Dracut),
        modules: words(&mut section, "modules"),
        drivers: words(&mut section, "drivers"),
        omit: words(&mut section, "omit"),
        exclude,
    };
    section.finish();
    initramfs
}

pub(super) fn selinux(mut section: Reader<'_>) -> Selinux {
    let modes = [("disabled", SelinuxMode::Disabled), ("permissive", SelinuxMode::Permissive), ("enforcing", SelinuxMode::Enforcing)];
    let mode = section.choice("mode", &modes).unwrap_or(SelinuxMode::Disabled);
    let policy = section.typed("policy", names::component).map_or_else(|| "default".to_owned(), |policy| policy.value);
    section.finish();
    Selinux { mode, policy }
}

pub(super) fn root(mut section: Reader<'_>) -> RootModel {
    let model = section.choice("model", &[("ostree", RootModel::Ostree)]);
    section.finish();
    model.unwrap_or(RootModel::Ostree)
}

/// Less than what ext4 addresses with blocks of 4 KiB and 32-bit numbers.
const MAX_EXT4: ByteSize = ByteSize::mib(16 << 20);
/// FAT16 needs 4085 clusters of at least a sector, and its tables.
const MIN_ESP: ByteSize = ByteSize::mib(4);
const MIN_ESP_LARGE_SECTORS: ByteSize = ByteSize::mib(32);
/// FAT counts sectors with 32 bits.
const MAX_ESP: ByteSize = ByteSize::mib(2 << 20);
/// A kernel, an initramfs and a journal take more.
const MIN_BOOT: ByteSize = ByteSize::mib(16);
/// The other partitions' rest: BIOS boot, and 1 MiB each for the partition table and its backup.
const OTHERS: u64 = 3 << 20;
/// No root filesystem is smaller.
const MIN_ROOT: u64 = 16 << 20;

/// Where in the recipe the disk's size and large sectors are asked for.
pub(super) struct DiskPlaces {
    size: Option<Place>,
    large_sectors: Option<Place>,
}

pub(super) fn disk(mut section: Reader<'_>) -> (Disk, DiskPlaces) {
    let size = section.size_or_auto("size");
    let sector = section.sector("sector");
    let large = sector.as_ref().filter(|sector| sector.value == 4096).map(|sector| sector.at.clone());
    let min_esp = if large.is_some() { MIN_ESP_LARGE_SECTORS } else { MIN_ESP };
    let esp = section.size_within("esp", min_esp, MAX_ESP).unwrap_or(ByteSize::mib(64));
    let boot = section.size_within("boot", MIN_BOOT, MAX_EXT4).unwrap_or(ByteSize::mib(512));
    let reserve = section.size_within("reserve", ByteSize::mib(1), MAX_EXT4).unwrap_or(ByteSize::mib(1024));
    if let Some(size) = &size {
        let others = esp.0 + boot.0 + OTHERS;
        let (low, high) = (ByteSize(others + MIN_ROOT), ByteSize(others + MAX_EXT4.0));
        if size.value < low || size.value >= high {
            let what = format!("`size` must be at least {low} and less than {high} with these partitions, found {}", size.value);
            section.faults.add(&size.at, what, Some("\"auto\" fits the content".into()));
        }
    }
    section.choice("filesystem", &[("ext4", Filesystem::Ext4)]);
    let mut firmware = section.choices("firmware", &[("bios", Firmware::Bios), ("uefi", Firmware::Uefi)]);
    if firmware.is_empty() {
        firmware = vec![Firmware::Bios, Firmware::Uefi];
    }
    firmware.sort();
    firmware.dedup();
    let grow = section.text_or_false("grow", "the unit that makes the root grow");
    if let Some(unit) = &grow {
        check_unit(unit, section.faults);
    }
    if let Some(at) = large.as_ref().filter(|_| firmware.contains(&Firmware::Bios)) {
        section.faults.add(at, "no BIOS starts from a disk with sectors of 4096 bytes", Some("set firmware = [\"uefi\"]".into()));
    }
    section.finish();
    let places = DiskPlaces { size: size.as_ref().map(|size| size.at.clone()), large_sectors: large };
    let size = size.map(|size| size.value);
    (
        Disk {
            size,
            esp,
            boot,
            reserve,
            sector: sector.map_or(512, |sector| sector.value),
            filesystem: Filesystem::Ext4,
            firmware,
            grow: grow.map(|unit| unit.value),
        },
        places,
    )
}

/// Whether every format can hold the disk.
pub(super) fn check_formats(output: &Output, disk: &Disk, places: &DiskPlaces, faults: &Faults) {
    let small: Vec<&str> = output.formats.iter().filter(|format| !format.takes_large_sectors()).map(|format| format.name()).collect();
    if let Some(at) = places.large_sectors.as_ref().filter(|_| !small.is_empty()) {
        faults.add(at, format!("{}: such disks always have sectors of 512 bytes", small.join(", ")), None);
    }
    if let (Some(at), Some(size)) = (&places.size, disk.size) {
        for (format, limit) in output.formats.iter().filter_map(|format| Some((format, format.max_disk()?))) {
            if size > limit {
                faults.add(at, format!("a disk in the format {} has at most {limit}, found {size}", format.name()), None);
            }
        }
    }
}

pub(super) fn deployments(mut section: Reader<'_>) -> (Option<String>, Rollback) {
    let os = section.typed("os", names::own_name).map(|os| os.value);
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
