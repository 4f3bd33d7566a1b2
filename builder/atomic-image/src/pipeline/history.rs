//! A new commit's place in the history of its ref.
//!
//! A recipe without `[update]` and with `rollback = "same"` makes a commit without a parent, whose checksum depends on the recipe and the lockfile alone.
//! Otherwise the parent is the commit that the store's ref names, so that a host can be told older from newer; then the checksum depends on that commit, too.

use super::Settings;
use evidence::Signatures;
use model::tree::FileTree;
use model::{Digest, Error, Progress, Result, ResultExt, SourceDateEpoch};
use ostree::{Ancestor, Commit, CommitId, CommitMeta, CommitObject, Detached, Kernel, MetadataValue, Store, TreeObjects};
use recipe::{Recipe, Rollback};
use signing::SigningKey;
use std::collections::BTreeMap;

/// For so many earlier commits a commit tells what a host that has one of them needs.
const ANCESTORS: usize = 8;

/// Which commit a new one follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// The one that the store's ref names.
    OfStore,
    /// The one that a manifest names, to make the same commit again.
    Given(Option<CommitId>),
}

/// The commit of the second deployment, its tree and its version.
pub(super) struct Previous {
    pub commit: Commit,
    pub tree: FileTree,
    pub version: Option<String>,
}

/// Whether the recipe's commits have parents.
pub(super) fn has_history(recipe: &Recipe) -> bool {
    recipe.update.is_some() || recipe.deployments.rollback == Rollback::Previous
}

/// A tree that is about to be committed.
pub(super) struct Tree<'a> {
    pub recipe: &'a Recipe,
    pub tree: &'a FileTree,
    pub objects: TreeObjects,
    pub version: &'a str,
    /// Of the bootloader's images, which are on the disk and not in the tree.
    pub bootloader: Digest,
    pub epoch: SourceDateEpoch,
}

impl Tree<'_> {
    /// The commit, and with `rollback = "previous"` the one before it.
    pub fn commit(self, store: Option<&Store>, settings: &Settings, progress: &dyn Progress) -> Result<(Commit, Option<Previous>)> {
        let kernel = Kernel::find(self.tree)?;
        let history = store.filter(|_| has_history(self.recipe));
        let Some(store) = history else {
            return Ok((self.after(None, &[], &kernel)?, None));
        };
        let (commit, parent) = match settings.parent {
            Parent::Given(parent) => (self.following(store, parent, &kernel)?, parent),
            Parent::OfStore => self.of_store(store, &kernel)?,
        };
        if self.recipe.deployments.rollback == Rollback::Same {
            return Ok((commit, None));
        }
        let Some(parent) = parent else {
            progress.note("rollback = \"previous\", but the store has no earlier commit of this ref: both deployments are of this one");
            return Ok((commit, None));
        };
        Ok((commit, Some(previous(store, parent)?)))
    }

    /// An unchanged tree is no new version: the commit that is there stays, with the parent that it has. What it tells of earlier commits does not count,
    /// since the store may have lost them meanwhile.
    fn of_store(&self, store: &Store, kernel: &Kernel) -> Result<(Commit, Option<CommitId>)> {
        let Some(before) = store.resolve_ref(&self.recipe.reference)? else {
            return Ok((self.following(store, None, kernel)?, None));
        };
        let object = store.read_commit(before)?;
        let without_ancestors = |object: &BTreeMap<String, MetadataValue>| {
            object
                .iter()
                .filter(|(key, _)| *key != ostree::NEW_SINCE)
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect::<BTreeMap<_, _>>()
        };
        let again = self.objects.clone().commit(&meta_of(&object))?;
        let parent = object.parent.map(CommitId::new);
        let soonest = parent.filter(|parent| store.contains(*parent)).map(|parent| store.read_commit(parent)).transpose()?;
        let expected = self.meta(soonest.map(|parent| (before, parent.timestamp)), &[], kernel);
        let same_words = without_ancestors(&object.metadata) == expected.metadata && object.subject == expected.subject;
        let same_time = object.timestamp == u64::from(expected.epoch.0) || parent.is_some_and(|parent| !store.contains(parent));
        if again.id == before && same_words && same_time {
            return Ok((again, parent));
        }
        Ok((self.following(store, Some(before), kernel)?, Some(before)))
    }

    fn following(&self, store: &Store, parent: Option<CommitId>, kernel: &Kernel) -> Result<Commit> {
        let log = parent
            .map_or(Ok(Vec::new()), |parent| store.log(parent))
            .context(|| "read the history of the ref")
            .map_err(|e| e.hint("the store (--repo) must have the commit that the new one follows"))?;
        let ancestor = |id| store.objects_of(id).map(|objects| Ancestor { id, objects });
        let ancestors: Vec<Ancestor> = log.iter().take(ANCESTORS).map(|entry| ancestor(entry.id)).collect::<Result<_>>()?;
        self.after(log.first().map(|entry| (entry.id, entry.commit.timestamp)), &ancestors, kernel)
    }

    fn after(&self, parent: Option<(CommitId, u64)>, ancestors: &[Ancestor], kernel: &Kernel) -> Result<Commit> {
        self.objects.clone().commit(&self.meta(parent, ancestors, kernel))
    }

    /// A host takes no commit that is older than its own, so that each is at least a second younger than its parent, of which the timestamp is given.
    fn meta(&self, parent: Option<(CommitId, u64)>, ancestors: &[Ancestor], kernel: &Kernel) -> CommitMeta {
        let soonest = parent.map_or(0, |(_, timestamp)| u32::try_from(timestamp).unwrap_or(u32::MAX).saturating_add(1));
        let mut metadata = ostree::needs(&self.objects.sizes(self.tree), kernel, ancestors);
        metadata.insert("atomic-image.bootloader".to_owned(), MetadataValue::Text(self.bootloader.to_string()));
        metadata.insert("version".to_owned(), MetadataValue::Text(self.version.to_owned()));
        metadata.insert("ostree.ref-binding".to_owned(), MetadataValue::TextList(vec![self.recipe.reference.clone()]));
        CommitMeta {
            subject: format!("{} {}", self.recipe.title, self.version),
            body: String::new(),
            parent: parent.map(|(id, _)| id),
            epoch: SourceDateEpoch(self.epoch.0.max(soonest)),
            metadata,
        }
    }
}

