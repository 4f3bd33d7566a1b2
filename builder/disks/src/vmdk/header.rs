//! The sparse extent's header, and the markers between its parts.

use super::{GRAIN, OVERHEAD, SECTOR, TABLE_ENTRIES};
use model::{Error, Result};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

const MAGIC: [u8; 4] = *b"KDMV";
/// 3: compressed grains and markers.
const VERSION: u32 = 3;
/// Bit 0: the line-end check is valid; 16: grains are compressed; 17: markers are there.
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
const DESCRIPTOR_AT: u64 = 1;
pub(super) const DESCRIPTOR_SECTORS: u64 = 20;

/// Positions and lengths are in sectors.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SparseExtentHeader {
    magic_number: [u8; 4],
    version: U32,
    flags: U32,
    /// Of the extent's part of the disk.
    pub(super) capacity: U64,
    pub(super) grain_size: U64,
    /// Position and length of the embedded descriptor, 0 without one.
    pub(super) descriptor_offset: U64,
    pub(super) descriptor_size: U64,
    /// Entries of a grain table.
    pub(super) num_gtes_per_gt: U32,
    /// The redundant grain directory, 0 without one.
    rgd_offset: U64,
    /// The grain directory, or [`AT_END`].
    pub(super) gd_offset: U64,
    over_head: U64,
    unclean_shutdown: u8,
    /// singleEndLineChar, nonEndLineChar, doubleEndLineChar1 and 2.
    end_line_chars: [u8; 4],
    compress_algorithm: U16,
    pad: [u8; 433],
}
const _: () = assert!(size_of::<SparseExtentHeader>() == SECTOR as usize);

impl SparseExtentHeader {
    /// Returns the header for the start of a streamOptimized image of `capacity` sectors.
    pub fn at_start(capacity: u64) -> Self {
        SparseExtentHeader {
            magic_number: MAGIC,
            version: VERSION.into(),
            flags: (LINE_ENDS_VALID | COMPRESSED | MARKERS).into(),
            capacity: capacity.into(),
            grain_size: (GRAIN / SECTOR).into(),
            descriptor_offset: DESCRIPTOR_AT.into(),
            descriptor_size: DESCRIPTOR_SECTORS.into(),
            num_gtes_per_gt: (TABLE_ENTRIES as u32).into(),
            gd_offset: AT_END.into(),
            over_head: OVERHEAD.into(),
            end_line_chars: LINE_ENDS,
            compress_algorithm: DEFLATE.into(),
            ..Self::new_zeroed()
        }
    }

    /// Grains are compressed, each behind a marker.
    pub(super) fn is_compressed(&self) -> bool {
        self.flags.get() & COMPRESSED != 0
    }

    /// Refuses what the reader does not implement; `at` is the header's place in the file, in bytes.
    pub(super) fn checked(self, at: u64) -> Result<Self> {
        let bad = |what: String| Error::integrity(format!("vmdk header at offset {at}: {what}"));
        if self.magic_number != MAGIC {
            return Err(bad(format!("expected the magic \"KDMV\", found {}", hex::encode(self.magic_number))));
        }
        if !(1..=3).contains(&self.version.get()) {
            return Err(Error::recipe(format!("a VMDK image of version {}, which is not read", self.version)));
        }
        let flags = self.flags.get();
        if self.is_compressed() && (flags & MARKERS == 0 || self.compress_algorithm != DEFLATE) {
            return Err(bad(format!("flags {flags:#x} with the compression {} are not supported", self.compress_algorithm)));
        }
        if flags & LINE_ENDS_VALID != 0 && self.end_line_chars != LINE_ENDS {
            return Err(bad("its line ends were changed, as a transfer in text mode does".into()));
        }
        let (grain, table_entries) = (self.grain_size.get(), self.num_gtes_per_gt.get());
        if !grain.is_power_of_two() || grain > GRAIN_MAX || !(1..=TABLE_ENTRIES_MAX).contains(&table_entries) {
            return Err(bad(format!("grains of {grain} sectors in tables of {table_entries} are not supported")));
        }
        if self.descriptor_offset != 0 && self.descriptor_size.get() > DESCRIPTOR_MAX {
            return Err(bad(format!("a descriptor of {} sectors, expected at most {DESCRIPTOR_MAX}", self.descriptor_size)));
        }
        // Grain tables name sectors in 32 bits.
        if self.capacity.get() > 1 << 40 {
            return Err(bad(format!("a disk of {} sectors is not supported", self.capacity)));
        }
        Ok(self)
    }
}

/// What stands before a compressed grain.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct GrainMarker {
    /// The grain's first sector on the disk.
    pub lba: U64,
    /// Bytes of the compressed grain, which follow.
    pub size: U32,
}
const _: () = assert!(size_of::<GrainMarker>() == 12);

/// What a metadata marker announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MarkerKind {
    EndOfStream = 0,
    GrainTable = 1,
    GrainDirectory = 2,
    Footer = 3,
}

/// What stands before a table, the directory, the footer and the end of the stream.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct MetadataMarker {
    /// How many follow that belong to it.
    num_sectors: U64,
    /// 0: no grain.
    size: U32,
    /// A [`MarkerKind`].
    kind: U32,
    pad: [u8; 496],
}
const _: () = assert!(size_of::<MetadataMarker>() == SECTOR as usize);

impl MetadataMarker {
    pub fn new(kind: MarkerKind, sectors: u64) -> Self {
        MetadataMarker { num_sectors: sectors.into(), kind: (kind as u32).into(), ..Self::new_zeroed() }
    }
}
