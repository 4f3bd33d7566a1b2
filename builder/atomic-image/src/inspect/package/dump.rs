//! A package's paths, one row each.

use super::shown;
use model::{Digest, OptionJudged, Result, ResultExt};
use packages::rpm::{FileEntry, FileFlags, FileKind, read_contents, tags};
use serde::Serialize;
use std::path::Path;
use supply::fetch;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathRow {
    /// Absolute, but for a source package: there without the leading slash, as rpm lists it.
    pub path: String,
    /// `file`, `directory`, `symlink`, `char-device`, `block-device`, `fifo` or `socket`.
    pub kind: &'static str,
    /// Permission bits with setuid, setgid and sticky: four octal digits.
    pub mode: String,
    pub user: String,
    pub group: String,
    /// In bytes, as the header says.
    pub size: u64,
    /// Of the contents in the payload; `None` for all but regular files, and for ghosts.
    pub sha256: Option<Digest>,
    /// Of a symlink.
    pub target: Option<String>,
    /// In cap_from_text(3)'s form.
    pub caps: Option<String>,
    /// RPMFILE_ attributes by rpm's names.
    pub flags: Vec<&'static str>,
}

/// Reads the package at `path` to its end; rows are sorted by path. Every digest that the header has is checked.
pub fn dump(path: &Path) -> Result<Vec<PathRow>> {
    let (file, package) = fetch::open_package(path)?;
    let payload = fetch::payload_of(&file, path, &package)?;
    let contents = read_contents(&package, payload).context(|| path.display())?;
    let caps = package.header.strings(tags::FILE_CAPS).context(|| path.display())?.default_because("an absent tag is an empty list");
    let mut order: Vec<usize> = (0..package.files.len()).collect();
    order.sort_by(|&a, &b| package.files[a].path.cmp(&package.files[b].path));
    Ok(order
        .into_iter()
        .map(|i| row(&package.files[i], contents[i], caps.get(i).copied().unwrap_or(b""), package.metadata.is_source))
        .collect())
}

/// A source package's files are for rpmbuild's folder, wherever that is, and have names alone.
fn row(file: &FileEntry, sha256: Option<Digest>, caps: &[u8], is_source: bool) -> PathRow {
    let path = shown(file.path.as_bytes());
    PathRow {
        path: if is_source { path.trim_start_matches('/').to_owned() } else { path },
        kind: kind_name(&file.kind),
        mode: format!("{:04o}", file.mode),
        user: file.user.clone(),
        group: file.group.clone(),
        size: file.size,
        sha256: sha256.filter(|_| file.kind == FileKind::File),
        target: match &file.kind {
            FileKind::Symlink { target } => Some(shown(target)),
            _ => None,
        },
        caps: Some(shown(caps)).filter(|caps| !caps.is_empty()),
        flags: flag_names(file.flags),
    }
}

fn kind_name(kind: &FileKind) -> &'static str {
    match kind {
        FileKind::File => "file",
        FileKind::Directory => "directory",
        FileKind::Symlink { .. } => "symlink",
        FileKind::CharDevice { .. } => "char-device",
        FileKind::BlockDevice { .. } => "block-device",
        FileKind::Fifo => "fifo",
        FileKind::Socket => "socket",
    }
}

/// By bit (rpm, `rpmfiles.h`).
const FLAGS: [(u32, &str); 11] = [
    (0, "config"),
    (1, "doc"),
    (2, "icon"),
    (3, "missingok"),
    (4, "noreplace"),
    (5, "specfile"),
    (6, "ghost"),
    (7, "license"),
    (8, "readme"),
    (11, "pubkey"),
    (12, "artifact"),
];

fn flag_names(flags: FileFlags) -> Vec<&'static str> {
    FLAGS.iter().filter(|(bit, _)| flags.0 & 1 << bit != 0).map(|(_, name)| *name).collect()
}
