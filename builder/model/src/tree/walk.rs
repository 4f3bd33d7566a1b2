//! Sorted walks and look-ups.

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

    /// Follows symlinks inside the tree, as a process whose root is the tree would, 40 at most. Returns the real path.
    pub fn resolve(&self, path: &ImagePath) -> Option<(ImagePath, InodeId)> {
        let mut pending: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
        let mut names: Vec<(Vec<u8>, InodeId)> = Vec::new();
        let mut links = 0;
        while let Some(name) = pending.pop() {
            if name.is_empty() || name == b"." {
                continue;
            }
            if name == b".." {
                names.pop();
                continue;
            }
            let at = names.last().map_or(FileTree::ROOT, |(_, id)| *id);
            let id = self.child(at, &name)?;
            if let NodeKind::Symlink(target) = &self.inode(id).kind {
                links += 1;
                if links > 40 {
                    return None;
                }
                if target.first() == Some(&b'/') {
                    names.clear();
                }
                pending.extend(target.split(|&b| b == b'/').rev().map(<[u8]>::to_vec));
                continue;
            }
            names.push((name, id));
        }
        let id = names.last().map_or(FileTree::ROOT, |(_, id)| *id);
        let joined = names.iter().map(|(name, _)| name.as_slice()).collect::<Vec<_>>().join(&b'/');
        Some((ImagePath::parse(joined).none_because("a path that is not absolute names nothing")?, id))
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
