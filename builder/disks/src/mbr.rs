//! The master boot record: boot code beside the protective partition of a GPT disk. UEFI specification 2.10, §5.2.3.
//!
//! ```text
//! 0 boot code | 440 disk signature | 444 reserved | 446 four partition records of 16 bytes | 510 55 aa
//! ```

/// Bytes of code before the disk signature.
pub const CODE: usize = 440;
/// "GPT protective".
const TYPE_PROTECTIVE: u8 = 0xee;
/// Cylinder, head and sector of LBA 1, and "does not fit" (§5.2.3, table 5-4).
const CHS_OF_LBA_1: [u8; 3] = [0x00, 0x02, 0x00];
const CHS_BEYOND: [u8; 3] = [0xff, 0xff, 0xff];

/// LBA 0 of a GPT disk of `sectors` sectors. The disk signature stays 0: GPT has its own GUID. No record is marked active, as the specification asks.
pub fn protective(code: &[u8; CODE], sectors: u64) -> [u8; 512] {
    let mut sector = [0; 512];
    sector[..CODE].copy_from_slice(code);
    sector[447..450].copy_from_slice(&CHS_OF_LBA_1);
    sector[450] = TYPE_PROTECTIVE;
    sector[451..454].copy_from_slice(&CHS_BEYOND);
    sector[454..458].copy_from_slice(&1u32.to_le_bytes());
    let length = u32::try_from(sectors.saturating_sub(1)).unwrap_or(u32::MAX);
    sector[458..462].copy_from_slice(&length.to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}
