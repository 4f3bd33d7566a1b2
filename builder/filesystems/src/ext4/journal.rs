//! An empty JBD2 journal: one superblock and zeros (Documentation/filesystems/ext4/journal.rst). Big endian, unlike the rest.
//! Checksums (csum v3) and 64-bit block numbers are on from the start; after mke2fs the kernel turns them on at the first mount.

use super::BLOCK;
use super::checksum::Checksum;
use zerocopy::big_endian::U32;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

/// The journal's first bytes (jbd2.h `struct journal_superblock_s`).
#[derive(FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct JournalSuperblock {
    h_magic: U32,
    h_blocktype: U32,
    h_sequence: U32,
    s_blocksize: U32,
    s_maxlen: U32,
    s_first: U32,
    s_sequence: U32,
    s_start: U32,
    s_errno: U32,
    s_feature_compat: U32,
    s_feature_incompat: U32,
    s_feature_ro_compat: U32,
    s_uuid: [u8; 16],
    s_nr_users: U32,
    s_dynsuper: U32,
    s_max_transaction: U32,
    s_max_trans_data: U32,
    s_checksum_type: u8,
    s_padding2: [u8; 3],
    s_num_fc_blks: U32,
    s_head: U32,
    s_padding: [U32; 40],
    s_checksum: U32,
    s_users: [[u8; 16]; 48],
}
const _: () = assert!(size_of::<JournalSuperblock>() == 1024);

/// Blocks that mke2fs would give a journal (ext2fs_default_journal_size); `None` if the filesystem is too small for one.
pub(super) fn blocks(filesystem: u64) -> Option<u64> {
    const STEPS: [(u64, u64); 7] = [
        (32_768, 1024),
        (256 << 10, 4096),
        (512 << 10, 8192),
        (4096 << 10, 16_384),
        (8192 << 10, 32_768),
        (16_384 << 10, 65_536),
        (32_768 << 10, 131_072),
    ];
    if filesystem < 2048 {
        return None;
    }
    Some(STEPS.iter().find(|(below, _)| filesystem < *below).map_or(262_144, |(_, size)| *size))
}

/// The superblock of an empty journal of so many blocks.
pub(super) fn superblock(blocks: u64) -> JournalSuperblock {
    // What is not named is 0. s_start: nothing to replay. s_uuid: as in every journal inside its filesystem.
    let mut superblock = JournalSuperblock {
        h_magic: 0xc03b_3998.into(),
        h_blocktype: 4.into(), // superblock version 2
        s_blocksize: (BLOCK as u32).into(),
        s_maxlen: (blocks as u32).into(),
        s_first: 1.into(), // the block after this one
        s_sequence: 1.into(),
        s_feature_incompat: (0x2 | 0x10).into(), // 64BIT, CSUM_V3
        s_nr_users: 1.into(),
        s_checksum_type: 4, // CRC-32C
        ..JournalSuperblock::new_zeroed()
    };
    superblock.s_checksum = Checksum::START.with(superblock.as_bytes()).0.into();
    superblock
}
