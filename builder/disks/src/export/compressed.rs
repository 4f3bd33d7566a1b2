//! The raw disk as one compressed stream: zstd frames with a seek table, or xz blocks. Pieces are of fixed size, so the bytes do not depend on the number
//! of threads, and `zstd -d`, `xz -d` and anything else that knows the format gives the raw disk.

use super::Finished;
use super::hashed_file::HashedFile;
use super::in_order::in_order;
use crate::seekable::{PIECE, xz, zstd};
use model::{Error, Progress, Result, Segments};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;
/// Six times as fast as xz's own default, 6, for 5 % more bytes.
const XZ_PRESET: u32 = 2;

pub fn write_zstd(disk: &Segments, out: &Path, progress: &dyn Progress) -> Result<Finished> {
    let mut file = HashedFile::create(out)?;
    let mut frames = Vec::new();
    let state = || zstd::Encoder::new(ZSTD_LEVEL);
    let encode = |encoder: &mut zstd::Encoder, content: &[u8]| Ok((encoder.encode(content)?, content.len()));
    pieces(disk, progress, state, encode, |(frame, content_length)| {
        frames.push(zstd::SeekTableEntry {
            compressed_size: (frame.len() as u32).into(),
            decompressed_size: (*content_length as u32).into(),
        });
        file.append(frame)
    })?;
    file.append(&zstd::seek_table(&frames))?;
    file.finish("raw.zst")
}

pub fn write_xz(disk: &Segments, out: &Path, progress: &dyn Progress) -> Result<Finished> {
    let mut file = HashedFile::create(out)?;
    file.append(&xz::stream_header())?;
    let mut records = Vec::new();
    pieces(
        disk,
        progress,
        || Ok(()),
        |(), content| xz::encode_block(content, XZ_PRESET),
        |(block, record)| {
            records.push(*record);
            file.append(block)
        },
    )?;
    file.append(&xz::stream_end(&records))?;
    file.finish("raw.xz")
}

/// Every piece of the disk encoded, in order. Whole pieces of zeros, of which a disk has many, are encoded once.
pub(super) fn pieces<S, T: Send + Sync>(
    disk: &Segments,
    progress: &dyn Progress,
    state: impl Fn() -> Result<S> + Sync,
    encode: impl Fn(&mut S, &[u8]) -> Result<T> + Sync,
    mut take: impl FnMut(&T) -> Result<()> + Send,
) -> Result<()> {
    let numbers: Vec<u64> = (0..disk.size().div_ceil(PIECE)).collect();
    let zeros: OnceLock<Arc<T>> = OnceLock::new();
    let encode_piece = |(state, buffer): &mut (S, Vec<u8>), number: &u64| {
        let at = number * PIECE;
        let length = PIECE.min(disk.size() - at);
        let zero = length == PIECE && !disk.touches(at, length);
        if let Some(zeros) = zeros.get().filter(|_| zero) {
            return Ok(zeros.clone());
        }
        let buffer = buffer.get_mut(..length as usize).ok_or_else(|| Error::internal("a piece longer than its buffer"))?;
        disk.read_at(buffer, at)?;
        let encoded = Arc::new(encode(state, buffer)?);
        Ok(if zero { zeros.get_or_init(|| encoded).clone() } else { encoded })
    };
    // Two pieces for each thread, so that one that takes long does not hold up the others.
    let window = 2 * rayon::current_num_threads();
    let state = || Ok((state()?, vec![0; PIECE as usize]));
    in_order(&numbers, window, state, encode_piece, |encoded: Arc<T>| {
        take(&encoded)?;
        progress.advance(PIECE);
        Ok(())
    })
}
