//! What a VHDX has on disk: "[MS-VHDX]", §2.2 to §2.6. Little-endian.

use crate::gpt::EfiGuid;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes.
pub(super) const MIB: u64 = 1 << 20;

pub(super) const FILE_SIGNATURE: [u8; 8] = *b"vhdxfile";
pub(super) const HEADER_SIGNATURE: [u8; 4] = *b"head";
pub(super) const REGION_SIGNATURE: [u8; 4] = *b"regi";
pub(super) const METADATA_SIGNATURE: [u8; 8] = *b"metadata";

/// §2.2.1.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct FileTypeIdentifier {
    pub signature: [u8; 8],
    /// Who made the file, in UTF-16.
    pub creator: [U16; 256],
}
const _: () = assert!(size_of::<FileTypeIdentifier>() == 520);

/// §2.2.2. Of the two, the one with the higher sequence number is current.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub signature: [u8; 4],
    pub checksum: U32,
    pub sequence_number: U64,
    pub file_write_guid: EfiGuid,
    pub data_write_guid: EfiGuid,
    /// Zero: the log is empty.
    pub log_guid: EfiGuid,
    pub log_version: U16,
    pub version: U16,
    /// In bytes, as the offset.
    pub log_length: U32,
    pub log_offset: U64,
    pub reserved: [u8; 4016],
}
const _: () = assert!(size_of::<Header>() == 4096);

/// §2.2.3.1, with room for as many entries as there may be.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct RegionTable {
    pub signature: [u8; 4],
    pub checksum: U32,
    pub entry_count: U32,
    pub reserved: U32,
    pub entries: [RegionTableEntry; 2047],
    pub rest: [u8; 16],
}
const _: () = assert!(size_of::<RegionTable>() == 64 << 10);

/// §2.2.3.2.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct RegionTableEntry {
    pub guid: EfiGuid,
    /// In bytes, as the length.
    pub file_offset: U64,
    pub length: U32,
    /// Bit 0: who does not know the region must not read the file.
    pub required: U32,
}
const _: () = assert!(size_of::<RegionTableEntry>() == 32);

/// §2.5.1: bits 0 to 2 are the block's state, bits 20 to 63 its offset in MiB.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub(super) struct BatEntry(U64);
const _: () = assert!(size_of::<BatEntry>() == 8);

impl BatEntry {
    /// §2.5.1.1: payload block states. The second is of a differencing disk.
    pub const FULLY_PRESENT: u64 = 6;
    pub const PARTIALLY_PRESENT: u64 = 7;

    /// Of a payload block at a byte offset, a multiple of 1 MiB.
    pub fn present_at(offset: u64) -> Self {
        BatEntry(U64::new((offset / MIB) << 20 | Self::FULLY_PRESENT))
    }

    pub fn state(self) -> u64 {
        self.0.get() & 7
    }

    /// In bytes.
    pub fn file_offset(self) -> u64 {
        (self.0.get() >> 20) * MIB
    }
}

/// §2.6.1.1, with room for as many entries as there may be.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct MetadataTable {
    pub signature: [u8; 8],
    pub reserved: U16,
    pub entry_count: U16,
    pub reserved_2: [U32; 5],
    pub entries: [MetadataTableEntry; 2047],
}
const _: () = assert!(size_of::<MetadataTable>() == 64 << 10);

/// §2.6.1.2.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct MetadataTableEntry {
    pub item_id: EfiGuid,
    /// From the start of the metadata region, in bytes, as the length.
    pub offset: U32,
    pub length: U32,
    pub flags: U32,
    pub reserved: U32,
}
const _: () = assert!(size_of::<MetadataTableEntry>() == 32);

/// §2.6.2.1: the value of the metadata item of this name.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct FileParameters {
    /// In bytes.
    pub block_size: U32,
    /// Bit 0: blocks stay allocated; bit 1: the disk has a parent.
    pub flags: U32,
}
const _: () = assert!(size_of::<FileParameters>() == 8);

/// Returns the CRC-32C of a header or region table with zero in the place of its checksum, the second field of both.
pub(super) fn checksum(record: &(impl IntoBytes + Immutable)) -> u32 {
    let bytes = record.as_bytes();
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&bytes[..4]), &[0; 4]), &bytes[8..])
}
