//! Where the pieces of a stream stand in a file and in its content.

use model::{Error, Result};

/// Bytes of content in a piece. Larger ones gain little (1 % for 16 MiB) and cost every reader that much memory.
pub const PIECE: u64 = 4 << 20;
/// Content bytes of a piece accepted when reading: `zstd` and `xz` make larger ones only with several GiB of memory.
pub(super) const PIECE_MAX: u64 = 64 << 20;
/// Pieces accepted when reading: 4 TiB of our own.
pub(super) const PIECES_MAX: u64 = 1 << 20;

/// Where one piece stands, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// In the file, in bytes.
    pub at: u64,
    pub length: u64,
    /// In the content, in bytes.
    pub content_at: u64,
    pub content_length: u64,
}

/// Positions from lengths: (bytes in the file, bytes of content) of each piece, the first at `at`. Empty pieces are passed over.
pub(super) fn placed(at: u64, end: u64, lengths: impl Iterator<Item = (u64, u64)>) -> Result<Vec<Piece>> {
    let (mut at, mut content_at) = (at, 0u64);
    let mut pieces = Vec::new();
    for (length, content_length) in lengths {
        if pieces.len() as u64 >= PIECES_MAX {
            return Err(Error::integrity(format!("more than {PIECES_MAX} pieces")));
        }
        let next = at.checked_add(length).filter(|&next| next <= end);
        let content_next = content_at.checked_add(content_length);
        let (Some(next), Some(content_next)) = (next, content_next) else {
            return Err(Error::integrity(format!("a piece of {length} bytes at offset {at} leaves the pieces, which end at {end}")));
        };
        if content_length > 0 {
            pieces.push(Piece { at, length, content_at, content_length });
        }
        (at, content_at) = (next, content_next);
    }
    if at != end {
        return Err(Error::integrity(format!("the pieces end at offset {at}, expected {end}")));
    }
    Ok(pieces)
}
