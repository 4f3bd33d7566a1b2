//! The plan of a whole filesystem: contents are measured, the geometry chosen, blocks handed out, and only then is metadata encoded.

use super::allocate::{Allocator, Run};
use super::checksum::Checksum;
use super::directory::{self, DIRECTORY_TYPE, Name};
use super::geometry::{Geometry, Layout};
use super::hash::DirectoryHash;
use super::inode::{self, InodeRecord, LINK_MAX, MAP_SIZE, Time};
use super::numbering::{LOST_AND_FOUND, Numbered, Numbering};
use super::superblock::Superblock;
use super::tables::{InodeTable, Pieces, Tables};
use super::{BLOCK, BLOCKS_PER_GROUP, FIRST_INODE, JOURNAL_INODE, Options, RESIZE_INODE, ROOT_INODE};
use super::{extent, journal, resize, xattr};
use crate::base::{Blob, ByteSize, Error, Result, Segment, Segments};
use crate::tree::{FileTree, NodeKind};
use std::collections::BTreeMap;

/// Blocks that lost+found has from the start, so that e2fsck need not allocate any in a damaged filesystem (mke2fs: 16 KiB).
const LOST_AND_FOUND_BLOCKS: usize = 4;

/// What an inode has in data blocks.
enum Body<'a> {
    None,
    /// Directories and long symlinks: their blocks.
    Metadata(Vec<u8>),
    File(&'a Blob),
}

/// An inode whose blocks are not placed yet.
struct Pending<'a> {
    number: u32,
    record: InodeRecord,
    body: Body<'a>,
    /// Index of its block of extended attributes.
    xattrs: Option<usize>,
}

struct SharedXattrs {
    block: Vec<u8>,
    references: u32,
}

struct Contents<'a> {
    inodes: Vec<Pending<'a>>,
    xattrs: Vec<SharedXattrs>,
    last_inode: u32,
}

/// Decides the place of everything. File contents stay references; only metadata is held in memory.
pub fn plan(tree: &FileTree, options: &Options) -> Result<Segments> {
    if options.label.len() > 16 {
        return Err(Error::recipe(format!("ext4 label {:?}: expected at most 16 bytes, found {}", options.label, options.label.len())));
    }
    let seed = Checksum::of_filesystem(&options.uuid);
    let contents = measure(tree, options, seed)?;
    let (geometry, layout, size) = choose_geometry(&contents, options)?;
    let mut writer = Writer {
        allocator: Allocator::new(layout.ranges.clone(), geometry.blocks),
        pieces: Pieces::default(),
        segments: Vec::new(),
        table: InodeTable::new(contents.last_inode),
        seed,
    };
    let now = Time::new(options.epoch.0.into())?;
    writer.resize_inode(&geometry, now)?;
    let journal = match journal::blocks(geometry.blocks).filter(|_| options.journal) {
        Some(blocks) => Some(writer.journal_inode(blocks, now)?),
        None => None,
    };
    writer.contents(contents)?;

    let mut superblock = Superblock {
        geometry: &geometry,
        free_blocks: 0,
        free_inodes: 0,
        epoch: options.epoch,
        uuid: options.uuid,
        label: options.label.as_bytes(),
        hash_seed: options.hash_seed,
        journal,
        checksum_seed: !options.grub_readable,
    };
    let Writer { allocator, mut pieces, mut segments, table, .. } = writer;
    Tables { geometry: &geometry, layout: &layout, used: &allocator.used(), inodes: &table, seed }.emit(&mut pieces, &mut superblock);
    segments.extend(pieces.into_segments());
    Segments::new(size, segments)
}

/// Encodes all that does not depend on block numbers.
fn measure<'a>(tree: &'a FileTree, options: &Options, seed: Checksum) -> Result<Contents<'a>> {
    let numbering = Numbering::new(tree)?;
    let hash = DirectoryHash::new(&options.hash_seed);
    let mut contents = Contents { inodes: Vec::with_capacity(numbering.list.len() + 1), xattrs: Vec::new(), last_inode: numbering.last };
    // Equal blocks by contents: the one that still takes references.
    let mut shared: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for item in &numbering.list {
        let mut pending = measure_inode(tree, item, &numbering, hash, seed).map_err(|e| e.context(path_for_message(tree, item)))?;
        let placed = xattr::place(&tree.inode(item.id).attributes.xattrs).map_err(|e| e.context(path_for_message(tree, item)))?;
        pending.record.xattrs = placed.in_inode;
        if let Some(block) = placed.block {
            let open = shared.get(&block).copied().filter(|&i| contents.xattrs[i].references < xattr::MAX_REFERENCES);
            let index = open.unwrap_or(contents.xattrs.len());
            match open {
                Some(i) => contents.xattrs[i].references += 1,
                None => {
                    contents.xattrs.push(SharedXattrs { block: block.clone(), references: 1 });
                    shared.insert(block, index);
                }
            }
            pending.xattrs = Some(index);
        }
        contents.inodes.push(pending);
    }
    if !numbering.has_lost_and_found {
        contents.inodes.push(lost_and_found(options, hash, seed)?);
    }
    Ok(contents)
}

