//! Tar archives in two dialects: POSIX ustar (IEEE Std 1003.1, pax, "ustar Interchange Format") and GNU tar's older one with its sparse files (GNU tar's
//! manual, "Basic Tar Format", `struct oldgnu_header` and `struct sparse_header`).
//!
//! ```text
//! member: header 512 | sparse only: further maps, 512 each … | content, padded to 512 ;   the end: 1024 zeros
//! ```

mod reader;

pub use reader::Member;

use model::{Error, Result, Segment, Segments, SourceDateEpoch};

/// Bytes; everything is a multiple of it.
pub const BLOCK: u64 = 512;
/// Two zero blocks end an archive.
pub const END: [u8; 1024] = [0; 1024];

/// Parts of a sparse file that the header describes, and that each block behind it does.
const IN_HEADER: usize = 4;
const IN_EXTENSION: usize = 21;
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
    let mut h = [0; 512];
    if name.len() > 99 || !name.is_ascii() {
        return Err(Error::internal(format!("tar: the name {name:?} does not fit into 99 ASCII bytes")));
    }
    h[..name.len()].copy_from_slice(name.as_bytes());
    h[100..108].copy_from_slice(b"0000644\0");
    h[108..116].copy_from_slice(b"0000000\0");
    h[116..124].copy_from_slice(b"0000000\0");
    number(&mut h[124..136], dialect, size)?;
    number(&mut h[136..148], dialect, u64::from(mtime.0))?;
    h[156] = b'0';
    h[257..265].copy_from_slice(match dialect {
        Dialect::Ustar => b"ustar\x0000",
        Dialect::OldGnu => b"ustar  \0",
    });
    h[265..269].copy_from_slice(b"root");
    h[297..301].copy_from_slice(b"root");
    seal(&mut h);
    Ok(h)
}

/// The checksum is the sum of all bytes with blanks in its own place.
fn seal(h: &mut [u8; 512]) {
    h[148..156].fill(b' ');
    let sum: u32 = h.iter().map(|&b| u32::from(b)).sum();
    h[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
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
    let mut front = header(Dialect::OldGnu, name, stored, mtime)?;
    front[156] = b'S';
    let (first, rest) = map.split_at(map.len().min(IN_HEADER));
    entries(&mut front[386..482], first)?;
    front[482] = u8::from(!rest.is_empty());
    number(&mut front[483..495], Dialect::OldGnu, content.size())?;
    seal(&mut front);
    let mut front = front.to_vec();
    for (n, some) in rest.chunks(IN_EXTENSION).enumerate() {
        let mut block = [0; 512];
        entries(&mut block[..504], some)?;
        block[504] = u8::from((n + 1) * IN_EXTENSION < rest.len());
        front.extend(block);
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

fn entries(field: &mut [u8], parts: &[(u64, u64)]) -> Result<()> {
    for (entry, &(offset, length)) in field.chunks_exact_mut(24).zip(parts) {
        number(&mut entry[..12], Dialect::OldGnu, offset)?;
        number(&mut entry[12..], Dialect::OldGnu, length)?;
    }
    Ok(())
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
