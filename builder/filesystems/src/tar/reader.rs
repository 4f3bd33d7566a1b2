//! Reads a member's header, sparse ones of the old GNU dialect included, trusting nothing.

use super::{Header, REGULAR, SPARSE, Sparse, SparseHeader};
use model::{Error, Result, ResultJudged};
use zerocopy::{FromZeros, transmute_mut, transmute_ref};

/// Parts of a sparse file accepted: a map of 24 MiB.
const PARTS_MAX: usize = 1 << 20;

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    /// Of the file with its holes, in bytes.
    pub size: u64,
    /// In the archive, without padding.
    pub stored: u64,
    sparse: Option<Vec<(u64, u64)>>,
    more: bool,
}

impl Member {
    /// `None` if the block is no tar header at all; an error for one of something else than a regular file.
    pub fn decode(bytes: &[u8; 512]) -> Result<Option<Self>> {
        let header: &Header = transmute_ref!(bytes);
        let bad = |what: &str| Error::integrity(format!("tar header: {what}"));
        if !header.magic.starts_with(b"ustar") {
            return Ok(None);
        }
        if number(&header.chksum[..7]) != Some(u64::from(header.sum())) {
            return Err(bad("its checksum is wrong"));
        }
        let name = header.name.split(|&b| b == 0).next().unwrap_or(&[]);
        let name = String::from_utf8_lossy(name).into_owned();
        let stored = number(&header.size).ok_or_else(|| bad("its size is no number"))?;
        match header.typeflag {
            REGULAR | 0 => Ok(Some(Member { name, size: stored, stored, sparse: None, more: false })),
            SPARSE => {
                let size = number(&header.realsize).ok_or_else(|| bad("its size is no number"))?;
                let mut map = Vec::new();
                decode_parts(&header.sp, size, &mut map)?;
                Ok(Some(Member { name, size, stored, sparse: Some(map), more: header.isextended != 0 }))
            }
            other => Err(bad(&format!("a member of type {:?}", char::from(other)))),
        }
    }

    /// Offset and length of each part of the file that is stored, ascending; `next` reads further map blocks.
    pub fn parts(&self, next: &mut dyn FnMut(&mut [u8; 512]) -> Result<()>) -> Result<Vec<(u64, u64)>> {
        let Some(mut map) = self.sparse.clone() else { return Ok(vec![(0, self.size)]) };
        let mut more = self.more;
        while more {
            let mut block = SparseHeader::new_zeroed();
            next(transmute_mut!(&mut block))?;
            decode_parts(&block.sp, self.size, &mut map)?;
            more = block.isextended != 0;
        }
        Ok(map)
    }
}

fn decode_parts(entries: &[Sparse], size: u64, map: &mut Vec<(u64, u64)>) -> Result<()> {
    for entry in entries.iter().take_while(|entry| entry.offset[0] != 0) {
        let (Some(offset), Some(length)) = (number(&entry.offset), number(&entry.numbytes)) else {
            return Err(Error::integrity("tar header: a sparse map with no numbers in it"));
        };
        let end = map.last().map_or(0, |&(at, length)| at + length);
        if offset < end || offset.checked_add(length).is_none_or(|end| end > size) || map.len() >= PARTS_MAX {
            return Err(Error::integrity(format!("tar header: a part of {length} bytes at {offset} of a file of {size}")));
        }
        map.push((offset, length));
    }
    Ok(())
}

/// Octal, ended by NUL or a blank, or GNU's binary form.
fn number(field: &[u8]) -> Option<u64> {
    if field.first()? & 0x80 != 0 {
        let (high, low) = field.split_last_chunk::<8>()?;
        let plain = high.iter().enumerate().all(|(n, &b)| b == if n == 0 { 0x80 } else { 0 });
        return (plain && !high.is_empty()).then(|| u64::from_be_bytes(*low));
    }
    let text = field.split(|&b| b == 0 || b == b' ').find(|part| !part.is_empty())?;
    u64::from_str_radix(std::str::from_utf8(text).none_because("the caller's sentence says what a number is")?, 8)
        .none_because("the caller's sentence says what a number is")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::{Dialect, sparse_archive};
    use model::{Segment, Segments, SourceDateEpoch};

    #[test]
    fn a_sparse_member_of_any_number_of_parts_reads_back() {
        for parts in [1u64, 4, 5, 25, 26, 60] {
            let list = (0..parts).map(|n| Segment { offset: n << 20, data: vec![n as u8 + 1; 5000].into() }).collect();
            let content = Segments::new(100 << 20, list).unwrap();
            let archive = sparse_archive("disk.raw", &content, SourceDateEpoch(1)).unwrap();
            let mut at = 512;
            let mut header = [0; 512];
            archive.read_at(&mut header, 0).unwrap();
            let member = Member::decode(&header).unwrap().unwrap();
            assert_eq!((member.name.as_str(), member.size), ("disk.raw", 100 << 20));
            let mut next = |block: &mut [u8; 512]| {
                archive.read_at(block, at)?;
                at += 512;
                Ok(())
            };
            let found = member.parts(&mut next).unwrap();
            assert!(found.iter().copied().eq((0..parts).map(|n| (n << 20, 8192)).chain([(100 << 20, 0)])), "{parts}: {found:?}");
            assert_eq!(archive.size(), at + parts * 8192 + 1024);
            header[483] = b'7';
            assert!(Member::decode(&header).is_err(), "a wrong checksum was accepted");
        }
        assert_eq!(Member::decode(&[0; 512]).unwrap(), None);
    }

    #[test]
    fn numbers_read_back_in_both_forms() {
        for value in [0, 0o7777, (8 << 30) - 1, 8 << 30, u64::MAX] {
            let mut field = [0; 12];
            crate::tar::number(&mut field, Dialect::OldGnu, value).unwrap();
            assert_eq!(number(&field), Some(value));
        }
        assert!(crate::tar::number(&mut [0; 12], Dialect::Ustar, 8 << 30).is_err());
    }
}
