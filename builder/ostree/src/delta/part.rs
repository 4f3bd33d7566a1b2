//! A part of a delta: a file of one byte that says how the rest is compressed, and a GVariant of type `(a(uuu)aa(ayay)ayay)`.
//!
//! The byte is `x`, for xz. The other that is defined, 0 for no compression, is of no use: libostree maps such a part into memory from its second byte on
//! (`ot_fd_readall_or_mmap`, to this day), which mmap refuses, so that no part of more than 16 KiB can be applied.
//!
//! ```text
//! modes: uid, gid, st_mode BE | xattrs | data | operations
//! ```
//!
//! Operations (libostree `ostree-repo-static-delta-processing.c`) are a letter and numbers ([`super::varint`]). They make the objects of the part's list in
//! its order:
//!
//! ```text
//! S length offset                      a metadata object from the data
//! S mode xattrs length offset          a file or symlink from the data
//! r offset                             read from the old object whose digest is in the data there
//! o mode xattrs length                 begin a file
//! w length offset                      continue it from what is read, here an old object
//! B offset length                      make it of the old object with a patch from the data
//! c                                    end it, and read from the data again
//! ```

use super::superblock::ObjectName;
use super::varint;
use crate::format::{FileHeader, encode_xattrs};
use crate::gvariant::{Shape, Value};
use model::{Digest, Error, Result};
use std::collections::BTreeMap;

/// Byte that stands before an xz stream.
const XZ: u8 = b'x';
/// `(uuu)`.
const MODE: Shape = Shape::fixed(4, 12);

/// A part under way.
#[derive(Debug, Default)]
pub struct PartBuilder {
    modes: Table,
    xattrs: Table,
    data: Vec<u8>,
    operations: Vec<u8>,
    objects: Vec<ObjectName>,
    unpacked: u64,
}

/// Distinct serialised values, numbered in the order in which they come.
#[derive(Debug, Default)]
struct Table {
    values: Vec<Value>,
    numbers: BTreeMap<Vec<u8>, u64>,
}

impl Table {
    fn number(&mut self, value: Value) -> u64 {
        let next = self.values.len() as u64;
        let values = &mut self.values;
        *self.numbers.entry(value.clone().into_bytes()).or_insert_with(|| {
            values.push(value);
            next
        })
    }
}

/// A finished part before compression.
pub struct Part {
    /// The serialised GVariant.
    pub payload: Vec<u8>,
    pub objects: Vec<ObjectName>,
    /// Bytes of the objects.
    pub unpacked: u64,
}

impl PartBuilder {
    pub fn metadata(&mut self, object: ObjectName, bytes: &[u8]) {
        let offset = self.append(bytes);
        self.operation(b'S', &[bytes.len() as u64, offset]);
        self.made(object, bytes.len() as u64);
    }

    /// A file with these bytes, or a symlink with this target.
    pub fn whole(&mut self, object: ObjectName, header: &FileHeader, bytes: &[u8]) {
        let [mode, xattrs] = self.attributes(header);
        let offset = self.append(bytes);
        self.operation(b'S', &[mode, xattrs, bytes.len() as u64, offset]);
        self.made(object, bytes.len() as u64);
    }

    /// A file of `size` bytes that `old` has with other attributes.
    pub fn copy(&mut self, object: ObjectName, header: &FileHeader, size: u64, old: Digest) {
        self.open(header, size, old);
        self.operation(b'w', &[size, 0]);
        self.operation(b'c', &[]);
        self.made(object, size);
    }

    /// A file of `size` bytes that `patch` makes of `old`.
    pub fn patched(&mut self, object: ObjectName, header: &FileHeader, size: u64, old: Digest, patch: &[u8]) {
        self.open(header, size, old);
        let offset = self.append(patch);
        self.operation(b'B', &[offset, patch.len() as u64]);
        self.operation(b'c', &[]);
        self.made(object, size);
    }

