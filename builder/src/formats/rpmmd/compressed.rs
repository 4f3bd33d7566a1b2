//! Metadata in whatever compression it comes, told by its first bytes, and never more of it than was announced.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result};

/// A reader of the plain text that fails after `limit` bytes: gz, xz, zst, bz2 or nothing around it.
pub fn decompress(mut input: impl BufRead + 'static, limit: u64) -> Result<Box<dyn BufRead>> {
    let start = input.fill_buf()?;
    let plain: Box<dyn Read> = match start {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(input)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
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
