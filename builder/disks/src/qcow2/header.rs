//! The header: "Header" and "Header extensions" of the specification.

use model::{Error, Result};

const MAGIC: [u8; 4] = *b"QFI\xfb";
const VERSION: u32 = 3;
/// Bytes of the header up to and with the compression type, padded to 8.
pub(super) const LENGTH: u32 = 112;
/// Bytes of a header of version 2, and of the shortest of version 3.
pub(super) const LENGTH_2: u32 = 72;
const LENGTH_3: u32 = 104;
/// Incompatible feature bits. 0: reference counts may be wrong, which does not concern a reader; 1: the image is corrupt; 2: the clusters are in a
/// file of their own; 3: the compression type field is not zlib; 4: L2 entries have a bitmap of subclusters.
const DIRTY: u64 = 1 << 0;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const INCOMPATIBLE_COMPRESSION: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;
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

    /// From the first 112 bytes of a file; fields past the end of a shorter header are not looked at. Refuses what the reader does not implement:
    /// with [`Kind::Recipe`](model::Kind) what is sound but not for us, by name.
    pub fn decode(h: &[u8; LENGTH as usize]) -> Result<Self> {
        let bad = |what: String| Error::integrity(format!("qcow2 header: {what}"));
        let foreign = |what: &str| Error::recipe(format!("a qcow2 image {what}"));
        let u32_at = |at: usize| u32::from_be_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) << 32 | u64::from(u32_at(at + 4));
        if h[..4] != MAGIC {
            return Err(bad(format!("expected the magic 514649fb, found {}", hex::encode(&h[..4]))));
        }
        let version = u32_at(4);
        // Version 2 (compat=0.10) ends before the features.
        let (incompatible, length) = match version {
            1 => return Err(Error::recipe("a qcow image of version 1, which is not read")),
            2 => (0, LENGTH_2),
            3 => (u64_at(72), u32_at(100)),
            _ => return Err(bad(format!("expected version 2 or 3, found {version}"))),
        };
        if version == 3 && (length < LENGTH_3 || !length.is_multiple_of(8)) {
            return Err(bad(format!("expected a length of at least {LENGTH_3} bytes, found {length}")));
        }
        match u32_at(32) {
            0 => {}
            1 => return Err(foreign("encrypted with AES")),
            2 => return Err(foreign("encrypted with LUKS")),
            method => return Err(bad(format!("encryption method {method} is not known"))),
        }
        if incompatible & CORRUPT != 0 {
            return Err(bad("the image is marked as corrupt".into()).hint("repair a copy of it: qemu-img check -r all"));
        }
        let known = DIRTY | EXTERNAL_DATA | INCOMPATIBLE_COMPRESSION | EXTENDED_L2;
        if incompatible & !known != 0 {
            return Err(foreign(&format!("with incompatible features {:#x}, which are not read", incompatible & !known)));
        }
        let kind = if version == 3 && length > 104 { h[104] } else { 0 };
        let compression = match (incompatible & INCOMPATIBLE_COMPRESSION != 0, kind) {
            (false, 0) => Compression::Zlib,
            (true, 1) => Compression::Zstd,
            (_, found) => return Err(bad(format!("compression type {found} is not supported"))),
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
        // The specification's smallest and QEMU's largest cluster; with subclusters each of the 32 has at least 512 bytes.
        let smallest = if incompatible & EXTENDED_L2 != 0 { 14 } else { 9 };
        if !(smallest..=21).contains(&header.cluster_bits) {
            return Err(bad(format!("expected {smallest} to 21 cluster bits, found {}", header.cluster_bits)));
        }
        Ok(header)
    }
}

/// What of the header only a reader needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes of the header, where its extensions begin.
    pub length: u32,
    /// Offset and bytes of the backing file's name; 0 without one.
    pub backing: (u64, u32),
    pub has_external_data: bool,
    pub has_subclusters: bool,
    /// An L2 entry's bit 0 says "reads as zeros".
    pub has_zero_flag: bool,
}

impl Layout {
    /// Of a header that [`Header::decode`] accepts.
    pub fn decode(h: &[u8; LENGTH as usize]) -> Self {
        let u32_at = |at: usize| u32::from_be_bytes([h[at], h[at + 1], h[at + 2], h[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) << 32 | u64::from(u32_at(at + 4));
        let is_3 = u32_at(4) == VERSION;
        let features = if is_3 { u64_at(72) } else { 0 };
        Layout {
            length: if is_3 { u32_at(100) } else { LENGTH_2 },
            backing: (u64_at(8), u32_at(16)),
            has_external_data: features & EXTERNAL_DATA != 0,
            has_subclusters: features & EXTENDED_L2 != 0,
            has_zero_flag: is_3,
        }
    }
}
