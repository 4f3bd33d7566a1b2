//! What a partition table has on disk: UEFI specification 2.10, §5.3.2 and §5.3.3. Little-endian; positions in the disk's sectors.

use super::guid::EfiGuid;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

pub(super) const SIGNATURE: [u8; 8] = *b"EFI PART";
pub(super) const REVISION: u32 = 0x0001_0000;
/// Bytes of the header's fields, which its checksum covers at least.
pub(super) const HEADER_SIZE: u32 = 92;

/// Table 5-5, as far as a sector of 512 bytes goes.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub signature: [u8; 8],
    pub revision: U32,
    pub header_size: U32,
    pub header_crc32: U32,
    pub reserved: U32,
    pub my_lba: U64,
    pub alternate_lba: U64,
    pub first_usable_lba: U64,
    pub last_usable_lba: U64,
    pub disk_guid: EfiGuid,
    pub partition_entry_lba: U64,
    pub number_of_partition_entries: U32,
    pub size_of_partition_entry: U32,
    pub partition_entry_array_crc32: U32,
    /// Zero, but covered by the checksum if `header_size` says so.
    pub rest: [u8; 512 - HEADER_SIZE as usize],
}
const _: () = assert!(size_of::<Header>() == 512);

impl Header {
    /// Returns the CRC-32 of the first `header_size` bytes with zero in the checksum's own place; of at most 512 bytes.
    pub fn checksum(&self) -> u32 {
        let zeroed = Header { header_crc32: U32::ZERO, ..*self };
        let bytes = zeroed.as_bytes();
        crc32fast::hash(&bytes[..bytes.len().min(self.header_size.get() as usize)])
    }
}

/// Table 5-6.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Entry {
    /// Zero in an entry that is not used.
    pub partition_type_guid: EfiGuid,
    pub unique_partition_guid: EfiGuid,
    pub starting_lba: U64,
    /// Inclusive.
    pub ending_lba: U64,
    pub attributes: U64,
    /// UTF-16, ended by a zero if it is shorter.
    pub partition_name: [U16; 36],
}
const _: () = assert!(size_of::<Entry>() == 128);