fn path_for_message(tree: &FileTree, item: &Numbered) -> String {
    let found = tree.walk().into_iter().find(|e| e.id == item.id);
    format!("ext4: {}", found.map_or_else(|| format!("inode {}", item.number), |e| e.path.to_string()))
}

fn measure_inode<'a>(
    tree: &'a FileTree,
    item: &Numbered,
    numbering: &Numbering,
    hash: DirectoryHash,
    seed: Checksum,
) -> Result<Pending<'a>> {
    let node = tree.inode(item.id);
    let a = &node.attributes;
    let mut links = numbering.links[item.id.index()];
    let mut record =
        InodeRecord { mode: node.st_mode() as u16, uid: a.uid, gid: a.gid, time: Time::new(a.mtime)?, ..InodeRecord::default() };
    if a.immutable {
        if !matches!(node.kind, NodeKind::Directory(_) | NodeKind::File(_)) {
            return Err(Error::integrity(format!("a {} cannot be immutable", node.kind.name())));
        }
        record.flags |= inode::flags::IMMUTABLE;
    }
    let body = match &node.kind {
        NodeKind::Directory(_) => {
            let mut names: Vec<Name> = tree
                .children(item.id)
                .map(|(name, id)| Name { name, inode: numbering.number(id), file_type: directory::file_type(&tree.inode(id).kind) })
                .collect();
            if item.number == ROOT_INODE && !numbering.has_lost_and_found {
                names.push(Name { name: LOST_AND_FOUND, inode: FIRST_INODE, file_type: DIRECTORY_TYPE });
                links += 1;
            }
            let (blocks, indexed) = directory::encode(&names, item.number, item.parent, hash, seed)?;
            record.flags |= if indexed { inode::flags::INDEX } else { 0 };
            record.size = blocks.len() as u64;
            // dir_nlink: 1 stands for "too many to count".
            links = if links >= LINK_MAX { 1 } else { links };
            Body::Metadata(blocks)
        }
        NodeKind::File(blob) => {
            record.size = blob.len();
            if blob.len().div_ceil(BLOCK as u64) > u64::from(u32::MAX) {
                return Err(Error::integrity(format!("a file of {}: expected less than 16 TiB", ByteSize(blob.len()))));
            }
            record.flags |= inode::flags::EXTENTS;
            Body::File(blob)
        }
        NodeKind::Symlink(target) => {
            if target.is_empty() || target.len() >= BLOCK {
                return Err(Error::integrity(format!("a symlink target of {} bytes: expected 1 to {}", target.len(), BLOCK - 1)));
            }
            record.size = target.len() as u64;
            if target.len() < MAP_SIZE {
                record.map[..target.len()].copy_from_slice(target);
                Body::None
            } else {
                Body::Metadata(target.to_vec())
            }
        }
        &NodeKind::CharDevice { major, minor } | &NodeKind::BlockDevice { major, minor } => {
            record.map = inode::device_map(major, minor)?;
            Body::None
        }
        NodeKind::Fifo | NodeKind::Socket => Body::None,
    };
    if links > LINK_MAX {
        return Err(Error::integrity(format!("{links} names for one inode: expected at most {LINK_MAX}")));
    }
    record.links = links as u16;
    Ok(Pending { number: item.number, record, body, xattrs: None })
}

