//! Where each grain stands, and what is written between and behind the grains to say so.

use super::header::{MarkerKind, MetadataMarker};
use super::{GRAIN, SECTOR, SparseExtentHeader, TABLE_ENTRIES};
use model::{Error, Result};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

/// Grain tables as the file grows: one in the making, the directory of those written.
pub struct Tables {
    header: SparseExtentHeader,
    directory: Vec<U32>,
    /// Number and entries of the table under way.
    table: Option<(u64, Vec<U32>)>,
}

impl Tables {
    /// For a disk of `capacity` sectors.
    pub fn new(capacity: u64) -> Self {
        let tables = capacity.div_ceil(TABLE_ENTRIES * GRAIN / SECTOR);
        Tables { header: SparseExtentHeader::at_start(capacity), directory: vec![U32::ZERO; tables as usize], table: None }
    }

    /// What must be written at offset `at` before grain `number` is, which is often nothing. Grains come in ascending order.
    pub fn before(&mut self, number: u64, at: u64) -> Result<Vec<u8>> {
        let wanted = number / TABLE_ENTRIES;
        if self.table.as_ref().is_none_or(|(have, _)| *have == wanted) {
            return Ok(Vec::new());
        }
        self.end_table(at)
    }

    /// Grain `number` is written at offset `at`.
    pub fn place(&mut self, number: u64, at: u64) -> Result<()> {
        let (_, table) = self.table.get_or_insert_with(|| (number / TABLE_ENTRIES, vec![U32::ZERO; TABLE_ENTRIES as usize]));
        table[(number % TABLE_ENTRIES) as usize] = sector(at)?;
        Ok(())
    }

    fn end_table(&mut self, at: u64) -> Result<Vec<u8>> {
        let Some((number, table)) = self.table.take() else { return Ok(Vec::new()) };
        let slot = self.directory.get_mut(number as usize);
        *slot.ok_or_else(|| Error::internal(format!("vmdk: grain table {number} is past the disk's end")))? = sector(at + SECTOR)?;
        let bytes = table.as_bytes();
        Ok([MetadataMarker::new(MarkerKind::GrainTable, bytes.len() as u64 / SECTOR).as_bytes(), bytes].concat())
    }

    /// All that follows the last grain, from offset `at` to the file's end.
    pub fn finish(mut self, at: u64) -> Result<Vec<u8>> {
        let mut out = self.end_table(at)?;
        self.directory.resize(self.directory.len().next_multiple_of(SECTOR as usize / size_of::<U32>()), U32::ZERO);
        let directory = self.directory.as_bytes();
        out.extend_from_slice(MetadataMarker::new(MarkerKind::GrainDirectory, directory.len() as u64 / SECTOR).as_bytes());
        self.header.gd_offset = ((at + out.len() as u64) / SECTOR).into();
        out.extend_from_slice(directory);
        out.extend_from_slice(MetadataMarker::new(MarkerKind::Footer, 1).as_bytes());
        out.extend_from_slice(self.header.as_bytes());
        out.extend_from_slice(MetadataMarker::new(MarkerKind::EndOfStream, 0).as_bytes());
        Ok(out)
    }
}

fn sector(at: u64) -> Result<U32> {
    u32::try_from(at / SECTOR)
        .map(U32::new)
        .map_err(|_| Error::recipe(format!("offset {at} is past the 2 TiB that a streamOptimized vmdk holds")))
}
