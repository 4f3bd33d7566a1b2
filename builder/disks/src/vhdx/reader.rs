//! Reads the disk inside a VHDX, trusting nothing: without parent, and with a log that is empty.

use super::{
    FULLY_PRESENT, HEADER, HEADERS, ITEM_DISK_SIZE, ITEM_FILE_PARAMETERS, ITEM_LOGICAL_SECTOR, KIB, MAX, MIB, REGION_BAT, REGION_METADATA,
    REGION_TABLE, REGION_TABLES,
};
use crate::block_table::{Shape, read_by_blocks};
use crate::gpt::Guid;
use model::{Error, Result};

/// §2.2.3.1, §2.6.1: entries of a region table and of a metadata table, and bytes of each.
const REGIONS_MAX: u32 = 2047;
const ITEMS_MAX: u16 = 2047;
const ENTRY: usize = 32;
/// §2.5.1.1: of a differencing disk.
const PARTIALLY_PRESENT: u64 = 7;

/// Over a function that fills a buffer from a byte offset of the file.
pub struct Reader<F> {
    file: F,
    /// All in bytes.
    size: u64,
    sector: u64,
    block: u64,
    table: u64,
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

fn u64_at(b: &[u8], at: usize) -> u64 {
    u64::from(u32_at(b, at)) | u64::from(u32_at(b, at + 4)) << 32
}

impl<F: Fn(u64, &mut [u8]) -> Result<()>> Reader<F> {
    /// `length` is the file's, in bytes.
    pub fn open(length: u64, file: F) -> Result<Self> {
        let header = newest_header(&file)?;
        if header[48..64] != [0; 16] {
            return Err(Error::recipe("a VHDX whose log was not replayed: it was not closed cleanly")
                .hint("attach it once where it was used, or replay the log in a copy of it: qemu-img check -r all"));
        }
        let (table, table_length) = region(&file, REGION_BAT)?;
        let (metadata, _) = region(&file, REGION_METADATA)?;
        let item = |name: Guid, length: usize| item(&file, metadata, name, length);
        let parameters = item(ITEM_FILE_PARAMETERS, 8)?;
        let (block, flags) = (u64::from(u32_at(&parameters, 0)), u32_at(&parameters, 4));
        let size = u64_at(&item(ITEM_DISK_SIZE, 8)?, 0);
        let sector = u64::from(u32_at(&item(ITEM_LOGICAL_SECTOR, 4)?, 0));
        if flags & 2 != 0 {
            return Err(Error::recipe("a differencing VHDX, which needs its parent and is not read"));
        }
        if !block.is_power_of_two() || !(MIB..=256 * MIB).contains(&block) || ![512, 4096].contains(&sector) || size > MAX {
            let what =
                format!("VHDX metadata at offset {metadata}: {size} bytes in blocks of {block} and sectors of {sector}, flags {flags}");
            return Err(Error::integrity(what));
        }
        let reader = Reader { file, size, sector, block, table };
        let payload = size.div_ceil(block);
        if reader.entry_number(payload.saturating_sub(1)).saturating_mul(8) >= table_length || table.saturating_add(table_length) > length {
            return Err(Error::integrity(format!("VHDX block table at offset {table}: {table_length} bytes for {payload} blocks")));
        }
        let shape = Shape { disk: size, block, file: length };
        for number in 0..payload {
            if let Some(at) = reader.block_at(number)? {
                shape.check_block("VHDX", number, at)?;
            }
        }
        Ok(reader)
    }

    /// §2.5: behind each so many blocks stands an entry for a sector bitmap.
    fn entry_number(&self, block: u64) -> u64 {
        block + block / ((1 << 23) * self.sector / self.block)
    }

    /// Byte offset of a block's content; `None`: it reads as zeros.
    fn block_at(&self, number: u64) -> Result<Option<u64>> {
        let at = self.table + self.entry_number(number) * 8;
        let mut entry = [0; 8];
        (self.file)(at, &mut entry)?;
        let entry = u64::from_le_bytes(entry);
        match entry & 7 {
            FULLY_PRESENT => Ok(Some((entry >> 20) * MIB)),
            PARTIALLY_PRESENT => Err(Error::integrity(format!("VHDX block table at offset {at}: block {number} is partly in a parent"))),
            _ => Ok(None),
        }
    }

    /// Of the disk, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Fills `buffer` from a byte offset of the disk; an error past its end.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        read_by_blocks(self.size, self.block, offset, buffer, |number, within, piece| {
            match self.block_at(number)? {
                Some(start) => (self.file)(start + within, piece)?,
                None => piece.fill(0),
            }
            Ok(())
        })
    }
}

/// CRC-32C with zero in its own place.
fn checksum_holds(record: &[u8]) -> bool {
    let sum = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&record[..4]), &[0; 4]), &record[8..]);
    sum == u32_at(record, 4)
}

fn newest_header(file: &dyn Fn(u64, &mut [u8]) -> Result<()>) -> Result<Vec<u8>> {
    let mut newest: Option<Vec<u8>> = None;
    for at in HEADERS {
        let mut h = vec![0; HEADER];
        file(at, &mut h)?;
        let good = h.starts_with(b"head") && checksum_holds(&h);
        if good && newest.as_ref().is_none_or(|n| u64_at(n, 8) < u64_at(&h, 8)) {
            newest = Some(h);
        }
    }
    newest.ok_or_else(|| Error::integrity(format!("VHDX: no good header at offsets {} and {}", HEADERS[0], HEADERS[1])))
}

/// Offset and length of a region, in bytes.
fn region(file: &dyn Fn(u64, &mut [u8]) -> Result<()>, wanted: Guid) -> Result<(u64, u64)> {
    let mut t = vec![0; REGION_TABLE];
    for at in REGION_TABLES {
        file(at, &mut t)?;
        if !t.starts_with(b"regi") || !checksum_holds(&t) {
            continue;
        }
        let count = u32_at(&t, 8).min(REGIONS_MAX) as usize;
        let found = t[16..].chunks_exact(ENTRY).take(count).find(|e| e[..16] == wanted.swapped());
        return found
            .map(|e| (u64_at(e, 16), u64::from(u32_at(e, 24))))
            .ok_or_else(|| Error::integrity(format!("VHDX region table at offset {at}: no region {wanted}")));
    }
    Err(Error::integrity(format!("VHDX: no good region table at offsets {} and {}", REGION_TABLES[0], REGION_TABLES[1])))
}

/// The value of a metadata item of `length` bytes.
fn item(file: &dyn Fn(u64, &mut [u8]) -> Result<()>, metadata: u64, wanted: Guid, length: usize) -> Result<Vec<u8>> {
    let mut table = vec![0; 64 * KIB as usize];
    file(metadata, &mut table)?;
    let count = u16::from_le_bytes([table[10], table[11]]).min(ITEMS_MAX) as usize;
    let found = table[ENTRY..].chunks_exact(ENTRY).take(count).find(|e| e[..16] == wanted.swapped());
    let entry = found.filter(|e| table.starts_with(b"metadata") && u32_at(e, 20) as usize == length);
    let entry = entry.ok_or_else(|| Error::integrity(format!("VHDX metadata at offset {metadata}: no item {wanted} of {length} bytes")))?;
    let mut value = vec![0; length];
    file(metadata.saturating_add(u64::from(u32_at(entry, 16))), &mut value)?;
    Ok(value)
}
