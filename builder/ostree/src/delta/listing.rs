//! The deltas that a repository has, and what a host fetches for one.

use super::{DeltaName, Superblock};
use crate::store::Store;
use model::{Digest, Entry, Error, Result, ResultExt};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub(super) const SUPERBLOCK: &str = "superblock";
/// In bytes; libostree's own limit (OSTREE_MAX_METADATA_SIZE).
const LARGEST_SUPERBLOCK: u64 = 128 << 20;

/// One delta of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedDelta {
    pub name: DeltaName,
    /// SHA-256 of the superblock's file, which a summary names under `ostree.static-deltas`.
    pub superblock: Digest,
}

impl Store {
    /// Lists the deltas whose superblock is there, in order of their names. Other folders are passed over, as libostree does.
    pub fn deltas(&self) -> Result<Vec<ListedDelta>> {
        let mut out = Vec::new();
        for (folder, path) in folders(&self.root.join("deltas"))? {
            for (rest, _) in folders(&path)? {
                let Some(name) = DeltaName::parse(&folder, &rest) else { continue };
                if let Some(bytes) = self.superblock_bytes(name)? {
                    out.push(ListedDelta { name, superblock: Digest::of(&bytes) });
                }
            }
        }
        out.sort();
        Ok(out)
    }

    /// Removes a delta. Its superblock goes first, so that nobody begins with what is half gone.
    pub fn remove_delta(&self, name: DeltaName) -> Result<()> {
        let folder = self.root.join(name.path());
        let absent_is_done = |e: std::io::Error| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(e) };
        std::fs::remove_file(folder.join(SUPERBLOCK))
            .or_else(absent_is_done)
            .and_then(|()| std::fs::remove_dir_all(&folder).or_else(absent_is_done))
            .context(|| format!("remove the delta {}", folder.display()))
    }

    /// `None` if there is no such delta.
    pub(super) fn superblock(&self, name: DeltaName) -> Result<Option<(Superblock, Vec<u8>)>> {
        let Some(bytes) = self.superblock_bytes(name)? else { return Ok(None) };
        let path = self.superblock_path(name);
        let superblock = Superblock::decode(&bytes).context(|| format!("read {}", path.display()))?;
        if superblock.name != name {
            return Err(Error::integrity(format!("{}: expected the delta {name}, found {}", path.display(), superblock.name))
                .hint("remove its folder: the next build writes it anew"));
        }
        Ok(Some((superblock, bytes)))
    }

    fn superblock_path(&self, name: DeltaName) -> PathBuf {
        self.root.join(name.path()).join(SUPERBLOCK)
    }

    fn superblock_bytes(&self, name: DeltaName) -> Result<Option<Vec<u8>>> {
        let path = self.superblock_path(name);
        if let Entry::Absent = Entry::open(&path)? {
            return Ok(None);
        }
        let bytes = Entry::read(&path, LARGEST_SUPERBLOCK)?;
        bytes.map(Some).ok_or_else(|| {
            Error::integrity(format!("{}: expected a file of at most {LARGEST_SUPERBLOCK} bytes", path.display()))
                .hint("remove the delta's folder: the next build writes it anew")
        })
    }
}

/// Names and paths of the folders in `parent`, none if it is absent.
fn folders(parent: &Path) -> Result<Vec<(String, PathBuf)>> {
    let listing = || format!("list {}", parent.display());
    let entries = match std::fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).context(listing),
    };
    let mut out = Vec::new();
    for entry in entries {
        let entry = entry.context(listing)?;
        if entry.file_type().context(listing)?.is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            out.push((name, entry.path()));
        }
    }
    out.sort();
    Ok(out)
}
