//! Reads a sparse extent, trusting nothing: a streamOptimized or monolithicSparse image, or one of several files of a disk.

use super::header::AT_END;
use super::{Description, Header, SECTOR};
use crate::block_table::read_by_blocks;
use model::{Error, Result};
use std::io::Read;
use std::sync::Mutex;

/// Bytes of a grain's marker: its sector on the disk, and its compressed length.
const GRAIN_MARKER: u64 = 12;
/// Sectors from the footer to the file's end: itself and the end-of-stream marker.
const FOOTER_FROM_END: u64 = 2;

/// Greatest grain directory accepted, in bytes: 32 TiB in grains and tables of the usual size.
const DIRECTORY_MAX: u64 = 4 << 20;

/// Over a function that fills a buffer from a byte offset of the file.
pub struct Reader<F> {
    file: F,
    /// Of the file, in bytes.
    length: u64,
    header: Header,
    /// Sector of each grain table, 0 where there is none.
    directory: Vec<u32>,
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    table: Option<(u32, Vec<u8>)>,
    grain: Option<(u32, Vec<u8>)>,
}

impl<F: Fn(u64, &mut [u8]) -> Result<()>> Reader<F> {
    /// `length` is the file's, in bytes.
    pub fn open(length: u64, file: F) -> Result<Self> {
        let mut sector = [0; SECTOR as usize];
        file(0, &mut sector)?;
        let mut header = Header::decode(&sector, 0)?;
        if header.directory == AT_END {
            let at = (length / SECTOR).checked_sub(FOOTER_FROM_END).map(|n| n * SECTOR);
            let at = at.ok_or_else(|| Error::integrity(format!("vmdk: no footer before offset {length}")))?;
            file(at, &mut sector)?;
            let footer = Header::decode(&sector, at).map_err(|e| e.hint("the file was cut short: copy or download it again"))?;
            if footer.capacity != header.capacity {
                return Err(Error::integrity(format!(
                    "vmdk footer at offset {at}: {} sectors, the header has {}",
                    footer.capacity, header.capacity
                )));
            }
            header = footer;
        }
        if header.descriptor.0 != 0 && header.descriptor.1 != 0 {
            let at = header.descriptor.0.saturating_mul(SECTOR);
            let mut text = vec![0; (header.descriptor.1 * SECTOR) as usize];
            if at.checked_add(text.len() as u64).is_none_or(|end| end > length) {
                return Err(Error::integrity(format!("vmdk: a descriptor of {} bytes at offset {at} leaves the file", text.len())));
            }
            file(at, &mut text)?;
            Description::refuse_parent(&text)?;
        }
        let tables = header.capacity.div_ceil(u64::from(header.table_entries) * header.grain);
        let at = header.directory.checked_mul(SECTOR).filter(|at| at.checked_add(tables * 4).is_some_and(|end| end <= length));
        let at = at.filter(|_| tables * 4 <= DIRECTORY_MAX);
        let at =
            at.ok_or_else(|| Error::integrity(format!("vmdk: {tables} grain tables at sector {} leave the file", header.directory)))?;
        let mut bytes = vec![0; (tables * 4) as usize];
        file(at, &mut bytes)?;
        let directory = bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
        let reader = Reader { file, length, header, directory, recent: Mutex::default() };
        if !header.is_compressed {
            reader.check_grains()?;
        }
        Ok(reader)
    }