fn lost_and_found(options: &Options, hash: DirectoryHash, seed: Checksum) -> Result<Pending<'static>> {
    let (mut blocks, _) = directory::encode(&[], FIRST_INODE, ROOT_INODE, hash, seed)?;
    for _ in 1..LOST_AND_FOUND_BLOCKS {
        blocks.extend(directory::encode_leaf(&[], seed.of_inode(FIRST_INODE)));
    }
    let record = InodeRecord {
        mode: 0o040_700,
        links: 2,
        size: blocks.len() as u64,
        time: Time::new(options.epoch.0.into())?,
        ..InodeRecord::default()
    };
    Ok(Pending { number: FIRST_INODE, record, body: Body::Metadata(blocks), xattrs: None })
}

/// Blocks that contents, attribute blocks and extent trees take; at most a few too many.
fn blocks_needed(contents: &Contents) -> u64 {
    let bodies = contents.inodes.iter().map(|i| match &i.body {
        Body::None => 0,
        Body::Metadata(bytes) => bytes.len().div_ceil(BLOCK) as u64,
        Body::File(blob) => {
            let blocks = blob.len().div_ceil(BLOCK as u64);
            // A run ends at a group's metadata at the latest every 32768 blocks, an extent there and in between.
            let extents = 2 * blocks.div_ceil(BLOCKS_PER_GROUP) + 2;
            blocks + if extents <= 4 { 0 } else { extent::tree_blocks(extents as usize) as u64 }
        }
    });
    // One for the resize inode's map.
    1 + contents.xattrs.len() as u64 + bodies.sum::<u64>()
}

/// The smallest geometry that fits, or the one for the fixed size; and the size of the device in bytes.
fn choose_geometry(contents: &Contents, options: &Options) -> Result<(Geometry, Layout, u64)> {
    let need = blocks_needed(contents);
    let inodes = u64::from(contents.last_inode);
    // Room for what comes later: 10 % and a few.
    let inodes_wanted = inodes + inodes / 10 + 64;
    let attempt = |blocks: u64| {
        let geometry = Geometry::new(blocks, inodes_wanted)?;
        let layout = geometry.layout()?;
        let journal = journal::blocks(geometry.blocks).filter(|_| options.journal).unwrap_or(0);
        let metadata = layout.metadata_blocks() + journal;
        Some((geometry, layout, metadata))
    };
    let block = BLOCK as u64;
    let fit = |reserve: u64| {
        // One bitmap block limits the inodes of a group, so many small files need many groups.
        let groups = inodes_wanted.div_ceil(BLOCKS_PER_GROUP);
        let mut blocks = (need + reserve + 256).max((groups - 1) * BLOCKS_PER_GROUP);
        // Metadata grows by a small part of what is added, so this ends after a few rounds.
        for _ in 0..4096 {
            let missing = match attempt(blocks) {
                Some((geometry, layout, metadata)) if geometry.blocks >= metadata + need + reserve => return Some((geometry, layout)),
                Some((_, _, metadata)) => (metadata + need + reserve).saturating_sub(blocks),
                None => 0,
            };
            // In MiB, and at least one, since a rest too small to be a group is not used.
            blocks += missing.max(1).next_multiple_of(256);
        }
        None
    };
    let Some(size) = options.size else {
        let (geometry, layout) = fit(options.reserve.div_ceil(block)).ok_or_else(|| {
            let wanted = ByteSize((need * block).saturating_add(options.reserve));
            Error::recipe(format!("ext4: contents and reserve of {wanted} with {inodes} inodes: expected less than 16 TiB"))
        })?;
        let size = geometry.blocks * block;
        return Ok((geometry, layout, size));
    };
    if size / block > u64::from(u32::MAX) {
        return Err(Error::recipe(format!("ext4 filesystem {:?} of {}: expected less than 16 TiB", options.label, ByteSize(size))));
    }
    let found = attempt(size / block);
    let metadata = found.as_ref().map_or(0, |(_, _, metadata)| *metadata);
    match found {
        Some((geometry, layout, metadata)) if geometry.blocks >= metadata + need => Ok((geometry, layout, size / block * block)),
        _ => {
            let error = Error::recipe(format!(
                "ext4 filesystem {:?} of {} is too small: contents need {} in blocks and {inodes} inodes, beside {} of metadata",
                options.label,
                ByteSize(size),
                ByteSize(need * block),
                ByteSize(metadata * block)
            ));
            Err(match fit(0) {
                Some((geometry, _)) => error.hint(format!("it needs at least {}, or size \"auto\"", ByteSize(geometry.blocks * block))),
                None => error,
            })
        }
    }
}

