//! The sparse extent's header, `SparseExtentHeader`, and the markers between its parts.

use super::{GRAIN, OVERHEAD, SECTOR, TABLE_ENTRIES};
use model::{Error, Result};

pub(super) const MAGIC: [u8; 4] = *b"KDMV";
/// 3: compressed grains and markers.
const VERSION: u32 = 3;
/// Bit 0: the line-end check is valid; 16: grains are compressed; 17: markers are there.
const FLAGS: u32 = 0x3_0001;
const LINE_ENDS_VALID: u32 = 1 << 0;
const COMPRESSED: u32 = 1 << 16;
const MARKERS: u32 = 1 << 17;
/// Sectors of a grain accepted, 2 MiB, and of an embedded descriptor; entries of a grain table, as in QEMU.
const GRAIN_MAX: u64 = 4096;
const DESCRIPTOR_MAX: u64 = 256;
const TABLE_ENTRIES_MAX: u32 = 512;
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

/// What is not the same in every image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Of the extent's part of the disk, in sectors.
    pub capacity: u64,
    /// In sectors, or [`AT_END`].
    pub(super) directory: u64,
    /// Of a grain, in sectors.
    pub(super) grain: u64,
    /// Entries of a grain table.
    pub(super) table_entries: u32,
    /// Grains are compressed, each behind a marker.
    pub(super) is_compressed: bool,
    /// Of the embedded descriptor, in sectors: position and length, 0 without one.
    pub(super) descriptor: (u64, u64),
}

impl Header {
    /// Of an image of `capacity` sectors, for its start.
    pub fn at_start(capacity: u64) -> Self {
        Header {
            capacity,
            directory: AT_END,
            grain: GRAIN / SECTOR,
            table_entries: TABLE_ENTRIES as u32,
            is_compressed: true,
            descriptor: (DESCRIPTOR_AT, DESCRIPTOR_SECTORS),
        }
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
        let (version, flags, algorithm) = (u32_at(4), u32_at(8), u16::from_le_bytes([h[77], h[78]]));
        if !(1..=3).contains(&version) {
            return Err(Error::recipe(format!("a VMDK image of version {version}, which is not read")));
        }
        let is_compressed = flags & COMPRESSED != 0;
        if is_compressed && (flags & MARKERS == 0 || algorithm != DEFLATE) {
            return Err(bad(format!("flags {flags:#x} with the compression {algorithm} are not supported")));
        }
        if flags & LINE_ENDS_VALID != 0 && h[73..77] != LINE_ENDS {
            return Err(bad("its line ends were changed, as a transfer in text mode does".into()));
        }
        let (grain, table_entries) = (u64_at(20), u32_at(44));
        if !grain.is_power_of_two() || grain > GRAIN_MAX || !(1..=TABLE_ENTRIES_MAX).contains(&table_entries) {
            return Err(bad(format!("grains of {grain} sectors in tables of {table_entries} are not supported")));
        }
        let descriptor = (u64_at(28), u64_at(36));
        if descriptor.0 != 0 && descriptor.1 > DESCRIPTOR_MAX {
            return Err(bad(format!("a descriptor of {} sectors, expected at most {DESCRIPTOR_MAX}", descriptor.1)));
        }
        let capacity = u64_at(12);
        // Grain tables name sectors in 32 bits.
        if capacity > 1 << 40 {
            return Err(bad(format!("a disk of {capacity} sectors is not supported")));
        }
        Ok(Header { capacity, directory: u64_at(56), grain, table_entries, is_compressed, descriptor })
    }
}
