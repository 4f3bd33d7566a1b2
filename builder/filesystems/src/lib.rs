//! Filesystems and archives as bytes, without a mount, a loop device or root: [`ext4`] and [`fat`] are planned from a tree, [`iso9660`] and [`tar`] written
//! from a few files; all but ISO 9660 are read, [`cpio`] only, with every field checked.
//!
#![doc = include_str!("../README.md")]
// The lints of methods are for the product: it is also checked without its tests.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may read the clock and drop an error"))]

pub mod cpio;
pub mod ext4;
pub mod fat;
pub mod iso9660;
pub mod tar;

#[cfg(test)]
mod digests;

// Trees, paths, segments and errors: whoever takes this crate needs them.
pub use model;
