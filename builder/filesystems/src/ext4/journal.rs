//! An empty JBD2 journal: one superblock and zeros (Documentation/filesystems/ext4/journal.rst). Big endian, unlike the rest.
//! Checksums (csum v3) and 64-bit block numbers are on from the start; after mke2fs the kernel turns them on at the first mount.

use super::checksum::Checksum;

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

/// The journal's first 1024 bytes.
pub(super) fn superblock(blocks: u64) -> Vec<u8> {
    let mut b = vec![0; 1024];
    for (at, value) in [
        (0x00, 0xc03b_3998),         // h_magic
        (0x04, 4),                   // h_blocktype: superblock version 2
        (0x0c, super::BLOCK as u32), // s_blocksize
        (0x10, blocks as u32),       // s_maxlen
        (0x14, 1),                   // s_first: the block after this one
        (0x18, 1),                   // s_sequence
        (0x28, 0x2 | 0x10),          // s_feature_incompat: 64BIT, CSUM_V3
        (0x40, 1),                   // s_nr_users
    ] {
        b[at..at + 4].copy_from_slice(&u32::to_be_bytes(value));
    }
    // 0x1c s_start: 0, nothing to replay. 0x30 s_uuid: 0, as in every journal inside its filesystem.
    b[0x50] = 4; // s_checksum_type: CRC-32C
    let checksum = Checksum::START.with(&b).0;
    b[0xfc..0x100].copy_from_slice(&checksum.to_be_bytes());
    b
}
