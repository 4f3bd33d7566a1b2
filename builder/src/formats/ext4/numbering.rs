//! Gives every inode of the tree a number, in walk order, and counts its names.

use super::{FIRST_INODE, ROOT_INODE};
use crate::base::{Error, Result};
use crate::tree::{FileTree, InodeId};

/// The directory into which e2fsck puts what lost its name; by custom inode 11, so that it exists before it is needed.
pub(super) const LOST_AND_FOUND: &[u8] = b"lost+found";

/// One inode to be written.
pub(super) struct Numbered {
    pub(super) id: InodeId,
    pub(super) number: u32,
    /// The number of the directory above; for anything but a directory, of the first one that names it.
    pub(super) parent: u32,
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
    pub(super) fn new(tree: &FileTree) -> Result<Self> {
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
        let mut stack = vec![(FileTree::ROOT, ROOT_INODE)];
        while let Some((id, parent)) = stack.pop() {
            let is_directory = tree.inode(id).is_directory();
            n.links[id.index()] += 1;
            if n.numbers[id.index()] != 0 {
                if is_directory {
                    return Err(Error::internal("ext4: a directory with two names"));
                }
                continue;
            }
            let number = if id == FileTree::ROOT {
                ROOT_INODE
            } else if Some(id) == lost {
                FIRST_INODE
            } else {
                n.last = n.last.checked_add(1).ok_or_else(|| Error::integrity("ext4: more than 2^32 inodes"))?;
                n.last
            };
            n.numbers[id.index()] = number;
            n.list.push(Numbered { id, number, parent });
            if is_directory {
                n.links[id.index()] += 1;
                let first = stack.len();
                for (_, child) in tree.children(id) {
                    n.links[id.index()] += u32::from(tree.inode(child).is_directory());
                    stack.push((child, number));
                }
                stack[first..].reverse();
            }
        }
        Ok(n)
    }

    pub(super) fn number(&self, id: InodeId) -> u32 {
        self.numbers[id.index()]
    }
}
