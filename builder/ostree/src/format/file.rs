//! Content objects: a header, then for a regular file its bytes.
//!
//! ```text
//! named by  sha256( u32 BE length | 4 zero bytes | header (uuuusa(ayay)): uid gid st_mode rdev target xattrs | bytes )
//! archive   u32 BE length | 4 zero bytes | header (tuuuusa(ayay)): the same after the size of the bytes | bytes, raw deflate
//! ```
//!
//! Only regular files and symlinks exist; rdev is 0 and the target of a file is empty.

use super::{Xattrs, decode_xattrs, encode_xattrs};
use crate::gvariant::{Shape, Value, split_tuple, text, u32_be, u64_be};
use model::{Error, Result};

const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileHeader {
    pub uid: u32,
    pub gid: u32,
    /// With the S_IFMT bits; a symlink's permissions are always 0777.
    pub mode: u32,
    /// Empty for a regular file.
    pub target: String,
    pub xattrs: Xattrs,
}

/// What stands before the compressed bytes in an archive repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveHeader {
    /// Of the bytes before compression; 0 for a symlink.
    pub size: u64,
    pub file: FileHeader,
    /// Where the compressed bytes start in the object.
    pub length: u64,
}

impl FileHeader {
    pub fn is_symlink(&self) -> bool {
        self.mode & !0o7777 == SYMLINK
    }

    fn members(&self) -> [Value; 6] {
        [
            Value::u32_be(self.uid),
            Value::u32_be(self.gid),
            Value::u32_be(self.mode),
            Value::u32_be(0),
            Value::string(&self.target),
            encode_xattrs(&self.xattrs),
        ]
    }

    /// The bytes that the digest starts with.
    pub fn encode(&self) -> Vec<u8> {
        framed(&Value::tuple(&self.members()).into_bytes())
    }

    /// The bytes that a `.filez` object of a file of `size` bytes starts with.
    pub fn encode_archive(&self, size: u64) -> Vec<u8> {
        let [uid, gid, mode, rdev, target, xattrs] = self.members();
        framed(&Value::tuple(&[Value::u64_be(size), uid, gid, mode, rdev, target, xattrs]).into_bytes())
    }
}

fn framed(header: &[u8]) -> Vec<u8> {
    // An in-memory header is far below 4 GiB: names, xattrs and targets are bounded by the kernel's own limits.
    [&(header.len() as u32).to_be_bytes(), [0; 4].as_slice(), header].concat()
}

impl ArchiveHeader {
    /// Bytes before the header.
    pub const FRAME: u64 = 8;
    /// Longest header accepted, in bytes; libostree has no limit of its own below that of all metadata.
    pub const MAX: u32 = 1 << 20;

    /// The header's length out of the first 8 bytes of an object.
    pub fn frame(bytes: [u8; 8]) -> Result<u32> {
        let [a, b, c, d, padding @ ..] = bytes;
        let length = u32::from_be_bytes([a, b, c, d]);
        if padding != [0; 4] || length > Self::MAX {
            return Err(Error::integrity(format!("expected a file header of at most {} bytes at offset 0, found {length}", Self::MAX)));
        }
        Ok(length)
    }

    /// `bytes` are the header alone, without its frame.
    pub fn decode(bytes: &[u8]) -> Result<ArchiveHeader> {
        const U: Shape = Shape::U32;
        let [size, uid, gid, mode, _rdev, target, xattrs] = split_tuple(bytes, [Shape::U64, U, U, U, U, Shape::BYTES, Shape::BYTES])?;
        let (size, mode, target) = (u64_be(size)?, u32_be(mode)?, text(target)?.to_owned());
        let consistent = match mode & !0o7777 {
            REGULAR => target.is_empty(),
            SYMLINK => !target.is_empty() && size == 0,
            _ => false,
        };
        if !consistent {
            return Err(Error::integrity(format!(
                "expected a regular file or a symlink, found mode {mode:o}, size {size} and target {target:?}"
            )));
        }
        let file = FileHeader { uid: u32_be(uid)?, gid: u32_be(gid)?, mode, target, xattrs: decode_xattrs(xattrs)? };
        Ok(ArchiveHeader { size, file, length: Self::FRAME + bytes.len() as u64 })
    }
}
