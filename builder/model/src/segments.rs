//! A device, filesystem or disk as a sorted list of the parts that are not zero: planned whole before a byte is written, so that every
//! image format is written from the same plan, in parallel, without an intermediate file.

use crate::{Blob, Error, Result};

#[derive(Debug, Clone)]
pub struct Segment {
    /// In bytes from the start of the device.
    pub offset: u64,
    pub data: Blob,
}

/// Non-overlapping segments in ascending order on a device of `size` bytes; everything between them reads as zero.
#[derive(Debug, Clone, Default)]
pub struct Segments {
    size: u64,
    list: Vec<Segment>,
}

impl Segments {
    /// Sorts, and refuses overlaps and segments past the end. Empty segments are dropped.
    pub fn new(size: u64, mut list: Vec<Segment>) -> Result<Self> {
        list.retain(|s| !s.data.is_empty());
        list.sort_by_key(|s| s.offset);
        let mut end = 0;
        for s in &list {
            if s.offset < end || s.offset.checked_add(s.data.len()).is_none_or(|e| e > size) {
                return Err(Error::internal(format!(
                    "segment {}+{} overlaps its predecessor (end {end}) or the device's end ({size})",
                    s.offset,
                    s.data.len()
                )));
            }
            end = s.offset + s.data.len();
        }
        Ok(Segments { size, list })
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Segment> {
        self.list.iter()
    }

    /// The segments moved up by `offset` bytes, to become a part of a bigger device.
    pub fn shifted(&self, offset: u64) -> impl Iterator<Item = Segment> + '_ {
        self.list.iter().map(move |s| Segment { offset: s.offset + offset, data: s.data.clone() })
    }

    /// Those that reach into the `len` bytes from `from` on.
    pub fn overlapping(&self, from: u64, len: u64) -> impl Iterator<Item = &Segment> {
        let end = from.saturating_add(len);
        let first = self.list.partition_point(|s| s.offset + s.data.len() <= from);
        self.list[first..].iter().take_while(move |s| s.offset < end)
    }

    /// What lies in the `len` bytes from `from` on, moved so that those begin at `to`.
    pub fn within(&self, from: u64, len: u64, to: u64) -> Result<Vec<Segment>> {
        let end = from.saturating_add(len);
        let parts = self.overlapping(from, len).map(|s| {
            let (start, stop) = (s.offset.max(from), (s.offset + s.data.len()).min(end));
            Ok(Segment { offset: start - from + to, data: s.data.slice(start - s.offset, stop - start)? })
        });
        parts.collect()
    }

    /// Whether any segment reaches into `len` bytes from `offset`; where none does, the device is zero by plan.
    pub fn touches(&self, offset: u64, len: u64) -> bool {
        let first = self.list.partition_point(|s| s.offset + s.data.len() <= offset);
        self.list.get(first).is_some_and(|s| s.offset < offset + len)
    }

    /// The numbers of those pieces of `piece` bytes that any segment reaches into, ascending.
    pub fn touched_pieces(&self, piece: u64) -> Vec<u64> {
        let mut out: Vec<u64> = Vec::new();
        for s in &self.list {
            let first = (s.offset / piece).max(out.last().map_or(0, |n| n + 1));
            out.extend(first..=(s.offset + s.data.len() - 1) / piece);
        }
        out
    }

    /// Fills `buffer` with the device's bytes from `offset`, zeros between segments. Returns false if no segment was touched (all zero by plan).
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<bool> {
        buffer.fill(0);
        let end = offset + buffer.len() as u64;
        let first = self.list.partition_point(|s| s.offset + s.data.len() <= offset);
        let mut touched = false;
        for s in self.list[first..].iter().take_while(|s| s.offset < end) {
            let from = s.offset.max(offset);
            let to = (s.offset + s.data.len()).min(end);
            s.data.read_exact_at(&mut buffer[(from - offset) as usize..(to - offset) as usize], from - s.offset)?;
            touched = true;
        }
        Ok(touched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_stitched_from_segments_and_zeros() {
        let at = |offset, text: &str| Segment { offset, data: text.as_bytes().into() };
        let s = Segments::new(16, vec![at(8, "wxyz"), at(2, "abc")]).unwrap();
        let mut buffer = [1; 12];
        assert!(s.read_at(&mut buffer, 1).unwrap());
        assert_eq!(&buffer, b"\0abc\0\0\0wxyz\0");
        assert!(!s.read_at(&mut buffer[..3], 5).unwrap());
        assert!(s.touches(4, 2) && !s.touches(5, 3) && s.touches(5, 4) && !s.touches(12, 4));
        assert_eq!(s.touched_pieces(2), [1, 2, 4, 5]);
        assert!(Segments::new(16, vec![at(0, "abc"), at(2, "x")]).is_err());
        assert!(Segments::new(4, vec![at(2, "abc")]).is_err());
    }
}
