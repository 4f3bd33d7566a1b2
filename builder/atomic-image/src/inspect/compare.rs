//! An image against a planned disk: the first byte that differs, explained by the plan, which is whole where the image may be damaged.

use super::disk;
use super::explain::{Place, explain_source};
use model::{Result, ResultExt, Segments};
use std::path::Path;

/// Bytes compared at a time.
const WINDOW: usize = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// In bytes.
    Size { expected: u64, found: u64 },
    /// The first byte that differs.
    Byte { expected: u8, found: u8, place: Place },
}

/// `None` if the image at `path` holds the planned disk byte for byte.
pub fn compare(path: &Path, planned: &Segments) -> Result<Option<Difference>> {
    disk::open(path, |size, source| compare_source(size, source, planned)).context(|| path.display())
}

/// The index of the first byte in which two slices of the same length differ.
fn first_difference(a: &[u8], b: &[u8]) -> Option<usize> {
    // The comparison of whole slices is many times faster than one byte by byte.
    if a == b { None } else { a.iter().zip(b).position(|(a, b)| a != b) }
}

fn compare_source(size: u64, source: disk::Source, planned: &Segments) -> Result<Option<Difference>> {
    let (mut expected, mut found) = (vec![0; WINDOW], vec![0; WINDOW]);
    let mut at = 0;
    while at < size.min(planned.size()) {
        let length = (size.min(planned.size()) - at).min(WINDOW as u64) as usize;
        planned.read_at(&mut expected[..length], at)?;
        source(at, &mut found[..length])?;
        if let Some(first) = first_difference(&expected[..length], &found[..length]) {
            let read = |offset: u64, buffer: &mut [u8]| planned.read_at(buffer, offset).map(drop);
            let place = explain_source(planned.size(), &read, at + first as u64)?;
            return Ok(Some(Difference::Byte { expected: expected[first], found: found[first], place }));
        }
        at += length as u64;
    }
    Ok((size != planned.size()).then_some(Difference::Size { expected: planned.size(), found: size }))
}
