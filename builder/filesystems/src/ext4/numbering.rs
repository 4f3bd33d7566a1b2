//! Gives every inode of the tree a number and counts its names.

use super::{FIRST_INODE, ROOT_INODE};
use model::tree::{FileTree, InodeId};
use model::{Error, Result};

/// The directory into which e2fsck puts what lost its name; by custom inode 11, so that it exists before it is needed.
pub(super) const LOST_AND_FOUND: &[u8] = b"lost+found";

/// One inode to be written.
pub(super) struct Numbered {
    pub(super) id: InodeId,
    pub(super) number: u32,
    /// The directory above; for anything but a directory, the first one that names it.
    pub(super) parent: InodeId,
}

pub(super) struct Numbering {
    /// In walk order, the root first.
    pub(super) list: Vec<Numbered>,
    /// Names by `InodeId::index`; directories below are counted in for a directory.
    pub(super) links: Vec<u32>,
    /// Numbers by `InodeId::index`, 0 if not in the tree.
    numbers: Vec<u32>,
    /// False if the writer has to add lost+found.
    pub(super) has_lost_and_found: bool,
    pub(super) last: u32,
}

impl Numbering {
    /// In walk order, or directories first: then their numbers do not depend on the files.
    pub(super) fn new(tree: &FileTree, directories_first: bool) -> Result<Self> {
        let lost = tree.child(FileTree::ROOT, LOST_AND_FOUND);
        if let Some(id) = lost
            && !tree.inode(id).is_directory()
        {
            return Err(Error::integrity(format!("ext4: expected /lost+found to be a directory, found a {}", tree.inode(id).kind.name())));
        }
        let mut n = Numbering {
            list: Vec::new(),
            links: vec![0; tree.arena_len()],
            numbers: vec![0; tree.arena_len()],
            has_lost_and_found: lost.is_some(),
            last: FIRST_INODE,
        };
        n.walk(tree)?;
        // Twice over all, or once.
        let rounds: &[Option<bool>] = if directories_first { &[Some(true), Some(false)] } else { &[None] };
        for &directories in rounds {
            for item in n.list.iter_mut().filter(|item| directories.is_none_or(|wanted| tree.inode(item.id).is_directory() == wanted)) {
                item.number = if item.id == FileTree::ROOT {
                    ROOT_INODE
                } else if Some(item.id) == lost {
                    FIRST_INODE
                } else {
                    n.last = n.last.checked_add(1).ok_or_else(|| Error::integrity("ext4: more than 2^32 inodes"))?;
                    n.last
                };
                n.numbers[item.id.index()] = item.number;
            }
        }
        Ok(n)
    }

    /// Lists every inode once, and counts names.
    fn walk(&mut self, tree: &FileTree) -> Result<()> {
        let mut stack = vec![(FileTree::ROOT, FileTree::ROOT)];
        let mut seen = vec![false; tree.arena_len()];
        while let Some((id, parent)) = stack.pop() {
            let is_directory = tree.inode(id).is_directory();
            self.links[id.index()] += 1;
            if std::mem::replace(&mut seen[id.index()], true) {
                if is_directory {
                    return Err(Error::internal("ext4: a directory with two names"));
                }
                continue;
            }
            self.list.push(Numbered { id, number: 0, parent });
            if is_directory {
                self.links[id.index()] += 1;
                let first = stack.len();
                for (_, child) in tree.children(id) {
                    self.links[id.index()] += u32::from(tree.inode(child).is_directory());
                    stack.push((child, id));
                }
                stack[first..].reverse();
            }
        }
        Ok(())
    }

    pub(super) fn number(&self, id: InodeId) -> u32 {
        self.numbers[id.index()]
    }
}
