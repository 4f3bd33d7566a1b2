//! The texts of boot/ that an image's bootloader is built from.

use rootfs::BootData;

pub const BOOT_DATA: BootData<'static> = BootData {
    embedded: include_str!("../boot/embedded.cfg"),
    modules_bios: include_str!("../boot/modules-i386-pc.txt"),
    modules_efi: include_str!("../boot/modules-x86_64-efi.txt"),
};