/// Places blocks and collects what is to be written.
struct Writer {
    allocator: Allocator,
    pieces: Pieces,
    segments: Vec<Segment>,
    table: InodeTable,
    seed: Checksum,
}

impl Writer {
    fn resize_inode(&mut self, geometry: &Geometry, time: Time) -> Result<()> {
        if geometry.reserved_descriptor_blocks == 0 {
            return Ok(());
        }
        let block = self.allocator.block()?;
        let (written, blocks) = resize::encode(geometry, block);
        let mut record = InodeRecord { mode: 0o100_600, links: 1, size: resize::SIZE, time, blocks, ..InodeRecord::default() };
        super::little_endian::put_u32(&mut record.map, resize::MAP_SLOT * 4, block as u32);
        written.into_iter().for_each(|(number, bytes)| self.pieces.block(number, bytes));
        self.table.set(RESIZE_INODE, record.encode(RESIZE_INODE, self.seed), false);
        Ok(())
    }

    /// Returns the journal's map and size for the superblock.
    fn journal_inode(&mut self, blocks: u64, time: Time) -> Result<([u8; MAP_SIZE], u64)> {
        let runs = self.allocator.allocate(blocks)?;
        let mut record = InodeRecord { mode: 0o100_600, links: 1, size: blocks * BLOCK as u64, time, ..InodeRecord::default() };
        self.map(&mut record, JOURNAL_INODE, &runs)?;
        if let Some(run) = runs.first() {
            self.pieces.block(run.start, journal::superblock(blocks));
        }
        self.table.set(JOURNAL_INODE, record.encode(JOURNAL_INODE, self.seed), false);
        Ok((record.map, record.size))
    }

    /// Directories, symlinks and attributes first and together, then files in walk order.
    fn contents(&mut self, mut contents: Contents) -> Result<()> {
        for inode in &mut contents.inodes {
            if let Body::Metadata(bytes) = &mut inode.body {
                let mut bytes = std::mem::take(bytes);
                bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
                let runs = self.allocator.allocate((bytes.len() / BLOCK) as u64)?;
                self.map(&mut inode.record, inode.number, &runs)?;
                let mut rest = bytes;
                for run in runs {
                    let tail = rest.split_off(run.length as usize * BLOCK);
                    self.pieces.block(run.start, rest);
                    rest = tail;
                }
            }
        }
        let mut places = Vec::with_capacity(contents.xattrs.len());
        for mut shared in contents.xattrs {
            let number = self.allocator.block()?;
            xattr::finish_block(&mut shared.block, shared.references, number, self.seed);
            self.pieces.block(number, shared.block);
            places.push(number);
        }
        for mut inode in contents.inodes {
            if let Body::File(blob) = inode.body {
                self.file(&mut inode.record, inode.number, blob)?;
            }
            if let Some(&place) = inode.xattrs.and_then(|i| places.get(i)) {
                inode.record.xattr_block = place;
                inode.record.blocks += 1;
            }
            let is_directory = inode.record.mode & 0o170_000 == 0o040_000;
            self.table.set(inode.number, inode.record.encode(inode.number, self.seed), is_directory);
        }
        Ok(())
    }

    fn file(&mut self, record: &mut InodeRecord, number: u32, blob: &Blob) -> Result<()> {
        let runs = self.allocator.allocate(blob.len().div_ceil(BLOCK as u64))?;
        self.map(record, number, &runs)?;
        let mut done = 0;
        for run in &runs {
            let length = (run.length * BLOCK as u64).min(blob.len() - done);
            let data = if length == blob.len() { blob.clone() } else { blob.slice(done, length)? };
            self.segments.push(Segment { offset: run.start * BLOCK as u64, data });
            done += length;
        }
        Ok(())
    }

    /// Gives the inode an extent tree over `runs`.
    fn map(&mut self, record: &mut InodeRecord, number: u32, runs: &[Run]) -> Result<()> {
        let extents = extent::extents(runs);
        let tree = (0..extent::tree_blocks(extents.len())).map(|_| self.allocator.block()).collect::<Result<Vec<_>>>()?;
        let (map, written) = extent::encode(&extents, &tree, self.seed.of_inode(number));
        record.map = map;
        record.flags |= inode::flags::EXTENTS;
        record.blocks += runs.iter().map(|r| r.length).sum::<u64>() + tree.len() as u64;
        written.into_iter().for_each(|(block, bytes)| self.pieces.block(block, bytes));
        Ok(())
    }
}
