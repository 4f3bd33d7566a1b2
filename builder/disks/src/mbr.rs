//! The master boot record: boot code beside the protective partition of a GPT disk. UEFI specification 2.10, §5.2.3.
//!
//! ```text
//! 0 boot code | 440 disk signature | 444 reserved | 446 four partition records of 16 bytes | 510 55 aa
//! ```

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of code before the disk signature.
pub const CODE: usize = 440;
/// The last two bytes of every boot sector.
pub(crate) const SIGNATURE: [u8; 2] = [0x55, 0xaa];
/// "GPT protective".
const TYPE_PROTECTIVE: u8 = 0xee;
/// Cylinder, head and sector of LBA 1, and "does not fit" (§5.2.3, table 5-4).
const CHS_OF_LBA_1: [u8; 3] = [0x00, 0x02, 0x00];
const CHS_BEYOND: [u8; 3] = [0xff, 0xff, 0xff];

/// Tables 5-1 and 5-3.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct MasterBootRecord {
    pub boot_code: [u8; CODE],
    /// 0: GPT has its own GUID.
    unique_mbr_disk_signature: U32,
    unknown: [u8; 2],
    partition_record: [PartitionRecord; 4],
    pub(crate) signature: [u8; 2],
}
const _: () = assert!(size_of::<MasterBootRecord>() == 512);

/// Tables 5-2 and 5-4.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct PartitionRecord {
    /// Marks the active partition; 0 in a protective record.
    boot_indicator: u8,
    starting_chs: [u8; 3],
    os_type: u8,
    ending_chs: [u8; 3],
    /// In sectors, as the size.
    starting_lba: U32,
    size_in_lba: U32,
}
const _: () = assert!(size_of::<PartitionRecord>() == 16);

/// LBA 0 of a GPT disk of `sectors` sectors.
pub fn protective(code: &[u8; CODE], sectors: u64) -> MasterBootRecord {
    let mut sector = MasterBootRecord { boot_code: *code, signature: SIGNATURE, ..MasterBootRecord::new_zeroed() };
    sector.partition_record[0] = PartitionRecord {
        boot_indicator: 0,
        starting_chs: CHS_OF_LBA_1,
        os_type: TYPE_PROTECTIVE,
        ending_chs: CHS_BEYOND,
        starting_lba: U32::new(1),
        size_in_lba: u32::try_from(sectors.saturating_sub(1)).unwrap_or(u32::MAX).into(),
    };
    sector
}
