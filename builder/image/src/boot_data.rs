//! The texts of boot/ that an image's bootloader is built from.

use rootfs::BootData;

pub const BOOT_DATA: BootData<'static> = BootData {
    embedded: include_str!("../boot/embedded.cfg"),
    modules_bios: include_str!("../boot/modules-bios.txt"),
    modules_efi: include_str!("../boot/modules-efi.txt"),
};
