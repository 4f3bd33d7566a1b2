//! Blocks of directory entries: packed, the last one reaching to the checksum tail (ext4.h `struct ext4_dir_entry_2`, `ext4_dir_entry_tail`).

use super::BLOCK;
use super::checksum::Checksum;
use super::little_endian::{put_u16, put_u32};
use model::tree::NodeKind;

/// An entry of no inode that ends each block: 12 bytes, type 0xde, checksum.
pub(super) const TAIL: usize = BLOCK - 12;
const TAIL_TYPE: u8 = 0xde;

#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    pub(super) name: &'a [u8],
    pub(super) inode: u32,
    pub(super) file_type: u8,
}

/// file_type in an entry.
pub(super) fn file_type(kind: &NodeKind) -> u8 {
    match kind {
        NodeKind::File(_) => 1,
        NodeKind::Directory(_) => 2,
        NodeKind::CharDevice { .. } => 3,
        NodeKind::BlockDevice { .. } => 4,
        NodeKind::Fifo => 5,
        NodeKind::Socket => 6,
        NodeKind::Symlink(_) => 7,
    }
}
pub(super) const DIRECTORY_TYPE: u8 = 2;

impl Name<'_> {
    /// Header of 8 bytes and the name, in fours.
    pub(super) fn record_length(&self) -> usize {
        (8 + self.name.len()).next_multiple_of(4)
    }

    /// Writes the entry and returns where the next begins.
    pub(super) fn encode(&self, block: &mut [u8], at: usize, record_length: usize) -> usize {
        put_u32(block, at, self.inode);
        put_u16(block, at + 4, record_length as u16);
        block[at + 6] = self.name.len() as u8;
        block[at + 7] = self.file_type;
        block[at + 8..at + 8 + self.name.len()].copy_from_slice(self.name);
        at + record_length
    }
}

/// How many of `names` fit into one block.
pub(super) fn fitting(names: &[Name]) -> usize {
    let mut used = 0;
    names
        .iter()
        .take_while(|n| {
            used += n.record_length();
            used <= TAIL
        })
        .count()
}

/// One block of entries that fit.
pub(super) fn encode_leaf(names: &[Name], seed: Checksum) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    let mut at = 0;
    for (i, name) in names.iter().enumerate() {
        let length = if i + 1 == names.len() { TAIL - at } else { name.record_length() };
        at = name.encode(&mut block, at, length);
    }
    if names.is_empty() {
        put_u16(&mut block, 4, TAIL as u16); // one entry of no inode
    }
    put_u16(&mut block, TAIL + 4, 12);
    block[TAIL + 7] = TAIL_TYPE;
    seed.with(&block[..TAIL]).put(&mut block, TAIL + 8);
    block
}
