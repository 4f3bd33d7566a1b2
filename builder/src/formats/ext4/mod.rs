//! ext4: a writer that plans the whole filesystem from a `FileTree` before a byte is written, and a small reader.
//! Specification: the kernel's Documentation/filesystems/ext4 and fs/ext4/*.h; layout choices follow mke2fs 1.47.
//!
//! Written: 4 KiB blocks, 256-byte inodes, extents, 64bit, metadata_csum, flex_bg, half-MD4 htree, resize_inode, journal.
//! Not written: inline data, ea_inode, bigalloc, encryption, verity, quota, casefold, large_dir.
//!
//! ```text
//! group 0:  boot+superblock | group descriptors | reserved descriptors | bitmaps of 16 groups | inode tables of 16 groups | data
//! group n:  [superblock copy | descriptors copy | reserved, if n is 1 or a power of 3, 5, 7] | data
//! data:     resize map, journal, directories, symlinks, xattr blocks, then file contents in walk order
//! ```

mod allocate;
mod checksum;
mod directory;
mod extent;
mod geometry;
mod group;
mod hash;
mod htree;
mod inode;
mod journal;
mod little_endian;
mod numbering;
mod plan;
mod reader;
mod resize;
mod superblock;
mod tables;
mod xattr;

#[cfg(test)]
mod tests;

pub use plan::plan;
pub use reader::{DirEntry, Reader, Source, Stat};

use crate::base::SourceDateEpoch;

/// Bytes in a block: s_log_block_size = 2.
pub(crate) const BLOCK: usize = 4096;
/// One bitmap block's worth of bits.
pub(crate) const BLOCKS_PER_GROUP: u64 = 8 * BLOCK as u64;
/// Bytes of an inode record, mke2fs's default; 128 has no room for times after 2038.
pub(crate) const INODE_SIZE: usize = 256;
/// Inode numbers that the format fixes (kernel: ext4.h "Special inodes nodes numbers").
pub(crate) const ROOT_INODE: u32 = 2;
pub(crate) const RESIZE_INODE: u32 = 7;
pub(crate) const JOURNAL_INODE: u32 = 8;
/// s_first_ino: the first inode that is not reserved; by custom lost+found.
pub(crate) const FIRST_INODE: u32 = 11;

/// What the filesystem is to be, beside its contents.
#[derive(Debug, Clone)]
pub struct Options {
    /// At most 16 bytes.
    pub label: String,
    pub uuid: [u8; 16],
    /// Keys the directory hash; all zero means MD4's own start values.
    pub hash_seed: [u8; 16],
    pub epoch: SourceDateEpoch,
    /// In bytes, rounded down to a block; `None` fits the contents plus `reserve`.
    pub size: Option<u64>,
    /// Free bytes wanted at least when `size` is `None`.
    pub reserve: u64,
    pub journal: bool,
    /// Only features that GRUB 2.12 reads: no metadata_csum_seed (with which a mounted filesystem's UUID can be changed).
    pub grub_readable: bool,
}
