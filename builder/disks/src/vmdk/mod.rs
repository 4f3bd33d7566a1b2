//! VMware's disk images: "Virtual Disk Format 5.0" (VMware, 2011), "The Descriptor File", "Hosted Sparse Extents" and "Stream-Optimized Compressed Sparse
//! Extents".
//!
//! We write: streamOptimized, one extent of 64 KiB grains, each compressed with zlib (RFC 1950), all-zero grains left out, one grain table level. We read that
//! with other grains, sparse extents without compression, and descriptors that name flat and sparse extents in files of their own. Refused by name: disks that
//! need a parent, and extents of ESX (COWD, SESparse, raw devices).
//!
//! ```text
//! header | descriptor | grains of a table, marker, that grain table | … | marker, grain directory | marker, footer | end-of-stream marker
//! ```
//!
//! Little-endian; positions and lengths in sectors of 512 bytes, and everything begins at a sector. The header's directory position is "at the end": a
//! program that writes front to back knows it last, and repeats the header with it as the footer.

mod descriptor;
mod extents;
mod header;
mod reader;
mod tables;

pub use descriptor::{Description, content_id};
pub use extents::{DESCRIPTOR_MAX, Descriptor, Extent, ExtentKind, is_descriptor};
pub use header::{GrainMarker, SparseExtentHeader};
pub use reader::Reader;
pub use tables::Tables;

pub const SECTOR: u64 = 512;
/// Bytes in a grain.
pub const GRAIN: u64 = 64 << 10;
/// Entries of a grain table, which describes 32 MiB.
pub const TABLE_ENTRIES: u64 = 512;
/// Sectors of header and descriptor together, one grain: where the first grain stands.
const OVERHEAD: u64 = GRAIN / SECTOR;
