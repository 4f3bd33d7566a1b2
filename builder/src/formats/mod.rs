//! Bytes of published specifications: no policy, no clock, no network, no printing.
//! May import `tree` and `base` only.

mod block_table;
pub mod bls;
pub mod compress;
pub mod conf;
pub mod cpio;
pub mod deb;
pub mod elf;
pub mod evr;
pub mod ext4;
pub mod fat;
pub mod gpt;
pub mod grub;
pub mod gvariant;
pub mod gzip;
pub mod iso9660;
pub mod mbr;
pub mod ostree;
pub mod ovf;
pub mod qcow2;
pub mod rpm;
pub mod rpmdb;
pub mod rpmmd;
pub mod seekable;
pub mod sqlite;
pub mod tar;
pub mod vdi;
pub mod vhd;
pub mod vhdx;
pub mod vmdk;
