//! Hands out data blocks in ascending order, around the metadata that the geometry has placed, so that files lie in walk order.

use crate::base::{Error, Result};
use std::ops::Range;

/// Consecutive blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) length: u64,
}

#[derive(Debug)]
pub(super) struct Allocator {
    /// Metadata, ascending, not touching each other.
    holes: Vec<Range<u64>>,
    next_hole: usize,
    cursor: u64,
    end: u64,
}

impl Allocator {
    /// `holes` ascending and disjoint, below `end`.
    pub(super) fn new(holes: Vec<Range<u64>>, end: u64) -> Self {
        Allocator { holes, next_hole: 0, cursor: 0, end }
    }

    /// `count` blocks in as few runs as the holes allow.
    pub(super) fn allocate(&mut self, count: u64) -> Result<Vec<Run>> {
        let mut runs = Vec::new();
        let mut left = count;
        while left > 0 {
            let limit = match self.holes.get(self.next_hole) {
                Some(hole) if hole.start <= self.cursor => {
                    self.cursor = self.cursor.max(hole.end);
                    self.next_hole += 1;
                    continue;
                }
                Some(hole) => hole.start,
                None => self.end,
            };
            let length = left.min(limit - self.cursor);
            if length == 0 {
                return Err(Error::internal(format!("ext4: {left} of {count} blocks do not fit before block {}", self.end)));
            }
            runs.push(Run { start: self.cursor, length });
            self.cursor += length;
            left -= length;
        }
        Ok(runs)
    }

    /// One block.
    pub(super) fn block(&mut self) -> Result<u64> {
        Ok(self.allocate(1)?.first().map_or(0, |run| run.start))
    }

    /// All blocks in use, metadata and handed out: ascending and disjoint.
    pub(super) fn used(&self) -> Vec<Range<u64>> {
        let below = (self.cursor > 0).then_some(0..self.cursor);
        let mut used: Vec<Range<u64>> = below.into_iter().collect();
        for hole in &self.holes {
            match used.last_mut() {
                Some(last) if hole.start <= last.end => last.end = last.end.max(hole.end),
                _ => used.push(hole.clone()),
            }
        }
        used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_handed_out_in_order_around_the_holes() {
        let mut a = Allocator::new(vec![0..3, 5..6, 8..9], 12);
        assert_eq!(a.allocate(4).unwrap(), [Run { start: 3, length: 2 }, Run { start: 6, length: 2 }]);
        assert_eq!(a.used().first(), Some(&(0..9)));
        assert_eq!(a.block().unwrap(), 9);
        assert_eq!(a.used().first(), Some(&(0..10)));
        assert!(a.allocate(3).is_err());
    }
}
