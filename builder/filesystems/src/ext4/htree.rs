//! The hash tree of a directory bigger than a block (Documentation/filesystems/ext4/directory.rst "Hash Tree Directories"):
//! block 0 is the root, then come the nodes if there are two levels, then the leaves, ordered by hash. Old readers see
//! root and nodes as blocks without names.

use super::BLOCK;
use super::checksum::Checksum;
use super::dirent::{Name, encode_leaf, fitting};
use super::hash::DirectoryHash;
use super::little_endian::{put_u16, put_u32};
use model::{Error, Result};

/// In the root: `.` and `..` (12 bytes each) and dx_root_info (8).
const ROOT_ENTRIES: usize = 32;
/// In a node: an entry of no inode.
const NODE_ENTRIES: usize = 8;
/// dx_entry: hash and block; also dx_tail: reserved and checksum.
const ENTRY: usize = 8;
const ROOT_LIMIT: usize = (BLOCK - ROOT_ENTRIES - ENTRY) / ENTRY;
const NODE_LIMIT: usize = (BLOCK - NODE_ENTRIES - ENTRY) / ENTRY;
/// dx_root_info.hash_version: DX_HASH_HALF_MD4.
const HALF_MD4: u8 = 1;

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
    let entries: Vec<(u32, u32)> = starts.into_iter().zip(first_leaf..).collect();
    let mut out = Vec::with_capacity((1 + node_count + leaves.len()) * BLOCK);
    if node_count == 0 {
        out.extend(encode_root(dots, 0, &entries, seed));
    } else {
        let parts: Vec<&[(u32, u32)]> = entries.chunks(leaves.len().div_ceil(node_count)).collect();
        let top: Vec<(u32, u32)> = parts.iter().zip(1..).map(|(part, block)| (part[0].0, block)).collect();
        out.extend(encode_root(dots, 1, &top, seed));
        for part in parts {
            out.extend(encode_node(part, seed));
        }
    }
    leaves.into_iter().for_each(|leaf| out.extend(leaf));
    Ok(out)
}

fn encode_root(dots: &[Name; 2], levels: u8, entries: &[(u32, u32)], seed: Checksum) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    dots[0].encode(&mut block, 0, 12);
    dots[1].encode(&mut block, 12, BLOCK - 12);
    block[28] = HALF_MD4;
    block[29] = 8; // info_length
    block[30] = levels;
    encode_entries(&mut block, ROOT_ENTRIES, ROOT_LIMIT, entries, seed);
    block
}

fn encode_node(entries: &[(u32, u32)], seed: Checksum) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    put_u16(&mut block, 4, BLOCK as u16);
    encode_entries(&mut block, NODE_ENTRIES, NODE_LIMIT, entries, seed);
    block
}

/// The first entry's hash is known from above, so limit and count lie in its place.
fn encode_entries(block: &mut [u8], at: usize, limit: usize, entries: &[(u32, u32)], seed: Checksum) {
    for (i, &(hash, target)) in entries.iter().enumerate() {
        put_u32(block, at + i * ENTRY, hash);
        put_u32(block, at + i * ENTRY + 4, target);
    }
    put_u16(block, at, limit as u16);
    put_u16(block, at + 2, entries.len() as u16);
    // ext4_dx_csum: the entries in use, then the tail with its checksum as zero.
    let checksum = seed.with(&block[..at + entries.len() * ENTRY]).with(&[0; ENTRY]);
    checksum.put(block, at + limit * ENTRY + 4);
}
