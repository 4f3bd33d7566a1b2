//! The superblock: 1024 bytes at byte 1024 of the filesystem, and at the start of some groups (ext4.h `struct ext4_super_block`).

use super::checksum::Checksum;
use super::geometry::{GROUPS_PER_FLEX, Geometry};
use super::group::GroupDescriptor;
use super::htree::HALF_MD4;
use super::inode::{EXTRA_SIZE, Map};
use super::{BLOCK, BLOCKS_PER_GROUP, FIRST_INODE, INODE_SIZE, JOURNAL_INODE};
use model::{Error, Result, SourceDateEpoch};
use std::mem::offset_of;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Where the primary copy lies, in bytes.
pub(super) const OFFSET: usize = 1024;
const MAGIC: u16 = 0xef53;
/// s_state: cleanly unmounted. The copies carry 0, as mke2fs's do, so that a repair from one checks everything.
const VALID_FS: u16 = 1;

/// s_feature_compat.
mod compat {
    pub(super) const HAS_JOURNAL: u32 = 0x4;
    pub(super) const EXT_ATTR: u32 = 0x8;
    pub(super) const RESIZE_INODE: u32 = 0x10;
    pub(super) const DIR_INDEX: u32 = 0x20;
}

/// s_feature_incompat.
pub(super) mod incompat {
    pub(in super::super) const FILETYPE: u32 = 0x2;
    /// The journal must be replayed first: refused by the reader.
    pub(in super::super) const RECOVER: u32 = 0x4;
    pub(in super::super) const EXTENTS: u32 = 0x40;
    pub(in super::super) const BIT64: u32 = 0x80;
    pub(in super::super) const FLEX_BG: u32 = 0x200;
    /// Values of extended attributes may be in inodes of their own.
    pub(in super::super) const EA_INODE: u32 = 0x400;
    pub(in super::super) const CSUM_SEED: u32 = 0x2000;
    /// What the reader understands.
    pub(in super::super) const READABLE: u32 = FILETYPE | EXTENTS | BIT64 | FLEX_BG | EA_INODE | CSUM_SEED;
}

/// s_feature_ro_compat.
mod ro_compat {
    pub(super) const SPARSE_SUPER: u32 = 0x1;
    pub(super) const LARGE_FILE: u32 = 0x2;
    pub(super) const HUGE_FILE: u32 = 0x8;
    pub(super) const DIR_NLINK: u32 = 0x20;
    pub(super) const EXTRA_ISIZE: u32 = 0x40;
    pub(super) const METADATA_CSUM: u32 = 0x400;
    /// Files may be sealed (fs-verity).
    pub(super) const VERITY: u32 = 0x8000;
}

