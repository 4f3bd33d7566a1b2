//! Changes to a tree. No edit ever follows a symlink.

use crate::tree::{Attributes, FileTree, Inode, InodeId, NodeKind};
use crate::{Error, ImagePath, Result};

/// What to do when the name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// It is an error.
    Create,
    /// The old inode loses this name. A directory is only replaced by a directory, and then keeps its children.
    Replace,
}

impl FileTree {
    /// Puts `inode` at `path`; missing parents are made 0755 root:root with the inode's mtime. A parent that is not a directory is an error.
    pub fn insert(&mut self, path: &ImagePath, inode: Inode, edit: Edit) -> Result<InodeId> {
        let Some(name) = path.name() else {
            if inode.is_directory() && edit == Edit::Replace {
                self.inodes[0].attributes = inode.attributes;
                return Ok(FileTree::ROOT);
            }
            return Err(Error::integrity(format!("cannot place a {} at /", inode.kind.name())));
        };
        let parent = self.make_parents(path, inode.attributes.mtime)?;
        if let Some(old) = self.child(parent, name) {
            let old_is_directory = self.inode(old).is_directory();
            if edit == Edit::Create {
                return Err(Error::integrity(format!("{path} exists already, as a {}", self.inode(old).kind.name())));
            }
            match (old_is_directory, inode.is_directory()) {
                (true, true) => {
                    self.inode_mut(old).attributes = inode.attributes;
                    return Ok(old);
                }
                (true, false) => return Err(Error::integrity(format!("cannot replace the directory {path} by a {}", inode.kind.name()))),
                _ => {}
            }
        }
        let id = self.push(inode)?;
        self.set_child(parent, name, id);
        Ok(id)
    }

    /// A directory at `path`, parents as in `insert`; one that exists is left as it is.
    pub fn ensure_directory(&mut self, path: &ImagePath, attributes: Attributes) -> Result<InodeId> {
        match self.get(path) {
            Some(id) if self.inode(id).is_directory() => Ok(id),
            Some(id) => Err(Error::integrity(format!("expected a directory at {path}, found a {}", self.inode(id).kind.name()))),
            None => self.insert(path, Inode::directory(attributes), Edit::Create),
        }
    }

    /// A further name for an inode that is not a directory.
    pub fn link(&mut self, path: &ImagePath, id: InodeId) -> Result<()> {
        if self.inode(id).is_directory() {
            return Err(Error::integrity(format!("cannot hard-link a directory at {path}")));
        }
        let name = path.name().ok_or_else(|| Error::integrity("cannot hard-link at /"))?.to_vec();
        let parent = self.make_parents(path, 0)?;
        if let Some(old) = self.child(parent, &name)
            && self.inode(old).is_directory()
        {
            return Err(Error::integrity(format!("cannot replace the directory {path} by a hard link")));
        }
        self.set_child(parent, &name, id);
        Ok(())
    }

    /// Takes the name (and for a directory everything below) out of the tree; returns the inode, or `None` if there was none. The root stays.
    pub fn remove(&mut self, path: &ImagePath) -> Option<InodeId> {
        let parent = self.get(&path.parent()?)?;
        match &mut self.inode_mut(parent).kind {
            NodeKind::Directory(names) => names.remove(path.name()?),
            _ => None,
        }
    }

    /// Moves a name with all below it. The destination must be free and not below the source.
    pub fn rename(&mut self, from: &ImagePath, to: &ImagePath) -> Result<()> {
        if to.starts_with(from) || self.get(to).is_some() {
            return Err(Error::internal(format!("cannot move {from} to {to}")));
        }
        let name = to.name().ok_or_else(|| Error::internal("cannot move to /"))?.to_vec();
        let parent = self.make_parents(to, 0)?;
        let id = self.remove(from).ok_or_else(|| Error::internal(format!("cannot move {from}: it is not in the tree")))?;
        self.set_child(parent, &name, id);
        Ok(())
    }

