//! Blocks of directory entries: packed, the last one reaching to the checksum tail (ext4.h `struct ext4_dir_entry_2`, `ext4_dir_entry_tail`).

use super::BLOCK;
use super::checksum::Checksum;
use model::tree::NodeKind;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What stands before the name of an entry.
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct DirEntryHead {
    pub(super) inode: U32,
    pub(super) rec_len: U16,
    pub(super) name_len: u8,
    pub(super) file_type: u8,
}
const _: () = assert!(size_of::<DirEntryHead>() == 8);

/// An entry of no inode that ends each block, with the block's checksum.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct DirEntryTail {
    det_reserved_zero1: U32,
    det_rec_len: U16,
    det_reserved_zero2: u8,
    det_reserved_ft: u8,
    det_checksum: U32,
}
const _: () = assert!(size_of::<DirEntryTail>() == 12);

/// Where the tail lies in a block.
pub(super) const TAIL: usize = BLOCK - size_of::<DirEntryTail>();
/// EXT4_FT_DIR_CSUM.
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
    /// Head and name, in fours.
    pub(super) fn record_length(&self) -> usize {
        (size_of::<DirEntryHead>() + self.name.len()).next_multiple_of(4)
    }

    pub(super) fn head(&self, record_length: usize) -> DirEntryHead {
        DirEntryHead {
            inode: self.inode.into(),
            rec_len: (record_length as u16).into(),
            name_len: self.name.len() as u8,
            file_type: self.file_type,
        }
    }
}

/// Returns the head of an entry that holds no name and covers `record_length` bytes.
pub(super) fn unused(record_length: usize) -> DirEntryHead {
    Name { name: &[], inode: 0, file_type: 0 }.head(record_length)
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
    let mut block = Vec::with_capacity(BLOCK);
    for (i, name) in names.iter().enumerate() {
        let length = if i + 1 == names.len() { TAIL - block.len() } else { name.record_length() };
        let end = block.len() + length;
        block.extend_from_slice(name.head(length).as_bytes());
        block.extend_from_slice(name.name);
        block.resize(end, 0);
    }
    if names.is_empty() {
        block.extend_from_slice(unused(TAIL).as_bytes());
        block.resize(TAIL, 0);
    }
    let tail = DirEntryTail {
        det_reserved_zero1: U32::ZERO,
        det_rec_len: (size_of::<DirEntryTail>() as u16).into(),
        det_reserved_zero2: 0,
        det_reserved_ft: TAIL_TYPE,
        det_checksum: seed.with(&block).0.into(),
    };
    block.extend_from_slice(tail.as_bytes());
    block
}