#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Superblock {
    s_inodes_count: U32,
    s_blocks_count_lo: U32,
    s_r_blocks_count_lo: U32,
    s_free_blocks_count_lo: U32,
    s_free_inodes_count: U32,
    s_first_data_block: U32,
    s_log_block_size: U32,
    s_log_cluster_size: U32,
    s_blocks_per_group: U32,
    s_clusters_per_group: U32,
    s_inodes_per_group: U32,
    s_mtime: U32,
    s_wtime: U32,
    s_mnt_count: U16,
    s_max_mnt_count: U16,
    s_magic: U16,
    s_state: U16,
    s_errors: U16,
    s_minor_rev_level: U16,
    s_lastcheck: U32,
    s_checkinterval: U32,
    s_creator_os: U32,
    s_rev_level: U32,
    s_def_resuid: U16,
    s_def_resgid: U16,
    s_first_ino: U32,
    s_inode_size: U16,
    s_block_group_nr: U16,
    s_feature_compat: U32,
    s_feature_incompat: U32,
    s_feature_ro_compat: U32,
    s_uuid: [u8; 16],
    s_volume_name: [u8; 16],
    s_last_mounted: [u8; 64],
    s_algorithm_usage_bitmap: U32,
    s_prealloc_blocks: u8,
    s_prealloc_dir_blocks: u8,
    s_reserved_gdt_blocks: U16,
    s_journal_uuid: [u8; 16],
    s_journal_inum: U32,
    s_journal_dev: U32,
    s_last_orphan: U32,
    s_hash_seed: [u8; 16],
    s_def_hash_version: u8,
    s_jnl_backup_type: u8,
    s_desc_size: U16,
    s_default_mount_opts: U32,
    s_first_meta_bg: U32,
    s_mkfs_time: U32,
    /// i_block of the journal's inode, then its size's high and low half.
    s_jnl_blocks: [U32; 17],
    s_blocks_count_hi: U32,
    s_r_blocks_count_hi: U32,
    s_free_blocks_count_hi: U32,
    s_min_extra_isize: U16,
    s_want_extra_isize: U16,
    s_flags: U32,
    s_raid_stride: U16,
    s_mmp_update_interval: U16,
    s_mmp_block: U64,
    s_raid_stripe_width: U32,
    s_log_groups_per_flex: u8,
    s_checksum_type: u8,
    s_encryption_level: u8,
    s_reserved_pad: u8,
    s_kbytes_written: U64,
    s_snapshot_inum: U32,
    s_snapshot_id: U32,
    s_snapshot_r_blocks_count: U64,
    s_snapshot_list: U32,
    s_error_count: U32,
    s_first_error_time: U32,
    s_first_error_ino: U32,
    s_first_error_block: U64,
    s_first_error_func: [u8; 32],
    s_first_error_line: U32,
    s_last_error_time: U32,
    s_last_error_ino: U32,
    s_last_error_line: U32,
    s_last_error_block: U64,
    s_last_error_func: [u8; 32],
    s_mount_opts: [u8; 64],
    s_usr_quota_inum: U32,
    s_grp_quota_inum: U32,
    s_overhead_clusters: U32,
    s_backup_bgs: [U32; 2],
    s_encrypt_algos: [u8; 4],
    s_encrypt_pw_salt: [u8; 16],
    s_lpf_ino: U32,
    s_prj_quota_inum: U32,
    s_checksum_seed: U32,
    s_wtime_hi: u8,
    s_mtime_hi: u8,
    s_mkfs_time_hi: u8,
    s_lastcheck_hi: u8,
    s_first_error_time_hi: u8,
    s_last_error_time_hi: u8,
    s_first_error_errcode: u8,
    s_last_error_errcode: u8,
    s_encoding: U16,
    s_encoding_flags: U16,
    s_orphan_file_inum: U32,
    s_reserved: [U32; 94],
    s_checksum: U32,
}
const _: () = assert!(size_of::<Superblock>() == 1024);
const _: () = assert!(offset_of!(Superblock, s_checksum) == 0x3fc);

/// What differs from one of our filesystems to another.
pub(super) struct Parameters<'a> {
    pub(super) geometry: &'a Geometry,
    pub(super) free_blocks: u64,
    pub(super) free_inodes: u32,
    pub(super) epoch: SourceDateEpoch,
    pub(super) uuid: [u8; 16],
    pub(super) label: &'a [u8],
    pub(super) hash_seed: [u8; 16],
    /// i_block of the journal's inode and its size in bytes: e2fsck finds the journal by it if the inode is lost.
    pub(super) journal: Option<(Map, u64)>,
    pub(super) checksum_seed: bool,
    pub(super) ea_inode: bool,
    pub(super) verity: bool,
}

