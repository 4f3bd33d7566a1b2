//! A gzip file (RFC 1952) of one member, whose deflate stream (RFC 1951) is put together from pieces that are compressed independently.
//!
//! ```text
//! 1f8b 08, flags, mtime, … | deflate blocks of a piece, an empty stored block … | empty last block | CRC-32, length mod 2^32
//! ```
//!
//! A piece ends at a byte boundary (zlib's "full flush") and refers to nothing before it, so pieces can be joined; one member, since not every reader of a cloud
//! goes on to a second.

use flate2::{Compress, Compression, FlushCompress, Status};
use model::{Error, Result};

/// Deflate, no flags, no time (so that the same content is the same file), no extra flags, unknown system.
pub const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// A last block with fixed codes that only holds the end-of-block code (RFC 1951 §3.2.6).
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

/// One piece, compressed, with the checksum of its content.
pub struct Piece {
    pub bytes: Vec<u8>,
    sum: crc32fast::Hasher,
    length: u64,
}

/// `level` is zlib's, 1 to 9.
pub fn encode(content: &[u8], level: u32) -> Result<Piece> {
    let mut deflate = Compress::new(Compression::new(level), false);
    // Deflate stores what does not compress, with 5 bytes for at most 65535; the flush adds as much again.
    let mut bytes = Vec::with_capacity(content.len() + content.len() / 4096 + 64);
    let mut done = 0;
    loop {
        let status = deflate.compress_vec(&content[done..], &mut bytes, FlushCompress::Full);
        let status = status.map_err(|e| Error::internal("compress with deflate").source(e))?;
        done = deflate.total_in() as usize;
        if done == content.len() && bytes.len() < bytes.capacity() {
            break;
        }
        if status == Status::BufError || bytes.len() == bytes.capacity() {
            bytes.reserve(64 << 10);
        }
    }
    let mut sum = crc32fast::Hasher::new();
    sum.update(content);
    Ok(Piece { bytes, sum, length: content.len() as u64 })
}

/// What stands behind the pieces.
#[derive(Default)]
pub struct Trailer {
    sum: crc32fast::Hasher,
    length: u64,
}

impl Trailer {
    /// Pieces in their order.
    pub fn add(&mut self, piece: &Piece) {
        self.sum.combine(&piece.sum);
        self.length += piece.length;
    }

    pub fn encode(self) -> Vec<u8> {
        // ISIZE is the length modulo 2^32.
        [&LAST_BLOCK[..], &self.sum.finalize().to_le_bytes(), &(self.length as u32).to_le_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn pieces_make_one_member_that_decompresses_to_their_contents() {
        let text: Vec<u8> = (0..100_000u32).flat_map(|n| format!("{}\n", n.wrapping_mul(n) % 977).into_bytes()).collect();
        let mut state = 1u32;
        let noise: Vec<u8> = (0..300_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let mut file = HEADER.to_vec();
        let mut trailer = Trailer::default();
        for content in [text.as_slice(), &noise, b"", b"x", &vec![0; 1 << 20]] {
            let piece = encode(content, 6).unwrap();
            file.extend(&piece.bytes);
            trailer.add(&piece);
        }
        file.extend(trailer.encode());
        let expected = [text.as_slice(), &noise, b"x", &vec![0; 1 << 20]].concat();
        let mut found = Vec::new();
        flate2::read::GzDecoder::new(file.as_slice()).read_to_end(&mut found).unwrap();
        assert!(found == expected);
        let at = file.len() - 6;
        file[at] ^= 1;
        let mut twin = crate::Compression::Gzip.decoder(file.as_slice()).unwrap();
        assert!(twin.read_to_end(&mut Vec::new()).is_err());
    }
}
