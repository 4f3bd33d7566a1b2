//! Where each grain stands, and what is written between and behind the grains to say so.

use super::header::Marker;
use super::{GRAIN, Header, SECTOR, TABLE_ENTRIES};
use model::{Error, Result};

/// Grain tables as the file grows: one in the making, the directory of those written.
pub struct Tables {
    header: Header,
    directory: Vec<u32>,
    /// Number and entries of the table under way.
    table: Option<(u64, Vec<u32>)>,
}

impl Tables {
    /// For a disk of `capacity` sectors.
    pub fn new(capacity: u64) -> Self {
        let tables = capacity.div_ceil(TABLE_ENTRIES * GRAIN / SECTOR);
        Tables { header: Header::at_start(capacity), directory: vec![0; tables as usize], table: None }
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
        let (_, table) = self.table.get_or_insert_with(|| (number / TABLE_ENTRIES, vec![0; TABLE_ENTRIES as usize]));
        table[(number % TABLE_ENTRIES) as usize] = sector(at)?;
        Ok(())
    }

    fn end_table(&mut self, at: u64) -> Result<Vec<u8>> {
        let Some((number, table)) = self.table.take() else { return Ok(Vec::new()) };
        let bytes: Vec<u8> = table.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        let slot = self.directory.get_mut(number as usize);
        *slot.ok_or_else(|| Error::internal(format!("vmdk: grain table {number} is past the disk's end")))? = sector(at + SECTOR)?;
        Ok([&Marker::GrainTable.encode(bytes.len() as u64 / SECTOR)[..], &bytes].concat())
    }

    /// All that follows the last grain, from offset `at` to the file's end.
    pub fn finish(mut self, at: u64) -> Result<Vec<u8>> {
        let mut out = self.end_table(at)?;
        let mut directory: Vec<u8> = self.directory.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        directory.resize(directory.len().next_multiple_of(SECTOR as usize), 0);
        out.extend(Marker::GrainDirectory.encode(directory.len() as u64 / SECTOR));
        self.header.directory = (at + out.len() as u64) / SECTOR;
        out.extend(directory);
        out.extend(Marker::Footer.encode(1));
        out.extend(self.header.encode());
        out.extend(Marker::EndOfStream.encode(0));
        Ok(out)
    }
}

fn sector(at: u64) -> Result<u32> {
    u32::try_from(at / SECTOR).map_err(|_| Error::recipe(format!("offset {at} is past the 2 TiB that a streamOptimized vmdk holds")))
}
