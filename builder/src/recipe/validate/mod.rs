//! From the merged tables to a [`Recipe`]: every key is known, every value makes sense, every named file is there.

mod contents;
mod machine;
mod repositories;

use super::include::Merged;
use super::model::*;
use super::raw::{Faults, Place};
use super::reader::{At, Reader};
use crate::base::SourceDateEpoch;
use std::path::{Path, PathBuf};

/// `None` when a required value is missing or unusable; then there is a fault too.
pub(super) fn recipe(path: &Path, merged: Merged, faults: &Faults) -> Option<Recipe> {
    let path = absolute(path);
    let folder = path.parent().unwrap_or(Path::new("/")).to_path_buf();
    let start = Place { file: merged.files.first().map_or(path.as_path(), |file| file.as_path()).into(), line: 1, column: 1 };
    let mut top = Reader::new("", start, merged.table, faults);

    let name = top.required_text("name").filter(|name| check_name(name, faults));
    let title = top.text("title").map(|title| title.value);
    let reference = top.required_text("ref").filter(|reference| check_reference(reference, faults));
    let version = top.text("version").map(|version| version.value);
    let epoch = top.number("epoch").map(SourceDateEpoch);
    let repos = repositories::repos(&mut top, &folder, faults);
    let packages = repositories::package_set(top.section("packages"), false);
    let tools = repositories::package_set(top.section("tools"), true);
    if packages.install.is_empty() {
        top.missing("packages.install", Some("name at least one package to install".into()));
    }
    let scriptlets = top.rows("scriptlet").into_iter().filter_map(contents::scriptlet).collect();
    let scriptlet_default = contents::scriptlet_default(top.section("scriptlets"));
    let conflicts = top.rows("conflict").into_iter().filter_map(contents::conflict).collect();
    let accounts = contents::accounts(top.section("accounts"), faults);
    let attributes = top.rows("attribute").into_iter().filter_map(contents::attribute).collect();
    let links = top.rows("link").into_iter().filter_map(contents::link).collect();
    let copies = top.rows("copy").into_iter().filter_map(contents::copy).collect();
    let units = contents::units(top.section("units"), faults);
    let rpmdb = contents::rpmdb(top.section("rpmdb"));
    let overlays = contents::overlays(top.section("overlay"), &folder, faults);
    let tuning = contents::tuning(top.section("tuning"), faults);
    let kernel = machine::kernel(top.section("kernel"), faults);
    let initramfs = machine::initramfs(top.section("initramfs"));
    let selinux = machine::selinux(top.section("selinux"));
    let root = machine::root(top.section("root"));
    let (disk, large_sectors) = machine::disk(top.section("disk"));
    let deployments = machine::deployments(top.section("deployments"), faults);
    let output = machine::output(top.section("output"));
    let small: Vec<&str> = output.formats.iter().filter(|format| !format.takes_large_sectors()).map(|format| format.name()).collect();
    if let Some(at) = large_sectors.filter(|_| !small.is_empty()) {
        faults.add(&at, format!("{}: such disks always have sectors of 512 bytes", small.join(", ")), None);
    }
    top.finish();

    let name = name?.value;
    Some(Recipe {
        title: title.unwrap_or_else(|| name.clone()),
        reference: reference?.value,
        version,
        epoch,
        repos,
        packages,
        tools,
        scriptlets,
        scriptlet_default,
        conflicts,
        accounts,
        attributes,
        links,
        copies,
        units,
        rpmdb,
        overlays,
        tuning,
        kernel,
        initramfs,
        selinux,
        root,
        disk,
        deployments: Deployments { os: deployments.0.unwrap_or_else(|| name.clone()), rollback: deployments.1 },
        output,
        name,
        sources: merged.files.iter().map(|file| absolute(file)).collect(),
        path,
    })
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

fn check_name(name: &At<String>, faults: &Faults) -> bool {
    let good = name.value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') && !name.value.starts_with('-');
    if !good {
        faults.add(&name.at, format!("a name is made of a-z, 0-9 and -, found {:?}", name.value), None);
    }
    good
}

/// OSTree's rule for refs: words of letters, digits, `-`, `.` and `_` that start with a letter, digit or `_`, joined by `/`.
fn check_reference(reference: &At<String>, faults: &Faults) -> bool {
    let word = |word: &str| {
        word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) && !word.is_empty() && !word.starts_with(['-', '.'])
    };
    let good = reference.value.split('/').all(word);
    if !good {
        faults.add(
            &reference.at,
            format!("`ref` must be words joined by /, found {:?}", reference.value),
            Some("such as \"atomic-host/x86_64/stable\"".into()),
        );
    }
    good
}

/// The names beside `path`, sorted.
fn siblings(path: &Path) -> Vec<String> {
    let entries = path.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    let mut names: Vec<String> =
        entries.into_iter().flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
