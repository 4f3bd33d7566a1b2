//! The extent tree: maps a file's logical blocks to runs on disk (ext4_extents.h). The root with four entries is in the inode;
//! further nodes are blocks of 340 entries with a checksum behind.

use super::BLOCK;
use super::allocate::Run;
use super::checksum::Checksum;
use super::inode::{MAP_SIZE, Map};
use model::{Error, Result};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute};

const MAGIC: u16 = 0xf30a;
/// EXT_INIT_MAX_LEN: longer means "allocated, not written".
const MAX_LENGTH: u64 = 32_768;

/// `struct ext4_extent_header`: starts each node.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct ExtentHeader {
    eh_magic: U16,
    eh_entries: U16,
    eh_max: U16,
    eh_depth: U16,
    eh_generation: U32,
}
const _: () = assert!(size_of::<ExtentHeader>() == 12);

/// `struct ext4_extent`: a run of blocks, in a leaf.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Extent {
    ee_block: U32,
    ee_len: U16,
    ee_start_hi: U16,
    ee_start_lo: U32,
}
const _: () = assert!(size_of::<Extent>() == ENTRY);

/// `struct ext4_extent_idx`: a node of the next level, in a node above the leaves.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct ExtentIndex {
    ei_block: U32,
    ei_leaf_lo: U32,
    ei_leaf_hi: U16,
    ei_unused: U16,
}
const _: () = assert!(size_of::<ExtentIndex>() == ENTRY);

const HEADER: usize = size_of::<ExtentHeader>();
/// Bytes of an entry of either kind.
const ENTRY: usize = 12;
const PER_ROOT: usize = (MAP_SIZE - HEADER) / ENTRY;
const PER_BLOCK: usize = (BLOCK - HEADER) / ENTRY;
/// Where `struct ext4_extent_tail` lies: the checksum of all before it.
const TAIL: usize = HEADER + PER_BLOCK * ENTRY;

/// Where a part of a file lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    /// The first block's number in the file.
    pub(super) logical: u64,
    pub(super) run: Run,
}

/// The parts of one file, in order, cut to what an extent can hold.
pub(super) fn extents(parts: &[Placed]) -> Vec<Extent> {
    let mut out = Vec::new();
    for Placed { logical, run } in parts {
        let mut done = 0;
        while done < run.length {
            let length = (run.length - done).min(MAX_LENGTH);
            let start = run.start + done;
            out.push(Extent {
                ee_block: ((logical + done) as u32).into(),
                ee_len: (length as u16).into(),
                ee_start_hi: ((start >> 32) as u16).into(),
                ee_start_lo: (start as u32).into(),
            });
            done += length;
        }
    }
    out
}

/// Blocks of the tree outside the inode.
pub(super) fn tree_blocks(extents: usize) -> usize {
    let (mut nodes, mut total) = (extents, 0);
    while nodes > PER_ROOT {
        nodes = nodes.div_ceil(PER_BLOCK);
        total += nodes;
    }
    total
}

/// i_block, and the tree's other blocks in the order of `blocks`, of which there are `tree_blocks`.
pub(super) fn encode(extents: &[Extent], blocks: &[u64], seed: Checksum) -> (Map, Vec<(u64, Vec<u8>)>) {
    let mut written = Vec::new();
    // Each with the first logical block that it covers.
    let mut entries: Vec<(U32, [u8; ENTRY])> = extents.iter().map(|e| (e.ee_block, transmute!(*e))).collect();
    let mut depth = 0;
    let mut free = blocks.iter();
    while entries.len() > PER_ROOT {
        let mut parents = Vec::new();
        for (node, &block) in entries.chunks(PER_BLOCK).zip(&mut free) {
            let mut b = vec![0; BLOCK];
            encode_node(&mut b, node, PER_BLOCK, depth);
            let checksum = seed.with(&b[..TAIL]).0;
            b[TAIL..].copy_from_slice(U32::new(checksum).as_bytes());
            let ei_block = node[0].0;
            let (ei_leaf_lo, ei_leaf_hi) = ((block as u32).into(), ((block >> 32) as u16).into());
            parents.push((ei_block, transmute!(ExtentIndex { ei_block, ei_leaf_lo, ei_leaf_hi, ei_unused: U16::ZERO })));
            written.push((block, b));
        }
        entries = parents;
        depth += 1;
    }
    let mut root = Map::default();
    encode_node(root.as_mut_bytes(), &entries, PER_ROOT, depth);
    (root, written)
}

fn encode_node(b: &mut [u8], entries: &[(U32, [u8; ENTRY])], max: usize, depth: u16) {
    let header = ExtentHeader {
        eh_magic: MAGIC.into(),
        eh_entries: (entries.len() as u16).into(),
        eh_max: (max as u16).into(),
        eh_depth: depth.into(),
        eh_generation: U32::ZERO, // unused
    };
    b[..HEADER].copy_from_slice(header.as_bytes());
    for ((_, entry), place) in entries.iter().zip(b[HEADER..].chunks_exact_mut(ENTRY)) {
        place.copy_from_slice(entry);
    }
}

/// One node of a tree as read.
#[derive(Debug)]
pub(super) enum Node {
    /// Blocks of the next level.
    Index(Vec<u64>),
    /// (logical block, block on disk, length, true if it reads as zeros).
    Leaf(Vec<(u64, u64, u64, bool)>),
}

/// Decodes a node that must lie `depth` levels above the leaves; `None` takes the root's own word, at most 5.
pub(super) fn decode(b: &[u8], depth: Option<u16>) -> Result<(Node, u16)> {
    let bad = |what: &str, found: u64| Error::integrity(format!("ext4 extent node: expected {what}, found {found:#x}"));
    let (header, entries) = ExtentHeader::ref_from_prefix(b).map_err(|_| bad("a header of 12 bytes", b.len() as u64))?;
    let (count, found_depth) = (usize::from(header.eh_entries), header.eh_depth.get());
    if header.eh_magic != MAGIC {
        return Err(bad("magic 0xf30a", header.eh_magic.into()));
    }
    // EXT4_MAX_EXTENT_DEPTH.
    if found_depth > 5 || depth.is_some_and(|d| d != found_depth) {
        return Err(bad("one level less than above, at most 5", found_depth.into()));
    }
    let too_many = || bad("entries that fit into the node", count as u64);
    let node = if found_depth > 0 {
        let (entries, _) = <[ExtentIndex]>::ref_from_prefix_with_elems(entries, count).map_err(|_| too_many())?;
        Node::Index(entries.iter().map(|e| u64::from(e.ei_leaf_lo) | u64::from(e.ei_leaf_hi) << 32).collect())
    } else {
        let (entries, _) = <[Extent]>::ref_from_prefix_with_elems(entries, count).map_err(|_| too_many())?;
        let leaf = entries.iter().map(|e| {
            let length = u64::from(e.ee_len);
            let unwritten = length > MAX_LENGTH;
            let length = if unwritten { length - MAX_LENGTH } else { length };
            (e.ee_block.into(), u64::from(e.ee_start_lo) | u64::from(e.ee_start_hi) << 32, length, unwritten)
        });
        Node::Leaf(leaf.collect())
    };
    Ok((node, found_depth))
}
