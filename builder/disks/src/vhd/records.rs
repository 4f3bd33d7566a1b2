//! What a VHD has on disk: "Hard Disk Footer Format" and "Dynamic Disk Header Format" of the specification. Big-endian.

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub(super) const FOOTER_COOKIE: [u8; 8] = *b"conectix";
pub(super) const DYNAMIC_COOKIE: [u8; 8] = *b"cxsparse";
/// 1.0, of the format and of the dynamic header.
pub(super) const VERSION: u32 = 0x0001_0000;
/// "No further header": the data offset of a fixed disk's footer and of a dynamic header.
pub(super) const NO_DATA: u64 = u64::MAX;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Footer {
    pub cookie: [u8; 8],
    pub features: U32,
    pub file_format_version: U32,
    /// Of the dynamic header, in bytes.
    pub data_offset: U64,
    /// Seconds since 2000-01-01 00:00:00 UTC.
    pub time_stamp: U32,
    pub creator_application: [u8; 4],
    pub creator_version: U32,
    pub creator_host_os: [u8; 4],
    /// In bytes, as the current one.
    pub original_size: U64,
    pub current_size: U64,
    pub disk_geometry: DiskGeometry,
    pub disk_type: U32,
    pub checksum: U32,
    pub unique_id: [u8; 16],
    pub saved_state: u8,
    pub reserved: [u8; 427],
}
const _: () = assert!(size_of::<Footer>() == 512);

#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct DiskGeometry {
    pub cylinder: U16,
    pub heads: u8,
    pub sectors_per_track: u8,
}
const _: () = assert!(size_of::<DiskGeometry>() == 4);

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct DynamicHeader {
    pub cookie: [u8; 8],
    pub data_offset: U64,
    /// Of the block table, in bytes.
    pub table_offset: U64,
    pub header_version: U32,
    pub max_table_entries: U32,
    /// In bytes, without the sector bitmap.
    pub block_size: U32,
    pub checksum: U32,
    /// From here on only a differencing disk has something.
    pub parent_unique_id: [u8; 16],
    pub parent_time_stamp: U32,
    pub reserved: U32,
    pub parent_unicode_name: [U16; 256],
    pub parent_locator_entries: [ParentLocator; 8],
    pub reserved_2: [u8; 256],
}
const _: () = assert!(size_of::<DynamicHeader>() == 1024);

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ParentLocator {
    pub platform_code: U32,
    pub platform_data_space: U32,
    pub platform_data_length: U32,
    pub reserved: U32,
    pub platform_data_offset: U64,
}
const _: () = assert!(size_of::<ParentLocator>() == 24);

impl Footer {
    pub fn checksum(&self) -> u32 {
        checksum(self.as_bytes(), self.checksum)
    }
}

impl DynamicHeader {
    pub fn checksum(&self) -> u32 {
        checksum(self.as_bytes(), self.checksum)
    }
}

/// Returns the one's complement of the sum of all bytes but those of the record's checksum field, which are `own`.
fn checksum(record: &[u8], own: U32) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|&b| u32::from(b)).sum::<u32>();
    !(sum(record) - sum(own.as_bytes()))
}
