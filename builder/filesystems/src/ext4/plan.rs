//! The plan of a whole filesystem: contents are measured, the geometry chosen, blocks handed out, and only then is metadata encoded.

use super::allocate::Allocator;
use super::checksum::Checksum;
use super::contents::{Body, Contents, Pending, SharedXattrs};
use super::directory;
use super::dirent::{self, DIRECTORY_TYPE, Name};
use super::hash::DirectoryHash;
use super::inode::{self, InodeRecord, LINK_MAX, MAP_SIZE, Time, XATTR_SIZE};
use super::large_value::LargeValues;
use super::numbering::{LOST_AND_FOUND, Numbered, Numbering};
use super::packed::{Packed, Pieces};
use super::size::{Fit, choose_geometry};
use super::superblock::Parameters;
use super::tables::{InodeTable, Tables};
use super::writer::Writer;
use super::xattr::{self, AttributeBlock};
use super::{BLOCK, FIRST_INODE, Options, ROOT_INODE, journal};
use model::tree::{FileTree, NodeKind};
use model::{ByteSize, Error, Result, Segments};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use zerocopy::IntoBytes;

/// Blocks that lost+found has from the start, so that e2fsck need not allocate any in a damaged filesystem (mke2fs: 16 KiB).
const LOST_AND_FOUND_BLOCKS: u64 = 4;

/// Decides the place of everything. File contents stay references; only metadata is held in memory.
pub fn plan(tree: &FileTree, options: &Options) -> Result<Segments> {
    let _span = tracing::debug_span!("plan ext4", label = options.label).entered();
    if options.label.len() > 16 {
        return Err(Error::recipe(format!("ext4 label {:?}: expected at most 16 bytes, found {}", options.label, options.label.len())));
    }
    let seed = Checksum::of_filesystem(&options.uuid);
    let contents = measure(tree, options, seed)?;
    let Fit { geometry, layout, size, need } = choose_geometry(&contents, options)?;
    let mut writer = Writer {
        allocator: Allocator::new(layout.ranges.clone(), geometry.blocks),
        pieces: Pieces::default(),
        segments: Vec::new(),
        table: InodeTable::new(contents.last_inode, &geometry),
        layout,
        seed,
    };
    let now = Time::new(options.epoch.0.into(), 0)?;
    let ea_inode = !contents.values.list().is_empty();
    writer.resize_inode(&geometry, now)?;
    let journal = match journal::blocks(geometry.blocks).filter(|_| options.journal) {
        Some(blocks) => Some(writer.journal_inode(blocks, now)?),
        None => None,
    };
    if options.stable_prefix {
        writer.contents_changing_last(contents, now, &geometry, need)?;
    } else {
        writer.contents(contents, now)?;
    }

    let mut superblock = Parameters {
        geometry: &geometry,
        free_blocks: 0,
        free_inodes: 0,
        epoch: options.epoch,
        uuid: options.uuid,
        label: options.label.as_bytes(),
        hash_seed: options.hash_seed,
        journal,
        checksum_seed: !options.grub_readable,
        ea_inode,
        verity: options.verity,
    };
    let Writer { allocator, mut pieces, mut segments, table, layout, .. } = writer;
    Tables { geometry: &geometry, layout: &layout, used: &allocator.used(), inodes: table, seed }.emit(&mut pieces, &mut superblock);
    segments.extend(pieces.into_segments()?);
    Segments::new(size, segments)
}

/// Encodes all that does not depend on block numbers.
fn measure<'a>(tree: &'a FileTree, options: &Options, seed: Checksum) -> Result<Contents<'a>> {
    let numbering = Numbering::new(tree, options.stable_prefix)?;
    let hash = DirectoryHash::new(&options.hash_seed);
    let mut values = LargeValues::new(numbering.last.saturating_add(1), seed);
    let mut contents = Contents {
        inodes: Vec::with_capacity(numbering.list.len() + 1),
        xattrs: Vec::new(),
        values: LargeValues::new(0, seed),
        last_inode: numbering.last,
    };
    // Equal blocks by contents: the one that still takes references.
    let mut shared: BTreeMap<AttributeBlock, usize> = BTreeMap::new();
    let mut in_inodes: BTreeSet<Rc<[u8; XATTR_SIZE]>> = BTreeSet::new();
    for item in &numbering.list {
        let mut pending = measure_inode(tree, item, &numbering, hash, seed).map_err(|e| e.context(path_for_message(tree, item)))?;
        // GRUB does not know attributes in inodes of their own.
        let large = (!options.grub_readable).then_some(&mut values);
        let placed = xattr::place(&tree.inode(item.id).attributes.xattrs, large).map_err(|e| e.context(path_for_message(tree, item)))?;
        if placed.in_inode != [0; XATTR_SIZE] {
            let kept = in_inodes.get(&placed.in_inode).cloned().unwrap_or_else(|| {
                let new = Rc::new(placed.in_inode);
                in_inodes.insert(new.clone());
                new
            });
            pending.record.xattrs = Some(kept);
        }
        pending.record.blocks = placed.large_blocks;
        if let Some(block) = placed.block {
            let open = shared.get(&block).copied().filter(|&i| contents.xattrs[i].references < xattr::MAX_REFERENCES);
            let index = open.unwrap_or(contents.xattrs.len());
            match open {
                Some(i) => contents.xattrs[i].references += 1,
                None => {
                    values.refer(&placed.large);
                    contents.xattrs.push(SharedXattrs { block: block.clone(), references: 1 });
                    shared.insert(block, index);
                }
            }
            pending.xattrs = Some(index as u32);
        }
        contents.inodes.push(pending);
    }
    if !numbering.has_lost_and_found {
        contents.inodes.push(lost_and_found(options, hash, seed)?);
    }
    contents.last_inode = values.list().last().map_or(numbering.last, |value| value.number);
    contents.values = values;
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
    let mut record = InodeRecord {
        mode: node.st_mode() as u16,
        uid: a.uid,
        gid: a.gid,
        time: Time::new(a.mtime, a.mtime_nanoseconds)?,
        ..InodeRecord::default()
    };
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
                .map(|(name, id)| Name { name, inode: numbering.number(id), file_type: dirent::file_type(&tree.inode(id).kind) })
                .collect();
            if item.number == ROOT_INODE && !numbering.has_lost_and_found {
                names.push(Name { name: LOST_AND_FOUND, inode: FIRST_INODE, file_type: DIRECTORY_TYPE });
                links += 1;
            }
            let (blocks, indexed) = directory::encode(&names, item.number, numbering.number(item.parent), hash, seed)?;
            record.flags |= if indexed { inode::flags::INDEX } else { 0 };
            record.size = blocks.len() as u64;
            // dir_nlink: 1 stands for "too many to count".
            links = if links >= LINK_MAX { 1 } else { links };
            Body::Metadata(Packed::new(&blocks))
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
                record.map.as_mut_bytes()[..target.len()].copy_from_slice(target);
                Body::None
            } else {
                Body::Metadata(Packed::new(target))
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
    blocks.extend(directory::empty_leaves(FIRST_INODE, LOST_AND_FOUND_BLOCKS - 1, seed));
    let record = InodeRecord {
        mode: 0o040_700,
        links: 2,
        size: blocks.len() as u64,
        time: Time::new(options.epoch.0.into(), 0)?,
        ..InodeRecord::default()
    };
    Ok(Pending { number: FIRST_INODE, record, body: Body::Metadata(Packed::new(&blocks)), xattrs: None })
}
