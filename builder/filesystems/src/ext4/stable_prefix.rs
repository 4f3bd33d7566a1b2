//! Numbers of the layout in which what a small change changes comes last (`Options::stable_prefix`).

use super::geometry::Geometry;

/// Bitmaps, tables and contents are placed in multiples of so many blocks where what changes comes last, so that the numbers of free blocks, which come
/// first of all, stay the same after most small changes: 1 MiB.
pub(super) const QUANTUM: u64 = 256;

/// Blocks that may stay unused before tables that must lie in one piece.
pub(super) fn waste(geometry: &Geometry) -> u64 {
    (0..geometry.groups).filter(|&group| Geometry::has_superblock(group)).count() as u64 * geometry.inode_table_blocks
}
