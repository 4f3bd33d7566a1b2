//! VirtualBox's disk images, read only: `VDICore.h` of VirtualBox's source (Storage/VDI), version 1.1.
//!
//! We read dynamic and fixed images, trusting nothing; images that need a parent (undo, differencing) are refused by name.
//!
//! ```text
//! text (64) | signature, version 1.1, header: offsets of block map and data, disk size, block size … | block map: u32 each | blocks
//! ```
//!
//! Little-endian. An entry of the map is the block's number in the data area.

use crate::block_table::{Shape, read_by_blocks};
use model::{Error, Result};

/// Offset of the signature, and the signature.
pub const SIGNATURE: (u64, [u8; 4]) = (0x40, [0x7f, 0x10, 0xda, 0xbe]);
/// Bytes to the end of the fields that are read.
const HEADER: usize = 0x188;
/// Major version 1, minor 1, in one number.
const VERSION: u32 = 0x0001_0001;
/// Entries of the block map: not in the file; 0xffffffff was never written, 0xfffffffe was discarded.
const DISCARDED: u32 = 0xffff_fffe;
/// Blocks, in bytes: VirtualBox writes 1 MiB.
const BLOCK_MIN: u64 = 4 << 10;
const BLOCK_MAX: u64 = 256 << 20;
/// Greatest disk accepted, in bytes, as in QEMU's VHDX driver: 64 TiB.
const SIZE_MAX: u64 = 64 << 40;
/// Greatest block map accepted, in bytes.
const MAP_MAX: u64 = 256 << 20;

/// Over a function that fills a buffer from a byte offset of the file.
pub struct Reader<F> {
    file: F,
    /// All in bytes.
    size: u64,
    block: u64,
    /// From one block to the next: each may have bytes of its own in front.
    stride: u64,
    extra: u64,
    map: u64,
    data: u64,
}

impl<F: Fn(u64, &mut [u8]) -> Result<()>> Reader<F> {
    /// `length` is the file's, in bytes.
    pub fn open(length: u64, file: F) -> Result<Self> {
        let bad = |what: String| Error::integrity(format!("VDI header at offset 64: {what}"));
        let mut h = [0; HEADER];
        if length < HEADER as u64 {
            return Err(bad(format!("a file of {length} bytes has no header")).hint("the file was cut short: copy or download it again"));
        }
        file(0, &mut h)?;
        let u32_at = |at: usize| u32::from_le_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if u32_at(0x40).to_le_bytes() != SIGNATURE.1 {
            return Err(bad(format!("expected the signature beda107f, found {:08x}", u32_at(0x40))));
        }
        if u32_at(0x44) != VERSION {
            return Err(Error::recipe(format!(
                "a VDI image of version {}.{}, which is not read",
                u32_at(0x44) >> 16,
                u32_at(0x44) & 0xffff
            )));
        }
        match u32_at(0x4c) {
            1 | 2 => {}
            3 | 4 => return Err(Error::recipe("a VDI image that needs its parent, which is not read")),
            kind => return Err(bad(format!("image type {kind} is not known"))),
        }
        let (size, block, extra) = (u64_at(0x170), u64::from(u32_at(0x178)), u64::from(u32_at(0x17c)));
        if u32_at(0x168) != 512 || !block.is_power_of_two() || !(BLOCK_MIN..=BLOCK_MAX).contains(&block) || size > SIZE_MAX {
            return Err(bad(format!("{size} bytes in blocks of {block} and sectors of {}", u32_at(0x168))));
        }
        let blocks = size.div_ceil(block);
        let (map, data) = (u64::from(u32_at(0x154)), u64::from(u32_at(0x158)));
        if blocks > u64::from(u32_at(0x180)) || blocks * 4 > MAP_MAX || map + blocks * 4 > length {
            let message = format!("a block map of {blocks} entries at offset {map} in a file of {length} bytes, {} blocks", u32_at(0x180));
            return Err(bad(message));
        }
        let reader = Reader { file, size, block, stride: block + extra, extra, map, data };
        reader.check_blocks(blocks, length)?;
        Ok(reader)
    }

    /// Every block that the map names is in the file.
    fn check_blocks(&self, blocks: u64, length: u64) -> Result<()> {
        let shape = Shape { disk: self.size, block: self.block, file: length };
        let mut map = vec![0; 64 << 10];
        let mut number = 0;
        while number < blocks {
            let n = (blocks - number).min(map.len() as u64 / 4);
            (self.file)(self.map + number * 4, &mut map[..n as usize * 4])?;
            for entry in map[..n as usize * 4].as_chunks::<4>().0 {
                if let Some(at) = self.place(u32::from_le_bytes(*entry)) {
                    shape.check_block("VDI", number, at)?;
                }
                number += 1;
            }
        }
        Ok(())
    }

    /// Byte offset of a block's content; `None`: it reads as zeros.
    fn place(&self, entry: u32) -> Option<u64> {
        (entry < DISCARDED).then(|| self.data + u64::from(entry) * self.stride + self.extra)
    }

    /// Of the disk, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Fills `buffer` from a byte offset of the disk; an error past its end.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        read_by_blocks(self.size, self.block, offset, buffer, |number, within, piece| {
            let mut entry = [0; 4];
            (self.file)(self.map + number * 4, &mut entry)?;
            match self.place(u32::from_le_bytes(entry)) {
                Some(start) => (self.file)(start + within, piece)?,
                None => piece.fill(0),
            }
            Ok(())
        })
    }
}
