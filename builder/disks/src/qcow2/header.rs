//! The header: "Header" of the specification.

use super::{CLUSTER_BITS, Compression};
use model::{Error, Result};
use zerocopy::big_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

const MAGIC: [u8; 4] = *b"QFI\xfb";
const VERSION: u32 = 3;
/// Bytes of the header that is written.
const LENGTH: u32 = size_of::<Header>() as u32;
/// Bytes of a header of version 2, which ends before the features, and of the shortest of version 3, which ends before the compression type.
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

/// The header as far as we know its fields; a reader finds less in older images.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    magic: [u8; 4],
    version: U32,
    /// Byte offset and bytes of the backing file's name; 0 without one.
    pub backing_file_offset: U64,
    pub backing_file_size: U32,
    pub cluster_bits: U32,
    /// Of the disk, in bytes.
    pub size: U64,
    crypt_method: U32,
    /// Entries.
    pub l1_size: U32,
    /// In bytes, as all offsets.
    pub l1_table_offset: U64,
    pub refcount_table_offset: U64,
    pub refcount_table_clusters: U32,
    nb_snapshots: U32,
    snapshots_offset: U64,
    incompatible_features: U64,
    compatible_features: U64,
    autoclear_features: U64,
    refcount_order: U32,
    /// Bytes of the header, where its extensions begin.
    pub header_length: U32,
    compression_type: u8,
    padding: [u8; 7],
}
const _: () = assert!(size_of::<Header>() == 112);

impl Header {
    /// Returns the header of an image without backing file, encryption and snapshots.
    pub fn new(size: u64, compression: Compression) -> Self {
        let is_zstd = compression == Compression::Zstd;
        Header {
            magic: MAGIC,
            version: VERSION.into(),
            cluster_bits: CLUSTER_BITS.into(),
            size: size.into(),
            incompatible_features: if is_zstd { INCOMPATIBLE_COMPRESSION } else { 0 }.into(),
            refcount_order: REFCOUNT_ORDER.into(),
            header_length: LENGTH.into(),
            compression_type: u8::from(is_zstd),
            ..Header::new_zeroed()
        }
    }

    /// Checks what was read from the start of a file of any length, and sets the fields that a shorter header does not have. Refuses what the reader
    /// does not implement: with [`Kind::Recipe`](model::Kind) what is sound but not for us, by name.
    pub fn checked(mut self) -> Result<Self> {
        let bad = |what: String| Error::integrity(format!("qcow2 header: {what}"));
        let foreign = |what: &str| Error::recipe(format!("a qcow2 image {what}"));
        if self.magic != MAGIC {
            return Err(bad(format!("expected the magic 514649fb, found {}", hex::encode(self.magic))));
        }
        match self.version.get() {
            1 => return Err(Error::recipe("a qcow image of version 1, which is not read")),
            2 => {
                self.incompatible_features = U64::ZERO;
                self.header_length = LENGTH_2.into();
            }
            3 => {}
            version => return Err(bad(format!("expected version 2 or 3, found {version}"))),
        }
        let length = self.header_length.get();
        if self.version == VERSION && (length < LENGTH_3 || !length.is_multiple_of(8)) {
            return Err(bad(format!("expected a length of at least {LENGTH_3} bytes, found {length}")));
        }
        match self.crypt_method.get() {
            0 => {}
            1 => return Err(foreign("encrypted with AES")),
            2 => return Err(foreign("encrypted with LUKS")),
            method => return Err(bad(format!("encryption method {method} is not known"))),
        }
        if self.has(CORRUPT) {
            return Err(bad("the image is marked as corrupt".into()).hint("repair a copy of it: qemu-img check -r all"));
        }
        let known = DIRTY | EXTERNAL_DATA | INCOMPATIBLE_COMPRESSION | EXTENDED_L2;
        let unknown = self.incompatible_features.get() & !known;
        if unknown != 0 {
            return Err(foreign(&format!("with incompatible features {unknown:#x}, which are not read")));
        }
        if length <= LENGTH_3 {
            self.compression_type = 0;
        }
        if self.compression_type != u8::from(self.has(INCOMPATIBLE_COMPRESSION)) {
            return Err(bad(format!("compression type {} is not supported", self.compression_type)));
        }
        // The specification's smallest and QEMU's largest cluster; with subclusters each of the 32 has at least 512 bytes.
        let (bits, smallest) = (self.cluster_bits.get(), if self.has_subclusters() { 14 } else { 9 });
        if !(smallest..=21).contains(&bits) {
            return Err(bad(format!("expected {smallest} to 21 cluster bits, found {bits}")));
        }
        Ok(self)
    }

    fn has(&self, feature: u64) -> bool {
        self.incompatible_features.get() & feature != 0
    }

    pub fn has_external_data(&self) -> bool {
        self.has(EXTERNAL_DATA)
    }

    pub fn has_subclusters(&self) -> bool {
        self.has(EXTENDED_L2)
    }

    /// An L2 entry's bit 0 says "reads as zeros".
    pub fn has_zero_flag(&self) -> bool {
        self.version == VERSION
    }

    pub fn compression(&self) -> Compression {
        if self.compression_type == 0 { Compression::Zlib } else { Compression::Zstd }
    }

    /// Bytes in a cluster.
    pub fn cluster(&self) -> u64 {
        1 << self.cluster_bits.get()
    }
}
