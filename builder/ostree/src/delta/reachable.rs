//! What a commit is made of: its directories' objects, and its files by path.

use super::ObjectName;
use crate::format::DirTree;
use crate::{CommitId, ObjectKind, Store};
use model::{Digest, Error, ImagePath, Result, ResultExt};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// More than any tree has. A few directories that name each other many times could stand for any number.
const NAMES_MAX: usize = 10_000_000;

/// The objects of a commit without the commit object.
#[derive(Debug, Default)]
pub struct Reachable {
    /// Directories' lists and attributes.
    pub metadata: BTreeSet<ObjectName>,
    /// Files and symlinks.
    pub files: BTreeMap<ImagePath, Digest>,
}

impl Reachable {
    pub fn of(store: &Store, id: CommitId) -> Result<Reachable> {
        let commit = store.read_commit(id)?;
        let mut out = Reachable::default();
        let mut known: BTreeMap<Digest, DirTree> = BTreeMap::new();
        let mut names = 0;
        let mut pending = vec![(ImagePath::root(), commit.root_tree, commit.root_meta)];
        while let Some((path, tree, meta)) = pending.pop() {
            out.metadata.insert(ObjectName { kind: ObjectKind::DirTree, digest: tree });
            out.metadata.insert(ObjectName { kind: ObjectKind::DirMeta, digest: meta });
            let listing = match known.entry(tree) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(vacant) => {
                    let listing = DirTree::decode(&store.read_metadata(ObjectKind::DirTree, tree)?);
                    vacant.insert(listing.context(|| format!("read {path} of commit {id}"))?)
                }
            };
            for (name, content) in &listing.files {
                out.files.insert(path.join(name)?, *content);
            }
            for (name, tree, meta) in &listing.directories {
                pending.push((path.join(name)?, *tree, *meta));
            }
            names += listing.files.len() + listing.directories.len();
            if names > NAMES_MAX {
                return Err(Error::integrity(format!("commit {id}: expected at most {NAMES_MAX} names, found more")));
            }
        }
        Ok(out)
    }

    /// Every distinct content with its first path.
    pub fn contents(&self) -> BTreeMap<Digest, &ImagePath> {
        let mut out = BTreeMap::new();
        for (path, digest) in &self.files {
            out.entry(*digest).or_insert(path);
        }
        out
    }
}