/// The detached metadata that the image has of its commits: for the new one the signatures of `keys`, for the one before it what the store has.
pub(super) fn signatures(commit: &Commit, previous: Option<&Previous>, store: Option<&Store>, keys: &[SigningKey]) -> Result<Signatures> {
    let mut own = Detached::default();
    let timestamp = CommitObject::decode(&commit.bytes)?.timestamp;
    let time = SourceDateEpoch(u32::try_from(timestamp).unwrap_or(u32::MAX));
    keys.iter().try_for_each(|key| own.sign(&commit.bytes, key, time))?;
    let mut found = vec![(commit.id, own)];
    if let (Some(previous), Some(store)) = (previous, store) {
        found.push((previous.commit.id, store.detached(previous.commit.id)?));
    }
    Ok(found.into_iter().filter(|(_, detached)| detached.is_signed()).map(|(id, detached)| (id, detached.encode())).collect())
}

/// What makes a commit object of a tree's objects again.
fn meta_of(object: &CommitObject) -> CommitMeta {
    CommitMeta {
        subject: object.subject.clone(),
        body: object.body.clone(),
        parent: object.parent.map(CommitId::new),
        epoch: SourceDateEpoch(u32::try_from(object.timestamp).unwrap_or(u32::MAX)),
        metadata: object.metadata.clone(),
    }
}

/// Reads a commit of the store with its whole tree.
fn previous(store: &Store, id: CommitId) -> Result<Previous> {
    let object = store.read_commit(id)?;
    let tree = store.load_tree(id).context(|| format!("read the rollback commit {id}"))?;
    let version = object.version().map(str::to_owned);
    let commit = ostree::commit(&tree, &meta_of(&object))?;
    if commit.id != id {
        return Err(
            Error::integrity(format!("the store's commit {id} reads back as {}", commit.id)).hint("check the store with `ostree fsck`")
        );
    }
    Ok(Previous { commit, tree, version })
}
