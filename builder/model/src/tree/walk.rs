//! Sorted walks and look-ups.

use super::symlink_walk::{Found, LastSymlink, follow_symlinks};
use crate::tree::{FileTree, Inode, InodeId, NodeKind};
use crate::{Error, ImagePath, OptionJudged, Result, ResultJudged};

/// One name in the tree.
#[derive(Debug, Clone)]
pub struct Entry {
    pub path: ImagePath,
    pub id: InodeId,
}

impl FileTree {
    /// The inode at `path`; symlinks are not followed, not even in the middle.
    pub fn get(&self, path: &ImagePath) -> Option<InodeId> {
        path.components().try_fold(FileTree::ROOT, |at, name| self.child(at, name))
    }

    /// The inode at a literal path such as "/usr/lib"; `None` for a path that does not parse.
    pub fn at(&self, path: &str) -> Option<&Inode> {
        Some(self.inode(self.get(&ImagePath::parse(path).none_because("a path that is not absolute names nothing")?)?))
    }

    /// Follows symlinks inside the tree, as a process whose root is the tree would. Returns the real path; `None` if it leads nowhere.
    pub fn resolve(&self, path: &ImagePath) -> Option<(ImagePath, InodeId)> {
        self.resolve_with(path.as_bytes(), LastSymlink::Follow)
    }

    /// The same for a path that need not be normalised and may end in a symlink that is not followed.
    pub fn resolve_with(&self, path: &[u8], last: LastSymlink) -> Option<(ImagePath, InodeId)> {
        let look_up = |directory: Option<&InodeId>, name: &[u8]| {
            let id = self.child(directory.copied().unwrap_or(FileTree::ROOT), name).ok_or(())?;
            Ok(self.found(id, id))
        };
        let real = follow_symlinks(path, last, look_up, || ()).none_because("nothing is found, whatever stands in the way")?;
        let path = real.path().none_because("a path that is too long names nothing")?;
        Some((path, real.into_last().unwrap_or(FileTree::ROOT)))
    }

    /// What a walk over symlinks finds in `id`, with `node` for the caller.
    pub fn found<N>(&self, id: InodeId, node: N) -> Found<N> {
        match &self.inode(id).kind {
            NodeKind::Symlink(target) => Found::Symlink(node, target.clone()),
            _ => Found::Other(node),
        }
    }

    /// Every name, parents before children, siblings in byte order. The root comes first. A hard-linked inode comes once for each name.
    pub fn walk(&self) -> Vec<Entry> {
        self.walk_from(&ImagePath::root()).default_because("a tree has a root")
    }

    /// The same for the subtree at `path`, itself first; `None` if there is no such path.
    pub fn walk_from(&self, path: &ImagePath) -> Option<Vec<Entry>> {
        let mut out = Vec::new();
        let mut stack = vec![Entry { path: path.clone(), id: self.get(path)? }];
        while let Some(entry) = stack.pop() {
            let first = stack.len();
            for (name, id) in self.children(entry.id) {
                // Names in the tree were validated on the way in; a path too deep to name is left to the writer that cannot hold it.
                if let Some(path) = entry.path.child(name) {
                    stack.push(Entry { path, id });
                }
            }
            stack[first..].reverse();
            out.push(entry);
        }
        Some(out)
    }

    /// Names per inode, by `InodeId::index` (for a directory: 1).
    pub fn link_counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.arena_len()];
        counts[FileTree::ROOT.index()] = 1;
        let mut stack = vec![FileTree::ROOT];
        while let Some(at) = stack.pop() {
            for (_, id) in self.children(at) {
                counts[id.index()] += 1;
                if self.inode(id).is_directory() {
                    stack.push(id);
                }
            }
        }
        counts
    }

    /// The bytes of the regular file at a literal path, symlinks followed inside the tree.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let Some((real, id)) = self.resolve(&ImagePath::parse(path)?) else { return Ok(None) };
        match &self.inode(id).kind {
            NodeKind::File(content) => content.to_vec().map(Some),
            other => Err(Error::integrity(format!("expected a file at {real}, found a {}", other.name()))),
        }
    }
}
