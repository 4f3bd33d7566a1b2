//! zstd frames (RFC 8878) with the seek table of Zstandard's "seekable format", version 0.1.0 (contrib/seekable_format in its source): a skippable
//! frame, which decompressors pass over.
//!
//! ```text
//! frame … frame | 5e2a4d18, length, {compressed length, content length} … , number of frames, descriptor, b1ea928f
//! ```
//!
//! Little-endian, all u32 but the descriptor, a u8, which is 0: the frames carry checksums of their own.

use super::pieces::{PIECES_MAX, Piece, placed};
use crate::record;
use model::{Error, Result, ResultExt};
use std::io::Read;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

const SKIPPABLE: u32 = 0x184d_2a5e;
const SEEKABLE: u32 = 0x8f92_eab1;
const FRAME_HEADER: u64 = size_of::<SkippableHeader>() as u64;
const FOOTER: u64 = size_of::<SeekTableFooter>() as u64;
/// Descriptor bit: entries have a third field, a checksum.
const CHECKSUMS: u8 = 0x80;

/// RFC 8878, §3.1.2.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct SkippableHeader {
    magic_number: U32,
    /// Bytes that follow.
    frame_size: U32,
}
const _: () = assert!(size_of::<SkippableHeader>() == 8);

/// Seek_Table_Entry without a checksum: bytes of a frame and of its content.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SeekTableEntry {
    pub compressed_size: U32,
    pub decompressed_size: U32,
}
const _: () = assert!(size_of::<SeekTableEntry>() == 8);

/// Seek_Table_Footer.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct SeekTableFooter {
    number_of_frames: U32,
    seek_table_descriptor: u8,
    seekable_magic_number: U32,
}
const _: () = assert!(size_of::<SeekTableFooter>() == 9);

/// Compresses pieces, each to a frame with its length and checksum.
pub struct Encoder(zstd::bulk::Compressor<'static>);

impl Encoder {
    pub fn new(level: i32) -> Result<Self> {
        let mut compressor = zstd::bulk::Compressor::new(level).context(|| "set up zstd")?;
        compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true)).context(|| "set up zstd's checksums")?;
        Ok(Encoder(compressor))
    }

    pub fn encode(&mut self, content: &[u8]) -> Result<Vec<u8>> {
        self.0.compress(content).context(|| format!("compress {} bytes with zstd", content.len()))
    }
}

pub(super) fn decode(frame: &[u8], content_length: usize) -> Result<Vec<u8>> {
    let mut content = vec![0; content_length];
    let mut decoder = zstd::stream::read::Decoder::with_buffer(frame).context(|| "start the zstd decoder")?.single_frame();
    let read = decoder.read_exact(&mut content).and_then(|()| decoder.read(&mut [0]));
    match read {
        Ok(0) => Ok(content),
        Ok(_) => Err(Error::integrity(format!("a zstd frame holds more than the {content_length} bytes that the seek table says"))),
        Err(e) => Err(Error::integrity("a zstd frame does not decompress").source(e)),
    }
}

/// The seek table, from the size of each frame.
pub fn seek_table(frames: &[SeekTableEntry]) -> Vec<u8> {
    let frame = SkippableHeader {
        magic_number: SKIPPABLE.into(),
        frame_size: ((size_of_val(frames) + size_of::<SeekTableFooter>()) as u32).into(),
    };
    let footer = SeekTableFooter {
        number_of_frames: (frames.len() as u32).into(),
        // No checksums.
        seek_table_descriptor: 0,
        seekable_magic_number: SEEKABLE.into(),
    };
    [frame.as_bytes(), frames.as_bytes(), footer.as_bytes()].concat()
}

pub(super) fn read_seek_table(length: u64, file: &impl Fn(u64, &mut [u8]) -> Result<()>) -> Result<Vec<Piece>> {
    let absent = || {
        Error::integrity(format!("no zstd seek table at the end, offset {length}"))
            .hint("the file was cut short, or another program made it: decompress it first")
    };
    let footer_at = length.checked_sub(FOOTER).ok_or_else(absent)?;
    let footer: SeekTableFooter = record::read(file, footer_at)?;
    if footer.seekable_magic_number != SEEKABLE {
        return Err(absent());
    }
    let count = u64::from(footer.number_of_frames);
    // With a checksum an entry has a third word.
    let words = if footer.seek_table_descriptor & CHECKSUMS != 0 { 3 } else { 2 };
    let table_length = count * words as u64 * 4;
    let start = footer_at.checked_sub(table_length + FRAME_HEADER).filter(|_| count <= PIECES_MAX);
    let start = start.ok_or_else(|| Error::integrity(format!("zstd seek table: {count} frames do not fit before offset {footer_at}")))?;
    let frame: SkippableHeader = record::read(file, start)?;
    if frame.magic_number != SKIPPABLE || u64::from(frame.frame_size) != table_length + FOOTER {
        return Err(Error::integrity(format!(
            "zstd seek table at offset {start}: expected a skippable frame of {}",
            table_length + FOOTER
        )));
    }
    let table: Vec<U32> = record::read_table(file, start + FRAME_HEADER, count as usize * words)?;
    let entries = table.chunks_exact(words).map(|entry| (u64::from(entry[0]), u64::from(entry[1])));
    placed(0, start, entries).map_err(|e| e.context("zstd seek table"))
}
