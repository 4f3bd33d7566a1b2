//! Reads the disk inside a fixed or dynamic VHD, trusting nothing.

use super::records::{DYNAMIC_COOKIE, DynamicHeader, FOOTER_COOKIE, Footer};
use super::{DYNAMIC_HEADER, FOOTER, MAX, PAGE, SECTOR, UNUSED};
use crate::block_table::{Shape, read_by_blocks};
use crate::record;
use model::{Error, Result};
use zerocopy::big_endian::U32;

/// Over a function that fills a buffer from a byte offset of the file.
pub struct Reader<F> {
    file: F,
    /// Of the disk, in bytes.
    size: u64,
    /// `None`: the disk's bytes are the file's first.
    blocks: Option<Blocks>,
}

struct Blocks {
    /// Byte offset of the block table.
    table: u64,
    /// In bytes.
    block: u64,
    /// Bytes of a block's sector bitmap, in front of it.
    bitmap: u64,
}

/// What [`Reader::open`] can tell by a file's first and last 512 bytes.
pub fn is_vhd(start: &[u8], end: &[u8]) -> bool {
    start.starts_with(&FOOTER_COOKIE) || end.starts_with(&FOOTER_COOKIE)
}

impl<F: Fn(u64, &mut [u8]) -> Result<()>> Reader<F> {
    /// `length` is the file's, in bytes.
    pub fn open(length: u64, file: F) -> Result<Self> {
        let at = length.saturating_sub(FOOTER);
        let bad = |what: String| {
            Error::integrity(format!("VHD footer at offset {at}: {what}"))
                .hint("the file was cut short or damaged: copy or download it again")
        };
        let footer: Footer = record::read(&file, at)?;
        if footer.cookie != FOOTER_COOKIE {
            return Err(bad(format!("expected \"conectix\", found {}", hex::encode(footer.cookie))));
        }
        if footer.checksum != footer.checksum() {
            return Err(bad(format!("expected the checksum {:08x}, found {:08x}", footer.checksum.get(), footer.checksum())));
        }
        let size = footer.current_size.get();
        if !size.is_multiple_of(SECTOR) || size > MAX {
            return Err(bad(format!("a disk of {size} bytes")));
        }
        match footer.disk_type.get() {
            2 if size <= at => Ok(Reader { file, size, blocks: None }),
            2 => Err(bad(format!("a disk of {size} bytes in a file of {length}"))),
            3 => {
                let header_at = footer.data_offset.get();
                if header_at > length.saturating_sub(DYNAMIC_HEADER) {
                    return Err(bad(format!("the dynamic header at offset {header_at} leaves the file")));
                }
                let header: DynamicHeader = record::read(&file, header_at)?;
                if header.cookie != DYNAMIC_COOKIE || header.checksum != header.checksum() {
                    return Err(Error::integrity(format!("VHD dynamic header at offset {header_at}: no magic or a wrong checksum")));
                }
                let (block, entries) = (u64::from(header.block_size), u64::from(header.max_table_entries));
                if !block.is_power_of_two() || !(PAGE..=256 << 20).contains(&block) || entries < size.div_ceil(block) {
                    return Err(Error::integrity(format!("VHD dynamic header at offset {header_at}: {entries} blocks of {block} bytes")));
                }
                let bitmap = (block / SECTOR / 8).next_multiple_of(SECTOR);
                let reader = Reader { file, size, blocks: Some(Blocks { table: header.table_offset.get(), block, bitmap }) };
                reader.check_blocks(length)?;
                Ok(reader)
            }
            4 => Err(Error::recipe("a differencing VHD, which needs its parent and is not read")),
            other => Err(bad(format!("disk type {other} is not known"))),
        }
    }

    /// Every block that the table names is in the file.
    fn check_blocks(&self, length: u64) -> Result<()> {
        let Some(blocks) = &self.blocks else { return Ok(()) };
        let shape = Shape { disk: self.size, block: blocks.block, file: length };
        for number in 0..self.size.div_ceil(blocks.block) {
            if let Some(at) = self.block_at(blocks, number)? {
                shape.check_block("VHD", number, at)?;
            }
        }
        Ok(())
    }

    /// Byte offset of a block's content; `None`: it reads as zeros.
    fn block_at(&self, blocks: &Blocks, number: u64) -> Result<Option<u64>> {
        let sector: U32 = record::read(&self.file, blocks.table.saturating_add(number * 4))?;
        Ok((sector != UNUSED).then(|| u64::from(sector) * SECTOR + blocks.bitmap))
    }

    /// Of the disk, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Fills `buffer` from a byte offset of the disk; an error past its end.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        // A fixed disk is one block.
        let block = self.blocks.as_ref().map_or(self.size.max(1), |blocks| blocks.block);
        read_by_blocks(self.size, block, offset, buffer, |number, within, piece| {
            let start = match &self.blocks {
                Some(blocks) => self.block_at(blocks, number)?,
                None => Some(0),
            };
            match start {
                Some(start) => (self.file)(start + within, piece)?,
                None => piece.fill(0),
            }
            Ok(())
        })
    }
}
