//! What differs between two images: packages, kernel arguments, sizes, and the files of the default deployment with /boot and the ESP.

use super::report::{FilesystemState, ImageReport, PackageRow};
use super::volumes::{Files, Volumes};
use super::{disk, report_of, view::View, volumes};
use filesystems::{ext4, fat};
use model::{Digest, Error, ImagePath, OptionJudged, Result, ResultExt};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug, Clone, Default, Serialize)]
pub struct Diff {
    pub packages: Vec<PackageChange>,
    /// Kernel arguments of the default deployment that only the first image has, and only the second.
    pub arguments_removed: Vec<String>,
    pub arguments_added: Vec<String>,
    pub sizes: Vec<SizeChange>,
    pub files: Vec<FileChange>,
}

impl Diff {
    pub fn is_empty(&self) -> bool {
        let Diff { packages, arguments_removed, arguments_added, sizes, files } = self;
        packages.is_empty() && arguments_removed.is_empty() && arguments_added.is_empty() && sizes.is_empty() && files.is_empty()
    }
}

/// `None` where the image has no such package. The same EVR with another digest is a change too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    /// Name and architecture.
    pub name: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// In bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SizeChange {
    pub what: String,
    pub before: Option<u64>,
    pub after: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// As the booted host sees it.
    pub path: String,
    /// `added`, `removed`, or which of `kind`, `content`, `mode`, `owner`, `attributes`, `links` changed.
    pub what: Vec<&'static str>,
    /// In bytes; `None` where the image has no such file.
    pub before: Option<u64>,
    pub after: Option<u64>,
}

/// Compares the images at `a` and `b`.
pub fn diff(a: &Path, b: &Path) -> Result<Diff> {
    let [before, after] = [a, b].map(opened);
    let ((size_before, before), (size_after, after)) = (before?, after?);
    let mut out = Diff {
        packages: package_changes(&before.packages, &after.packages),
        sizes: sizes((size_before, &before), (size_after, &after)),
        ..Diff::default()
    };
    let [old, new] = [&before, &after].map(|r| {
        r.deployments.first().map(|d| d.kernel_arguments.clone()).default_because("an image without a deployment has no kernel arguments")
    });
    out.arguments_removed = old.iter().filter(|argument| !new.contains(argument)).cloned().collect();
    out.arguments_added = new.iter().filter(|argument| !old.contains(argument)).cloned().collect();
    out.files = disk::open(a, |size, source| {
        volumes::with(size, source, |_, first| {
            let before = listing(first).context(|| a.display())?;
            disk::open(b, |size, source| volumes::with(size, source, |_, second| files(&before, &listing(second).context(|| b.display())?)))
        })
    })?;
    Ok(out)
}

/// The disk's size in bytes, and what is in it. What cannot be read cannot be compared.
fn opened(path: &Path) -> Result<(u64, ImageReport)> {
    let (size, report) = disk::open(path, |size, source| Ok((size, report_of(size, source)?))).context(|| path.display())?;
    report.check(path)?;
    match report.filesystems.iter().find(|row| row.state == FilesystemState::Unread) {
        None => Ok((size, report)),
        Some(row) => {
            let problem = row.problem.as_deref().unwrap_or("not read");
            Err(Error::recipe(format!("{}: partition {}, {}: {problem}", path.display(), row.partition, row.kind)))
        }
    }
}

/// Name and architecture, and the rest; package names have no `.`-separated architecture in front.
fn split(row: &PackageRow) -> (String, String) {
    let (rest, arch) = row.nevra.rsplit_once('.').unwrap_or((&row.nevra, ""));
    let mut parts = rest.rsplitn(3, '-');
    let (release, version, name) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(rest));
    (format!("{name}.{arch}"), format!("{version}-{release}"))
}

/// What became of each package.
pub(crate) fn package_changes(before: &[PackageRow], after: &[PackageRow]) -> Vec<PackageChange> {
    let mut both: BTreeMap<String, [Option<(String, &str)>; 2]> = BTreeMap::new();
    for (side, rows) in [before, after].into_iter().enumerate() {
        for row in rows {
            let (name, version) = split(row);
            both.entry(name).or_default()[side] = Some((version, &row.sha256));
        }
    }
    let changed = both.into_iter().filter(|(_, [before, after])| before != after);
    let rows = changed.map(|(name, [before, after])| PackageChange { name, before: before.map(|(v, _)| v), after: after.map(|(v, _)| v) });
    rows.collect()
}

