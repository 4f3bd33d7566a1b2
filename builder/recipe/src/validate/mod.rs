//! From the merged tables to a [`Recipe`]: every key is known, every value makes sense, every named file is there.

mod accounts;
mod contents;
mod kernel_arguments;
mod machine;
mod names;
mod repositories;
mod update;

use super::include::Merged;
use super::raw::{Faults, Place};
use super::reader::Reader;
use crate::recipe::*;
use model::{ResultJudged, SourceDateEpoch};
use std::path::{Path, PathBuf};

/// `None` when a required value is missing or unusable; then there is a fault too.
pub(super) fn recipe(path: &Path, merged: Merged, faults: &Faults) -> Option<Recipe> {
    let path = absolute(path);
    let folder = path.parent().unwrap_or(Path::new("/")).to_path_buf();
    let start = Place { file: merged.files.first().map_or(path.as_path(), |file| file.as_path()).into(), line: 1, column: 1 };
    let mut top = Reader::new("", start, merged.table, faults);

    let name = top.required_typed("name", names::own_name);
    let title = top.typed("title", names::title).map(|title| title.value);
    let reference = top.required_typed("ref", names::reference);
    let version = top.typed("version", names::version).map(|version| version.value);
    let epoch = top.number("epoch").map(|epoch| SourceDateEpoch(epoch.value));
    let (repos, ids) = repositories::repos(&mut top, &folder, faults);
    let packages = repositories::package_set(top.section("packages"));
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let tools = repositories::tool_set(top.section("tools"), &ids);
    if packages.install.is_empty() {
        top.missing("packages.install", Some("name at least one package to install".into()));
    }
    let scriptlets = top.rows("scriptlet").into_iter().filter_map(contents::scriptlet).collect();
    let scriptlet_default = contents::scriptlet_default(top.section("scriptlets"));
    let conflicts = top.rows("conflict").into_iter().filter_map(contents::conflict).collect();
    let accounts = accounts::accounts(top.section("accounts"), faults);
    let attributes = top.rows("attribute").into_iter().filter_map(contents::attribute).collect();
    let links = contents::links(top.rows("link"));
    let copies = top.rows("copy").into_iter().filter_map(contents::copy).collect();
    let units = contents::units(top.section("units"), faults);
    let rpmdb = contents::rpmdb(top.section("rpmdb"));
    let overlays = contents::overlays(top.section("overlay"), &folder, faults);
    let trim = contents::trim(top.section("trim"));
    let tuning = contents::tuning(top.section("tuning"), faults);
    let initramfs = machine::initramfs(top.section("initramfs"));
    let selinux = machine::selinux(top.section("selinux"));
    let kernel = machine::kernel(top.section("kernel"), selinux.mode, faults);
    let root = machine::root(top.section("root"));
    let (disk, places) = machine::disk(top.section("disk"));
    let deployments = machine::deployments(top.section("deployments"));
    let output = machine::output(top.section("output"));
    let update = update::update(&mut top, &folder);
    let budget = update::budget(top.section("budget"));
    machine::check_formats(&output, &disk, &places, faults);
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
        trim,
        tuning,
        kernel,
        initramfs,
        selinux,
        root,
        disk,
        deployments: Deployments { os: deployments.0.unwrap_or_else(|| name.clone()), rollback: deployments.1 },
        output,
        update,
        budget,
        name,
        sources: merged.files.iter().map(|file| absolute(file)).collect(),
        path,
    })
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// The patterns over paths of a list, sorted, each once.
fn path_patterns(section: &mut Reader<'_>, key: &'static str) -> Vec<String> {
    let mut patterns: Vec<String> = section.typed_texts(key, names::path_pattern).into_iter().map(|pattern| pattern.value).collect();
    patterns.sort();
    patterns.dedup();
    patterns
}

/// The names beside `path`, sorted.
fn siblings(path: &Path) -> Vec<String> {
    let entries =
        path.parent().and_then(|folder| std::fs::read_dir(folder).none_because("without a listing there is no near name to offer"));
    let mut names: Vec<String> =
        entries.into_iter().flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
