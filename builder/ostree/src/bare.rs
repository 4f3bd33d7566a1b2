//! The repository inside the image, /ostree/repo: bare, so that a content object is the very inode that the deployments link to.

use crate::commit::stored_xattrs;
use crate::{Commit, CommitId, ContentId, ObjectKind};
use model::tree::{Attributes, Edit, FileTree, Inode, InodeId};
use model::{Error, ImagePath, Result};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

pub(crate) const REPO: &str = "/ostree/repo";

/// The content objects that are in the image's tree already.
pub(crate) struct BareRepo {
    objects: BTreeMap<ContentId, InodeId>,
    mtime: i64,
}

impl BareRepo {
    /// Makes the empty repository, as `ostree init --mode=bare` and the sysroot's settings leave it.
    pub(crate) fn create(root: &mut FileTree, mtime: i64) -> Result<BareRepo> {
        let repo = BareRepo { objects: BTreeMap::new(), mtime };
        for name in ["extensions", "objects", "refs/heads", "refs/mirrors", "refs/remotes", "state", "tmp/cache"] {
            root.ensure_directory(&path(name)?, repo.attributes(0o755))?;
        }
        let config = "[core]\nrepo_version=1\nmode=bare\n\n[sysroot]\nbootloader=none\nreadonly=true\n";
        root.insert(&path("config")?, Inode::file(config.as_bytes(), repo.attributes(0o644)), Edit::Create)?;
        Ok(repo)
    }

    fn attributes(&self, mode: u16) -> Attributes {
        Attributes { mtime: self.mtime, ..Attributes::root(mode) }
    }

    /// Puts all objects of a commit, sharing those that are there.
    pub(crate) fn add(&mut self, root: &mut FileTree, commit: &Commit, tree: &FileTree) -> Result<()> {
        for (content, id) in commit.distinct_contents(tree) {
            if let Entry::Vacant(vacant) = self.objects.entry(content) {
                let mut inode = tree.inode(id).clone();
                // libostree's fixed time of every checked-out file; objects shared with a read-only deployment cannot carry flags.
                inode.attributes = Attributes {
                    mtime: 0,
                    mtime_nanoseconds: 0,
                    immutable: false,
                    xattrs: stored_xattrs(&inode.attributes),
                    ..inode.attributes
                };
                let id = root.insert(&path(&ObjectKind::File.path(content.digest()))?, inode, Edit::Create)?;
                vacant.insert(id);
            }
        }
        let dirtrees = commit.dirtrees.iter().map(|(id, bytes)| (ObjectKind::DirTree, id.digest(), bytes));
        let dirmetas = commit.dirmetas.iter().map(|(id, bytes)| (ObjectKind::DirMeta, id.digest(), bytes));
        let own = std::iter::once((ObjectKind::Commit, commit.id.digest(), &commit.bytes));
        for (kind, digest, bytes) in dirtrees.chain(dirmetas).chain(own) {
            let path = path(&kind.path(digest))?;
            if root.get(&path).is_none() {
                root.insert(&path, Inode::file(bytes.clone(), self.attributes(0o644)), Edit::Create)?;
            }
        }
        Ok(())
    }

    /// Puts the detached metadata of a commit that is there.
    pub(crate) fn add_signatures(&self, root: &mut FileTree, commit: CommitId, bytes: &[u8]) -> Result<()> {
        let path = path(&format!("{}meta", ObjectKind::Commit.path(commit.digest())))?;
        root.insert(&path, Inode::file(bytes, self.attributes(0o644)), Edit::Create).map(drop)
    }

    /// Folders of objects were made with the time of their first object.
    pub(crate) fn finish(&self, root: &mut FileTree) -> Result<()> {
        let objects = root.get(&path("objects")?).ok_or_else(|| Error::internal("the repository has no objects folder"))?;
        let folders: Vec<InodeId> = root.children(objects).map(|(_, id)| id).collect();
        for id in folders {
            root.inode_mut(id).attributes = self.attributes(0o755);
        }
        Ok(())
    }

    pub(crate) fn object(&self, content: ContentId) -> Result<InodeId> {
        self.objects.get(&content).copied().ok_or_else(|| Error::internal(format!("content {content} is in no commit of this sysroot")))
    }

    /// `name` is relative to refs/.
    pub(crate) fn set_ref(&self, root: &mut FileTree, name: &str, commit: CommitId) -> Result<()> {
        root.insert(&path(&format!("refs/{name}"))?, Inode::file(format!("{commit}\n").into_bytes(), self.attributes(0o644)), Edit::Create)
            .map(drop)
    }
}

fn path(below: &str) -> Result<ImagePath> {
    ImagePath::parse(REPO)?.join(below)
}
