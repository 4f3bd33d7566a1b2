//! zstd frames (RFC 8878) with the seek table of Zstandard's "seekable format", version 0.1.0 (contrib/seekable_format in its source): a skippable
//! frame, which decompressors pass over.
//!
//! ```text
//! frame … frame | 5e2a4d18, length, {compressed length, content length} … , number of frames, descriptor, b1ea928f
//! ```
//!
//! Little-endian, all u32 but the descriptor, a u8, which is 0: the frames carry checksums of their own.

use super::pieces::{PIECES_MAX, Piece, placed};
use model::{Error, Result, ResultExt};
use std::io::Read;

const SKIPPABLE: u32 = 0x184d_2a5e;
const SEEKABLE: u32 = 0x8f92_eab1;
/// Bytes of the number, the descriptor and the magic at the end.
const FOOTER: u64 = 9;
/// Descriptor bit: entries have a third field, a checksum.
const CHECKSUMS: u8 = 0x80;

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

/// `lengths` are (bytes in the file, bytes of content) of each frame.
pub fn seek_table(lengths: &[(u32, u32)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 * lengths.len() + 17);
    out.extend(SKIPPABLE.to_le_bytes());
    out.extend((8 * lengths.len() as u32 + FOOTER as u32).to_le_bytes());
    for (length, content_length) in lengths {
        out.extend(length.to_le_bytes());
        out.extend(content_length.to_le_bytes());
    }
    out.extend((lengths.len() as u32).to_le_bytes());
    out.push(0);
    out.extend(SEEKABLE.to_le_bytes());
    out
}

pub(super) fn read_seek_table(length: u64, file: &dyn Fn(u64, &mut [u8]) -> Result<()>) -> Result<Vec<Piece>> {
    let u32_at = |b: &[u8], at: usize| u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
    let absent = || {
        Error::integrity(format!("no zstd seek table at the end, offset {length}"))
            .hint("the file was cut short, or another program made it: decompress it first")
    };
    let footer_at = length.checked_sub(FOOTER).ok_or_else(absent)?;
    let mut footer = [0; FOOTER as usize];
    file(footer_at, &mut footer)?;
    if u32_at(&footer, 5) != SEEKABLE {
        return Err(absent());
    }
    let (count, entry) = (u64::from(u32_at(&footer, 0)), if footer[4] & CHECKSUMS != 0 { 12 } else { 8 });
    let table_length = count * entry;
    let start = footer_at.checked_sub(table_length + 8).filter(|_| count <= PIECES_MAX);
    let start = start.ok_or_else(|| Error::integrity(format!("zstd seek table: {count} frames do not fit before offset {footer_at}")))?;
    let mut table = vec![0; (table_length + 8) as usize];
    file(start, &mut table)?;
    if u32_at(&table, 0) != SKIPPABLE || u64::from(u32_at(&table, 4)) != table_length + FOOTER {
        return Err(Error::integrity(format!(
            "zstd seek table at offset {start}: expected a skippable frame of {}",
            table_length + FOOTER
        )));
    }
    let entries = table[8..].chunks_exact(entry as usize).map(|e| (u64::from(u32_at(e, 0)), u64::from(u32_at(e, 4))));
    placed(0, start, entries).map_err(|e| e.context("zstd seek table"))
}
