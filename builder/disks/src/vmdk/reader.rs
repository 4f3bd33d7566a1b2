//! Reads a sparse extent, trusting nothing: a streamOptimized or monolithicSparse image, or one of several files of a disk.

use super::header::AT_END;
use super::{Description, GrainMarker, SECTOR, SparseExtentHeader};
use crate::block_table::read_by_blocks;
use crate::record;
use model::{Error, Result};
use std::io::Read;
use std::sync::Mutex;
use zerocopy::little_endian::U32;

/// Sectors from the footer to the file's end: itself and the end-of-stream marker.
const FOOTER_FROM_END: u64 = 2;
/// Greatest grain directory accepted, in bytes: 32 TiB in grains and tables of the usual size.
const DIRECTORY_MAX: u64 = 4 << 20;

/// Over a function that fills a buffer from a byte offset of the file.
pub struct Reader<F> {
    file: F,
    /// Of the file, in bytes.
    length: u64,
    header: SparseExtentHeader,
    /// Sector of each grain table, 0 where there is none.
    directory: Vec<U32>,
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    table: Option<(U32, Vec<U32>)>,
    grain: Option<(U32, Vec<u8>)>,
}

impl<F: Fn(u64, &mut [u8]) -> Result<()>> Reader<F> {
    /// `length` is the file's, in bytes.
    pub fn open(length: u64, file: F) -> Result<Self> {
        let mut header = record::read::<SparseExtentHeader>(&file, 0)?.checked(0)?;
        if header.gd_offset == AT_END {
            let at = (length / SECTOR).checked_sub(FOOTER_FROM_END).map(|n| n * SECTOR);
            let at = at.ok_or_else(|| Error::integrity(format!("vmdk: no footer before offset {length}")))?;
            let footer: SparseExtentHeader = record::read(&file, at)?;
            let footer = footer.checked(at).map_err(|e| e.hint("the file was cut short: copy or download it again"))?;
            if footer.capacity != header.capacity {
                return Err(Error::integrity(format!(
                    "vmdk footer at offset {at}: {} sectors, the header has {}",
                    footer.capacity, header.capacity
                )));
            }
            header = footer;
        }
        if header.descriptor_offset != 0 && header.descriptor_size != 0 {
            let at = header.descriptor_offset.get().saturating_mul(SECTOR);
            let mut text = vec![0; (header.descriptor_size.get() * SECTOR) as usize];
            if at.checked_add(text.len() as u64).is_none_or(|end| end > length) {
                return Err(Error::integrity(format!("vmdk: a descriptor of {} bytes at offset {at} leaves the file", text.len())));
            }
            file(at, &mut text)?;
            Description::refuse_parent(&text)?;
        }
        let tables = header.capacity.get().div_ceil(u64::from(header.num_gtes_per_gt) * header.grain_size.get());
        let at = header.gd_offset.get().checked_mul(SECTOR).filter(|at| at.checked_add(tables * 4).is_some_and(|end| end <= length));
        let at = at.filter(|_| tables * 4 <= DIRECTORY_MAX);
        let at =
            at.ok_or_else(|| Error::integrity(format!("vmdk: {tables} grain tables at sector {} leave the file", header.gd_offset)))?;
        let directory = record::read_table(&file, at, tables as usize)?;
        let reader = Reader { file, length, header, directory, recent: Mutex::default() };
        if !header.is_compressed() {
            reader.check_grains()?;
        }
        Ok(reader)
    }

    /// Every grain that is named is in the file. Compressed ones need not be looked at: the footer stands behind them.
    fn check_grains(&self) -> Result<()> {
        let (entries, grain) = (u64::from(self.header.num_gtes_per_gt), self.header.grain_size.get());
        let table_bytes = entries * size_of::<U32>() as u64;
        let inside = |what: &str, at: u64, bytes: u64| {
            if at + bytes <= self.length {
                return Ok(());
            }
            let message = format!("vmdk: {what} of {bytes} bytes at offset {at} leaves a file of {} bytes", self.length);
            Err(Error::integrity(message).hint("the file was cut short: copy or download it again"))
        };
        let tables = self.directory.iter().filter(|&&sector| sector != 0).count() as u64;
        // Each has a place of its own, so their number is bounded by the file.
        if tables * table_bytes > self.length {
            return Err(Error::integrity(format!("vmdk: {tables} grain tables in a file of {} bytes", self.length)));
        }
        for (number, &sector) in self.directory.iter().enumerate().filter(|&(_, &sector)| sector != 0) {
            let at = u64::from(sector) * SECTOR;
            inside("a grain table", at, table_bytes)?;
            for (index, entry) in record::read_table::<U32>(&self.file, at, entries as usize)?.into_iter().enumerate() {
                let first = (number as u64 * entries + index as u64) * grain;
                let used = self.header.capacity.get().saturating_sub(first).min(grain) * SECTOR;
                if entry.get() > 1 {
                    inside("a grain", u64::from(entry) * SECTOR, used)?;
                }
            }
        }
        Ok(())
    }

    /// Of the extent's part of the disk, in bytes.
    pub fn size(&self) -> u64 {
        self.header.capacity.get() * SECTOR
    }

    fn grain_bytes(&self) -> u64 {
        self.header.grain_size.get() * SECTOR
    }

    /// Fills `buffer` from a byte offset of the disk; an error past its end.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut recent = self.recent.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        read_by_blocks(self.size(), self.grain_bytes(), offset, buffer, |number, within, piece| {
            self.read_in_grain(&mut recent, number, within as usize, piece)
        })
    }

    fn read_in_grain(&self, recent: &mut Recent, number: u64, within: usize, out: &mut [u8]) -> Result<()> {
        let entries = u64::from(self.header.num_gtes_per_gt);
        let table = self.directory.get((number / entries) as usize).copied().unwrap_or(U32::ZERO);
        out.fill(0);
        if table == 0 {
            return Ok(());
        }
        if recent.table.as_ref().is_none_or(|(have, _)| *have != table) {
            recent.table = Some((table, record::read_table(&self.file, u64::from(table) * SECTOR, entries as usize)?));
        }
        let index = (number % entries) as usize;
        let sector = recent.table.as_ref().and_then(|(_, table)| table.get(index).copied()).unwrap_or(U32::ZERO);
        // 1 is "reads as zeros" in images of other writers.
        if sector.get() <= 1 {
            return Ok(());
        }
        if !self.header.is_compressed() {
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

    fn grain(&self, number: u64, sector: U32) -> Result<Vec<u8>> {
        let at = u64::from(sector) * SECTOR;
        let bad = |what: String| Error::integrity(format!("vmdk grain {number} at offset {at}: {what}"));
        let marker: GrainMarker = record::read(&self.file, at)?;
        let first = number * self.header.grain_size.get();
        if marker.lba != first {
            return Err(bad(format!("expected the marker of sector {first}, found {}", marker.lba)));
        }
        let length = u64::from(marker.size);
        if length == 0 || length > 2 * self.grain_bytes() {
            return Err(bad(format!("a compressed length of {length}")));
        }
        let mut packed = vec![0; length as usize];
        (self.file)(at + size_of::<GrainMarker>() as u64, &mut packed)?;
        let mut bytes = vec![0; self.grain_bytes() as usize];
        flate2::read::ZlibDecoder::new(packed.as_slice())
            .read_exact(&mut bytes)
            .map_err(|e| bad("it does not decompress".into()).source(e))?;
        Ok(bytes)
    }
}
