//! Where the metadata of every block group lies (Documentation/filesystems/ext4/blockgroup.rst), computed from the size alone, as mke2fs does.

use super::{BLOCK, BLOCKS_PER_GROUP, INODE_SIZE, group};
use std::ops::Range;

/// flex_bg: the bitmaps and inode tables of 16 groups lie together in the first.
pub(super) const GROUPS_PER_FLEX: u32 = 16;
/// mke2fs's inode_ratio for type "default": an inode for every 16 KiB.
const BYTES_PER_INODE: u64 = 16_384;
/// One bitmap block.
const MAX_INODES_PER_GROUP: u64 = BLOCKS_PER_GROUP;
const INODES_PER_BLOCK: u64 = (BLOCK / INODE_SIZE) as u64;
/// A last group smaller than its own metadata and this is left unused (mke2fs: ext2fs_initialize).
const SMALLEST_REST: u64 = 50;
/// Online growth up to this many times the size (mke2fs: calc_reserved_gdt_blocks) ...
const GROWTH: u64 = 1024;
/// ... and up to as many descriptor blocks as one indirect block can list.
const MAX_RESERVED: u64 = BLOCK as u64 / 4;

#[derive(Debug, Clone)]
pub(super) struct Geometry {
    pub(super) blocks: u64,
    pub(super) groups: u32,
    pub(super) descriptor_blocks: u64,
    pub(super) reserved_descriptor_blocks: u64,
    pub(super) inodes_per_group: u32,
    pub(super) inode_table_blocks: u64,
}

/// Block numbers by group.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) block_bitmaps: Vec<u64>,
    pub(super) inode_bitmaps: Vec<u64>,
    pub(super) inode_tables: Vec<u64>,
    /// All metadata, ascending, merged.
    pub(super) ranges: Vec<Range<u64>>,
}

impl Layout {
    #[cfg(test)]
    fn metadata_blocks(&self) -> u64 {
        self.ranges.iter().map(|r| r.end - r.start).sum()
    }
}

impl Geometry {
    /// `None` if `blocks` are too few for the metadata alone, or for so many inodes; or too many for 32-bit block numbers, which
    /// the resize inode needs.
    pub(super) fn new(mut blocks: u64, inodes: u64) -> Option<Self> {
        loop {
            if blocks > u64::from(u32::MAX) {
                return None;
            }
            let groups = blocks.div_ceil(BLOCKS_PER_GROUP);
            let wanted = inodes.max(blocks * BLOCK as u64 / BYTES_PER_INODE);
            let inode_table_blocks = wanted.div_ceil(groups.max(1)).div_ceil(INODES_PER_BLOCK).max(1);
            if inode_table_blocks * INODES_PER_BLOCK > MAX_INODES_PER_GROUP {
                return None;
            }
            let descriptor_blocks = groups.div_ceil(group::PER_BLOCK);
            let limit = (blocks * GROWTH).min(u64::from(u32::MAX));
            let reserved = limit.div_ceil(BLOCKS_PER_GROUP).div_ceil(group::PER_BLOCK).saturating_sub(descriptor_blocks).min(MAX_RESERVED);
            let geometry = Geometry {
                blocks,
                groups: groups as u32,
                descriptor_blocks,
                reserved_descriptor_blocks: reserved,
                inodes_per_group: (inode_table_blocks * INODES_PER_BLOCK) as u32,
                inode_table_blocks,
            };
            let rest = blocks % BLOCKS_PER_GROUP;
            let own = geometry.base_blocks(groups.checked_sub(1)? as u32) + 2 + inode_table_blocks;
            if rest == 0 || rest >= own + SMALLEST_REST {
                return Some(geometry);
            }
            blocks -= rest;
        }
    }

    pub(super) fn inodes(&self) -> u32 {
        self.groups * self.inodes_per_group
    }

    /// sparse_super: groups 0, 1 and the powers of 3, 5 and 7 carry a superblock.
    pub(super) fn has_superblock(group: u32) -> bool {
        let is_power = |base: u32| {
            let mut rest = group;
            while rest > 1 && rest.is_multiple_of(base) {
                rest /= base;
            }
            rest == 1
        };
        group == 0 || is_power(3) || is_power(5) || is_power(7)
    }

