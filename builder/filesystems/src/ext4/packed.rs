//! Metadata on its way to the disk, of which only what is not zero is kept: most directories fill a small part of their block.

use super::BLOCK;
use model::{Blob, Result, Segment, Segments};
use std::sync::Arc;

/// The granularity of the search for zeros, in bytes.
const STEP: usize = 64;
/// The shortest run of zeros that is left out, in bytes: a separate piece costs as much.
const WORTH_IT: usize = 256;

/// Bytes from the start of a first block on; no part reaches into a second block.
#[derive(Debug, Default)]
pub(super) struct Packed(Vec<(u64, Vec<u8>)>);

impl Packed {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut packed = Packed::default();
        packed.append(0, bytes);
        packed
    }

    /// Adds blocks behind those that end at `offset`.
    pub(super) fn append(&mut self, offset: u64, bytes: &[u8]) {
        for (block, start) in bytes.chunks(BLOCK).zip((offset..).step_by(BLOCK)) {
            // From the first byte of the part to the end of what is known not to be zero.
            let mut open: Option<(usize, usize)> = None;
            for (at, step) in block.chunks(STEP).enumerate().map(|(n, step)| (n * STEP, step)) {
                if step.iter().all(|byte| *byte == 0) {
                    continue;
                }
                match &mut open {
                    Some((_, end)) if at - *end < WORTH_IT => *end = at + step.len(),
                    _ => {
                        self.close(start, block, open);
                        open = Some((at, at + step.len()));
                    }
                }
            }
            self.close(start, block, open);
        }
    }

    fn close(&mut self, start: u64, block: &[u8], part: Option<(usize, usize)>) {
        if let Some((from, to)) = part {
            self.0.push((start + from as u64, block[from..to].to_vec()));
        }
    }
}

impl IntoIterator for Packed {
    type Item = (u64, Vec<u8>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Finished metadata at byte offsets of the filesystem; neighbours are joined at the end, so that a writer makes few, long writes.
#[derive(Default)]
pub(super) struct Pieces(Vec<(u64, Vec<u8>)>);

impl Pieces {
    /// Longest joined piece, in bytes: writers work on pieces in parallel.
    const LONGEST: u64 = 8 << 20;

    /// Whole blocks from `number` on.
    pub(super) fn block(&mut self, number: u64, bytes: &[u8]) {
        let start = number * BLOCK as u64;
        self.0.extend(Packed::new(bytes).into_iter().map(|(offset, part)| (start + offset, part)));
    }

    pub(super) fn part(&mut self, offset: u64, bytes: Vec<u8>) {
        self.0.push((offset, bytes));
    }

    /// Joins what lies in blocks next to each other.
    pub(super) fn into_segments(mut self) -> Result<Vec<Segment>> {
        self.0.sort_by_key(|(offset, _)| *offset);
        let mut pieces = self.0.into_iter().peekable();
        let mut out = Vec::new();
        while let Some((start, first)) = pieces.next() {
            let mut end = start + first.len() as u64;
            let mut stretches = vec![(start, vec![first])];
            let joins = |end: u64, (offset, bytes): &(u64, Vec<u8>)| {
                *offset / BLOCK as u64 <= end.div_ceil(BLOCK as u64) && offset + bytes.len() as u64 - start <= Self::LONGEST
            };
            while let Some((offset, bytes)) = pieces.next_if(|piece| joins(end, piece)) {
                let next = offset + bytes.len() as u64;
                match stretches.last_mut() {
                    Some((_, parts)) if end == offset => parts.push(bytes),
                    _ => stretches.push((offset, vec![bytes])),
                }
                end = next;
            }
            let segment =
                |base: u64| move |(offset, parts): (u64, Vec<Vec<u8>>)| Segment { offset: offset - base, data: parts.concat().into() };
            if stretches.len() == 1 {
                out.extend(stretches.into_iter().map(segment(0)));
            } else {
                let inside = Segments::new(end - start, stretches.into_iter().map(segment(start)).collect())?;
                out.push(Segment { offset: start, data: Blob::Sparse(Arc::new(inside)) });
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_left_out_and_the_rest_reads_as_before() {
        let block = BLOCK as u64;
        let mut bytes = vec![0; 5 * BLOCK];
        for (at, length) in [(10, 50), (200, 1), (BLOCK - 12, 12 + 70), (3 * BLOCK, 2 * BLOCK)] {
            bytes[at..at + length].fill(7);
        }
        let offsets: Vec<(u64, usize)> = Packed::new(&bytes).into_iter().map(|(offset, part)| (offset, part.len())).collect();
        assert_eq!(offsets, [(0, 256), (block - 64, 64), (block, 128), (3 * block, BLOCK), (4 * block, BLOCK)]);
        let mut pieces = Pieces::default();
        pieces.block(9, &bytes);
        pieces.block(2, &[1; 2 * BLOCK]);
        let list = pieces.into_segments().unwrap();
        let shape: Vec<(u64, u64)> = list.iter().map(|s| (s.offset / block, s.data.len())).collect();
        assert_eq!(shape, [(2, 2 * block), (9, block + 128), (12, 2 * block)]);
        let (mut found, mut expected) = (vec![1; 14 * BLOCK], vec![0; 14 * BLOCK]);
        expected[2 * BLOCK..4 * BLOCK].fill(1);
        expected[9 * BLOCK..].copy_from_slice(&bytes);
        Segments::new(14 * block, list).unwrap().read_at(&mut found, 0).unwrap();
        assert!(found == expected);
    }

    #[test]
    fn no_joined_piece_is_too_long() {
        let mut pieces = Pieces::default();
        (0..5000).for_each(|number| pieces.block(number, &[1; BLOCK]));
        let lengths: Vec<u64> = pieces.into_segments().unwrap().iter().map(|s| s.data.len()).collect();
        assert_eq!(lengths, [Pieces::LONGEST, Pieces::LONGEST, 5000 * BLOCK as u64 - 2 * Pieces::LONGEST]);
    }
}
