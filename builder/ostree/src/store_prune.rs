//! `tree prune`: removes what no kept commit needs.

use crate::store_check::StoredObject;
use crate::{CommitId, ObjectKind, Store};
use model::{Digest, Result, ResultExt};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

/// What a prune removed, or would remove.
#[derive(Debug, Serialize)]
pub struct PruneReport {
    pub kept_commits: usize,
    pub removed_commits: usize,
    pub removed_objects: usize,
    /// Of the removed objects as they lay on disk.
    pub removed_bytes: u64,
}

impl Store {
    /// Keeps the newest `depth` commits of every ref, at least one, and removes the other commits, what they alone need, and the deltas from or to them.
    /// With `dry_run` nothing is removed.
    pub fn prune(&self, depth: usize, dry_run: bool) -> Result<PruneReport> {
        // Nobody writes objects meanwhile that this would take for unused.
        let _lock = self.lock_exclusive()?;
        let mut kept: BTreeSet<CommitId> = BTreeSet::new();
        for commit in self.refs()?.into_values() {
            kept.extend(self.log(commit)?.iter().take(depth.max(1)).map(|entry| entry.id));
        }
        let mut needed: BTreeSet<Digest> = kept.iter().map(|commit| commit.digest()).collect();
        for commit in &kept {
            needed.extend(self.objects_of(*commit)?);
        }
        let listing = self.list_objects()?;
        // Commits go first, and every one of them is gone from the device before an object that it needs: an interrupted prune leaves a whole store.
        let (commits, others): (Vec<StoredObject>, Vec<StoredObject>) = listing
            .objects
            .into_iter()
            .filter(|object| !needed.contains(&object.digest))
            .partition(|object| object.kind == ObjectKind::Commit);
        let report = PruneReport {
            kept_commits: kept.len(),
            removed_commits: commits.len(),
            removed_objects: commits.len() + others.len(),
            removed_bytes: commits.iter().chain(&others).map(|object| object.size).sum(),
        };
        if dry_run {
            return Ok(report);
        }
        self.remove_deltas_of(&commits.iter().map(|object| CommitId::new(object.digest)).collect())?;
        for object in &commits {
            remove(&self.object_path(object.kind, object.digest))?;
            if let Some(path) = listing.detached.get(&object.digest) {
                remove(path)?;
            }
        }
        self.sync()?;
        for object in &others {
            remove(&self.object_path(object.kind, object.digest))?;
        }
        Ok(report)
    }

    fn lock_exclusive(&self) -> Result<File> {
        let path = self.path().join(".lock");
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.context(|| format!("open {}", path.display()))?;
        // A file system without locks has none that others could hold.
        let _ = rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive);
        Ok(file)
    }
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.context(|| format!("remove {}", path.display())),
    }
}
