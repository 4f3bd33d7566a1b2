//! Bytes of published specifications: no policy, no clock, no network, no printing.
//! May import `tree` and `base` only.

pub mod fat;
pub mod gpt;
pub mod grub;
pub mod mbr;
pub mod qcow2;
