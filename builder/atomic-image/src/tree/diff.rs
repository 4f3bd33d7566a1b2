//! What an update from one commit to another changes.

use crate::inspect::{PackageChange, package_changes, package_rows};
use model::{Digest, Error, ImagePath, Result};
use ostree::{CommitId, CommitObject, Listed, MetadataValue, Store};
use serde::Serialize;
use std::collections::BTreeMap;

/// The packages that the builder leaves in each tree.
const PACKAGES: &str = "/usr/share/atomic-image/packages";
/// The kernel arguments that it leaves there, in bootc's form.
const ARGUMENTS: &str = "/usr/lib/bootc/kargs.d/00-atomic-image.toml";
/// Of either file, in bytes.
const LARGEST: u64 = 16 << 20;

#[derive(Debug, Serialize)]
pub struct TreeDiff {
    pub from: CommitId,
    pub to: CommitId,
    pub packages: Vec<PackageChange>,
    pub arguments_removed: Vec<String>,
    pub arguments_added: Vec<String>,
    pub kernel: KernelChange,
    pub files_added: Vec<String>,
    pub files_removed: Vec<String>,
    pub files_changed: Vec<String>,
    /// Changed defaults of /etc: a host where an administrator changed the same file keeps that one.
    pub etc_changed: Vec<String>,
}

/// Whether what boots is equal.
#[derive(Debug, Serialize)]
pub struct KernelChange {
    pub version_before: Option<String>,
    pub version_after: Option<String>,
    /// `None`: one of the trees has none.
    pub same_kernel: Option<bool>,
    pub same_initramfs: Option<bool>,
    /// `None`: a commit does not say which bootloader was built with it.
    pub same_bootloader: Option<bool>,
}

/// Compares two commits of a store.
pub fn diff(store: &Store, from: CommitId, to: CommitId) -> Result<TreeDiff> {
    let [before, after] = [names(store, from)?, names(store, to)?];
    let [old, new] = [store.read_commit(from)?, store.read_commit(to)?];
    let added = |one: &BTreeMap<String, Listed>, other: &BTreeMap<String, Listed>| {
        one.keys().filter(|path| !other.contains_key(*path)).cloned().collect::<Vec<_>>()
    };
    let changed: Vec<String> = after
        .iter()
        .filter(|(path, item)| before.get(*path).is_some_and(|old| is_changed(old, item)))
        .map(|(path, _)| path.clone())
        .collect();
    let [arguments_before, arguments_after] = [arguments(store, from)?, arguments(store, to)?];
    let only = |one: &[String], other: &[String]| one.iter().filter(|argument| !other.contains(argument)).cloned().collect();
    Ok(TreeDiff {
        from,
        to,
        packages: package_changes(&packages(store, from)?, &packages(store, to)?),
        arguments_removed: only(&arguments_before, &arguments_after),
        arguments_added: only(&arguments_after, &arguments_before),
        kernel: kernel([&old, &new], [&before, &after]),
        files_added: added(&after, &before),
        files_removed: added(&before, &after),
        etc_changed: changed.iter().filter_map(|path| path.strip_prefix("/usr/etc/")).map(|path| format!("/etc/{path}")).collect(),
        files_changed: changed,
    })
}

/// Everything but directories, by path.
fn names(store: &Store, id: CommitId) -> Result<BTreeMap<String, Listed>> {
    let listed = store.ls(id)?;
    Ok(listed.into_iter().filter(|item| item.content.is_some()).map(|item| (item.path.to_string(), item)).collect())
}

/// A content object's name covers bytes, mode, owner and attributes.
fn is_changed(before: &Listed, after: &Listed) -> bool {
    before.content != after.content
}

fn packages(store: &Store, id: CommitId) -> Result<Vec<crate::inspect::PackageRow>> {
    match store.read_file(id, &ImagePath::parse(PACKAGES)?, LARGEST)? {
        Some(bytes) => package_rows(&format!("{PACKAGES} of commit {id}"), &bytes),
        None => Ok(Vec::new()),
    }
}

fn arguments(store: &Store, id: CommitId) -> Result<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Arguments {
        kargs: Vec<String>,
    }
    let Some(bytes) = store.read_file(id, &ImagePath::parse(ARGUMENTS)?, LARGEST)? else { return Ok(Vec::new()) };
    let broken = || Error::integrity(format!("{ARGUMENTS} of commit {id} names no kernel arguments"));
    let text = String::from_utf8(bytes).map_err(|_| broken())?;
    toml::from_str::<Arguments>(&text).map(|arguments| arguments.kargs).map_err(|e| broken().source(e))
}

fn kernel(commits: [&CommitObject; 2], names: [&BTreeMap<String, Listed>; 2]) -> KernelChange {
    let [version_before, version_after] = commits.map(|commit| match commit.metadata.get("ostree.linux") {
        Some(MetadataValue::Text(version)) => Some(version.clone()),
        _ => None,
    });
    let boot_file = |file: &str| {
        let of = |names: &BTreeMap<String, Listed>| -> Option<Digest> {
            let mut found = names.iter().filter(|(path, _)| path.starts_with("/usr/lib/modules/") && path.split('/').nth(5) == Some(file));
            found.next().and_then(|(_, item)| item.content)
        };
        let [before, after] = names.map(of);
        Some(before? == after?)
    };
    let [bootloader_before, bootloader_after] = commits.map(|commit| commit.metadata.get("atomic-image.bootloader"));
    KernelChange {
        version_before,
        version_after,
        same_kernel: boot_file("vmlinuz"),
        same_initramfs: boot_file("initramfs.img"),
        same_bootloader: bootloader_before.zip(bootloader_after).map(|(before, after)| before == after),
    }
}
