//! Random access to the content of a stream of pieces, trusting nothing.

use super::pieces::{PIECE_MAX, Piece};
use super::{xz, zstd};
use model::{Error, Result};
use std::sync::Mutex;

/// Over a function that fills a buffer from a byte offset of the file.
pub struct Reader<F> {
    file: F,
    /// Ascending and without gaps in the content.
    pieces: Vec<Piece>,
    decode: fn(&[u8], usize) -> Result<Vec<u8>>,
    /// The piece used last, by number: reads come in small sequential steps.
    recent: Mutex<Option<(usize, Vec<u8>)>>,
}

impl<F: Fn(u64, &mut [u8]) -> Result<()>> Reader<F> {
    /// A zstd file of `length` bytes that ends with a seek table.
    pub fn zstd(length: u64, file: F) -> Result<Self> {
        let pieces = zstd::read_seek_table(length, &file)?;
        Self::over(file, pieces, zstd::decode)
    }

    /// An xz file of `length` bytes of one stream.
    pub fn xz(length: u64, file: F) -> Result<Self> {
        let pieces = xz::read_index(length, &file)?;
        Self::over(file, pieces, xz::decode)
    }

    fn over(file: F, pieces: Vec<Piece>, decode: fn(&[u8], usize) -> Result<Vec<u8>>) -> Result<Self> {
        if let Some(p) = pieces.iter().find(|p| p.content_length > PIECE_MAX || p.length > PIECE_MAX) {
            return Err(Error::integrity(format!("a piece of {} bytes at offset {} is larger than {PIECE_MAX}", p.content_length, p.at))
                .hint("it is one block: decompress the file first"));
        }
        Ok(Reader { file, pieces, decode, recent: Mutex::default() })
    }

    /// Of the content, in bytes.
    pub fn size(&self) -> u64 {
        self.pieces.last().map_or(0, |p| p.content_at + p.content_length)
    }

    /// Fills `buffer` from a byte offset of the content; an error past its end.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.size()) {
            return Err(Error::integrity(format!("{} bytes at {offset} are past the content's end at {}", buffer.len(), self.size())));
        }
        let mut recent = self.recent.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let number = self.pieces.partition_point(|p| p.content_at + p.content_length <= at);
            let piece = self.pieces[number];
            if recent.as_ref().is_none_or(|(have, _)| *have != number) {
                let mut packed = vec![0; piece.length as usize];
                (self.file)(piece.at, &mut packed)?;
                let content =
                    (self.decode)(&packed, piece.content_length as usize).map_err(|e| e.context(format!("offset {}", piece.at)))?;
                *recent = Some((number, content));
            }
            let within = (at - piece.content_at) as usize;
            let n = (piece.content_length as usize - within).min(buffer.len() - done);
            if let Some((_, content)) = &*recent {
                buffer[done..done + n].copy_from_slice(&content[within..within + n]);
            }
            done += n;
        }
        Ok(())
    }
}
