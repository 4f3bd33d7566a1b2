//! The resize inode: a file whose double-indirect map lists the reserved descriptor blocks, so that no file can take them and
//! the kernel finds them when the filesystem grows (lib/ext2fs/res_gdt.c is the only description of the format).

use super::geometry::Geometry;
use super::little_endian::put_u32;
use super::{BLOCK, BLOCKS_PER_GROUP};

const PER_BLOCK: u64 = BLOCK as u64 / 4;
/// i_block index of the double-indirect block.
pub(super) const MAP_SLOT: usize = 13;
/// i_size: all that direct, indirect and double-indirect blocks can address.
pub(super) const SIZE: u64 = (PER_BLOCK * PER_BLOCK + PER_BLOCK + 12) * BLOCK as u64;

/// The double-indirect block for `block`, and each reserved block of group 0 with the list of its copies; and i_blocks in blocks.
pub(super) fn encode(geometry: &Geometry, block: u64) -> (Vec<(u64, Vec<u8>)>, u64) {
    let copies: Vec<u64> = (1..geometry.groups).filter(|&g| Geometry::has_superblock(g)).map(u64::from).collect();
    let mut map = vec![0; BLOCK];
    let mut written = Vec::new();
    for i in 0..geometry.reserved_descriptor_blocks {
        let reserved = 1 + geometry.descriptor_blocks + i;
        // Sorted by the descriptor block that it may become.
        let slot = (geometry.descriptor_blocks + i) % PER_BLOCK;
        put_u32(&mut map, slot as usize * 4, reserved as u32);
        let mut list = vec![0; BLOCK];
        for (n, group) in copies.iter().enumerate() {
            put_u32(&mut list, n * 4, (reserved + group * BLOCKS_PER_GROUP) as u32);
        }
        if !copies.is_empty() {
            written.push((reserved, list));
        }
    }
    written.push((block, map));
    (written, 1 + geometry.reserved_descriptor_blocks * (1 + copies.len() as u64))
}
