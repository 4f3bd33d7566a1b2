//! Disks as bytes: partition tables, what firmware and bootloaders read, and the files in which hypervisors and clouds keep a disk. Published
//! specifications alone: no policy, clock, network or printing.
//!
#![doc = include_str!("../README.md")]
// The lints of methods are for the product: it is also checked without its tests.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may read the clock and drop an error"))]

mod block_table;
pub mod bls;
pub mod export;
pub mod gpt;
pub mod grub;
pub mod mbr;
mod output_format;
pub mod ovf;
pub mod qcow2;
mod record;
pub mod seekable;
pub mod vdi;
pub mod vhd;
pub mod vhdx;
pub mod vmdk;

pub use output_format::{Compression, Firmware, OutputFormat};

// Trees, paths, segments and errors: whoever takes this crate needs them.
pub use model;
