//! The hash tree of a directory bigger than a block (Documentation/filesystems/ext4/directory.rst "Hash Tree Directories"):
//! block 0 is the root, then come the nodes if there are two levels, then the leaves, ordered by hash. Old readers see
//! root and nodes as blocks without names.

use super::BLOCK;
use super::checksum::Checksum;
use super::dirent::{DirEntryHead, Name, encode_leaf, fitting, unused};
use super::hash::DirectoryHash;
use model::{Error, Result};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{Immutable, IntoBytes};

/// `struct dx_root` without its entries.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct DxRoot {
    dot: DirEntryHead,
    dot_name: [u8; 4],
    dotdot: DirEntryHead,
    dotdot_name: [u8; 4],
    reserved_zero: U32,
    hash_version: u8,
    info_length: u8,
    indirect_levels: u8,
    unused_flags: u8,
}
const _: () = assert!(size_of::<DxRoot>() == 32);

/// `struct dx_entry`: a block of the next level, and the hash that it starts from.
#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C)]
struct DxEntry {
    hash: U32,
    block: U32,
}
const _: () = assert!(size_of::<DxEntry>() == 8);

/// `struct dx_countlimit`: in place of the first entry's hash, which is known from above.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct DxCountLimit {
    limit: U16,
    count: U16,
}
const _: () = assert!(size_of::<DxCountLimit>() == 4);

/// `struct dx_tail`: behind the room for entries.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct DxTail {
    dt_reserved: U32,
    dt_checksum: U32,
}
const _: () = assert!(size_of::<DxTail>() == 8);

/// Entries that fit between what starts a block and its tail.
const fn limit(head: usize) -> usize {
    (BLOCK - head - size_of::<DxTail>()) / size_of::<DxEntry>()
}
const ROOT_LIMIT: usize = limit(size_of::<DxRoot>());
/// A node starts with an entry of no inode.
const NODE_LIMIT: usize = limit(size_of::<DirEntryHead>());
/// hash_version, and s_def_hash_version in the superblock: DX_HASH_HALF_MD4.
pub(super) const HALF_MD4: u8 = 1;

pub(super) fn encode(names: &[Name], dots: &[Name; 2], hash: DirectoryHash, seed: Checksum) -> Result<Vec<u8>> {
    let mut hashed: Vec<((u32, u32), Name)> = names.iter().map(|&n| (hash.of(n.name), n)).collect();
    hashed.sort_by_key(|&(key, _)| key);
    let ordered: Vec<Name> = hashed.iter().map(|&(_, n)| n).collect();

    // Leaves, each with the hash that it starts from.
    let mut leaves = Vec::new();
    let mut starts = Vec::new();
    let mut at = 0;
    while at < ordered.len() {
        let count = fitting(&ordered[at..]).max(1);
        let first = hashed[at].0.0;
        // The lowest bit says that the hash before continues here.
        let continued = at > 0 && hashed[at - 1].0.0 == first;
        starts.push(if at == 0 { 0 } else { first | u32::from(continued) });
        leaves.push(encode_leaf(&ordered[at..at + count], seed));
        at += count;
    }

    let node_count = if leaves.len() <= ROOT_LIMIT { 0 } else { leaves.len().div_ceil(NODE_LIMIT) };
    if node_count > ROOT_LIMIT {
        let most = ROOT_LIMIT * NODE_LIMIT;
        return Err(Error::recipe(format!(
            "ext4: a directory of {} names needs {} blocks, more than the {most} that two levels reach",
            names.len(),
            leaves.len()
        )));
    }
    let first_leaf = 1 + node_count as u32;
    let entry = |(hash, block): (u32, u32)| DxEntry { hash: hash.into(), block: block.into() };
    let entries: Vec<DxEntry> = starts.into_iter().zip(first_leaf..).map(entry).collect();
    let mut out = Vec::with_capacity((1 + node_count + leaves.len()) * BLOCK);
    if node_count == 0 {
        out.extend(encode_root(dots, 0, &entries, seed));
    } else {
        let parts: Vec<&[DxEntry]> = entries.chunks(leaves.len().div_ceil(node_count)).collect();
        let top: Vec<DxEntry> = parts.iter().zip(1u32..).map(|(part, block)| DxEntry { hash: part[0].hash, block: block.into() }).collect();
        out.extend(encode_root(dots, 1, &top, seed));
        for part in parts {
            out.extend(encode_node(part, seed));
        }
    }
    leaves.into_iter().for_each(|leaf| out.extend(leaf));
    Ok(out)
}

fn encode_root(dots: &[Name; 2], levels: u8, entries: &[DxEntry], seed: Checksum) -> Vec<u8> {
    let dot_length = size_of::<DirEntryHead>() + 4;
    let root = DxRoot {
        dot: dots[0].head(dot_length),
        dot_name: *b".\0\0\0",
        dotdot: dots[1].head(BLOCK - dot_length),
        dotdot_name: *b"..\0\0",
        reserved_zero: U32::ZERO,
        hash_version: HALF_MD4,
        info_length: 8,
        indirect_levels: levels,
        unused_flags: 0,
    };
    encode_entries(root.as_bytes(), ROOT_LIMIT, entries, seed)
}

fn encode_node(entries: &[DxEntry], seed: Checksum) -> Vec<u8> {
    encode_entries(unused(BLOCK).as_bytes(), NODE_LIMIT, entries, seed)
}

/// A block of `head`, `entries` with room for `limit` of them, and the tail.
fn encode_entries(head: &[u8], limit: usize, entries: &[DxEntry], seed: Checksum) -> Vec<u8> {
    let mut block = Vec::with_capacity(BLOCK);
    block.extend_from_slice(head);
    block.extend_from_slice(entries.as_bytes());
    let count_limit = DxCountLimit { limit: (limit as u16).into(), count: (entries.len() as u16).into() };
    block[head.len()..][..size_of::<DxCountLimit>()].copy_from_slice(count_limit.as_bytes());
    // ext4_dx_csum: the entries in use, then the tail with its checksum as zero.
    let mut tail = DxTail { dt_reserved: U32::ZERO, dt_checksum: U32::ZERO };
    tail.dt_checksum = seed.with(&block).with(tail.as_bytes()).0.into();
    block.resize(head.len() + limit * size_of::<DxEntry>(), 0);
    block.extend_from_slice(tail.as_bytes());
    block
}
