//! The texts of boot/ that an image's bootloader is built from.

use rootfs::BootData;

pub const BOOT_DATA: BootData<'static> = BootData {
    embedded: include_str!("../boot/embedded.cfg"),
    modules_bios: include_str!("../boot/modules-bios.txt"),
    modules_efi: include_str!("../boot/modules-efi.txt"),
};

/// GRUB's signature of an environment block, and its size (grub-core/lib/envblk.c and include/grub/lib/envblk.h: GRUB_ENVBLK_SIGNATURE,
/// GRUB_ENVBLK_DEFAULT_SIZE).
const ENVIRONMENT_SIGNATURE: &[u8] = b"# GRUB Environment Block\n";
const ENVIRONMENT_SIZE: usize = 1024;

/// An environment block without variables. `save_env` writes into the blocks that a file has and never makes one, so that it must be there in full.
pub fn environment_block() -> Vec<u8> {
    let mut block = ENVIRONMENT_SIGNATURE.to_vec();
    block.resize(ENVIRONMENT_SIZE, b'#');
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn grub_editenv_takes_the_block_and_refuses_a_shorter_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("grubenv");
        let set = |block: &[u8]| {
            std::fs::write(&file, block).unwrap();
            let output = Command::new("grub-editenv").arg(&file).args(["set", "boot_tries=2"]).output().ok()?;
            Some(output.status.success() && std::fs::read(&file).unwrap().len() == ENVIRONMENT_SIZE)
        };
        match set(&environment_block()) {
            Some(taken) => assert!(taken),
            None => return fixtures::missing("no grub-editenv"),
        }
        assert!(std::fs::read(&file).unwrap().starts_with(b"# GRUB Environment Block\nboot_tries=2\n###"));
        assert_eq!(set(&environment_block()[1..]), Some(false));
    }
}
