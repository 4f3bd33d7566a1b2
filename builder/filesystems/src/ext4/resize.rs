//! The resize inode: a file whose double-indirect map lists the reserved descriptor blocks, so that no file can take them and
//! the kernel finds them when the filesystem grows (lib/ext2fs/res_gdt.c is the only description of the format).

use super::geometry::Geometry;
use super::{BLOCK, BLOCKS_PER_GROUP};
use zerocopy::little_endian::U32;

/// Block numbers in a block.
const PER_BLOCK: usize = BLOCK / size_of::<U32>();
type Numbers = [U32; PER_BLOCK];
/// i_block index of the double-indirect block.
pub(super) const MAP_SLOT: usize = 13;
/// i_size: all that direct, indirect and double-indirect blocks can address.
pub(super) const SIZE: u64 = ((PER_BLOCK * PER_BLOCK + PER_BLOCK + 12) * BLOCK) as u64;

/// The double-indirect block for `block`, and each reserved block of group 0 with the list of its copies; and i_blocks in blocks.
pub(super) fn encode(geometry: &Geometry, block: u64) -> (Vec<(u64, Box<Numbers>)>, u64) {
    let copies: Vec<u64> = (1..geometry.groups).filter(|&g| Geometry::has_superblock(g)).map(u64::from).collect();
    let mut map = Box::new([U32::ZERO; PER_BLOCK]);
    let mut written = Vec::new();
    for i in 0..geometry.reserved_descriptor_blocks {
        let reserved = 1 + geometry.descriptor_blocks + i;
        // Sorted by the descriptor block that it may become.
        let slot = (geometry.descriptor_blocks + i) as usize % PER_BLOCK;
        map[slot] = (reserved as u32).into();
        let mut list = Box::new([U32::ZERO; PER_BLOCK]);
        for (place, group) in list.iter_mut().zip(&copies) {
            *place = ((reserved + group * BLOCKS_PER_GROUP) as u32).into();
        }
        if !copies.is_empty() {
            written.push((reserved, list));
        }
    }
    written.push((block, map));
    (written, 1 + geometry.reserved_descriptor_blocks * (1 + copies.len() as u64))
}