    /// Blocks at the start of a group for the superblock, the descriptors and their reserve.
    pub(super) fn base_blocks(&self, group: u32) -> u64 {
        if Self::has_superblock(group) { 1 + self.descriptor_blocks + self.reserved_descriptor_blocks } else { 0 }
    }

    /// Blocks of all bitmaps and inode tables.
    pub(super) fn table_blocks(&self) -> u64 {
        u64::from(self.groups) * (2 + self.inode_table_blocks)
    }

    /// Blocks of all metadata that does not depend on the contents but for their number.
    pub(super) fn metadata_blocks(&self) -> u64 {
        (0..self.groups).map(|group| self.base_blocks(group)).sum::<u64>() + self.table_blocks()
    }

    pub(super) fn group_range(&self, group: u32) -> Range<u64> {
        let start = u64::from(group) * BLOCKS_PER_GROUP;
        start..(start + BLOCKS_PER_GROUP).min(self.blocks)
    }

    /// Only what must be where it is: bitmaps and inode tables are placed with the contents.
    pub(super) fn superblocks_only(&self) -> Layout {
        let count = self.groups as usize;
        let ranges = (0..self.groups).map(|g| (g, self.group_range(g).start)).map(|(g, s)| s..s + self.base_blocks(g));
        Layout {
            block_bitmaps: Vec::with_capacity(count),
            inode_bitmaps: Vec::with_capacity(count),
            inode_tables: Vec::with_capacity(count),
            ranges: ranges.filter(|range| !range.is_empty()).collect(),
        }
    }

    /// Bitmaps and inode tables at the start of the first group of sixteen; `None` if they do not fit.
    pub(super) fn layout(&self) -> Option<Layout> {
        let mut layout = self.superblocks_only();
        let mut cursor = 0;
        for first in (0..self.groups).step_by(GROUPS_PER_FLEX as usize) {
            let groups = first..(first + GROUPS_PER_FLEX).min(self.groups);
            cursor = self.group_range(first).start.max(cursor);
            for (list, length) in
                [(&mut layout.block_bitmaps, 1), (&mut layout.inode_bitmaps, 1), (&mut layout.inode_tables, self.inode_table_blocks)]
            {
                for _ in groups.clone() {
                    let start = self.place(cursor, length);
                    cursor = start + length;
                    list.push(start);
                    layout.ranges.push(start..cursor);
                }
            }
        }
        layout.ranges.sort_by_key(|r| r.start);
        layout.ranges.dedup_by(|next, last| {
            let touches = next.start == last.end;
            if touches {
                last.end = next.end;
            }
            touches
        });
        (layout.ranges.last()?.end <= self.blocks).then_some(layout)
    }

    /// The first start from `cursor` on where `length` blocks do not meet a superblock area.
    fn place(&self, cursor: u64, length: u64) -> u64 {
        let mut start = cursor;
        let mut group = (start / BLOCKS_PER_GROUP) as u32;
        while u64::from(group) * BLOCKS_PER_GROUP < start + length {
            let base = u64::from(group) * BLOCKS_PER_GROUP;
            let base_end = base + self.base_blocks(group);
            if start < base_end && start + length > base {
                start = base_end;
            }
            group += 1;
        }
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_that_mke2fs_chooses() {
        for (blocks, inodes, reserved) in [(524_288, 131_072, 255), (131_072, 32_768, 63)] {
            let g = Geometry::new(blocks, 0).unwrap();
            assert_eq!((g.inodes(), g.reserved_descriptor_blocks), (inodes, reserved), "{blocks}");
        }
        let with: Vec<u32> = (0..100).filter(|&g| Geometry::has_superblock(g)).collect();
        assert_eq!(with, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81]);
    }

    #[test]
    fn metadata_that_overflows_the_first_group_stays_clear_of_superblocks() {
        let g = Geometry::new(40 * BLOCKS_PER_GROUP, 40 * BLOCKS_PER_GROUP).unwrap();
        let layout = g.layout().unwrap();
        let expected: u64 = (0..g.groups).map(|n| g.base_blocks(n) + 2 + g.inode_table_blocks).sum();
        assert_eq!(layout.metadata_blocks(), expected);
        assert!(layout.ranges.windows(2).all(|w| w[0].end < w[1].start));
    }
}
