//! An xz file (".xz File Format", version 1.2.0) of one stream with many blocks, whose headers say their lengths, so that `xz -T` decompresses them in parallel.
//!
//! ```text
//! fd 7zXZ 00, flags, crc | block: header, LZMA2 data, padding to 4, CRC-32 of the content … | index: 00, count, {unpadded length, content length} …, crc |
//! crc, index length, flags, YZ
//! ```
//!
//! Numbers in headers and index have 7 bits a byte, the lowest first. We write and read only LZMA2 without other filters.

use super::pieces::{PIECE, PIECES_MAX, Piece, placed};
use crate::record;
use liblzma::stream::{Action, Filters, LzmaOptions, Status, Stream};
use model::{Error, Result};
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Stream flags: check type 1, CRC-32.
const FLAGS: [u8; 2] = [0, 1];
const MAGIC: [u8; 6] = *b"\xfd7zXZ\0";
const FOOTER_MAGIC: [u8; 2] = *b"YZ";
/// Block flags: one filter, both lengths present.
const BLOCK_FLAGS: u8 = 0xc0;
const FILTER_LZMA2: u8 = 0x21;
/// Greatest block header, in bytes: of its length field.
const HEADER_MAX: usize = 1024;
/// Index bytes accepted: two numbers of at most nine bytes each.
const INDEX_MAX: u64 = PIECES_MAX * 18;
/// A dictionary as large as a piece: more would never be used.
const DICTIONARY: u32 = PIECE as u32;

/// §2.1.1.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct StreamHeader {
    magic: [u8; 6],
    stream_flags: [u8; 2],
    /// Of the flags.
    crc32: U32,
}
const _: () = assert!(size_of::<StreamHeader>() == 12);

/// §2.1.2.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct StreamFooter {
    /// Of the next two fields.
    crc32: U32,
    /// Of the index, in units of 4 bytes, less one.
    backward_size: U32,
    stream_flags: [u8; 2],
    magic: [u8; 2],
}
const _: () = assert!(size_of::<StreamFooter>() == 12);

impl StreamFooter {
    fn checksum(&self) -> u32 {
        crc32fast::hash(&[self.backward_size.as_bytes(), &self.stream_flags].concat())
    }
}

const HEADER: u64 = size_of::<StreamHeader>() as u64;
const FOOTER: u64 = size_of::<StreamFooter>() as u64;

/// Lengths of a block for the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Without the padding.
    pub unpadded: u64,
    pub content: u64,
}

pub fn stream_header() -> Vec<u8> {
    StreamHeader { magic: MAGIC, stream_flags: FLAGS, crc32: crc32fast::hash(&FLAGS).into() }.as_bytes().to_vec()
}

/// One block of `content` compressed with `preset` (0 to 9).
pub fn encode_block(content: &[u8], preset: u32) -> Result<(Vec<u8>, Record)> {
    let failed = |e: liblzma::stream::Error| Error::internal("compress with xz").source(e);
    let mut options = LzmaOptions::new_preset(preset).map_err(failed)?;
    options.dict_size(DICTIONARY);
    let mut stream = Stream::new_raw_encoder(Filters::new().lzma2(&options)).map_err(failed)?;
    // LZMA2 stores what does not compress, in chunks of 64 KiB with 3 bytes in front.
    let mut data = Vec::with_capacity(content.len() + content.len() / 1024 + 64);
    let status = stream.process_vec(content, &mut data, Action::Finish).map_err(failed)?;
    if status != Status::StreamEnd {
        return Err(Error::internal(format!("xz needs more than {} bytes for {} of content", data.capacity(), content.len())));
    }
    let mut block = vec![0, BLOCK_FLAGS];
    number(&mut block, data.len() as u64);
    number(&mut block, content.len() as u64);
    block.extend([FILTER_LZMA2, 1, dictionary_bits(DICTIONARY)]);
    block.resize((block.len() + 4).next_multiple_of(4) - 4, 0);
    block[0] = (block.len() / 4) as u8;
    block.extend(crc32fast::hash(&block).to_le_bytes());
    let unpadded = (block.len() + data.len() + 4) as u64;
    block.extend(data);
    block.resize(block.len().next_multiple_of(4), 0);
    block.extend(crc32fast::hash(content).to_le_bytes());
    Ok((block, Record { unpadded, content: content.len() as u64 }))
}

/// The index and the footer.
pub fn stream_end(records: &[Record]) -> Vec<u8> {
    let mut out = vec![0];
    number(&mut out, records.len() as u64);
    for record in records {
        number(&mut out, record.unpadded);
        number(&mut out, record.content);
    }
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(crc32fast::hash(&out).to_le_bytes());
    let backward_size = U32::new((out.len() / 4 - 1) as u32);
    let footer = StreamFooter { crc32: U32::ZERO, backward_size, stream_flags: FLAGS, magic: FOOTER_MAGIC };
    out.extend_from_slice(StreamFooter { crc32: footer.checksum().into(), ..footer }.as_bytes());
    out
}