    pub fn finish(mut self) -> Part {
        if self.data.is_empty() {
            // To libostree data without a byte is at no address, from which it cannot write even an empty file.
            self.data.push(0);
        }
        let payload = Value::tuple(&[
            Value::array(MODE, &self.modes.values),
            Value::array(Shape::BYTES, &self.xattrs.values),
            Value::serialised(self.data, Shape::BYTES),
            Value::serialised(self.operations, Shape::BYTES),
        ]);
        Part { payload: payload.into_bytes(), objects: self.objects, unpacked: self.unpacked }
    }

    fn open(&mut self, header: &FileHeader, size: u64, old: Digest) {
        let [mode, xattrs] = self.attributes(header);
        let source = self.append(old.as_bytes());
        self.operation(b'r', &[source]);
        self.operation(b'o', &[mode, xattrs, size]);
    }

    fn attributes(&mut self, header: &FileHeader) -> [u64; 2] {
        let mode = Value::tuple(&[header.uid, header.gid, header.mode].map(Value::u32_be));
        [self.modes.number(mode), self.xattrs.number(encode_xattrs(&header.xattrs))]
    }

    fn append(&mut self, bytes: &[u8]) -> u64 {
        let offset = self.data.len() as u64;
        self.data.extend_from_slice(bytes);
        offset
    }

    fn operation(&mut self, letter: u8, numbers: &[u64]) {
        self.operations.push(letter);
        for &number in numbers {
            varint::append(&mut self.operations, number);
        }
    }

    fn made(&mut self, object: ObjectName, size: u64) {
        self.objects.push(object);
        self.unpacked += size;
    }
}

/// How a part is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Xz,
    /// xz after the filter for x86 code, which turns addresses relative to a jump into absolute ones, so that calls of one function look alike.
    XzOfX86Code,
    /// xz for what is compressed already: no time is spent on it.
    XzOfCompressed,
}

/// xz's preset. tests/bench/delta measures it: 5 takes 10 % less time for 1 % more bytes, 8 the same time for the same bytes.
const PRESET: u32 = 6;
/// The preset for what is compressed already.
const FASTEST_PRESET: u32 = 0;
/// xz's least dictionary, in bytes.
const DICTIONARY_MIN: u32 = 4096;
/// Greatest dictionaries, in bytes: those of the presets 6 and 0.
const DICTIONARY_MAX: u32 = 8 << 20;
const FASTEST_DICTIONARY: u32 = 256 << 10;
/// Room that the encoder is given at a time, in bytes.
const OUTPUT_STEP: usize = 256 << 10;

impl Packing {
    /// Returns the bytes of a part's file.
    pub fn pack(self, payload: &[u8]) -> Result<Vec<u8>> {
        use liblzma::stream::{Action, Check, Filters, LzmaOptions, Status, Stream};
        let failed = |e: liblzma::stream::Error| Error::internal("compress a part with xz").source(e);
        let (preset, dictionary_max) = match self {
            Packing::Xz | Packing::XzOfX86Code => (PRESET, DICTIONARY_MAX),
            Packing::XzOfCompressed => (FASTEST_PRESET, FASTEST_DICTIONARY),
        };
        let mut options = LzmaOptions::new_preset(preset).map_err(failed)?;
        // No greater than needed: the decoder sets the dictionary aside, and so does the encoder, several times.
        options.dict_size(u32::try_from(payload.len()).unwrap_or(u32::MAX).clamp(DICTIONARY_MIN, dictionary_max));
        let mut filters = Filters::new();
        if self == Packing::XzOfX86Code {
            filters.x86();
        }
        filters.lzma2(&options);
        let mut stream = Stream::new_stream_encoder(&filters, Check::Crc64).map_err(failed)?;
        let mut out = vec![XZ];
        let mut status = Status::Ok;
        while status != Status::StreamEnd {
            let done = stream.total_in() as usize;
            out.reserve(OUTPUT_STEP);
            status = stream.process_vec(payload.get(done..).unwrap_or(&[]), &mut out, Action::Finish).map_err(failed)?;
        }
        Ok(out)
    }
}
