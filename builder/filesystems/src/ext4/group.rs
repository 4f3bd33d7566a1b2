//! A group descriptor: 64 bytes with the 64bit feature, else the first 32 of them (ext4.h `struct ext4_group_desc`).

use super::BLOCK;
use super::checksum::Checksum;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct GroupDescriptor {
    bg_block_bitmap_lo: U32,
    bg_inode_bitmap_lo: U32,
    bg_inode_table_lo: U32,
    bg_free_blocks_count_lo: U16,
    bg_free_inodes_count_lo: U16,
    bg_used_dirs_count_lo: U16,
    pub(super) bg_flags: U16,
    bg_exclude_bitmap_lo: U32,
    bg_block_bitmap_csum_lo: U16,
    bg_inode_bitmap_csum_lo: U16,
    bg_itable_unused_lo: U16,
    bg_checksum: U16,
    bg_block_bitmap_hi: U32,
    bg_inode_bitmap_hi: U32,
    bg_inode_table_hi: U32,
    bg_free_blocks_count_hi: U16,
    bg_free_inodes_count_hi: U16,
    bg_used_dirs_count_hi: U16,
    bg_itable_unused_hi: U16,
    bg_exclude_bitmap_hi: U32,
    bg_block_bitmap_csum_hi: U16,
    bg_inode_bitmap_csum_hi: U16,
    bg_reserved: U32,
}
const _: () = assert!(size_of::<GroupDescriptor>() == 64);

pub(super) const PER_BLOCK: u64 = (BLOCK / size_of::<GroupDescriptor>()) as u64;

/// bg_flags.
pub(super) mod flags {
    /// The inode bitmap is not written: no inode is used.
    pub(in super::super) const INODE_UNINIT: u16 = 1;
    /// The block bitmap is not written: only the superblock's copy and its descriptors are used.
    pub(in super::super) const BLOCK_UNINIT: u16 = 2;
    /// The unused part of the inode table reads as zero, so the kernel need not clear it in the background.
    pub(in super::super) const INODE_ZEROED: u16 = 4;
}

/// What is known of a group once all blocks and inodes are placed.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
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

impl Group {
    pub(super) fn descriptor(&self, number: u32, seed: Checksum) -> GroupDescriptor {
        let block = |value: u64| (U32::new(value as u32), U32::new((value >> 32) as u32));
        let half = |value: u32| (U16::new(value as u16), U16::new((value >> 16) as u16));
        let (bg_block_bitmap_lo, bg_block_bitmap_hi) = block(self.block_bitmap);
        let (bg_inode_bitmap_lo, bg_inode_bitmap_hi) = block(self.inode_bitmap);
        let (bg_inode_table_lo, bg_inode_table_hi) = block(self.inode_table);
        let (bg_free_blocks_count_lo, bg_free_blocks_count_hi) = half(self.free_blocks);
        let (bg_free_inodes_count_lo, bg_free_inodes_count_hi) = half(self.free_inodes);
        let (bg_used_dirs_count_lo, bg_used_dirs_count_hi) = half(self.used_directories);
        let (bg_itable_unused_lo, bg_itable_unused_hi) = half(self.unused_inodes);
        let (bg_block_bitmap_csum_lo, bg_block_bitmap_csum_hi) = half(self.block_bitmap_checksum);
        let (bg_inode_bitmap_csum_lo, bg_inode_bitmap_csum_hi) = half(self.inode_bitmap_checksum);
        let mut descriptor = GroupDescriptor {
            bg_block_bitmap_lo,
            bg_inode_bitmap_lo,
            bg_inode_table_lo,
            bg_free_blocks_count_lo,
            bg_free_inodes_count_lo,
            bg_used_dirs_count_lo,
            bg_flags: self.flags.into(),
            bg_exclude_bitmap_lo: U32::ZERO,
            bg_block_bitmap_csum_lo,
            bg_inode_bitmap_csum_lo,
            bg_itable_unused_lo,
            bg_checksum: U16::ZERO,
            bg_block_bitmap_hi,
            bg_inode_bitmap_hi,
            bg_inode_table_hi,
            bg_free_blocks_count_hi,
            bg_free_inodes_count_hi,
            bg_used_dirs_count_hi,
            bg_itable_unused_hi,
            bg_exclude_bitmap_hi: U32::ZERO,
            bg_block_bitmap_csum_hi,
            bg_inode_bitmap_csum_hi,
            bg_reserved: U32::ZERO,
        };
        // bg_checksum counts as zero.
        let checksum = seed.with(&number.to_le_bytes()).with(descriptor.as_bytes());
        descriptor.bg_checksum = (checksum.0 as u16).into();
        descriptor
    }
}

impl GroupDescriptor {
    pub(super) fn block_bitmap(&self) -> u64 {
        u64::from(self.bg_block_bitmap_lo) | u64::from(self.bg_block_bitmap_hi) << 32
    }

    pub(super) fn inode_bitmap(&self) -> u64 {
        u64::from(self.bg_inode_bitmap_lo) | u64::from(self.bg_inode_bitmap_hi) << 32
    }

    pub(super) fn inode_table(&self) -> u64 {
        u64::from(self.bg_inode_table_lo) | u64::from(self.bg_inode_table_hi) << 32
    }
}