impl Parameters<'_> {
    /// Returns the copy for `group`; 0 is the primary.
    pub(super) fn superblock(&self, group: u32) -> Superblock {
        let g = self.geometry;
        let epoch = self.epoch.0.into();
        let flag = |is_set: bool, feature: u32| if is_set { feature } else { 0 };
        let compat = compat::EXT_ATTR
            | compat::DIR_INDEX
            | flag(g.reserved_descriptor_blocks > 0, compat::RESIZE_INODE)
            | flag(self.journal.is_some(), compat::HAS_JOURNAL);
        let incompat = incompat::FILETYPE
            | incompat::EXTENTS
            | incompat::BIT64
            | incompat::FLEX_BG
            | flag(self.checksum_seed, incompat::CSUM_SEED)
            | flag(self.ea_inode, incompat::EA_INODE);
        let ro_compat = ro_compat::SPARSE_SUPER
            | ro_compat::LARGE_FILE
            | ro_compat::HUGE_FILE
            | ro_compat::DIR_NLINK
            | ro_compat::EXTRA_ISIZE
            | ro_compat::METADATA_CSUM
            | flag(self.verity, ro_compat::VERITY);
        let log_block_size = U32::new(BLOCK.trailing_zeros() - 10);
        let blocks_per_group = U32::new(BLOCKS_PER_GROUP as u32);
        // What is not named is 0. s_r_blocks_count: nearly everything on an appliance runs as root, for whom the reserve would be no reserve.
        // s_first_data_block: 0 for blocks bigger than 1 KiB. s_mtime: never mounted. s_overhead_clusters: the kernel computes it.
        let mut superblock = Superblock {
            s_inodes_count: g.inodes().into(),
            s_blocks_count_lo: (g.blocks as u32).into(),
            s_free_blocks_count_lo: (self.free_blocks as u32).into(),
            s_free_inodes_count: self.free_inodes.into(),
            s_log_block_size: log_block_size,
            s_log_cluster_size: log_block_size,
            s_blocks_per_group: blocks_per_group,
            s_clusters_per_group: blocks_per_group,
            s_inodes_per_group: g.inodes_per_group.into(),
            s_wtime: epoch,
            s_max_mnt_count: 0xffff.into(), // no check by count
            s_magic: MAGIC.into(),
            s_state: if group == 0 { VALID_FS } else { 0 }.into(),
            s_errors: 1.into(), // continue
            s_lastcheck: epoch,
            s_rev_level: 1.into(), // dynamic
            s_first_ino: FIRST_INODE.into(),
            s_inode_size: (INODE_SIZE as u16).into(),
            s_block_group_nr: (group as u16).into(),
            s_feature_compat: compat.into(),
            s_feature_incompat: incompat.into(),
            s_feature_ro_compat: ro_compat.into(),
            s_uuid: self.uuid,
            s_reserved_gdt_blocks: (g.reserved_descriptor_blocks as u16).into(),
            s_hash_seed: self.hash_seed,
            s_def_hash_version: HALF_MD4,
            s_desc_size: (size_of::<GroupDescriptor>() as u16).into(),
            s_default_mount_opts: (0x4 | 0x8).into(), // user_xattr, acl
            s_mkfs_time: epoch,
            s_blocks_count_hi: ((g.blocks >> 32) as u32).into(),
            s_free_blocks_count_hi: ((self.free_blocks >> 32) as u32).into(),
            s_min_extra_isize: EXTRA_SIZE.into(),
            s_want_extra_isize: EXTRA_SIZE.into(),
            s_flags: 1.into(), // signed directory hash
            s_log_groups_per_flex: GROUPS_PER_FLEX.trailing_zeros() as u8,
            s_checksum_type: 1, // CRC-32C
            ..Superblock::new_zeroed()
        };
        superblock.s_volume_name[..self.label.len()].copy_from_slice(self.label);
        if let Some((map, size)) = &self.journal {
            superblock.s_journal_inum = JOURNAL_INODE.into();
            superblock.s_jnl_backup_type = 1; // s_jnl_blocks holds i_block and the size
            superblock.s_jnl_blocks[..map.len()].copy_from_slice(map);
            superblock.s_jnl_blocks[map.len()..].copy_from_slice(&[((size >> 32) as u32).into(), (*size as u32).into()]);
        }
        if self.checksum_seed {
            superblock.s_checksum_seed = Checksum::of_filesystem(&self.uuid).0.into();
        }
        let covered = &superblock.as_bytes()[..offset_of!(Superblock, s_checksum)];
        superblock.s_checksum = Checksum::START.with(covered).0.into();
        superblock
    }
}

