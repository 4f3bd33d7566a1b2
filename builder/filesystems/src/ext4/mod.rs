//! ext4: a writer that plans the whole filesystem from a `FileTree` before a byte is written, and a small reader.
//! Specification: the kernel's Documentation/filesystems/ext4 and fs/ext4/*.h; layout choices follow mke2fs 1.47.
//!
//! Written: 4 KiB blocks, 256-byte inodes, extents of any depth, holes, 64bit, metadata_csum, flex_bg, half-MD4 htree of up to two
//! levels, resize_inode, a journal with checksums; extended attributes in the inode, in shared blocks and, where a value is too large
//! for those, in inodes (ea_inode); the verity flag, so that files can be sealed later. Not written: inline data, bigalloc, encryption,
//! quota, casefold, large_dir, orphan_file. Read: the same and what mke2fs writes by default.
//!
//! ```text
//! group 0:  boot+superblock | group descriptors | reserved descriptors | bitmaps of 16 groups | inode tables of 16 groups | data
//! group n:  [superblock copy | descriptors copy | reserved, if n is 1 or a power of 3, 5, 7] | data
//! data:     resize map, journal, directories, symlinks, xattr blocks, large values, then file contents in walk order
//!
//! stable_prefix:
//! group 0:  boot+superblock | group descriptors | reserved descriptors | resize map | journal | free room …
//! group n:  [superblock copy | descriptors copy | reserved] | … free room … | contents with an identity | bitmaps | inode tables |
//!           other contents | directories, symlinks, xattr blocks, large values | lost+found
//! ```
//!
//! A filesystem is planned from a tree in memory, and its bytes then come from the plan; `atomic-image/examples/ext4.rs` makes one from a directory:
//!
//! ```
//! use atomic_image_filesystems::model::{ImagePath, SourceDateEpoch};
//! use atomic_image_filesystems::ext4::{Options, Reader, plan};
//! use atomic_image_filesystems::model::tree::{Attributes, Edit, FileTree, Inode};
//!
//! let mut tree = FileTree::new();
//! let path = ImagePath::parse("/etc/motd")?;
//! tree.insert(&path, Inode::file(b"hello\n".to_vec(), Attributes::root(0o644)), Edit::Create)?;
//! let filesystem = plan(&tree, &Options::new("data", [7; 16], SourceDateEpoch(1_700_000_000)))?;
//! let read = |offset: u64, buffer: &mut [u8]| filesystem.read_at(buffer, offset).map(drop);
//! assert_eq!(Reader::open(&read)?.read_file(&path)?, b"hello\n");
//! # Ok::<(), atomic_image_filesystems::model::Error>(())
//! ```

mod allocate;
mod checksum;
mod contents;
mod directory;
mod dirent;
mod extent;
mod geometry;
mod group;
mod hash;
mod htree;
mod inode;
mod journal;
mod large_value;
mod numbering;
mod owner;
mod packed;
mod plan;
mod reader;
mod resize;
mod size;
mod stable_prefix;
mod superblock;
mod tables;
mod writer;
mod xattr;

#[cfg(test)]
pub(crate) mod tests;

pub use owner::{Owner, Part};
pub use plan::plan;
pub use reader::{DirEntry, Reader, Source, Stat};

use model::SourceDateEpoch;

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
    /// Only features that GRUB reads: no metadata_csum_seed (with which a mounted filesystem's UUID can be changed), no ea_inode.
    pub grub_readable: bool,
    /// Let files be sealed with fs-verity later. Kernels before 5.4 then mount it read-only.
    pub verity: bool,
    /// Allocates free blocks and contents with an identity (`Blob::identity`) first and metadata last, so that a small change of the tree leaves a
    /// long identical prefix. The digest of a whole disk then need not be computed from the start after each change.
    pub stable_prefix: bool,
}

impl Options {
    /// A filesystem that fits its contents with nothing to spare, with a journal.
    pub fn new(label: impl Into<String>, uuid: [u8; 16], epoch: SourceDateEpoch) -> Self {
        let label = label.into();
        Options {
            label,
            uuid,
            hash_seed: uuid,
            epoch,
            size: None,
            reserve: 0,
            journal: true,
            grub_readable: false,
            verity: false,
            stable_prefix: false,
        }
    }
}
