//! Reads on-disk records from a file that is given as a function: it fills a buffer from a byte offset.

use model::Result;
use zerocopy::{FromBytes, IntoBytes};

/// Reads one record at byte `at`.
pub(crate) fn read<T: FromBytes + IntoBytes>(file: &impl Fn(u64, &mut [u8]) -> Result<()>, at: u64) -> Result<T> {
    let mut record = T::new_zeroed();
    file(at, record.as_mut_bytes())?;
    Ok(record)
}

/// Reads `count` records at byte `at`; the caller bounds `count`.
pub(crate) fn read_table<T: FromBytes + IntoBytes + Clone>(
    file: &impl Fn(u64, &mut [u8]) -> Result<()>,
    at: u64,
    count: usize,
) -> Result<Vec<T>> {
    let mut records = vec![T::new_zeroed(); count];
    file(at, records.as_mut_slice().as_mut_bytes())?;
    Ok(records)
}
