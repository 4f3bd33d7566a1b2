//! What a filesystem is to hold, measured but not placed yet.

use super::BLOCK;
use super::inode::InodeRecord;
use super::large_value::LargeValues;
use super::packed::Packed;
use super::xattr::AttributeBlock;
use model::Blob;
use std::ops::Range;

/// What an inode has in data blocks.
pub(super) enum Body<'a> {
    None,
    /// Directories and long symlinks.
    Metadata(Packed),
    File(&'a Blob),
}

/// An inode whose blocks are not placed yet.
pub(super) struct Pending<'a> {
    pub(super) number: u32,
    pub(super) record: InodeRecord,
    pub(super) body: Body<'a>,
    /// Index of its block of extended attributes.
    pub(super) xattrs: Option<u32>,
}

/// A block of extended attributes that one or more inodes have.
pub(super) struct SharedXattrs {
    pub(super) block: AttributeBlock,
    pub(super) references: u32,
}

/// Everything that needs blocks, or a record in the inode table.
pub(super) struct Contents<'a> {
    pub(super) inodes: Vec<Pending<'a>>,
    pub(super) xattrs: Vec<SharedXattrs>,
    pub(super) values: LargeValues,
    /// The highest inode number in use.
    pub(super) last_inode: u32,
}

/// The blocks of a file that are not holes, by their numbers in the file: ascending, not touching each other.
pub(super) fn parts(blob: &Blob) -> Vec<Range<u64>> {
    let block = BLOCK as u64;
    let Blob::Sparse(segments) = blob else {
        return std::iter::once(0..blob.len().div_ceil(block)).filter(|whole| !whole.is_empty()).collect();
    };
    let mut out: Vec<Range<u64>> = Vec::new();
    for s in segments.iter() {
        let (start, end) = (s.offset / block, (s.offset + s.data.len()).div_ceil(block));
        match out.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => out.push(start..end),
        }
    }
    out
}
