//! A binary patch as libostree's `bspatch` reads it: bsdiff's control stream (C. Percival, "Naive Differences of Executable Code", 2003), neither compressed
//! nor divided into three files.
//!
//! ```text
//! { i64 added | i64 inserted | i64 seek | `added` bytes | `inserted` bytes } …
//! ```
//!
//! A number is little-endian, its top bit the sign. The new file continues with `added` bytes of the old file from where its position is, each plus the
//! byte of the stream; then with the inserted ones; then the old file's position moves on by `seek` from the end of the added ones. Code that moved differs
//! in addresses alone, so most added bytes are zero.
//!
//! The search is our own, since its time must be bounded for any two files: the crates that write this stream (bsdiff, bidiff) take quadratic time where long
//! runs repeat.

use super::seeds::{SEED, Seeds};

/// Bytes compared for one candidate: a match this long is good enough.
const MATCH_MAX: usize = 4096;
/// Where the current alignment fits for so many bytes, no other is looked for.
const FITS: usize = 16;
/// An alignment is left for one that fits in so many bytes more: what a control of three numbers costs once it is compressed.
const BETTER_BY: usize = 8;
/// After 2^10 positions without a match one more byte is passed over at each step: files that have nothing in common are soon read through.
const PATIENCE_BITS: u32 = 10;
/// Most bytes of a step.
const STEP_MAX: usize = 16;
/// Bytes compared in all for each byte of the new file. Past that no better alignment is looked for. Programs and text need fewer than 10.
const WORK_MAX: usize = 256;

/// `added` bytes of the new file from `new` resemble the old file from `old`; those from there up to the next piece are inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    old: usize,
    new: usize,
    added: usize,
}

/// Returns the stream that makes `new` of `old`. Both are shorter than 2 GiB.
pub fn patch(old: &[u8], new: &[u8]) -> Vec<u8> {
    encode(old, new, &pieces(old, new))
}

fn encode(old: &[u8], new: &[u8], pieces: &[Piece]) -> Vec<u8> {
    let mut out = Vec::with_capacity(new.len() + pieces.len() * 24);
    for (i, piece) in pieces.iter().enumerate() {
        let next = pieces.get(i + 1);
        let (old_end, new_end) = (piece.old + piece.added, piece.new + piece.added);
        let inserted = new.get(new_end..next.map_or(new.len(), |next| next.new)).unwrap_or(&[]);
        append_number(&mut out, piece.added as i64);
        append_number(&mut out, inserted.len() as i64);
        append_number(&mut out, next.map_or(0, |next| next.old as i64 - old_end as i64));
        let pairs = new.get(piece.new..new_end).into_iter().flatten().zip(old.get(piece.old..old_end).into_iter().flatten());
        out.extend(pairs.map(|(new, old)| new.wrapping_sub(*old)));
        out.extend_from_slice(inserted);
    }
    out
}

fn append_number(out: &mut Vec<u8>, number: i64) {
    let sign = if number < 0 { 1 << 63 } else { 0 };
    out.extend_from_slice(&(number.unsigned_abs() | sign).to_le_bytes());
}

/// Pieces in order of the new file, the first at its start.
fn pieces(old: &[u8], new: &[u8]) -> Vec<Piece> {
    let mut search = Search { old, new, seeds: Seeds::of(old), work: new.len().saturating_mul(WORK_MAX) };
    let mut out = Vec::new();
    // Where the current piece begins, and from where its successor is looked for.
    let (mut start, mut scan) = (Alignment { old: 0, new: 0 }, 0);
    loop {
        let found = search.next_alignment(start, scan);
        let end = found.map_or(new.len(), |at| at.new);
        let forward = search.forward(start, end);
        let (forward, backward) = match found {
            Some(next) => search.divide(start, next, forward),
            None => (forward, 0),
        };
        out.push(Piece { old: start.old, new: start.new, added: forward });
        let Some(next) = found else { return out };
        start = Alignment { old: next.old - backward, new: next.new - backward };
        scan = next.new;
    }
}

/// A byte of the new file that is aligned with a byte of the old file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Alignment {
    old: usize,
    new: usize,
}

impl Alignment {
    /// Returns where the old file is when the new one is at `new`.
    fn old_at(self, new: usize) -> usize {
        self.old + (new - self.new)
    }
}

