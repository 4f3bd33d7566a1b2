//! The last step of a plan: bitmaps, inode tables, group descriptors and superblocks, once all blocks and inodes are known.

use super::checksum::Checksum;
use super::geometry::{Geometry, Layout};
use super::group::{Group, flags};
use super::packed::Pieces;
use super::superblock::{self, Parameters};
use super::{BLOCK, BLOCKS_PER_GROUP, INODE_SIZE};
use std::ops::Range;
use zerocopy::IntoBytes;

/// All inodes by number, encoded, a list for each group.
pub(super) struct InodeTable {
    per_group: usize,
    records: Vec<Vec<[u8; INODE_SIZE]>>,
    directories: Vec<u32>,
}

impl InodeTable {
    /// Room for the inodes 1 to `last`; those that are never set are zero.
    pub(super) fn new(last: u32, geometry: &Geometry) -> Self {
        let (last, per_group) = (last as usize, geometry.inodes_per_group as usize);
        let length = |group: u32| per_group.min(last.saturating_sub(group as usize * per_group));
        InodeTable {
            per_group,
            records: (0..geometry.groups).map(|group| vec![[0; INODE_SIZE]; length(group)]).collect(),
            directories: vec![0; geometry.groups as usize],
        }
    }

    pub(super) fn set(&mut self, number: u32, record: [u8; INODE_SIZE], is_directory: bool) {
        let index = number as usize - 1;
        let group = index / self.per_group;
        self.records[group][index % self.per_group] = record;
        self.directories[group] += u32::from(is_directory);
    }
}

/// What the tables are made from.
pub(super) struct Tables<'a> {
    pub(super) geometry: &'a Geometry,
    pub(super) layout: &'a Layout,
    /// Ascending and disjoint.
    pub(super) used: &'a [Range<u64>],
    pub(super) inodes: InodeTable,
    pub(super) seed: Checksum,
}

impl Tables<'_> {
    /// Adds the tables to `pieces`, and what is free to the superblock.
    pub(super) fn emit(mut self, pieces: &mut Pieces, superblock: &mut Parameters) {
        let mut descriptors = Vec::new();
        for group in 0..self.geometry.groups {
            let mut known = Group {
                block_bitmap: self.layout.block_bitmaps[group as usize],
                inode_bitmap: self.layout.inode_bitmaps[group as usize],
                inode_table: self.layout.inode_tables[group as usize],
                flags: flags::INODE_ZEROED,
                ..Group::default()
            };
            self.emit_blocks(group, &mut known, pieces);
            self.emit_inodes(group, &mut known, pieces);
            superblock.free_blocks += u64::from(known.free_blocks);
            superblock.free_inodes += known.free_inodes;
            descriptors.extend_from_slice(known.descriptor(group, self.seed).as_bytes());
        }
        descriptors.resize(self.geometry.descriptor_blocks as usize * BLOCK, 0);
        for group in (0..self.geometry.groups).filter(|&g| Geometry::has_superblock(g)) {
            let mut bytes = vec![0; BLOCK];
            // Only the primary copy leaves room for a boot sector.
            let at = if group == 0 { superblock::OFFSET } else { 0 };
            let copy = superblock.superblock(group);
            bytes[at..][..size_of_val(&copy)].copy_from_slice(copy.as_bytes());
            bytes.extend_from_slice(&descriptors);
            pieces.block(self.geometry.group_range(group).start, &bytes);
        }
    }

    fn emit_blocks(&self, group: u32, known: &mut Group, pieces: &mut Pieces) {
        let range = self.geometry.group_range(group);
        let first = self.used.partition_point(|r| r.end <= range.start);
        let used: Vec<Range<u64>> = self.used[first..]
            .iter()
            .take_while(|r| r.start < range.end)
            .map(|r| r.start.max(range.start) - range.start..r.end.min(range.end) - range.start)
            .collect();
        let count: u64 = used.iter().map(|r| r.end - r.start).sum();
        known.free_blocks = (range.end - range.start - count) as u32;
        let is_last = group + 1 == self.geometry.groups;
        if !is_last && count == self.geometry.base_blocks(group) {
            known.flags |= flags::BLOCK_UNINIT;
            return;
        }
        let mut bitmap = vec![0; BLOCK];
        for r in used {
            set_bits(&mut bitmap, r);
        }
        // Blocks past the end of the filesystem count as used.
        set_bits(&mut bitmap, range.end - range.start..BLOCKS_PER_GROUP);
        known.block_bitmap_checksum = self.seed.with(&bitmap).0;
        pieces.block(known.block_bitmap, &bitmap);
    }

    fn emit_inodes(&mut self, group: u32, known: &mut Group, pieces: &mut Pieces) {
        let per_group = self.inodes.per_group;
        // Each list goes when its pieces are made: all of them twice would be much of a plan's memory.
        let records = std::mem::take(&mut self.inodes.records[group as usize]);
        known.free_inodes = (per_group - records.len()) as u32;
        known.unused_inodes = known.free_inodes;
        if records.is_empty() {
            known.flags |= flags::INODE_UNINIT;
            return;
        }
        known.used_directories = self.inodes.directories[group as usize];
        let mut bitmap = vec![0; BLOCK];
        set_bits(&mut bitmap, 0..records.len() as u64);
        set_bits(&mut bitmap, per_group as u64..BLOCKS_PER_GROUP);
        known.inode_bitmap_checksum = self.seed.with(&bitmap[..per_group / 8]).0;
        pieces.block(known.inode_bitmap, &bitmap);
        pieces.block(known.inode_table, records.as_flattened());
    }
}

fn set_bits(bitmap: &mut [u8], range: Range<u64>) {
    let (mut at, end) = (range.start as usize, range.end as usize);
    while at < end {
        if at.is_multiple_of(8) && end - at >= 8 {
            bitmap[at / 8] = 0xff;
            at += 8;
        } else {
            bitmap[at / 8] |= 1 << (at % 8);
            at += 1;
        }
    }
}
