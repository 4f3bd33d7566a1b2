//! Gives everything its blocks, in the order that the module's map shows, and encodes what depends on them.

use super::allocate::Allocator;
use super::checksum::Checksum;
use super::contents::{Body, Contents, Pending, SharedXattrs, parts};
use super::directory;
use super::extent::Placed;
use super::geometry::{Geometry, Layout};
use super::inode::{self, InodeRecord, Map, Time};
use super::large_value::LargeValues;
use super::packed::{Packed, Pieces};
use super::stable_prefix::{QUANTUM, waste};
use super::tables::InodeTable;
use super::{BLOCK, FIRST_INODE, JOURNAL_INODE, RESIZE_INODE};
use super::{extent, journal, resize};
use model::{Blob, Result, Segment};
use std::ops::Range;
use zerocopy::IntoBytes;

/// Places blocks and collects what is to be written.
pub(super) struct Writer {
    pub(super) allocator: Allocator,
    pub(super) pieces: Pieces,
    pub(super) segments: Vec<Segment>,
    pub(super) table: InodeTable,
    pub(super) layout: Layout,
    pub(super) seed: Checksum,
}

impl Writer {
    pub(super) fn resize_inode(&mut self, geometry: &Geometry, time: Time) -> Result<()> {
        if geometry.reserved_descriptor_blocks == 0 {
            return Ok(());
        }
        let block = self.allocator.block()?;
        let (written, blocks) = resize::encode(geometry, block);
        let mut record = InodeRecord { mode: 0o100_600, links: 1, size: resize::SIZE, time, blocks, ..InodeRecord::default() };
        record.map[resize::MAP_SLOT] = (block as u32).into();
        written.into_iter().for_each(|(number, list)| self.pieces.block(number, list.as_bytes()));
        self.table.set(RESIZE_INODE, record.encode(RESIZE_INODE, self.seed), false);
        Ok(())
    }

    /// Returns the journal's map and size for the superblock.
    pub(super) fn journal_inode(&mut self, blocks: u64, time: Time) -> Result<(Map, u64)> {
        let parts = self.place(std::iter::once(0..blocks))?;
        let mut record = InodeRecord { mode: 0o100_600, links: 1, size: blocks * BLOCK as u64, time, ..InodeRecord::default() };
        self.map(&mut record, JOURNAL_INODE, &parts)?;
        if let Some(first) = parts.first() {
            self.pieces.block(first.run.start, journal::superblock(blocks).as_bytes());
        }
        self.table.set(JOURNAL_INODE, record.encode(JOURNAL_INODE, self.seed), false);
        Ok((record.map, record.size))
    }

    /// Directories, symlinks and attributes first and together, then files in walk order.
    pub(super) fn contents(&mut self, mut contents: Contents, now: Time) -> Result<()> {
        self.in_memory(&mut contents.inodes, |_| true)?;
        let places = self.attributes(contents.xattrs)?;
        self.large_values(&contents.values, now)?;
        self.files(&mut contents.inodes, |_| true)?;
        self.records(contents.inodes, &places);
        Ok(())
    }

    /// Places stable contents, then tables, then volatile contents. The number of used blocks is padded to whole quanta, so that the counts of
    /// free blocks in the superblock and the descriptors rarely change.
    pub(super) fn contents_changing_last(&mut self, mut contents: Contents, now: Time, geometry: &Geometry, need: u64) -> Result<()> {
        let start = self.allocator.start_of_last(need + geometry.table_blocks() + waste(geometry));
        self.allocator.skip_to(start);
        let before = self.allocator.count();
        self.files(&mut contents.inodes, |blob| blob.identity().is_some())?;
        self.tables(geometry)?;
        self.files(&mut contents.inodes, |blob| blob.identity().is_none())?;
        self.in_memory(&mut contents.inodes, |inode| inode.number != FIRST_INODE)?;
        let places = self.attributes(contents.xattrs)?;
        self.large_values(&contents.values, now)?;
        if let Some(lost_and_found) = contents.inodes.iter_mut().find(|inode| inode.number == FIRST_INODE)
            && let Body::Metadata(blocks) = &mut lost_and_found.body
            && lost_and_found.record.flags & inode::flags::INDEX == 0
        {
            let size = &mut lost_and_found.record.size;
            let used = self.allocator.count() - before + *size / BLOCK as u64;
            let more = directory::empty_leaves(FIRST_INODE, used.next_multiple_of(QUANTUM) - used, self.seed);
            blocks.append(*size, &more);
            *size += more.len() as u64;
        }
        self.in_memory(&mut contents.inodes, |inode| inode.number == FIRST_INODE)?;
        self.records(contents.inodes, &places);
        Ok(())
    }

