//! Disk image files: one planned disk, written in each format that is asked for, never from a file of another format.
//!
//! Two kinds. Raw, VHD and VHDX are plans themselves ([`raw`]): the disk's segments between a few tables, copied in the kernel where it can. The others
//! are compressed piece by piece ([`in_order`]).

mod artifact;
mod compressed;
mod export;
mod gce;
mod hashed_file;
mod in_order;
mod known_states;
mod ova;
mod plan_digest;
pub mod qcow2;
pub mod raw;
mod vmdk;

#[cfg(test)]
mod tests;

pub use crate::recipe::{Compression, OutputFormat};
pub use artifact::{Artifact, Finished, publish};
pub use export::{Wrapping, export};

/// Sixteen bytes at a time, which the compiler makes wide.
fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<64>();
    words.iter().all(|w| w.iter().fold(0, |sum, b| sum | b) == 0) && rest.iter().all(|&b| b == 0)
}
