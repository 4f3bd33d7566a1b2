//! `tree check`: every object of the store is read, and every commit that a ref leads to must be whole.

use crate::format::DirTree;
use crate::{CommitId, ObjectKind, Store};
use model::{Digest, Error, Kind, OptionJudged, Progress, Result, ResultExt, ResultJudged};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a check found.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    pub refs: usize,
    pub commits: usize,
    pub objects: usize,
    /// Of all objects as they lie on disk.
    pub bytes: u64,
    /// A sentence for each fault, sorted.
    pub faults: Vec<String>,
}

/// A file below objects/ that has an object's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StoredObject {
    pub digest: Digest,
    pub kind: ObjectKind,
    /// Bytes on disk.
    pub size: u64,
}

/// What lies below objects/.
pub(crate) struct Listing {
    pub objects: Vec<StoredObject>,
    /// Detached metadata, by the commit that it is of.
    pub detached: BTreeMap<Digest, PathBuf>,
    /// Everything else.
    pub strangers: Vec<PathBuf>,
}

impl Store {
    /// Reads every object. Only what cannot be listed at all is an error; the rest is told in the report.
    pub fn check(&self, progress: &dyn Progress) -> Result<CheckReport> {
        let listing = self.list_objects()?;
        progress.begin("check", listing.objects.iter().map(|object| object.size).sum(), "bytes");
        let mut faults: Vec<String> = listing
            .objects
            .par_iter()
            .with_max_len(1)
            .map(|object| {
                let found = self.verify_object(object.kind, object.digest);
                progress.advance(object.size);
                match found {
                    Ok(()) => Ok(None),
                    Err(error) if matches!(error.kind(), Kind::Integrity | Kind::Internal) => Ok(Some(format!("{error:#}"))),
                    Err(error) => Err(error),
                }
            })
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect();
        faults.extend(listing.strangers.iter().map(|path| format!("{} is no object", path.display())));
        let present: BTreeSet<(Digest, ObjectKind)> = listing.objects.iter().map(|object| (object.digest, object.kind)).collect();
        let refs = self.refs()?;
        for (name, commit) in &refs {
            if let Err(error) = self.check_reachable(*commit, &present) {
                faults.push(format!("ref {name}: {error:#}"));
            }
        }
        faults.sort();
        faults.dedup();
        let commits = listing.objects.iter().filter(|object| object.kind == ObjectKind::Commit).count();
        let bytes = listing.objects.iter().map(|object| object.size).sum();
        Ok(CheckReport { refs: refs.len(), commits, objects: listing.objects.len(), bytes, faults })
    }

    /// Whether all objects of a commit and of those ancestors that are there are in the store.
    fn check_reachable(&self, commit: CommitId, present: &BTreeSet<(Digest, ObjectKind)>) -> Result<()> {
        let mut walked = BTreeSet::new();
        for entry in self.log(commit)? {
            let mut pending = vec![(entry.commit.root_tree, entry.commit.root_meta)];
            while let Some((tree, meta)) = pending.pop() {
                expect(present, meta, ObjectKind::DirMeta, entry.id)?;
                if !walked.insert(tree) {
                    continue;
                }
                expect(present, tree, ObjectKind::DirTree, entry.id)?;
                let tree = DirTree::decode(&self.read_metadata(ObjectKind::DirTree, tree)?)?;
                for (_, content) in &tree.files {
                    expect(present, *content, ObjectKind::ArchiveFile, entry.id)?;
                }
                pending.extend(tree.directories.into_iter().map(|(_, tree, meta)| (tree, meta)));
            }
        }
        Ok(())
    }

