//! The superblock: 1024 bytes at byte 1024 of the filesystem, and at the start of some groups (ext4.h `struct ext4_super_block`).

use super::checksum::Checksum;
use super::geometry::Geometry;
use super::little_endian::{get_u16, get_u32, put_u16, put_u32};
use super::{BLOCK, BLOCKS_PER_GROUP, FIRST_INODE, INODE_SIZE, JOURNAL_INODE};
use model::{Error, Result, SourceDateEpoch};

pub(super) const SIZE: usize = 1024;
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

/// What differs from one of our filesystems to another.
pub(super) struct Superblock<'a> {
    pub(super) geometry: &'a Geometry,
    pub(super) free_blocks: u64,
    pub(super) free_inodes: u32,
    pub(super) epoch: SourceDateEpoch,
    pub(super) uuid: [u8; 16],
    pub(super) label: &'a [u8],
    pub(super) hash_seed: [u8; 16],
    /// i_block of the journal's inode and its size in bytes: e2fsck finds the journal by it if the inode is lost.
    pub(super) journal: Option<([u8; 60], u64)>,
    pub(super) checksum_seed: bool,
    pub(super) ea_inode: bool,
    pub(super) verity: bool,
}

impl Superblock<'_> {
    /// The copy for `group`; 0 is the primary.
    pub(super) fn encode(&self, group: u32) -> [u8; SIZE] {
        let mut b = [0; SIZE];
        let g = self.geometry;
        let epoch = self.epoch.0;
        put_u32(&mut b, 0x00, g.inodes());
        put_u32(&mut b, 0x04, g.blocks as u32);
        // 0x08 s_r_blocks_count_lo: 0. Nearly everything on an appliance runs as root, for whom the reserve would be no reserve.
        put_u32(&mut b, 0x0c, self.free_blocks as u32);
        put_u32(&mut b, 0x10, self.free_inodes);
        // 0x14 s_first_data_block: 0 for blocks bigger than 1 KiB.
        put_u32(&mut b, 0x18, BLOCK.trailing_zeros() - 10); // s_log_block_size
        put_u32(&mut b, 0x1c, BLOCK.trailing_zeros() - 10); // s_log_cluster_size
        put_u32(&mut b, 0x20, BLOCKS_PER_GROUP as u32);
        put_u32(&mut b, 0x24, BLOCKS_PER_GROUP as u32); // s_clusters_per_group
        put_u32(&mut b, 0x28, g.inodes_per_group);
        // 0x2c s_mtime: 0, never mounted.
        put_u32(&mut b, 0x30, epoch); // s_wtime
        put_u16(&mut b, 0x36, 0xffff); // s_max_mnt_count: no check by count
        put_u16(&mut b, 0x38, MAGIC);
        put_u16(&mut b, 0x3a, if group == 0 { VALID_FS } else { 0 });
        put_u16(&mut b, 0x3c, 1); // s_errors: continue
        put_u32(&mut b, 0x40, epoch); // s_lastcheck
        put_u32(&mut b, 0x4c, 1); // s_rev_level: dynamic
        put_u32(&mut b, 0x54, FIRST_INODE);
        put_u16(&mut b, 0x58, INODE_SIZE as u16);
        put_u16(&mut b, 0x5a, group as u16); // s_block_group_nr
        let journal = if self.journal.is_some() { compat::HAS_JOURNAL } else { 0 };
        let resize = if g.reserved_descriptor_blocks > 0 { compat::RESIZE_INODE } else { 0 };
        put_u32(&mut b, 0x5c, compat::EXT_ATTR | compat::DIR_INDEX | resize | journal);
        let seed = if self.checksum_seed { incompat::CSUM_SEED } else { 0 };
        let ea_inode = if self.ea_inode { incompat::EA_INODE } else { 0 };
        put_u32(&mut b, 0x60, incompat::FILETYPE | incompat::EXTENTS | incompat::BIT64 | incompat::FLEX_BG | seed | ea_inode);
        let ro = ro_compat::SPARSE_SUPER | ro_compat::LARGE_FILE | ro_compat::HUGE_FILE | ro_compat::DIR_NLINK;
        let verity = if self.verity { ro_compat::VERITY } else { 0 };
        put_u32(&mut b, 0x64, ro | ro_compat::EXTRA_ISIZE | ro_compat::METADATA_CSUM | verity);
        b[0x68..0x78].copy_from_slice(&self.uuid);
        b[0x78..0x78 + self.label.len()].copy_from_slice(self.label);
        put_u16(&mut b, 0xce, g.reserved_descriptor_blocks as u16);
        b[0xec..0xfc].copy_from_slice(&self.hash_seed);
        b[0xfc] = 1; // s_def_hash_version: half MD4
        put_u16(&mut b, 0xfe, super::group::SIZE as u16);
        put_u32(&mut b, 0x100, 0x4 | 0x8); // s_default_mount_opts: user_xattr, acl
        put_u32(&mut b, 0x108, epoch); // s_mkfs_time
        if let Some((map, size)) = &self.journal {
            put_u32(&mut b, 0xe0, JOURNAL_INODE);
            b[0xfd] = 1; // s_jnl_backup_type: s_jnl_blocks holds i_block, then the size's high and low half
            b[0x10c..0x148].copy_from_slice(map);
            put_u32(&mut b, 0x148, (size >> 32) as u32);
            put_u32(&mut b, 0x14c, *size as u32);
        }
        put_u32(&mut b, 0x150, (g.blocks >> 32) as u32);
        put_u32(&mut b, 0x158, (self.free_blocks >> 32) as u32);
        put_u16(&mut b, 0x15c, super::inode::EXTRA_SIZE); // s_min_extra_isize
        put_u16(&mut b, 0x15e, super::inode::EXTRA_SIZE); // s_want_extra_isize
        put_u32(&mut b, 0x160, 1); // s_flags: signed directory hash
        b[0x174] = super::geometry::GROUPS_PER_FLEX.trailing_zeros() as u8;
        b[0x175] = 1; // s_checksum_type: CRC-32C
        // 0x248 s_overhead_clusters: 0, the kernel computes it.
        if self.checksum_seed {
            put_u32(&mut b, 0x270, Checksum::of_filesystem(&self.uuid).0);
        }
        let checksum = Checksum::START.with(&b[..0x3fc]);
        checksum.put(&mut b, 0x3fc);
        b
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

pub(super) fn decode(b: &[u8; SIZE]) -> Result<Decoded> {
    let bad = |field: &str, expected: &str, found: u64| {
        Error::integrity(format!("ext4 superblock at byte 1024: {field}: expected {expected}, found {found:#x}"))
    };
    if get_u16(b, 0x38) != MAGIC {
        return Err(bad("s_magic", "0xef53", get_u16(b, 0x38).into()));
    }
    let features = get_u32(b, 0x60);
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
    let log = get_u32(b, 0x18);
    if log > 6 {
        return Err(bad("s_log_block_size", "at most 6 (64 KiB)", log.into()));
    }
    let is_64bit = features & incompat::BIT64 != 0;
    let inode_size = if get_u32(b, 0x4c) == 0 { 128 } else { u64::from(get_u16(b, 0x58)) };
    let block_size = 1024 << log;
    if !inode_size.is_power_of_two() || inode_size < 128 || inode_size > block_size {
        return Err(bad("s_inode_size", "a power of two from 128 to the block size", inode_size));
    }
    let descriptor_size = if is_64bit { u64::from(get_u16(b, 0xfe)) } else { 32 };
    if !descriptor_size.is_power_of_two() || !(32..=1024).contains(&descriptor_size) {
        return Err(bad("s_desc_size", "a power of two from 32 to 1024", descriptor_size));
    }
    let inodes_per_group = get_u32(b, 0x28);
    if inodes_per_group == 0 {
        return Err(bad("s_inodes_per_group", "more than 0", 0));
    }
    // A bitmap block has eight bits a byte.
    if get_u32(b, 0x20) == 0 || u64::from(get_u32(b, 0x20)) > 8 * block_size {
        return Err(bad("s_blocks_per_group", "1 to 8 times the block size", get_u32(b, 0x20).into()));
    }
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&b[0x68..0x78]);
    Ok(Decoded {
        block_size,
        blocks: u64::from(get_u32(b, 0x04)) | if is_64bit { u64::from(get_u32(b, 0x150)) << 32 } else { 0 },
        free_blocks: u64::from(get_u32(b, 0x0c)) | if is_64bit { u64::from(get_u32(b, 0x158)) << 32 } else { 0 },
        inodes: get_u32(b, 0x00),
        inodes_per_group,
        first_data_block: get_u32(b, 0x14).into(),
        blocks_per_group: get_u32(b, 0x20).into(),
        reserved_descriptor_blocks: get_u16(b, 0xce).into(),
        inode_size,
        descriptor_size,
        uuid,
        label: b[0x78..0x88].split(|&c| c == 0).next().unwrap_or(&[]).to_vec(),
    })
}
