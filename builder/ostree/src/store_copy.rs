//! `tree copy`: brings a store's refs, with all that they lead to, into another folder.
//!
//! The order keeps the other store whole at every moment: content and directories, then commits with their signatures, then deltas, refs, and the summary
//! last. An object counts as present if a file of the same name and size is there; what is copied is verified first.

use crate::store_check::StoredObject;
use crate::{ObjectKind, Store};
use model::{AtomicFile, Error, Progress, Result, ResultExt, create_locked};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What a copy brought.
#[derive(Debug, Serialize)]
pub struct CopyReport {
    pub refs: usize,
    pub copied_objects: usize,
    pub present_objects: usize,
    /// Of the copied objects, as they lie on disk.
    pub copied_bytes: u64,
}

impl Store {
    /// Copies to `destination`, which is made if it is absent.
    pub fn copy_to(&self, destination: &Path, progress: &dyn Progress) -> Result<CopyReport> {
        let to = Store::create(destination)?;
        let _locks = (self.lock_shared()?, to.lock_shared()?);
        let refs = self.refs()?;
        let mut needed = BTreeSet::new();
        for commit in refs.values() {
            for entry in self.log(*commit)? {
                needed.insert(entry.id.digest());
                needed.extend(self.objects_of(entry.id)?);
            }
        }
        let listing = self.list_objects()?;
        let wanted: Vec<StoredObject> = listing.objects.into_iter().filter(|object| needed.contains(&object.digest)).collect();
        let is_present = |object: &StoredObject| {
            to.object_path(object.kind, object.digest).symlink_metadata().is_ok_and(|there| there.is_file() && there.len() == object.size)
        };
        let (present, missing): (Vec<StoredObject>, Vec<StoredObject>) = wanted.into_iter().partition(is_present);
        let (commits, others): (Vec<StoredObject>, Vec<StoredObject>) =
            missing.into_iter().partition(|object| object.kind == ObjectKind::Commit);
        let copied_bytes = commits.iter().chain(&others).map(|object| object.size).sum();
        progress.begin("copy", copied_bytes, "bytes");
        for part in [&others, &commits] {
            part.par_iter().with_max_len(1).try_for_each(|object| {
                self.verify_object(object.kind, object.digest)?;
                to.bring(&self.object_path(object.kind, object.digest), &to.object_path(object.kind, object.digest))?;
                progress.advance(object.size);
                Ok::<_, Error>(())
            })?;
            to.sync()?;
        }
        // A signature may be new where its commit is not.
        for (commit, path) in listing.detached.iter().filter(|(commit, _)| needed.contains(commit)) {
            to.bring(path, &to.object_path(ObjectKind::Commit, *commit).with_extension("commitmeta"))?;
        }
        for path in self.delta_files()? {
            let from = self.path().join(&path);
            let there = to.path().join(&path);
            let same = match (from.symlink_metadata(), there.symlink_metadata()) {
                (Ok(here), Ok(there)) => here.len() == there.len(),
                _ => false,
            };
            // A superblock says which parts there are, and has the name of none of its bytes.
            if !same || path.ends_with("superblock") {
                to.bring(&from, &there)?;
            }
        }
        to.sync()?;
        for (name, commit) in &refs {
            AtomicFile::write(&to.ref_path(name)?, format!("{commit}\n").as_bytes())?;
        }
        for name in ["release.json", "summary.sig", "summary"] {
            let from = self.path().join(name);
            if from.is_file() {
                to.bring(&from, &to.path().join(name))?;
            }
        }
        to.sync()?;
        Ok(CopyReport { refs: refs.len(), copied_objects: commits.len() + others.len(), present_objects: present.len(), copied_bytes })
    }

    /// Copies a file into its place, whole or not at all.
    fn bring(&self, from: &Path, place: &Path) -> Result<()> {
        let copying = || format!("copy {} to {}", from.display(), place.display());
        let folder: PathBuf = place.parent().unwrap_or(self.path()).to_path_buf();
        std::fs::create_dir_all(&folder).context(|| format!("create directory {}", folder.display()))?;
        let (mut file, partial) = create_locked(&self.path().join("tmp"), "copy")?;
        let copied = std::fs::File::open(from)
            .and_then(|mut source| std::io::copy(&mut source, &mut file))
            .and_then(|_| std::fs::rename(&partial, place))
            .context(copying);
        if copied.is_err() {
            // The next sweep takes what cannot be removed now.
            let _ = std::fs::remove_file(&partial);
        }
        copied
    }
}