    pub(crate) fn list_objects(&self) -> Result<Listing> {
        let mut listing = Listing { objects: Vec::new(), detached: BTreeMap::new(), strangers: Vec::new() };
        let root = self.path().join("objects");
        for folder in read_dir(&root)? {
            let prefix = folder.file_name().map(|name| name.to_string_lossy().into_owned()).default_because("a folder's entry has a name");
            let is_folder = prefix.len() == 2 && folder.is_dir();
            if !is_folder {
                listing.strangers.push(folder);
                continue;
            }
            for path in read_dir(&folder)? {
                let metadata = path.symlink_metadata().context(|| format!("look at {}", path.display()))?;
                match named(&prefix, &path) {
                    Some((digest, Some(kind))) if metadata.is_file() => {
                        listing.objects.push(StoredObject { digest, kind, size: metadata.len() });
                    }
                    Some((digest, None)) if metadata.is_file() => {
                        listing.detached.insert(digest, path);
                    }
                    _ => listing.strangers.push(path),
                }
            }
        }
        listing.objects.sort();
        listing.strangers.sort();
        Ok(listing)
    }
}

fn expect(present: &BTreeSet<(Digest, ObjectKind)>, digest: Digest, kind: ObjectKind, commit: CommitId) -> Result<()> {
    match present.contains(&(digest, kind)) {
        true => Ok(()),
        false => Err(Error::integrity(format!("commit {commit} lacks the object {digest}.{}", kind.extension()))),
    }
}

/// Sorted.
fn read_dir(folder: &Path) -> Result<Vec<PathBuf>> {
    let reading = || format!("list {}", folder.display());
    let entries = std::fs::read_dir(folder).context(reading)?;
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>().context(reading)?;
    paths.sort();
    Ok(paths)
}

/// The object that a file is of by its name; without a kind it is a commit's detached metadata.
fn named(prefix: &str, path: &Path) -> Option<(Digest, Option<ObjectKind>)> {
    let (rest, extension) = path.file_name()?.to_str()?.split_once('.')?;
    let digest = Digest::parse(&format!("{prefix}{rest}")).none_because("a name of other letters is no object")?;
    let kinds = [ObjectKind::Commit, ObjectKind::DirTree, ObjectKind::DirMeta, ObjectKind::ArchiveFile];
    match kinds.into_iter().find(|kind| kind.extension() == extension) {
        Some(kind) => Some((digest, Some(kind))),
        None if extension == "commitmeta" => Some((digest, None)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CommitMeta, commit};
    use model::tree::{Attributes, Edit, FileTree, Inode};
    use model::{ImagePath, Silent, SourceDateEpoch};

    #[test]
    fn each_kind_of_fault_is_told_and_a_whole_store_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut tree = FileTree::new();
        tree.insert(&ImagePath::parse("/usr/bin/x").unwrap(), Inode::file(b"x".to_vec(), Attributes::root(0o755)), Edit::Create).unwrap();
        let meta =
            CommitMeta { subject: String::new(), body: String::new(), parent: None, epoch: SourceDateEpoch(1), metadata: BTreeMap::new() };
        let made = commit(&tree, &meta).unwrap();
        let store = Store::create(folder.path()).unwrap();
        store.write(&made, &tree, "a/b", 1, &Silent).unwrap();
        let good = store.check(&Silent).unwrap();
        assert_eq!((good.refs, good.commits, good.objects, good.faults.len()), (1, 1, 6, 0), "{good:?}");
        let object = made.distinct_contents(&tree).into_keys().next().unwrap();
        let path = store.object_path(ObjectKind::ArchiveFile, object.digest());
        let bytes = std::fs::read(&path).unwrap();
        let check = |change: &dyn Fn(), expected: &str| {
            change();
            let faults = store.check(&Silent).unwrap().faults;
            assert!(faults.len() == 1 && faults[0].contains(expected), "{faults:?}");
            std::fs::write(&path, &bytes).unwrap();
        };
        check(&|| std::fs::remove_file(&path).unwrap(), "lacks the object");
        check(&|| std::fs::write(&path, b"garbage").unwrap(), "filez");
        let stranger = path.with_extension("other");
        check(&|| std::fs::write(&stranger, b"").unwrap(), "is no object");
    }
}
