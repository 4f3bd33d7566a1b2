//! Reads the disk inside a streamOptimized image, trusting nothing.

use super::header::AT_END;
use super::{GRAIN, Header, SECTOR, TABLE_ENTRIES};
use crate::base::{Error, Result};
use std::io::Read;
use std::sync::Mutex;

/// Bytes of a grain's marker: its sector on the disk, and its compressed length.
const GRAIN_MARKER: u64 = 12;
/// Sectors from the footer to the file's end: itself and the end-of-stream marker.
const FOOTER_FROM_END: u64 = 2;

/// Over a function that fills a buffer from a byte offset of the file.
pub struct Reader<'a> {
    file: &'a (dyn Fn(u64, &mut [u8]) -> Result<()> + Sync),
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

impl<'a> Reader<'a> {
    /// `length` is the file's, in bytes.
    pub fn open(length: u64, file: &'a (dyn Fn(u64, &mut [u8]) -> Result<()> + Sync)) -> Result<Self> {
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
        let tables = header.capacity.div_ceil(TABLE_ENTRIES * GRAIN / SECTOR);
        let at = header.directory.checked_mul(SECTOR).filter(|at| at.checked_add(tables * 4).is_some_and(|end| end <= length));
        let at =
            at.ok_or_else(|| Error::integrity(format!("vmdk: {tables} grain tables at sector {} leave the file", header.directory)))?;
        let mut bytes = vec![0; (tables * 4) as usize];
        file(at, &mut bytes)?;
        let directory = bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
        Ok(Reader { file, header, directory, recent: Mutex::default() })
    }

    /// Of the disk, in bytes.
    pub fn size(&self) -> u64 {
        self.header.capacity * SECTOR
    }

    /// Fills `buffer` from a byte offset of the disk; an error past its end.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size()) {
            return Err(Error::integrity(format!("{} bytes at {offset} are past the disk's end at {}", buffer.len(), self.size())));
        }
        let mut recent = self.recent.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let within = (at % GRAIN) as usize;
            let n = (GRAIN as usize - within).min(buffer.len() - done);
            self.read_in_grain(&mut recent, at / GRAIN, within, &mut buffer[done..done + n])?;
            done += n;
        }
        Ok(())
    }

    fn read_in_grain(&self, recent: &mut Recent, number: u64, within: usize, out: &mut [u8]) -> Result<()> {
        let table = self.directory.get((number / TABLE_ENTRIES) as usize).copied().unwrap_or(0);
        out.fill(0);
        if table == 0 {
            return Ok(());
        }
        if recent.table.as_ref().is_none_or(|(have, _)| *have != table) {
            let mut bytes = vec![0; TABLE_ENTRIES as usize * 4];
            (self.file)(u64::from(table) * SECTOR, &mut bytes)?;
            recent.table = Some((table, bytes));
        }
        let index = (number % TABLE_ENTRIES) as usize;
        let entry = recent.table.as_ref().and_then(|(_, bytes)| bytes.as_chunks::<4>().0.get(index).copied());
        let sector = entry.map_or(0, u32::from_le_bytes);
        // 1 is "reads as zeros" in images of other writers.
        if sector <= 1 {
            return Ok(());
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
        if lba != number * (GRAIN / SECTOR) {
            return Err(bad(format!("expected the marker of sector {}, found {lba}", number * (GRAIN / SECTOR))));
        }
        if length == 0 || u64::from(length) > 2 * GRAIN {
            return Err(bad(format!("a compressed length of {length}")));
        }
        let mut packed = vec![0; length as usize];
        (self.file)(at + GRAIN_MARKER, &mut packed)?;
        let mut bytes = vec![0; GRAIN as usize];
        flate2::read::ZlibDecoder::new(packed.as_slice())
            .read_exact(&mut bytes)
            .map_err(|e| bad("it does not decompress".into()).source(e))?;
        Ok(bytes)
    }
}
