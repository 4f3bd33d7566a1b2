//! Disk image files: one planned disk, written once for each format.

mod artifact;
pub mod qcow2;
pub mod raw;

pub use artifact::Artifact;