    /// Puts a deep copy of `source`'s subtree at `from` to `to` in this tree. Hard links within the subtree stay hard links; contents are shared.
    pub fn graft(&mut self, to: &ImagePath, source: &FileTree, from: InodeId) -> Result<InodeId> {
        let mut copied: std::collections::BTreeMap<InodeId, InodeId> = std::collections::BTreeMap::new();
        let top = self.graft_inode(source, from, &mut copied)?;
        let Some(name) = to.name().map(<[u8]>::to_vec) else { return Err(Error::internal("cannot graft at /")) };
        let parent = self.make_parents(to, 0)?;
        self.set_child(parent, &name, top);
        Ok(top)
    }

    fn graft_inode(
        &mut self,
        source: &FileTree,
        from: InodeId,
        copied: &mut std::collections::BTreeMap<InodeId, InodeId>,
    ) -> Result<InodeId> {
        if let Some(&done) = copied.get(&from) {
            return Ok(done);
        }
        let inode = source.inode(from);
        let shallow = if inode.is_directory() { Inode::directory(inode.attributes.clone()) } else { inode.clone() };
        let id = self.push(shallow)?;
        copied.insert(from, id);
        for (name, child) in source.children(from) {
            let child = self.graft_inode(source, child, copied)?;
            self.set_child(id, name, child);
        }
        Ok(id)
    }

    fn push(&mut self, inode: Inode) -> Result<InodeId> {
        let id = u32::try_from(self.inodes.len()).map_err(|_| Error::integrity("more than 2^32 inodes in one tree"))?;
        self.inodes.push(inode);
        Ok(InodeId(id))
    }

    fn set_child(&mut self, directory: InodeId, name: &[u8], id: InodeId) {
        if let NodeKind::Directory(names) = &mut self.inode_mut(directory).kind {
            names.insert(name.into(), id);
        }
    }

    fn make_parents(&mut self, path: &ImagePath, mtime: i64) -> Result<InodeId> {
        let mut at = FileTree::ROOT;
        let names: Vec<&[u8]> = path.components().collect();
        for (depth, name) in names[..names.len().saturating_sub(1)].iter().enumerate() {
            at = match self.child(at, name) {
                Some(id) if self.inode(id).is_directory() => id,
                Some(id) => {
                    let shown = names[..=depth].join(&b'/');
                    let found = self.inode(id).kind.name();
                    return Err(Error::integrity(format!("cannot place {path}: /{} is a {found}", String::from_utf8_lossy(&shown))));
                }
                None => {
                    let id = self.push(Inode::directory(Attributes { mtime, ..Attributes::root(0o755) }))?;
                    self.set_child(at, name, id);
                    id
                }
            };
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ImagePath {
        ImagePath::parse(text).unwrap()
    }

    #[test]
    fn an_edit_never_goes_through_a_symlink() {
        let mut tree = FileTree::new();
        tree.insert(&path("/usr/lib"), Inode::directory(Attributes::root(0o755)), Edit::Create).unwrap();
        tree.insert(&path("/lib"), Inode::symlink("usr/lib"), Edit::Create).unwrap();
        assert!(tree.insert(&path("/lib/x"), Inode::file(vec![], Attributes::root(0o644)), Edit::Replace).is_err());
        tree.insert(&path("/usr/lib/x"), Inode::file(vec![1], Attributes::root(0o644)), Edit::Create).unwrap();
        assert_eq!(tree.resolve(&path("/lib/x")).unwrap().0, path("/usr/lib/x"));
        assert_eq!(tree.get(&path("/lib/x")), None);
    }

    #[test]
    fn a_graft_keeps_hard_links_and_leaves_the_source() {
        let mut source = FileTree::new();
        let id = source.insert(&path("/d/a"), Inode::file(vec![1], Attributes::root(0o644)), Edit::Create).unwrap();
        source.link(&path("/d/b"), id).unwrap();
        let mut tree = FileTree::new();
        tree.graft(&path("/x/y"), &source, source.get(&path("/d")).unwrap()).unwrap();
        assert_eq!(tree.get(&path("/x/y/a")), tree.get(&path("/x/y/b")));
        assert_eq!(tree.link_counts()[tree.get(&path("/x/y/a")).unwrap().index()], 2);
        assert_eq!(tree.walk().iter().map(|e| e.path.to_string()).collect::<Vec<_>>(), ["/", "/x", "/x/y", "/x/y/a", "/x/y/b"]);
    }
}
