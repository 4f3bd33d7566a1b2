//! Tar archives in two dialects: POSIX ustar (IEEE Std 1003.1, pax, "ustar Interchange Format") and GNU tar's older one with its sparse files (GNU tar's
//! manual, "Basic Tar Format", `struct oldgnu_header` and `struct sparse_header`).
//!
//! ```text
//! member: header 512 | sparse only: further maps, 512 each … | content, padded to 512 ;   the end: 1024 zeros
//! ```

mod reader;

pub use reader::Member;

use model::{Error, Result, Segment, Segments, SourceDateEpoch};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned, transmute};

/// Bytes; everything is a multiple of it.
pub const BLOCK: u64 = 512;
/// Two zero blocks end an archive.
pub const END: [u8; 1024] = [0; 1024];

/// A number in octal digits.
type Octal<const SIZE: usize> = [u8; SIZE];

/// A member's header: POSIX's up to `devminor`, then GNU's `struct oldgnu_header`. In ustar, `prefix` and padding are in the place of the latter; we write
/// them as zeros and do not read them.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    name: [u8; 100],
    mode: Octal<8>,
    uid: Octal<8>,
    gid: Octal<8>,
    size: Octal<12>,
    mtime: Octal<12>,
    chksum: Octal<8>,
    typeflag: u8,
    linkname: [u8; 100],
    /// Magic and version.
    magic: [u8; 8],
    uname: [u8; 32],
    gname: [u8; 32],
    devmajor: Octal<8>,
    devminor: Octal<8>,
    atime: Octal<12>,
    ctime: Octal<12>,
    offset: Octal<12>,
    longnames: [u8; 4],
    unused: u8,
    sp: [Sparse; 4],
    isextended: u8,
    realsize: Octal<12>,
    padding: [u8; 17],
}
const _: () = assert!(size_of::<Header>() == BLOCK as usize);

/// A part of a sparse file that is not a hole (`struct sparse`).
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Sparse {
    offset: Octal<12>,
    numbytes: Octal<12>,
}
const _: () = assert!(size_of::<Sparse>() == 24);

/// Further parts, behind the header or behind another of these.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct SparseHeader {
    sp: [Sparse; 21],
    isextended: u8,
    padding: [u8; 7],
}
const _: () = assert!(size_of::<SparseHeader>() == BLOCK as usize);

/// typeflag of a regular file, and of a sparse one in the old GNU dialect.
const REGULAR: u8 = b'0';
const SPARSE: u8 = b'S';
/// Parts begin and end at multiples of it, and holes shorter than this many times as long are not worth an entry.
const PART_UNIT: u64 = 4096;
const HOLE_MIN: u64 = 16 * PART_UNIT;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Ustar,
    OldGnu,
}

/// The header of a regular file of root, mode 0644.
pub fn header(dialect: Dialect, name: &str, size: u64, mtime: SourceDateEpoch) -> Result<[u8; 512]> {
    Ok(transmute!(Header::new(dialect, name, size, mtime)?.sealed()))
}

impl Header {
    fn new(dialect: Dialect, name: &str, size: u64, mtime: SourceDateEpoch) -> Result<Self> {
        if name.len() > 99 || !name.is_ascii() {
            return Err(Error::internal(format!("tar: the name {name:?} does not fit into 99 ASCII bytes")));
        }
        let mut header = Header {
            mode: *b"0000644\0",
            uid: *b"0000000\0",
            gid: *b"0000000\0",
            typeflag: REGULAR,
            magic: match dialect {
                Dialect::Ustar => *b"ustar\x0000",
                Dialect::OldGnu => *b"ustar  \0",
            },
            ..Header::new_zeroed()
        };
        header.name[..name.len()].copy_from_slice(name.as_bytes());
        header.uname[..4].copy_from_slice(b"root");
        header.gname[..4].copy_from_slice(b"root");
        number(&mut header.size, dialect, size)?;
        number(&mut header.mtime, dialect, u64::from(mtime.0))?;
        Ok(header)
    }

