//! Installing GRUB 2 for BIOS into a GPT disk: the few bytes of `boot.img` and `diskboot.img` (the first sector of `core.img`) that name positions.
//! Source: GRUB's manual, "BIOS installation", and the data sections at the end of `grub-core/boot/i386/pc/{boot,diskboot}.S`; both little-endian.

use crate::mbr;
use model::{Error, Lba, Result};

/// `kernel_sector` in boot.img: the u64 LBA of core.img.
const BOOT_KERNEL_SECTOR: usize = 0x5c;
/// `boot_drive` in boot.img: 0xff means the drive that the BIOS booted.
const BOOT_DRIVE: usize = 0x64;
/// A jump in boot.img that skips a workaround for floppies; two NOPs keep the workaround, since a BIOS may pass a wrong drive in DL.
const BOOT_DRIVE_CHECK: usize = 0x66;
/// The first block list in diskboot.img: u64 start, u16 sectors, u16 segment to load to.
const BLOCK_LIST: usize = 0x1f4;
/// Where diskboot.img puts the rest of core.img, as a real-mode segment.
const LOAD_SEGMENT: u16 = 0x820;
/// Real-mode memory from the load address to the video memory at 0xa0000 bounds core.img.
const CORE_MAX: usize = 0xa_0000 - 0x8200 + 512;

/// The boot code of LBA 0, which loads the core image from `core_at`.
pub fn boot_sector(boot_img: &[u8], core_at: Lba) -> Result<[u8; mbr::CODE]> {
    if boot_img.len() != 512 || boot_img[510..] != [0x55, 0xaa] || boot_img[0] != 0xeb {
        return Err(Error::integrity(format!(
            "expected GRUB's boot.img of 512 bytes with a boot signature, found {} bytes",
            boot_img.len()
        )));
    }
    let mut code = [0; mbr::CODE];
    code.copy_from_slice(&boot_img[..mbr::CODE]);
    code[BOOT_KERNEL_SECTOR..BOOT_KERNEL_SECTOR + 8].copy_from_slice(&core_at.0.to_le_bytes());
    code[BOOT_DRIVE] = 0xff;
    code[BOOT_DRIVE_CHECK..BOOT_DRIVE_CHECK + 2].copy_from_slice(&[0x90, 0x90]);
    Ok(code)
}

/// The core image as it must stand at `first`: its first sector then knows where the others are.
pub fn core_image(core_img: &[u8], first: Lba) -> Result<Vec<u8>> {
    let sectors = core_img.len().div_ceil(Lba::SECTOR as usize);
    if !(1024..=CORE_MAX).contains(&core_img.len()) {
        return Err(Error::integrity(format!("expected a GRUB core.img of 1024 to {CORE_MAX} bytes, found {} bytes", core_img.len())));
    }
    let mut core = core_img.to_vec();
    core.resize(sectors * Lba::SECTOR as usize, 0);
    let rest = u16::try_from(sectors - 1).map_err(|_| Error::integrity("GRUB's core.img has more than 65535 sectors"))?;
    core[BLOCK_LIST..BLOCK_LIST + 8].copy_from_slice(&(first.0 + 1).to_le_bytes());
    core[BLOCK_LIST + 8..BLOCK_LIST + 10].copy_from_slice(&rest.to_le_bytes());
    core[BLOCK_LIST + 10..BLOCK_LIST + 12].copy_from_slice(&LOAD_SEGMENT.to_le_bytes());
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