    /// Places bitmaps and inode tables here; those of the last groups, which are empty, come first.
    fn tables(&mut self, geometry: &Geometry) -> Result<()> {
        for (list, length) in [
            (&mut self.layout.block_bitmaps, 1),
            (&mut self.layout.inode_bitmaps, 1),
            (&mut self.layout.inode_tables, geometry.inode_table_blocks),
        ] {
            for _ in 0..geometry.groups {
                list.push(self.allocator.contiguous(length)?);
            }
            list.reverse();
        }
        Ok(())
    }

    /// Directories and symlinks.
    fn in_memory(&mut self, inodes: &mut [Pending], wanted: impl Fn(&Pending) -> bool) -> Result<()> {
        for inode in inodes {
            if wanted(inode)
                && let Body::Metadata(blocks) = &mut inode.body
            {
                let blocks = std::mem::take(blocks);
                self.metadata(&mut inode.record, inode.number, blocks)?;
            }
        }
        Ok(())
    }

    fn files(&mut self, inodes: &mut [Pending], wanted: impl Fn(&Blob) -> bool) -> Result<()> {
        for inode in inodes {
            if let Body::File(blob) = inode.body
                && wanted(blob)
            {
                self.file(&mut inode.record, inode.number, blob)?;
            }
        }
        Ok(())
    }

    /// Where each block of attributes went.
    fn attributes(&mut self, blocks: Vec<SharedXattrs>) -> Result<Vec<u64>> {
        let mut places = Vec::with_capacity(blocks.len());
        for shared in blocks {
            let number = self.allocator.block()?;
            self.pieces.block(number, &shared.block.encode(shared.references, number, self.seed));
            places.push(number);
        }
        Ok(places)
    }

    fn large_values(&mut self, values: &LargeValues, now: Time) -> Result<()> {
        for value in values.list() {
            let mut record = value.record(now);
            self.metadata(&mut record, value.number, Packed::new(&value.bytes))?;
            self.table.set(value.number, record.encode(value.number, self.seed), false);
        }
        Ok(())
    }

    /// Once everything has its blocks.
    fn records(&mut self, inodes: Vec<Pending>, attributes: &[u64]) {
        for mut inode in inodes {
            if let Some(&place) = inode.xattrs.and_then(|i| attributes.get(i as usize)) {
                inode.record.xattr_block = place;
                inode.record.blocks += 1;
            }
            let is_directory = inode.record.mode & 0o170_000 == 0o040_000;
            self.table.set(inode.number, inode.record.encode(inode.number, self.seed), is_directory);
        }
    }

    fn file(&mut self, record: &mut InodeRecord, number: u32, blob: &Blob) -> Result<()> {
        let block = BLOCK as u64;
        let parts = self.place(parts(blob).into_iter())?;
        self.map(record, number, &parts)?;
        for Placed { logical, run } in &parts {
            let (from, to) = (logical * block, ((logical + run.length) * block).min(blob.len()));
            if let Blob::Sparse(segments) = blob {
                self.segments.extend(segments.within(from, to - from, run.start * block)?);
            } else {
                let data = if to - from == blob.len() { blob.clone() } else { blob.slice(from, to - from)? };
                self.segments.push(Segment { offset: run.start * block, data });
            }
        }
        Ok(())
    }

    /// Finds room for the parts of one file.
    fn place(&mut self, parts: impl Iterator<Item = Range<u64>>) -> Result<Vec<Placed>> {
        let mut out = Vec::new();
        for part in parts {
            let mut logical = part.start;
            for run in self.allocator.allocate(part.end - part.start)? {
                out.push(Placed { logical, run });
                logical += run.length;
            }
        }
        Ok(out)
    }

    /// Places and keeps what is in memory, of the record's size.
    fn metadata(&mut self, record: &mut InodeRecord, number: u32, blocks: Packed) -> Result<()> {
        let block = BLOCK as u64;
        let parts = self.place(std::iter::once(0..record.size.div_ceil(block)))?;
        self.map(record, number, &parts)?;
        let mut bytes = blocks.into_iter().peekable();
        for Placed { logical, run } in parts {
            while let Some((offset, part)) = bytes.next_if(|(offset, _)| *offset < (logical + run.length) * block) {
                self.pieces.part(run.start * block + (offset - logical * block), part);
            }
        }
        Ok(())
    }

    /// Gives the inode an extent tree over `parts`.
    fn map(&mut self, record: &mut InodeRecord, number: u32, parts: &[Placed]) -> Result<()> {
        let extents = extent::extents(parts);
        let tree = (0..extent::tree_blocks(extents.len())).map(|_| self.allocator.block()).collect::<Result<Vec<_>>>()?;
        let (map, written) = extent::encode(&extents, &tree, self.seed.of_inode(number));
        record.map = map;
        record.flags |= inode::flags::EXTENTS;
        record.blocks += parts.iter().map(|part| part.run.length).sum::<u64>() + tree.len() as u64;
        written.into_iter().for_each(|(block, bytes)| self.pieces.block(block, &bytes));
        Ok(())
    }
}
