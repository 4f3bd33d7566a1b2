//! Reads the disk inside a VHDX, trusting nothing: without parent, and with a log that is empty.

use super::records::{
    BatEntry, FileParameters, HEADER_SIGNATURE, Header, METADATA_SIGNATURE, MetadataTable, REGION_SIGNATURE, RegionTable, checksum,
};
use super::{HEADERS, ITEM_DISK_SIZE, ITEM_FILE_PARAMETERS, ITEM_LOGICAL_SECTOR, MAX, MIB, REGION_BAT, REGION_METADATA, REGION_TABLES};
use crate::block_table::{Shape, read_by_blocks};
use crate::gpt::{EfiGuid, Guid};
use crate::record;
use model::{Error, Result};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, IntoBytes};

/// Over a function that fills a buffer from a byte offset of the file.
pub struct Reader<F> {
    file: F,
    /// All in bytes.
    size: u64,
    sector: u64,
    block: u64,
    table: u64,
}

impl<F: Fn(u64, &mut [u8]) -> Result<()>> Reader<F> {
    /// `length` is the file's, in bytes.
    pub fn open(length: u64, file: F) -> Result<Self> {
        if newest_header(&file)?.log_guid != EfiGuid::ZERO {
            return Err(Error::recipe("a VHDX whose log was not replayed: it was not closed cleanly")
                .hint("attach it once where it was used, or replay the log in a copy of it: qemu-img check -r all"));
        }
        let (table, table_length) = region(&file, REGION_BAT)?;
        let (metadata, _) = region(&file, REGION_METADATA)?;
        let parameters: FileParameters = item(&file, metadata, ITEM_FILE_PARAMETERS)?;
        let (block, flags) = (u64::from(parameters.block_size), parameters.flags.get());
        let size = item::<U64>(&file, metadata, ITEM_DISK_SIZE)?.get();
        let sector = u64::from(item::<U32>(&file, metadata, ITEM_LOGICAL_SECTOR)?);
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
        let entry: BatEntry = record::read(&self.file, at)?;
        match entry.state() {
            BatEntry::FULLY_PRESENT => Ok(Some(entry.file_offset())),
            BatEntry::PARTIALLY_PRESENT => {
                Err(Error::integrity(format!("VHDX block table at offset {at}: block {number} is partly in a parent")))
            }
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

fn newest_header(file: &impl Fn(u64, &mut [u8]) -> Result<()>) -> Result<Header> {
    let mut newest: Option<Header> = None;
    for at in HEADERS {
        let header: Header = record::read(file, at)?;
        let good = header.signature == HEADER_SIGNATURE && header.checksum == checksum(&header);
        if good && newest.is_none_or(|newest| newest.sequence_number.get() < header.sequence_number.get()) {
            newest = Some(header);
        }
    }
    newest.ok_or_else(|| Error::integrity(format!("VHDX: no good header at offsets {} and {}", HEADERS[0], HEADERS[1])))
}

/// Offset and length of a region, in bytes.
fn region(file: &impl Fn(u64, &mut [u8]) -> Result<()>, wanted: Guid) -> Result<(u64, u64)> {
    for at in REGION_TABLES {
        let table: RegionTable = record::read(file, at)?;
        if table.signature != REGION_SIGNATURE || table.checksum != checksum(&table) {
            continue;
        }
        let found = table.entries.iter().take(table.entry_count.get() as usize).find(|entry| entry.guid == wanted.into());
        return found
            .map(|entry| (entry.file_offset.get(), u64::from(entry.length)))
            .ok_or_else(|| Error::integrity(format!("VHDX region table at offset {at}: no region {wanted}")));
    }
    Err(Error::integrity(format!("VHDX: no good region table at offsets {} and {}", REGION_TABLES[0], REGION_TABLES[1])))
}

/// The value of a metadata item, which is as long as a `T`.
fn item<T: FromBytes + IntoBytes>(file: &impl Fn(u64, &mut [u8]) -> Result<()>, metadata: u64, wanted: Guid) -> Result<T> {
    let table: MetadataTable = record::read(file, metadata)?;
    let length = size_of::<T>();
    let found = table.entries.iter().take(usize::from(table.entry_count.get())).find(|entry| entry.item_id == wanted.into());
    let entry = found.filter(|entry| table.signature == METADATA_SIGNATURE && entry.length.get() as usize == length);
    let entry = entry.ok_or_else(|| Error::integrity(format!("VHDX metadata at offset {metadata}: no item {wanted} of {length} bytes")))?;
    record::read(file, metadata.saturating_add(u64::from(entry.offset)))
}