fn sizes(before: (u64, &ImageReport), after: (u64, &ImageReport)) -> Vec<SizeChange> {
    let mut both: BTreeMap<String, [Option<u64>; 2]> = BTreeMap::new();
    for (side, (size, report)) in [before, after].into_iter().enumerate() {
        let mut put = |what: String, size: u64| both.entry(what).or_default()[side] = Some(size);
        put("disk".into(), size);
        put("packages".into(), report.packages.len() as u64);
        for row in &report.filesystems {
            let Some(free) = row.free else { continue };
            put(format!("{} size", row.label), row.size.0);
            put(format!("{} used", row.label), row.size.0.saturating_sub(free.0));
        }
    }
    let changed = both.into_iter().filter(|(_, [before, after])| before != after);
    changed.map(|(what, [before, after])| SizeChange { what, before, after }).collect()
}

/// A name in one image.
enum Item<'v, 's> {
    Ext4(&'v ext4::Reader<'s>, ext4::Stat),
    Fat(&'v fat::Reader<'s>, fat::Entry),
}

/// All names by path. What is mounted further down hides what is below its mount point.
fn listing<'v, 's>(volumes: &'v Volumes<'s>) -> Result<BTreeMap<ImagePath, Item<'v, 's>>> {
    let mut out = BTreeMap::new();
    let sysroot = ImagePath::parse("/sysroot")?;
    // Mounts come deepest first.
    for mount in View::of(volumes)?.mounts.into_iter().rev().filter(|mount| mount.at != sysroot) {
        match &mount.volume.files {
            Files::Ext4(reader) if reader.stat(&mount.from)?.is_some() => {
                for (path, stat) in reader.walk(&mount.from)? {
                    let below: Vec<&[u8]> = path.components().skip(mount.from.components().count()).collect();
                    out.insert(mount.at.join(below.join(&b'/'))?, Item::Ext4(reader, stat));
                }
            }
            Files::Ext4(_) => {}
            Files::Fat(reader) => {
                for entry in reader.list()? {
                    out.insert(mount.at.join(&entry.path)?, Item::Fat(reader, entry));
                }
            }
        }
    }
    Ok(out)
}

fn files(before: &BTreeMap<ImagePath, Item>, after: &BTreeMap<ImagePath, Item>) -> Result<Vec<FileChange>> {
    let mut out = Vec::new();
    for (path, old) in before {
        let what = match after.get(path) {
            None => vec!["removed"],
            Some(new) => changes(old, new).context(|| path)?,
        };
        if !what.is_empty() {
            out.push(FileChange { path: path.to_string(), what, before: Some(old.size()), after: after.get(path).map(Item::size) });
        }
    }
    let added = after.iter().filter(|(path, _)| !before.contains_key(path));
    out.extend(added.map(|(path, new)| FileChange { path: path.to_string(), what: vec!["added"], before: None, after: Some(new.size()) }));
    out.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(out)
}

fn changes(old: &Item, new: &Item) -> Result<Vec<&'static str>> {
    if old.kind() != new.kind() {
        return Ok(vec!["kind"]);
    }
    let mut what = Vec::new();
    if (old.size() != new.size() && old.has_content()) || old.content()? != new.content()? {
        what.push("content");
    }
    if let (Item::Ext4(a, old), Item::Ext4(b, new)) = (old, new) {
        let differs = [
            ("mode", old.mode != new.mode || old.immutable != new.immutable),
            ("owner", (old.uid, old.gid) != (new.uid, new.gid)),
            ("attributes", a.xattrs_of(old)? != b.xattrs_of(new)?),
        ];
        what.extend(differs.into_iter().filter_map(|(name, differs)| differs.then_some(name)));
    }
    Ok(what)
}

impl Item<'_, '_> {
    /// The S_IFMT bits.
    fn kind(&self) -> u16 {
        match self {
            Item::Ext4(_, stat) => stat.mode & 0o170_000,
            Item::Fat(_, entry) if entry.is_directory => 0o040_000,
            Item::Fat(..) => 0o100_000,
        }
    }

    /// Of a directory 0: how many blocks its names take tells nothing.
    fn size(&self) -> u64 {
        match self {
            Item::Ext4(_, stat) if stat.is_directory() => 0,
            Item::Ext4(_, stat) => stat.size,
            Item::Fat(_, entry) => entry.size.into(),
        }
    }

    fn has_content(&self) -> bool {
        matches!(self.kind(), 0o100_000 | 0o120_000)
    }

    fn content(&self) -> Result<Option<Digest>> {
        if !self.has_content() {
            return Ok(None);
        }
        match self {
            Item::Ext4(reader, stat) => reader.content_digest(stat).map(Some),
            Item::Fat(reader, entry) => Ok(Some(Digest::of(&reader.read_entry(entry, u32::MAX.into())?))),
        }
    }
}
