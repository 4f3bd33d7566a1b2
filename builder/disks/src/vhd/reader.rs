//! Reads the disk inside a fixed or dynamic VHD, trusting nothing.

use super::{DYNAMIC_HEADER, FOOTER, MAX, PAGE, SECTOR, UNUSED};
use crate::block_table::{Shape, read_by_blocks};
use model::{Error, Result};

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
    start.starts_with(b"conectix") || end.starts_with(b"conectix")
}

impl<F: Fn(u64, &mut [u8]) -> Result<()>> Reader<F> {
    /// `length` is the file's, in bytes.
    pub fn open(length: u64, file: F) -> Result<Self> {
        let at = length.saturating_sub(FOOTER);
        let bad = |what: String| {
            Error::integrity(format!("VHD footer at offset {at}: {what}"))
                .hint("the file was cut short or damaged: copy or download it again")
        };
        let mut footer = [0; FOOTER as usize];
        file(at, &mut footer)?;
        let u32_at = |b: &[u8], at: usize| u32::from_be_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        let u64_at = |b: &[u8], at: usize| u64::from(u32_at(b, at)) << 32 | u64::from(u32_at(b, at + 4));
        if &footer[..8] != b"conectix" {
            return Err(bad(format!("expected \"conectix\", found {}", hex::encode(&footer[..8]))));
        }
        if checksum(&footer, 64) != u32_at(&footer, 64) {
            return Err(bad(format!("expected the checksum {:08x}, found {:08x}", u32_at(&footer, 64), checksum(&footer, 64))));
        }
        let size = u64_at(&footer, 48);
        if !size.is_multiple_of(SECTOR) || size > MAX {
            return Err(bad(format!("a disk of {size} bytes")));
        }
        match u32_at(&footer, 60) {
            2 if size <= at => Ok(Reader { file, size, blocks: None }),
            2 => Err(bad(format!("a disk of {size} bytes in a file of {length}"))),
            3 => {
                let header_at = u64_at(&footer, 16);
                let mut h = [0; DYNAMIC_HEADER as usize];
                if header_at > length.saturating_sub(DYNAMIC_HEADER) {
                    return Err(bad(format!("the dynamic header at offset {header_at} leaves the file")));
                }
                file(header_at, &mut h)?;
                if &h[..8] != b"cxsparse" || checksum(&h, 36) != u32_at(&h, 36) {
                    return Err(Error::integrity(format!("VHD dynamic header at offset {header_at}: no magic or a wrong checksum")));
                }
                let block = u64::from(u32_at(&h, 32));
                let entries = u64::from(u32_at(&h, 28));
                if !block.is_power_of_two() || !(PAGE..=256 << 20).contains(&block) || entries < size.div_ceil(block) {
                    return Err(Error::integrity(format!("VHD dynamic header at offset {header_at}: {entries} blocks of {block} bytes")));
                }
                let bitmap = (block / SECTOR / 8).next_multiple_of(SECTOR);
                let reader = Reader { file, size, blocks: Some(Blocks { table: u64_at(&h, 16), block, bitmap }) };
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
        let mut entry = [0; 4];
        (self.file)(blocks.table.saturating_add(number * 4), &mut entry)?;
        let sector = u32::from_be_bytes(entry);
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

/// The one's complement of the sum of all bytes but those of the checksum itself.
fn checksum(record: &[u8], at: usize) -> u32 {
    let sum: u32 = record.iter().map(|&b| u32::from(b)).sum();
    !(sum - record[at..at + 4].iter().map(|&b| u32::from(b)).sum::<u32>())
}
