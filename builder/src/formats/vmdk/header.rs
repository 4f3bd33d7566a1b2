//! The sparse extent's header, `SparseExtentHeader`, and the markers between its parts.

use super::{GRAIN, OVERHEAD, SECTOR, TABLE_ENTRIES};
use crate::base::{Error, Result};

pub(super) const MAGIC: [u8; 4] = *b"KDMV";
/// 3: compressed grains and markers.
const VERSION: u32 = 3;
/// Bit 0: the line-end check is valid; 16: grains are compressed; 17: markers are there.
const FLAGS: u32 = 0x3_0001;
const FLAGS_NEEDED: u32 = 0x3_0000;
/// compressAlgorithm: deflate, with zlib's frame.
const DEFLATE: u16 = 1;
/// "\n \r\n": shows a transfer in text mode.
const LINE_ENDS: [u8; 4] = *b"\n \r\n";
/// gdOffset in the header: see the footer.
pub(super) const AT_END: u64 = u64::MAX;
pub(super) const DESCRIPTOR_AT: u64 = 1;
pub(super) const DESCRIPTOR_SECTORS: u64 = 20;

/// What a metadata marker announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    EndOfStream = 0,
    GrainTable = 1,
    GrainDirectory = 2,
    Footer = 3,
}

impl Marker {
    /// One sector: how many sectors follow that belong to it, 0 for "no grain", the type.
    pub fn encode(self, sectors: u64) -> [u8; SECTOR as usize] {
        let mut m = [0; SECTOR as usize];
        m[..8].copy_from_slice(&sectors.to_le_bytes());
        m[12..16].copy_from_slice(&(self as u32).to_le_bytes());
        m
    }
}

/// What is not the same in every image of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Of the disk, in sectors.
    pub capacity: u64,
    /// In sectors, or [`AT_END`].
    pub(super) directory: u64,
}

impl Header {
    /// Of an image of `capacity` sectors, for its start.
    pub fn at_start(capacity: u64) -> Self {
        Header { capacity, directory: AT_END }
    }

    pub fn encode(&self) -> [u8; SECTOR as usize] {
        let mut h = Vec::with_capacity(SECTOR as usize);
        h.extend(MAGIC);
        h.extend(VERSION.to_le_bytes());
        h.extend(FLAGS.to_le_bytes());
        h.extend(self.capacity.to_le_bytes());
        h.extend((GRAIN / SECTOR).to_le_bytes());
        h.extend(DESCRIPTOR_AT.to_le_bytes());
        h.extend(DESCRIPTOR_SECTORS.to_le_bytes());
        h.extend((TABLE_ENTRIES as u32).to_le_bytes());
        h.extend(0u64.to_le_bytes()); // no redundant grain directory
        h.extend(self.directory.to_le_bytes());
        h.extend(OVERHEAD.to_le_bytes());
        h.push(0); // clean shutdown
        h.extend(LINE_ENDS);
        h.extend(DEFLATE.to_le_bytes());
        let mut sector = [0; SECTOR as usize];
        sector[..h.len()].copy_from_slice(&h);
        sector
    }

    /// Refuses what the reader does not implement; `at` is the header's place in the file.
    pub(super) fn decode(h: &[u8; SECTOR as usize], at: u64) -> Result<Self> {
        let bad = |what: String| Error::integrity(format!("vmdk header at offset {at}: {what}"));
        let u32_at = |at: usize| u32::from_le_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if h[..4] != MAGIC {
            return Err(bad(format!("expected the magic \"KDMV\", found {}", hex::encode(&h[..4]))));
        }
        if u32_at(8) & FLAGS_NEEDED != FLAGS_NEEDED || u16::from_le_bytes([h[77], h[78]]) != DEFLATE {
            return Err(bad("only streamOptimized images are supported".into()).hint("convert it: qemu-img convert -O qcow2"));
        }
        if h[73..77] != LINE_ENDS {
            return Err(bad("its line ends were changed, as a transfer in text mode does".into()));
        }
        if u64_at(20) != GRAIN / SECTOR || u32_at(44) != TABLE_ENTRIES as u32 {
            return Err(bad(format!("grains of {} sectors in tables of {} are not supported", u64_at(20), u32_at(44))));
        }
        let capacity = u64_at(12);
        // Grain tables name sectors in 32 bits.
        if capacity > 1 << 40 {
            return Err(bad(format!("a disk of {capacity} sectors is not supported")));
        }
        Ok(Header { capacity, directory: u64_at(56) })
    }
}
