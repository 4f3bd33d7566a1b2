//! Installing GRUB 2 for BIOS into a GPT disk: the few bytes of `boot.img` and `diskboot.img` (the first sector of `core.img`) that name positions.
//! Source: GRUB's manual, "BIOS installation", and the data sections at the end of `grub-core/boot/i386/pc/{boot,diskboot}.S`; both little-endian.

use crate::mbr::{self, MasterBootRecord};
use model::{Error, Lba, Result};
use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, transmute};

/// The code of boot.img, which ends where a master boot record has its disk signature.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct BootCode {
    /// Begins with a jump over the parameters of a floppy.
    code: [u8; 0x5c],
    /// LBA of core.img.
    kernel_sector: U64,
    /// 0xff means the drive that the BIOS booted.
    boot_drive: u8,
    cli: u8,
    /// A jump that skips a workaround for floppies; two NOPs keep the workaround, since a BIOS may pass a wrong drive in DL.
    boot_drive_check: [u8; 2],
    rest: [u8; mbr::CODE - 0x68],
}
const _: () = assert!(size_of::<BootCode>() == mbr::CODE);

/// diskboot.img.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct DiskBoot {
    code: [u8; 0x1f4],
    /// The first block list: where the rest of core.img is, in sectors, and the real-mode segment to which it is loaded.
    blocklist_start: U64,
    blocklist_len: U16,
    blocklist_seg: U16,
}
const _: () = assert!(size_of::<DiskBoot>() == Lba::SECTOR as usize);

/// Where diskboot.img puts the rest of core.img, as a real-mode segment.
const LOAD_SEGMENT: u16 = 0x820;
/// Real-mode memory from the load address to the video memory at 0xa0000 bounds core.img.
const CORE_MAX: usize = 0xa_0000 - 0x8200 + 512;

/// The boot code of LBA 0, which loads the core image from `core_at`.
pub fn boot_sector(boot_img: &[u8], core_at: Lba) -> Result<[u8; mbr::CODE]> {
    let refused =
        || Error::integrity(format!("expected GRUB's boot.img of 512 bytes with a boot signature, found {} bytes", boot_img.len()));
    let sector = MasterBootRecord::read_from_bytes(boot_img).map_err(|_| refused())?;
    if sector.signature != mbr::SIGNATURE || sector.boot_code[0] != 0xeb {
        return Err(refused());
    }
    let code: BootCode = transmute!(sector.boot_code);
    Ok(transmute!(BootCode { kernel_sector: core_at.0.into(), boot_drive: 0xff, boot_drive_check: [0x90, 0x90], ..code }))
}

/// The core image as it must stand at `first`: its first sector then knows where the others are.
pub fn core_image(core_img: &[u8], first: Lba) -> Result<Vec<u8>> {
    let refused = || Error::integrity(format!("expected a GRUB core.img of 1024 to {CORE_MAX} bytes, found {} bytes", core_img.len()));
    let (mut diskboot, rest) = DiskBoot::read_from_prefix(core_img).map_err(|_| refused())?;
    if !(1024..=CORE_MAX).contains(&core_img.len()) {
        return Err(refused());
    }
    let sectors = rest.len().div_ceil(size_of::<DiskBoot>());
    diskboot.blocklist_start = (first.0 + 1).into();
    diskboot.blocklist_len = u16::try_from(sectors).map_err(|_| Error::integrity("GRUB's core.img has more than 65535 sectors"))?.into();
    diskboot.blocklist_seg = LOAD_SEGMENT.into();
    let mut core = [diskboot.as_bytes(), rest].concat();
    core.resize((1 + sectors) * size_of::<DiskBoot>(), 0);
    Ok(core)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_patched_and_other_files_are_refused() {
        let mut boot = vec![0x11; 512];
        boot[0] = 0xeb;
        boot[510..].copy_from_slice(&[0x55, 0xaa]);
        let code = boot_sector(&boot, Lba(2048)).unwrap();
        assert_eq!(code[0x5b..0x68], [0x11, 0, 8, 0, 0, 0, 0, 0, 0, 0xff, 0x11, 0x90, 0x90]);
        let core = core_image(&[0x22; 1500], Lba(2048)).unwrap();
        assert_eq!((core.len(), &core[0x1f4..0x200]), (1536, &[1, 8, 0, 0, 0, 0, 0, 0, 2, 0, 0x20, 8][..]));
        assert!(boot_sector(&[0; 512], Lba(1)).is_err());
        assert!(core_image(&[0; 512], Lba(1)).is_err());
        assert!(core_image(&vec![0; 1 << 20], Lba(1)).is_err());
    }
}
