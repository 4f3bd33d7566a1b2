//! Compressed streams of independent pieces of fixed size: they are written and read on all cores, read from any position, and any
//! decompressor of the format takes them as an ordinary file.

mod reader;
pub mod xz;
pub mod zstd;

pub use reader::Reader;

/// Bytes of content in a piece. Larger ones gain little (1 % for 16 MiB) and cost every reader that much memory.
pub const PIECE: u64 = 4 << 20;
/// Content bytes of a piece accepted when reading: `zstd` and `xz` make larger ones only with several GiB of memory.
const PIECE_MAX: u64 = 64 << 20;
/// Pieces accepted when reading: 4 TiB of our own.
const PIECES_MAX: u64 = 1 << 20;

/// Where one piece stands, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    /// In the file, in bytes.
    at: u64,
    length: u64,
    /// In the content, in bytes.
    content_at: u64,
    content_length: u64,
}

#[cfg(test)]
mod tests;
