//! What an update from one commit to another costs a host, in bytes that it fetches.

use super::{DeltaName, ObjectName, Reachable};
use crate::{CommitId, ObjectKind, Store};
use model::{Error, ImagePath, Result, ResultExt};
use std::collections::BTreeSet;

/// New content of a commit and what it weighs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentCost {
    /// One of its names.
    pub path: ImagePath,
    pub bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// Of the delta, if there is one: superblock, parts and fallbacks.
    pub delta: Option<u64>,
    /// Of the objects, one by one, as a host fetches them without a delta.
    pub objects: u64,
    /// Of each new file's object, the most expensive first.
    pub contents: Vec<ContentCost>,
}

impl Store {
    /// Returns the cost of `to` for a host that has `from` alone, or nothing.
    pub fn cost(&self, from: Option<CommitId>, to: CommitId) -> Result<Cost> {
        let old = from.map_or_else(|| Ok(Reachable::default()), |from| Reachable::of(self, from))?;
        let new = Reachable::of(self, to)?;
        let mut objects = self.object_size(ObjectName { kind: ObjectKind::Commit, digest: to.digest() })?;
        objects += self.detached_metadata(to)?.map_or(0, |bytes| bytes.len() as u64);
        for object in new.metadata.difference(&old.metadata) {
            objects += self.object_size(*object)?;
        }
        let known: BTreeSet<_> = old.files.values().collect();
        let mut contents = Vec::new();
        for (digest, path) in new.contents() {
            if !known.contains(&digest) {
                let bytes = self.object_size(ObjectName { kind: ObjectKind::ArchiveFile, digest })?;
                objects += bytes;
                contents.push(ContentCost { path: path.clone(), bytes });
            }
        }
        heaviest_first(&mut contents);
        let delta = match self.superblock(DeltaName { from, to })? {
            Some((superblock, bytes)) => Some(superblock.fetched()?.saturating_add(bytes.len() as u64)),
            None => None,
        };
        Ok(Cost { delta, objects, contents })
    }

    /// Bytes of an object's file.
    pub(super) fn object_size(&self, object: ObjectName) -> Result<u64> {
        let path = self.object_path(object.kind, object.digest);
        let metadata = path.symlink_metadata().context(|| format!("read {}", path.display()))?;
        match metadata.is_file() {
            true => Ok(metadata.len()),
            false => Err(Error::integrity(format!("{}: expected an object's file", path.display()))),
        }
    }
}

pub(super) fn heaviest_first(contents: &mut [ContentCost]) {
    contents.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
}
