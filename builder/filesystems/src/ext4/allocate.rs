//! Hands out data blocks in ascending order, around the metadata that the geometry has placed, so that files lie in walk order.

use model::{Error, Result};
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
    /// What was handed out: ascending, not touching each other.
    taken: Vec<Range<u64>>,
}

impl Allocator {
    /// `holes` ascending and disjoint, below `end`.
    pub(super) fn new(holes: Vec<Range<u64>>, end: u64) -> Self {
        Allocator { holes, next_hole: 0, cursor: 0, end, taken: Vec::new() }
    }

    /// Leaves what is before `block` free.
    pub(super) fn skip_to(&mut self, block: u64) {
        self.cursor = self.cursor.max(block);
    }

    /// The last block from which on `count` blocks are no metadata; 0 if there are fewer.
    pub(super) fn start_of_last(&self, mut count: u64) -> u64 {
        let mut end = self.end;
        for hole in self.holes.iter().rev() {
            let free = end.saturating_sub(hole.end);
            if free >= count {
                break;
            }
            count -= free;
            end = hole.start;
        }
        end.saturating_sub(count)
    }

    /// The first of `count` blocks in one run.
    pub(super) fn contiguous(&mut self, count: u64) -> Result<u64> {
        let meets = |hole: &&Range<u64>, start: u64| hole.end > start && hole.start < start + count;
        while let Some(hole) = self.holes.iter().find(|hole| meets(hole, self.cursor)) {
            self.cursor = hole.end;
        }
        match self.allocate(count)?.as_slice() {
            [run] => Ok(run.start),
            runs => Err(Error::internal(format!("ext4: {count} blocks in {} runs, expected one", runs.len()))),
        }
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
            match self.taken.last_mut() {
                Some(last) if last.end == self.cursor => last.end += length,
                _ => self.taken.push(self.cursor..self.cursor + length),
            }
            self.cursor += length;
            left -= length;
        }
        Ok(runs)
    }

    /// One block.
    pub(super) fn block(&mut self) -> Result<u64> {
        Ok(self.allocate(1)?.first().map_or(0, |run| run.start))
    }

    /// Blocks handed out so far.
    pub(super) fn count(&self) -> u64 {
        self.taken.iter().map(|run| run.end - run.start).sum()
    }

    /// All blocks in use, metadata and handed out: ascending and disjoint.
    pub(super) fn used(&self) -> Vec<Range<u64>> {
        let mut all: Vec<Range<u64>> = self.taken.iter().chain(&self.holes).cloned().collect();
        all.sort_by_key(|range| range.start);
        all.dedup_by(|next, last| {
            let touches = next.start == last.end;
            if touches {
                last.end = next.end;
            }
            touches
        });
        all
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
        assert_eq!((a.used().first(), a.used().len(), a.count()), (Some(&(0..10)), 1, 5));
        assert!(a.allocate(3).is_err());
    }

    #[test]
    fn the_last_blocks_are_those_in_which_just_so_many_fit() {
        for count in 0..7 {
            let mut a = Allocator::new(vec![0..3, 5..6, 8..9], 12);
            a.skip_to(a.start_of_last(count));
            assert_eq!(a.allocate(count).unwrap().iter().map(|run| run.length).sum::<u64>(), count);
            assert!(a.block().is_err(), "{count}");
        }
        assert_eq!(Allocator::new(vec![0..3, 4..5], 9).start_of_last(9), 0);
    }

    #[test]
    fn a_run_that_must_be_one_goes_behind_the_hole() {
        let mut a = Allocator::new(vec![0..3, 5..6, 8..9], 20);
        assert_eq!((a.contiguous(2).unwrap(), a.contiguous(4).unwrap()), (3, 9));
        assert_eq!(a.used(), [0..6, 8..13]);
    }
}