    /// The sum of all bytes with blanks in the sum's own place.
    fn sum(&self) -> u32 {
        let all: u32 = self.as_bytes().iter().map(|&b| u32::from(b)).sum();
        let own: u32 = self.chksum.iter().map(|&b| u32::from(b)).sum();
        all - own + 8 * u32::from(b' ')
    }

    fn sealed(mut self) -> Self {
        let digits = format!("{:06o}", self.sum());
        self.chksum[..6].copy_from_slice(digits.as_bytes());
        self.chksum[6..].copy_from_slice(b"\0 ");
        self
    }
}

/// Octal, or GNU's binary form for what is too large for that.
fn number(field: &mut [u8], dialect: Dialect, value: u64) -> Result<()> {
    let digits = field.len() - 1;
    if value >> (3 * digits) == 0 {
        field[..digits].copy_from_slice(format!("{value:0digits$o}").as_bytes());
        return Ok(());
    }
    if dialect == Dialect::Ustar {
        return Err(Error::recipe(format!("{value} bytes are too many for a POSIX tar archive, which holds 8 GiB a file")));
    }
    field.fill(0);
    field[0] = 0x80;
    let at = field.len() - 8;
    field[at..].copy_from_slice(&value.to_be_bytes());
    Ok(())
}

/// A whole archive with `content` as its only file, sparse, in the old GNU dialect.
pub fn sparse_archive(name: &str, content: &Segments, mtime: SourceDateEpoch) -> Result<Segments> {
    let parts = parts(content);
    let stored: u64 = parts.iter().map(|&(_, length)| length).sum();
    let mut map = parts.clone();
    // As GNU tar ends a map whose file ends with a hole.
    if parts.last().is_none_or(|&(at, length)| at + length < content.size()) {
        map.push((content.size(), 0));
    }
    let mut header = Header::new(Dialect::OldGnu, name, stored, mtime)?;
    header.typeflag = SPARSE;
    let mut rest = encode_parts(&mut header.sp, &map)?;
    header.isextended = u8::from(!rest.is_empty());
    number(&mut header.realsize, Dialect::OldGnu, content.size())?;
    let mut front = header.sealed().as_bytes().to_vec();
    while !rest.is_empty() {
        let mut block = SparseHeader::new_zeroed();
        rest = encode_parts(&mut block.sp, rest)?;
        block.isextended = u8::from(!rest.is_empty());
        front.extend_from_slice(block.as_bytes());
    }
    let base = front.len() as u64;
    let mut list = vec![Segment { offset: 0, data: front.into() }];
    let mut segments = content.iter().peekable();
    let mut at = base;
    for (start, length) in parts {
        while let Some(s) = segments.next_if(|s| s.offset < start + length) {
            list.push(Segment { offset: at + (s.offset - start), data: s.data.clone() });
        }
        at += length.next_multiple_of(BLOCK);
    }
    Segments::new(at + END.len() as u64, list)
}

/// Fills `entries` and returns the parts that are left.
fn encode_parts<'a>(entries: &mut [Sparse], parts: &'a [(u64, u64)]) -> Result<&'a [(u64, u64)]> {
    for (entry, &(offset, length)) in entries.iter_mut().zip(parts) {
        number(&mut entry.offset, Dialect::OldGnu, offset)?;
        number(&mut entry.numbytes, Dialect::OldGnu, length)?;
    }
    Ok(parts.get(entries.len()..).unwrap_or(&[]))
}

/// Offset and length of what is not a hole.
fn parts(content: &Segments) -> Vec<(u64, u64)> {
    let mut out: Vec<(u64, u64)> = Vec::new();
    for s in content.iter() {
        let start = s.offset - s.offset % PART_UNIT;
        let end = (s.offset + s.data.len()).next_multiple_of(PART_UNIT).min(content.size());
        match out.last_mut() {
            Some((at, length)) if start < *at + *length + HOLE_MIN => *length = end - *at,
            _ => out.push((start, end - start)),
        }
    }
    out
}