    /// Every grain that is named is in the file. Compressed ones need not be looked at: the footer stands behind them.
    fn check_grains(&self) -> Result<()> {
        let table_bytes = u64::from(self.header.table_entries) * 4;
        let inside = |what: &str, at: u64, bytes: u64| {
            if at + bytes <= self.length {
                return Ok(());
            }
            let message = format!("vmdk: {what} of {bytes} bytes at offset {at} leaves a file of {} bytes", self.length);
            Err(Error::integrity(message).hint("the file was cut short: copy or download it again"))
        };
        let tables = self.directory.iter().filter(|&&at| at != 0).count() as u64;
        // Each has a place of its own, so their number is bounded by the file.
        if tables * table_bytes > self.length {
            return Err(Error::integrity(format!("vmdk: {tables} grain tables in a file of {} bytes", self.length)));
        }
        let mut table = vec![0; table_bytes as usize];
        for (number, &sector) in self.directory.iter().enumerate().filter(|&(_, &sector)| sector != 0) {
            let at = u64::from(sector) * SECTOR;
            inside("a grain table", at, table_bytes)?;
            (self.file)(at, &mut table)?;
            for (index, entry) in table.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).enumerate() {
                let first = (number as u64 * u64::from(self.header.table_entries) + index as u64) * self.header.grain;
                let used = self.header.capacity.saturating_sub(first).min(self.header.grain) * SECTOR;
                if entry > 1 {
                    inside("a grain", u64::from(entry) * SECTOR, used)?;
                }
            }
        }
        Ok(())
    }

    /// Of the extent's part of the disk, in bytes.
    pub fn size(&self) -> u64 {
        self.header.capacity * SECTOR
    }

    /// Fills `buffer` from a byte offset of the disk; an error past its end.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut recent = self.recent.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        read_by_blocks(self.size(), self.header.grain * SECTOR, offset, buffer, |number, within, piece| {
            self.read_in_grain(&mut recent, number, within as usize, piece)
        })
    }

    fn read_in_grain(&self, recent: &mut Recent, number: u64, within: usize, out: &mut [u8]) -> Result<()> {
        let entries = u64::from(self.header.table_entries);
        let table = self.directory.get((number / entries) as usize).copied().unwrap_or(0);
        out.fill(0);
        if table == 0 {
            return Ok(());
        }
        if recent.table.as_ref().is_none_or(|(have, _)| *have != table) {
            let mut bytes = vec![0; entries as usize * 4];
            (self.file)(u64::from(table) * SECTOR, &mut bytes)?;
            recent.table = Some((table, bytes));
        }
        let index = (number % entries) as usize;
        let entry = recent.table.as_ref().and_then(|(_, bytes)| bytes.as_chunks::<4>().0.get(index).copied());
        let sector = entry.map_or(0, u32::from_le_bytes);
        // 1 is "reads as zeros" in images of other writers.
        if sector <= 1 {
            return Ok(());
        }
        if !self.header.is_compressed {
            return (self.file)(u64::from(sector) * SECTOR + within as u64, out);
        }
        if recent.grain.as_ref().is_none_or(|(have, _)| *have != sector) {
            recent.grain = Some((sector, self.grain(number, sector)?));
        }
        if let Some(part) = recent.grain.as_ref().and_then(|(_, bytes)| bytes.get(within..within + out.len())) {
            out.copy_from_slice(part);
        }
        Ok(())
    }

    fn grain(&self, number: u64, sector: u32) -> Result<Vec<u8>> {
        let at = u64::from(sector) * SECTOR;
        let bad = |what: String| Error::integrity(format!("vmdk grain {number} at offset {at}: {what}"));
        let mut marker = [0; GRAIN_MARKER as usize];
        (self.file)(at, &mut marker)?;
        let [lba @ .., a, b, c, d] = marker;
        let (lba, length) = (u64::from_le_bytes(lba), u32::from_le_bytes([a, b, c, d]));
        if lba != number * self.header.grain {
            return Err(bad(format!("expected the marker of sector {}, found {lba}", number * self.header.grain)));
        }
        if length == 0 || u64::from(length) > 2 * self.header.grain * SECTOR {
            return Err(bad(format!("a compressed length of {length}")));
        }
        let mut packed = vec![0; length as usize];
        (self.file)(at + GRAIN_MARKER, &mut packed)?;
        let mut bytes = vec![0; (self.header.grain * SECTOR) as usize];
        flate2::read::ZlibDecoder::new(packed.as_slice())
            .read_exact(&mut bytes)
            .map_err(|e| bad("it does not decompress".into()).source(e))?;
        Ok(bytes)
    }
}