struct Search<'a> {
    old: &'a [u8],
    new: &'a [u8],
    seeds: Seeds,
    /// Bytes that may still be compared.
    work: usize,
}

impl Search<'_> {
    /// Returns the next place from `scan` on where another alignment fits clearly better than `current`.
    fn next_alignment(&mut self, current: Alignment, mut scan: usize) -> Option<Alignment> {
        let mut misses = 0usize;
        while let Some(rest) = self.new.get(scan..).filter(|rest| rest.len() >= SEED) {
            let expected = current.old_at(scan);
            let aligned = self.old.get(expected..).unwrap_or(&[]);
            let fits = common(aligned, rest, usize::MAX);
            if fits >= FITS {
                scan += fits;
                misses = 0;
                continue;
            }
            if let Some((length, place)) = self.best_match(rest, expected) {
                let kept = aligned.iter().zip(rest).take(length).filter(|(old, new)| old == new).count();
                self.work = self.work.saturating_sub(length);
                if length > kept + BETTER_BY {
                    return Some(Alignment { old: place, new: scan });
                }
            }
            misses += 1;
            scan += (1 + (misses >> PATIENCE_BITS)).min(STEP_MAX);
        }
        None
    }

    /// Returns the longest match of at least a seed's length and its place; of equals the one that is nearest to `expected`.
    fn best_match(&mut self, wanted: &[u8], expected: usize) -> Option<(usize, usize)> {
        if self.work == 0 {
            return None;
        }
        let mut best: Option<(usize, usize)> = None;
        let mut compared = 0;
        for place in self.seeds.places(wanted) {
            let length = common(self.old.get(place..).unwrap_or(&[]), wanted, MATCH_MAX);
            compared += length + 1;
            let is_better = match best {
                None => length >= SEED,
                Some((most, nearest)) => length > most || (length == most && place.abs_diff(expected) < nearest.abs_diff(expected)),
            };
            if is_better {
                best = Some((length, place));
            }
            if length == MATCH_MAX {
                break;
            }
        }
        self.work = self.work.saturating_sub(compared);
        best
    }

    /// Returns how many bytes from `start` on, up to `end` of the new file, are better added to the old ones than inserted: the length for which most
    /// of them are equal, counting each other one against it.
    fn forward(&self, start: Alignment, end: usize) -> usize {
        let pairs = self.old.get(start.old..).unwrap_or(&[]).iter().zip(self.new.get(start.new..end).unwrap_or(&[]));
        best_length(pairs)
    }

    /// Divides the bytes between `start` and `next` between the two alignments. `forward` of them fit the first. Returns how many stay with it, and how many go
    /// to the second.
    fn divide(&self, start: Alignment, next: Alignment, forward: usize) -> (usize, usize) {
        let between = self.new.get(start.new..next.new).unwrap_or(&[]);
        let before = self.old.get(..next.old).unwrap_or(&[]);
        let backward = best_length(before.iter().rev().zip(between.iter().rev()));
        let overlap = (forward + backward).saturating_sub(between.len());
        // Of the bytes that fit both, those up to the best place stay with the first.
        let from = forward - overlap;
        let wanted = between.get(from..forward).unwrap_or(&[]).iter();
        let first = self.old.get(start.old + from..).unwrap_or(&[]).iter();
        let second = self.old.get(next.old - backward..).unwrap_or(&[]).iter();
        let (mut score, mut best, mut kept) = (0isize, 0isize, 0);
        for (i, ((byte, first), second)) in wanted.zip(first).zip(second).enumerate() {
            score += isize::from(byte == first) - isize::from(byte == second);
            if score > best {
                (best, kept) = (score, i + 1);
            }
        }
        (from + kept, backward - kept)
    }
}

/// The length up to which equal pairs exceed unequal ones the most.
fn best_length<'a>(pairs: impl Iterator<Item = (&'a u8, &'a u8)>) -> usize {
    let (mut score, mut best, mut length) = (0isize, 0isize, 0);
    for (i, (a, b)) in pairs.enumerate() {
        score += if a == b { 1 } else { -1 };
        if score > best {
            (best, length) = (score, i + 1);
        }
    }
    length
}

