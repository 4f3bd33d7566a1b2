//! Metadata in whatever compression it comes, told by its first bytes, and never more of it than was announced.

use compression::Compression;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result};

/// A reader of the plain text that fails after `limit` bytes: gz, xz, zst, bz2 or nothing around it.
pub fn decompress(mut input: impl BufRead + 'static, limit: u64) -> Result<Box<dyn BufRead>> {
    let start = input.fill_buf()?;
    let plain: Box<dyn Read> = match start {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => {
            let stream = liblzma::stream::Stream::new_stream_decoder(Compression::MEMORY_LIMIT, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(Compression::ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
        _ => Box::new(input),
    };
    Ok(Box::new(BufReader::with_capacity(128 * 1024, Limited { inner: plain, left: limit, limit })))
}

struct Limited<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            Error::new(ErrorKind::InvalidData, format!("expected at most {} bytes of plain text, found more", self.limit))
        })?;
        Ok(read)
    }
}
