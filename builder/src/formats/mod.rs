//! Bytes of published specifications: no policy, no clock, no network, no printing.
//! May import `tree` and `base` only.

pub mod compress;
pub mod cpio;
pub mod evr;
pub mod rpm;
pub mod bls;
pub mod gvariant;
pub mod ostree;
pub mod ext4;
pub mod fat;
pub mod gpt;
pub mod grub;
pub mod mbr;
pub mod conf;
pub mod deb;
pub mod elf;
pub mod qcow2;
pub mod iso9660;
pub mod rpmmd;