/// What the reader needs of a superblock, checked.
#[derive(Debug, Clone)]
pub(super) struct Decoded {
    pub(super) block_size: u64,
    pub(super) blocks: u64,
    pub(super) free_blocks: u64,
    pub(super) inodes: u32,
    pub(super) inodes_per_group: u32,
    pub(super) first_data_block: u64,
    pub(super) blocks_per_group: u64,
    pub(super) reserved_descriptor_blocks: u64,
    pub(super) inode_size: u64,
    pub(super) descriptor_size: u64,
    pub(super) uuid: [u8; 16],
    pub(super) label: Vec<u8>,
}

impl Superblock {
    pub(super) fn decode(&self) -> Result<Decoded> {
        let bad = |field: &str, expected: &str, found: u64| {
            Error::integrity(format!("ext4 superblock at byte 1024: {field}: expected {expected}, found {found:#x}"))
        };
        if self.s_magic != MAGIC {
            return Err(bad("s_magic", "0xef53", self.s_magic.into()));
        }
        let features = self.s_feature_incompat.get();
        if features & incompat::RECOVER != 0 {
            return Err(Error::recipe("ext4 superblock at byte 1024: the journal must be replayed before it can be read")
                .hint("run e2fsck -p on the filesystem first"));
        }
        if features & !incompat::READABLE != 0 {
            // Not damage: another kernel reads it.
            let expected = "only filetype, extents, 64bit, flex_bg, ea_inode, csum_seed";
            let message = format!("ext4 superblock at byte 1024: s_feature_incompat: expected {expected}, found {features:#x}");
            return Err(Error::recipe(message));
        }
        let log = self.s_log_block_size.get();
        if log > 6 {
            return Err(bad("s_log_block_size", "at most 6 (64 KiB)", log.into()));
        }
        let is_64bit = features & incompat::BIT64 != 0;
        let inode_size = if self.s_rev_level == 0 { 128 } else { u64::from(self.s_inode_size) };
        let block_size = 1024 << log;
        if !inode_size.is_power_of_two() || inode_size < 128 || inode_size > block_size {
            return Err(bad("s_inode_size", "a power of two from 128 to the block size", inode_size));
        }
        let descriptor_size = if is_64bit { u64::from(self.s_desc_size) } else { 32 };
        if !descriptor_size.is_power_of_two() || !(32..=1024).contains(&descriptor_size) {
            return Err(bad("s_desc_size", "a power of two from 32 to 1024", descriptor_size));
        }
        let inodes_per_group = self.s_inodes_per_group.get();
        if inodes_per_group == 0 {
            return Err(bad("s_inodes_per_group", "more than 0", 0));
        }
        // A bitmap block has eight bits a byte.
        let blocks_per_group = u64::from(self.s_blocks_per_group);
        if blocks_per_group == 0 || blocks_per_group > 8 * block_size {
            return Err(bad("s_blocks_per_group", "1 to 8 times the block size", blocks_per_group));
        }
        let count = |lo: U32, hi: U32| u64::from(lo) | if is_64bit { u64::from(hi) << 32 } else { 0 };
        Ok(Decoded {
            block_size,
            blocks: count(self.s_blocks_count_lo, self.s_blocks_count_hi),
            free_blocks: count(self.s_free_blocks_count_lo, self.s_free_blocks_count_hi),
            inodes: self.s_inodes_count.get(),
            inodes_per_group,
            first_data_block: self.s_first_data_block.into(),
            blocks_per_group,
            reserved_descriptor_blocks: self.s_reserved_gdt_blocks.into(),
            inode_size,
            descriptor_size,
            uuid: self.s_uuid,
            label: self.s_volume_name.split(|&c| c == 0).next().unwrap_or(&[]).to_vec(),
        })
    }
}
