//! Compressed streams of independent pieces of fixed size: they are written and read on all cores, read from any position, and any
//! decompressor of the format takes them as an ordinary file.

mod pieces;
mod reader;
pub mod xz;
pub mod zstd;

pub use pieces::PIECE;
pub use reader::Reader;

#[cfg(test)]
mod tests;
