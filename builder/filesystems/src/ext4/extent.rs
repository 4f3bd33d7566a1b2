//! The extent tree: maps a file's logical blocks to runs on disk (ext4_extents.h). The root with four entries is in the inode;
//! further nodes are blocks of 340 entries with a checksum behind.

use super::BLOCK;
use super::allocate::Run;
use super::checksum::Checksum;
use super::inode::MAP_SIZE;
use super::little_endian::{get_u16, get_u32, put_u16, put_u32};
use model::{Error, Result};

const MAGIC: u16 = 0xf30a;
/// EXT_INIT_MAX_LEN: longer means "allocated, not written".
const MAX_LENGTH: u64 = 32_768;
const HEADER: usize = 12;
const ENTRY: usize = 12;
const PER_ROOT: usize = (MAP_SIZE - HEADER) / ENTRY;
const PER_BLOCK: usize = (BLOCK - HEADER) / ENTRY;
const TAIL: usize = HEADER + PER_BLOCK * ENTRY;

/// `length` blocks from logical block `logical` lie at `start`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    logical: u32,
    start: u64,
    length: u16,
}

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
            out.push(Extent { logical: (logical + done) as u32, start: run.start + done, length: length as u16 });
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
pub(super) fn encode(extents: &[Extent], blocks: &[u64], seed: Checksum) -> ([u8; MAP_SIZE], Vec<(u64, Vec<u8>)>) {
    let mut written = Vec::new();
    let mut entries: Vec<(u32, [u8; ENTRY])> = extents.iter().map(|e| (e.logical, encode_leaf(e))).collect();
    let mut depth = 0;
    let mut free = blocks.iter();
    while entries.len() > PER_ROOT {
        let mut parents = Vec::new();
        for (node, &block) in entries.chunks(PER_BLOCK).zip(&mut free) {
            let mut b = vec![0; BLOCK];
            encode_node(&mut b, node, PER_BLOCK, depth);
            seed.with(&b[..TAIL]).put(&mut b, TAIL);
            parents.push((node[0].0, encode_index(node[0].0, block)));
            written.push((block, b));
        }
        entries = parents;
        depth += 1;
    }
    let mut root = [0; MAP_SIZE];
    encode_node(&mut root, &entries, PER_ROOT, depth);
    (root, written)
}

fn encode_node(b: &mut [u8], entries: &[(u32, [u8; ENTRY])], max: usize, depth: u16) {
    put_u16(b, 0, MAGIC);
    put_u16(b, 2, entries.len() as u16);
    put_u16(b, 4, max as u16);
    put_u16(b, 6, depth);
    // 8 eh_generation: 0, unused.
    for (i, (_, entry)) in entries.iter().enumerate() {
        b[HEADER + i * ENTRY..][..ENTRY].copy_from_slice(entry);
    }
}

fn encode_leaf(e: &Extent) -> [u8; ENTRY] {
    let mut b = [0; ENTRY];
    put_u32(&mut b, 0, e.logical);
    put_u16(&mut b, 4, e.length);
    put_u16(&mut b, 6, (e.start >> 32) as u16);
    put_u32(&mut b, 8, e.start as u32);
    b
}

fn encode_index(logical: u32, block: u64) -> [u8; ENTRY] {
    let mut b = [0; ENTRY];
    put_u32(&mut b, 0, logical);
    put_u32(&mut b, 4, block as u32);
    put_u16(&mut b, 8, (block >> 32) as u16);
    b
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
    let (magic, count, found_depth) = (get_u16(b, 0), usize::from(get_u16(b, 2)), get_u16(b, 6));
    if magic != MAGIC {
        return Err(bad("magic 0xf30a", magic.into()));
    }
    // EXT4_MAX_EXTENT_DEPTH.
    if found_depth > 5 || depth.is_some_and(|d| d != found_depth) {
        return Err(bad("one level less than above, at most 5", found_depth.into()));
    }
    if HEADER + count * ENTRY > b.len() {
        return Err(bad("entries that fit into the node", count as u64));
    }
    let entries = (0..count).map(|i| b.get(HEADER + i * ENTRY..).unwrap_or(&[]));
    let node = if found_depth > 0 {
        Node::Index(entries.map(|e| u64::from(get_u32(e, 4)) | u64::from(get_u16(e, 8)) << 32).collect())
    } else {
        let leaf = entries.map(|e| {
            let length = u64::from(get_u16(e, 4));
            let unwritten = length > MAX_LENGTH;
            let length = if unwritten { length - MAX_LENGTH } else { length };
            (u64::from(get_u32(e, 0)), u64::from(get_u32(e, 8)) | u64::from(get_u16(e, 6)) << 32, length, unwritten)
        });
        Node::Leaf(leaf.collect())
    };
    Ok((node, found_depth))
}
