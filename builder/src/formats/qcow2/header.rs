//! The header: "Header" and "Header extensions" of the specification.

use crate::base::{Error, Result};

const MAGIC: [u8; 4] = *b"QFI\xfb";
const VERSION: u32 = 3;
/// Bytes of the header up to and with the compression type, padded to 8.
pub(super) const LENGTH: u32 = 112;
/// Incompatible feature bit 3: the compression type field is not zlib.
const INCOMPATIBLE_COMPRESSION: u64 = 1 << 3;
/// log2 of the bits of a reference count.
const REFCOUNT_ORDER: u32 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    Zlib,
    Zstd,
}

/// What the tables need to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Of the disk, in bytes.
    pub size: u64,
    pub cluster_bits: u32,
    pub compression: Compression,
    /// Bytes from the start of the file.
    pub l1_offset: u64,
    pub l1_entries: u32,
    pub refcount_offset: u64,
    pub refcount_clusters: u32,
}

impl Header {
    /// With the end of header extensions behind it.
    pub fn encode(&self) -> Vec<u8> {
        let mut h = Vec::with_capacity(LENGTH as usize + 8);
        h.extend(MAGIC);
        h.extend(VERSION.to_be_bytes());
        h.extend([0; 12]); // no backing file: offset and length of its name
        h.extend(self.cluster_bits.to_be_bytes());
        h.extend(self.size.to_be_bytes());
        h.extend([0; 4]); // no encryption
        h.extend(self.l1_entries.to_be_bytes());
        h.extend(self.l1_offset.to_be_bytes());
        h.extend(self.refcount_offset.to_be_bytes());
        h.extend(self.refcount_clusters.to_be_bytes());
        h.extend([0; 12]); // no snapshots: count and offset
        h.extend(if self.compression == Compression::Zstd { INCOMPATIBLE_COMPRESSION } else { 0 }.to_be_bytes());
        h.extend([0; 16]); // compatible and autoclear features: none
        h.extend(REFCOUNT_ORDER.to_be_bytes());
        h.extend(LENGTH.to_be_bytes());
        h.push(u8::from(self.compression == Compression::Zstd));
        h.extend([0; 7]); // padding to a multiple of 8
        h.extend([0; 8]); // header extension of type 0 and length 0: the end
        h
    }

    /// From the first 112 bytes of a file. Refuses what the reader does not implement.
    pub fn decode(h: &[u8; LENGTH as usize]) -> Result<Self> {
        let bad = |what: String| Error::integrity(format!("qcow2 header: {what}"));
        let u32_at = |at: usize| u32::from_be_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) << 32 | u64::from(u32_at(at + 4));
        if h[..4] != MAGIC {
            return Err(bad(format!("expected the magic 514649fb, found {}", hex::encode(&h[..4]))));
        }
        if u32_at(4) != VERSION {
            return Err(bad(format!("expected version {VERSION}, found {}", u32_at(4))));
        }
        if u64_at(8) != 0 || u32_at(32) != 0 || u32_at(60) != 0 {
            return Err(bad("a backing file, encryption or snapshots, which are not supported".into()));
        }
        let incompatible = u64_at(72);
        if incompatible & !INCOMPATIBLE_COMPRESSION != 0 {
            return Err(bad(format!("incompatible features {incompatible:#x} are not supported")));
        }
        let compression = match (incompatible, u32_at(100) > 104, h[104]) {
            (0, _, 0) | (0, false, _) => Compression::Zlib,
            (INCOMPATIBLE_COMPRESSION, true, 1) => Compression::Zstd,
            (_, _, found) => return Err(bad(format!("compression type {found} is not supported"))),
        };
        let header = Header {
            size: u64_at(24),
            cluster_bits: u32_at(20),
            compression,
            l1_offset: u64_at(40),
            l1_entries: u32_at(36),
            refcount_offset: u64_at(48),
            refcount_clusters: u32_at(56),
        };
        // The specification's smallest and QEMU's largest cluster.
        if !(9..=21).contains(&header.cluster_bits) {
            return Err(bad(format!("expected 9 to 21 cluster bits, found {}", header.cluster_bits)));
        }
        let per_table = 1u64 << (2 * header.cluster_bits - 3);
        if u64::from(header.l1_entries) < header.size.div_ceil(per_table) {
            return Err(bad(format!("{} L1 entries do not cover {} bytes", header.l1_entries, header.size)));
        }
        Ok(header)
    }
}