/// §5.3.1: the size 2^(n/2 + 12), or one and a half times that for odd n.
fn dictionary_bits(size: u32) -> u8 {
    ((size.ilog2() - 12) * 2) as u8
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

pub(super) fn read_index(length: u64, file: &impl Fn(u64, &mut [u8]) -> Result<()>) -> Result<Vec<Piece>> {
    let bad = |at: u64, what: &str| Error::integrity(format!("xz file: {what} at offset {at}"));
    let footer_at = length.checked_sub(FOOTER).filter(|&at| at >= HEADER).ok_or_else(|| bad(length, "no stream footer"))?;
    let footer: StreamFooter = record::read(file, footer_at)?;
    if footer.magic != FOOTER_MAGIC || footer.crc32 != footer.checksum() {
        return Err(bad(footer_at, "no stream footer").hint("the file was cut short: copy or download it again"));
    }
    let index_length = (u64::from(footer.backward_size) + 1) * 4;
    let index_at = footer_at.checked_sub(index_length).filter(|&at| at >= HEADER && index_length <= INDEX_MAX);
    let index_at = index_at.ok_or_else(|| bad(footer_at, "an index longer than the file"))?;
    let mut index = vec![0; index_length as usize];
    file(index_at, &mut index)?;
    let (told, sum) = index.split_at(index.len() - 4);
    if told.first() != Some(&0) || crc32fast::hash(told).to_le_bytes() != *sum {
        return Err(bad(index_at, "a damaged index"));
    }
    let mut rest = &told[1..];
    let damaged = || bad(index_at, "a damaged index");
    let count = take_number(&mut rest).filter(|&n| n <= PIECES_MAX).ok_or_else(damaged)?;
    let mut lengths = Vec::new();
    for _ in 0..count {
        let (unpadded, content) = (take_number(&mut rest).ok_or_else(damaged)?, take_number(&mut rest).ok_or_else(damaged)?);
        lengths.push((unpadded.checked_next_multiple_of(4).ok_or_else(damaged)?, content));
    }
    placed(HEADER, index_at, lengths.into_iter()).map_err(|e| e.context("xz index").hint("a file of several streams: decompress it first"))
}

/// A whole block with its padding; the check stands in the last 4 bytes, which only our own check type allows.
pub(super) fn decode(block: &[u8], content_length: usize) -> Result<Vec<u8>> {
    let bad = |what: &str| Error::integrity(format!("xz block: {what}"));
    let header = block.first().map_or(0, |&b| (usize::from(b) + 1) * 4);
    if !(8..=HEADER_MAX).contains(&header) || block.len() < header + 4 {
        return Err(bad("no header"));
    }
    let (told, sum) = block[..header].split_at(header - 4);
    if crc32fast::hash(told).to_le_bytes() != *sum {
        return Err(bad("a damaged header"));
    }
    let mut fields = &told[2..];
    if told[1] & 0x40 != 0 {
        take_number(&mut fields).ok_or_else(|| bad("a damaged header"))?;
    }
    if told[1] & 0x80 != 0 {
        take_number(&mut fields).ok_or_else(|| bad("a damaged header"))?;
    }
    let &[FILTER_LZMA2, 1, bits, ..] = fields else { return Err(bad("filters other than LZMA2 are not supported")) };
    if told[1] & 0x3f != 0 || bits > 40 {
        return Err(bad("filters other than LZMA2 are not supported"));
    }
    let failed = |e: liblzma::stream::Error| bad("it does not decompress").source(e);
    let mut filters = Filters::new();
    // The content is at most 64 MiB, so a larger dictionary is never used: the stated one is not believed.
    filters.lzma2_properties(&[bits.min(28)]).map_err(failed)?;
    let mut stream = Stream::new_raw_decoder(&filters).map_err(failed)?;
    // One byte more, so that a full buffer does not hide the end from the decoder.
    let mut content = Vec::with_capacity(content_length + 1);
    let status = stream.process_vec(&block[header..], &mut content, Action::Finish).map_err(failed)?;
    if status != Status::StreamEnd || content.len() != content_length {
        return Err(bad(&format!("expected {content_length} bytes of content, found {}", content.len())));
    }
    // Check types differ in length; the one that we write is told by its place.
    let end = header + stream.total_in() as usize;
    let check = &block[end.next_multiple_of(4).min(block.len())..];
    if check.len() == 4 && crc32fast::hash(&content).to_le_bytes() != *check {
        return Err(bad("the content's checksum is wrong"));
    }
    Ok(content)
}
