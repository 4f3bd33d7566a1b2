//! QEMU's qcow2 disk images: QEMU's `docs/interop/qcow2.txt`.
//!
//! We write: version 3, 64 KiB clusters, every cluster with data compressed by zstd or deflate unless that gains nothing, all-zero clusters left out,
//! 16-bit reference counts, no backing file, no snapshots, no encryption. We read versions 2 and 3 with any cluster size, subclusters and backing files, and of
//! an image with snapshots what it holds now. Refused by name: encryption, an external data file, version 1.
//!
//! ```text
//! header | data clusters and compressed data … | L2 tables | L1 table | refcount blocks | refcount table
//! ```
//!
//! All numbers are big-endian.

mod extensions;
mod header;
mod reader;
mod tables;

pub use extensions::Backing;
pub use reader::Reader;
pub use tables::{Placed, Tables};

use zerocopy::big_endian::U64;

/// How compressed clusters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    Zlib,
    Zstd,
}

/// log2 of the cluster size that is written.
pub const CLUSTER_BITS: u32 = 16;
/// Bytes in a cluster that is written.
pub const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// Entries in an L2 table of one cluster: a table describes 512 MiB.
pub const L2_ENTRIES: u64 = CLUSTER / size_of::<U64>() as u64;
