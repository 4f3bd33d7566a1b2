//! Whole directories: one block of entries, or a hash tree over several.

use super::checksum::Checksum;
use super::dirent::{DIRECTORY_TYPE, Name, TAIL, encode_leaf};
use super::hash::DirectoryHash;
use super::htree;
use model::Result;

/// The blocks of a directory, one after the other; true if they carry a hash tree.
pub(super) fn encode(names: &[Name], own: u32, parent: u32, hash: DirectoryHash, seed: Checksum) -> Result<(Vec<u8>, bool)> {
    let dots = [Name { name: b".", inode: own, file_type: DIRECTORY_TYPE }, Name { name: b"..", inode: parent, file_type: DIRECTORY_TYPE }];
    let seed = seed.of_inode(own);
    let all: Vec<Name> = dots.iter().chain(names).copied().collect();
    if all.iter().map(Name::record_length).sum::<usize>() <= TAIL {
        return Ok((encode_leaf(&all, seed), false));
    }
    Ok((htree::encode(names, &dots, hash, seed)?, true))
}

/// Blocks for the directory `own` in which there is no name yet.
pub(super) fn empty_leaves(own: u32, count: u64, seed: Checksum) -> Vec<u8> {
    encode_leaf(&[], seed.of_inode(own)).repeat(count as usize)
}
