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
use crate::record;
use model::{Error, Result};
use std::mem::offset_of;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// VDIPREHEADER and VDIHEADER1, up to the UUIDs, which are not read.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Header {
    file_info: [u8; 64],
    signature: U32,
    /// Major and minor, 16 bits each.
    version: U32,
    cb_header: U32,
    kind: U32,
    flags: U32,
    comment: [u8; 256],
    /// Byte offsets of the block map and of the data.
    off_blocks: U32,
    off_data: U32,
    legacy_geometry: Geometry,
    dummy: U32,
    /// Bytes of the disk, of a block, and of what stands in front of each block.
    cb_disk: U64,
    cb_block: U32,
    cb_block_extra: U32,
    c_blocks: U32,
    c_blocks_allocated: U32,
}
const _: () = assert!(size_of::<Header>() == 0x188);

/// VDIDISKGEOMETRY.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Geometry {
    c_cylinders: U32,
    c_heads: U32,
    c_sectors: U32,
    cb_sector: U32,
}
const _: () = assert!(size_of::<Geometry>() == 16);

/// Offset of the signature, and the signature.
pub const SIGNATURE: (u64, [u8; 4]) = (offset_of!(Header, signature) as u64, [0x7f, 0x10, 0xda, 0xbe]);
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
/// Entries of the block map that are read at once.
const MAP_STEP: usize = 16 << 10;

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
        if length < size_of::<Header>() as u64 {
            return Err(bad(format!("a file of {length} bytes has no header")).hint("the file was cut short: copy or download it again"));
        }
        let header: Header = record::read(&file, 0)?;
        if header.signature.as_bytes() != SIGNATURE.1 {
            return Err(bad(format!("expected the signature beda107f, found {:08x}", header.signature.get())));
        }
        let version = header.version.get();
        if version != VERSION {
            return Err(Error::recipe(format!("a VDI image of version {}.{}, which is not read", version >> 16, version & 0xffff)));
        }
        match header.kind.get() {
            1 | 2 => {}
            3 | 4 => return Err(Error::recipe("a VDI image that needs its parent, which is not read")),
            kind => return Err(bad(format!("image type {kind} is not known"))),
        }
        let (size, block, extra) = (header.cb_disk.get(), u64::from(header.cb_block), u64::from(header.cb_block_extra));
        let sector = header.legacy_geometry.cb_sector;
        if sector != 512 || !block.is_power_of_two() || !(BLOCK_MIN..=BLOCK_MAX).contains(&block) || size > SIZE_MAX {
            return Err(bad(format!("{size} bytes in blocks of {block} and sectors of {sector}")));
        }
        let blocks = size.div_ceil(block);
        let (map, data) = (u64::from(header.off_blocks), u64::from(header.off_data));
        if blocks > u64::from(header.c_blocks) || blocks * 4 > MAP_MAX || map + blocks * 4 > length {
            let message =
                format!("a block map of {blocks} entries at offset {map} in a file of {length} bytes, {} blocks", header.c_blocks);
            return Err(bad(message));
        }
        let reader = Reader { file, size, block, stride: block + extra, extra, map, data };
        reader.check_blocks(blocks, length)?;
        Ok(reader)
    }

    /// Every block that the map names is in the file.
    fn check_blocks(&self, blocks: u64, length: u64) -> Result<()> {
        let shape = Shape { disk: self.size, block: self.block, file: length };
        for first in (0..blocks).step_by(MAP_STEP) {
            let count = (blocks - first).min(MAP_STEP as u64) as usize;
            let entries: Vec<U32> = record::read_table(&self.file, self.map + first * 4, count)?;
            for (number, entry) in (first..).zip(entries) {
                if let Some(at) = self.place(entry) {
                    shape.check_block("VDI", number, at)?;
                }
            }
        }
        Ok(())
    }

    /// Byte offset of a block's content; `None`: it reads as zeros.
    fn place(&self, entry: U32) -> Option<u64> {
        (entry.get() < DISCARDED).then(|| self.data + u64::from(entry) * self.stride + self.extra)
    }

    /// Of the disk, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Fills `buffer` from a byte offset of the disk; an error past its end.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        read_by_blocks(self.size, self.block, offset, buffer, |number, within, piece| {
            match self.place(record::read(&self.file, self.map + number * 4)?) {
                Some(start) => (self.file)(start + within, piece)?,
                None => piece.fill(0),
            }
            Ok(())
        })
    }
}
