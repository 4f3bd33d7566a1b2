//! A group descriptor: 64 bytes with the 64bit feature (ext4.h `struct ext4_group_desc`).

use super::checksum::Checksum;
use super::little_endian::{get_u16, get_u32, put_u16, put_u32};

pub(super) const SIZE: usize = 64;
pub(super) const PER_BLOCK: u64 = (super::BLOCK / SIZE) as u64;

/// bg_flags.
pub(super) mod flags {
    /// The inode bitmap is not written: no inode is used.
    pub(in super::super) const INODE_UNINIT: u16 = 1;
    /// The block bitmap is not written: only the superblock's copy and its descriptors are used.
    pub(in super::super) const BLOCK_UNINIT: u16 = 2;
    /// The unused part of the inode table reads as zero, so the kernel need not clear it in the background.
    pub(in super::super) const INODE_ZEROED: u16 = 4;
}

#[derive(Debug, Clone, Default)]
pub(super) struct GroupDescriptor {
    pub(super) block_bitmap: u64,
    pub(super) inode_bitmap: u64,
    pub(super) inode_table: u64,
    pub(super) free_blocks: u32,
    pub(super) free_inodes: u32,
    pub(super) used_directories: u32,
    pub(super) flags: u16,
    pub(super) block_bitmap_checksum: u32,
    pub(super) inode_bitmap_checksum: u32,
    /// Inodes at the table's end that were never used.
    pub(super) unused_inodes: u32,
}

impl GroupDescriptor {
    pub(super) fn encode(&self, number: u32, seed: Checksum) -> [u8; SIZE] {
        let mut b = [0; SIZE];
        for (lo, hi, value) in [(0x00, 0x20, self.block_bitmap), (0x04, 0x24, self.inode_bitmap), (0x08, 0x28, self.inode_table)] {
            put_u32(&mut b, lo, value as u32);
            put_u32(&mut b, hi, (value >> 32) as u32);
        }
        for (lo, hi, value) in [
            (0x0c, 0x2c, self.free_blocks),
            (0x0e, 0x2e, self.free_inodes),
            (0x10, 0x30, self.used_directories),
            (0x18, 0x38, self.block_bitmap_checksum),
            (0x1a, 0x3a, self.inode_bitmap_checksum),
            (0x1c, 0x32, self.unused_inodes),
        ] {
            put_u16(&mut b, lo, value as u16);
            put_u16(&mut b, hi, (value >> 16) as u16);
        }
        put_u16(&mut b, 0x12, self.flags);
        // bg_checksum at 0x1e counts as zero.
        let checksum = seed.with(&number.to_le_bytes()).with(&b);
        put_u16(&mut b, 0x1e, checksum.0 as u16);
        b
    }
}

/// Block numbers of a descriptor as read; 32 bytes long without the 64bit feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) block_bitmap: u64,
    pub(super) inode_bitmap: u64,
    pub(super) inode_table: u64,
    pub(super) flags: u16,
}

pub(super) fn decode(b: &[u8]) -> Decoded {
    let block = |lo, hi| u64::from(get_u32(b, lo)) | if b.len() >= SIZE { u64::from(get_u32(b, hi)) << 32 } else { 0 };
    Decoded { block_bitmap: block(0x00, 0x20), inode_bitmap: block(0x04, 0x24), inode_table: block(0x08, 0x28), flags: get_u16(b, 0x12) }
}