/// How many bytes from the start are equal, at most `limit`.
fn common(a: &[u8], b: &[u8], limit: usize) -> usize {
    let length = a.len().min(b.len()).min(limit);
    let (a, b) = (a.get(..length).unwrap_or(&[]), b.get(..length).unwrap_or(&[]));
    let words = a.chunks_exact(32).zip(b.chunks_exact(32)).take_while(|(a, b)| a == b).count() * 32;
    words + a.iter().skip(words).zip(b.iter().skip(words)).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `bspatch` does, in words of our own.
    fn apply(old: &[u8], stream: &[u8]) -> Vec<u8> {
        let (mut out, mut rest, mut at) = (Vec::new(), stream, 0i64);
        let number = |bytes: &[u8]| {
            let value = u64::from_le_bytes(bytes[..8].try_into().unwrap());
            if value >> 63 == 1 { -((value & !(1 << 63)) as i64) } else { value as i64 }
        };
        while !rest.is_empty() {
            let [added, inserted, seek] = [0, 8, 16].map(|i| number(&rest[i..]));
            rest = &rest[24..];
            let (diff, more) = rest.split_at(added as usize);
            let (extra, more) = more.split_at(inserted as usize);
            out.extend(diff.iter().enumerate().map(|(i, byte)| byte.wrapping_add(old[at as usize + i])));
            out.extend_from_slice(extra);
            at += added + seek;
            rest = more;
        }
        out
    }

    /// Bytes that do not repeat.
    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed;
        let step = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        std::iter::repeat_with(step).take(length).collect()
    }

    #[test]
    fn every_patch_makes_the_new_file_of_the_old_one() {
        let check = |old: &[u8], new: &[u8]| assert!(apply(old, &patch(old, new)) == new, "{} to {} bytes", old.len(), new.len());
        let base = noise(1, 10_000);
        let moved = [&base[4_000..7_000], &base[..4_000], b"new text", &base[7_000..]].concat();
        for length in [0, 1, 5, SEED - 1, SEED, SEED + 1, 100, 9_999, 10_000] {
            check(&base[..length], &base);
            check(&base, &base[..length]);
            check(&moved[..length], &moved);
            check(&base, &moved[length..]);
        }
        for seed in 2..40 {
            let mut edited = moved.clone();
            for (i, byte) in noise(seed, 200).into_iter().enumerate() {
                let at = (i * 50 + usize::from(byte)) % edited.len();
                match byte % 3 {
                    0 => edited[at] = byte,
                    1 => drop(edited.remove(at)),
                    _ => edited.insert(at, byte),
                }
            }
            check(&base, &edited);
            check(&edited, &base);
        }
        check(&[0; 70_000], &[0; 90_000]);
        check(&[7; 5_000], &noise(3, 5_000));
    }

    #[test]
    fn a_file_that_moved_and_changed_in_addresses_is_nearly_all_zeros() {
        let old = noise(1, 100_000);
        let mut new = [&noise(2, 64), &old[..]].concat();
        // An address in every 40 bytes that moved on by 64.
        for at in (100..new.len()).step_by(40) {
            new[at] = new[at].wrapping_add(64);
        }
        let stream = patch(&old, &new);
        let unlike = stream.iter().filter(|&&byte| byte != 0 && byte != 64).count();
        assert!(unlike < 200, "{unlike}");
        assert!(stream.len() < new.len() + 10 * 24, "{}", stream.len());
    }

    #[test]
    fn runs_that_repeat_do_not_take_quadratic_time() {
        // Each place of the old file matches each of the new one for thousands of bytes: the worst that the search can meet.
        let mut old = vec![0; 1 << 20];
        let mut new = vec![0; 1 << 20];
        for (i, at) in (0..1 << 20).step_by(15).enumerate() {
            new[at] = (i % 3) as u8;
            old[(at + 7) % (1 << 20)] = (i % 2) as u8;
        }
        let mut search = Search { old: &old, new: &new, seeds: Seeds::of(&old), work: new.len() * WORK_MAX };
        let at = Alignment { old: 0, new: 0 };
        assert!(search.next_alignment(at, 0).is_none_or(|found| found.new < new.len()));
        assert!(apply(&old, &patch(&old, &new)) == new);
    }
}
