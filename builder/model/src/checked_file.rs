//! A file of the cache, of which no byte is believed unread: every block has a checksum, compared each time the block is read.
//!
//! The checksums (CRC-32C, one for each 4 KiB) cost a tenth of what copying the bytes costs. They find what a disk, a power cut or an editor changed
//! since the whole file was last verified by SHA-256; they are no defence against somebody who computes them anew, which is what that
//! verification is for (see [`Facts`](super::Facts)).

use crate::{Digest, Error, Hasher, Result, ResultExt};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes that one checksum covers.
pub const BLOCK: u64 = 4096;
const ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];

/// Raised when a block does not have its checksum, so that whoever drives the build knows that the cache, not the build, is at fault.
#[derive(Debug, Clone, Default)]
pub struct Alarm(Arc<AtomicBool>);

impl Alarm {
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The checksums of a file's blocks in order; the last block may be short.
#[derive(Debug, Default)]
pub struct BlockSums {
    sums: Vec<u32>,
    /// Bytes of the block that is not whole yet, and their checksum.
    filled: usize,
    current: u32,
}

impl BlockSums {
    /// Takes in the next bytes of the file.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(bytes.len().min(BLOCK as usize - self.filled));
            self.current = crc32c::crc32c_append(self.current, now);
            self.filled += now.len();
            if self.filled == BLOCK as usize {
                self.end_block();
            }
            bytes = rest;
        }
    }

    fn end_block(&mut self) {
        self.sums.push(self.current);
        (self.filled, self.current) = (0, 0);
    }

    pub fn finish(mut self) -> Vec<u32> {
        if self.filled > 0 {
            self.end_block();
        }
        self.sums
    }
}

#[derive(Debug)]
pub struct CheckedFile {
    file: File,
    path: Box<Path>,
    /// In bytes, as when the checksums were made.
    len: u64,
    sums: Box<[u32]>,
    alarm: Alarm,
}

impl CheckedFile {
    /// `sums` has one checksum for each block of the `len` bytes of `file`; `path` is for messages.
    pub fn new(file: File, path: &Path, len: u64, sums: Vec<u32>, alarm: Alarm) -> Result<Self> {
        if sums.len() as u64 != len.div_ceil(BLOCK) {
            return Err(Error::integrity(format!("{}: {} checksums for {len} bytes", path.display(), sums.len())));
        }
        Ok(CheckedFile { file, path: path.into(), len, sums: sums.into(), alarm })
    }

    /// Reads the whole of an open file once, for its SHA-256 and its checksums.
    pub fn scan(file: File, path: &Path, alarm: Alarm) -> Result<(Self, Digest)> {
        let reading = || format!("read {}", path.display());
        let (mut hasher, mut sums, mut len) = (Hasher::new(), BlockSums::default(), 0);
        let mut buffer = vec![0; 1 << 20];
        loop {
            let n = match file.read_at(&mut buffer, len) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                read => read.context(reading)?,
            };
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
            sums.update(&buffer[..n]);
            len += n as u64;
        }
        Ok((Self::new(file, path, len, sums.finish(), alarm)?, hasher.finish()))
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `buffer` from `offset` and compares each block that it touches with its checksum. From `zero_from` to the end of its block the file is
    /// known to hold zeros, which therefore need not be read.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64, zero_from: u64) -> Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.len);
        let end = end.ok_or_else(|| {
            Error::internal(format!("read of {} bytes at {offset} past the end of {}", buffer.len(), self.path.display()))
        })?;
        let mut buffer = buffer;
        let mut at = offset;
        if !at.is_multiple_of(BLOCK) && !buffer.is_empty() {
            // The block starts before what is wanted.
            let n = buffer.len().min((BLOCK - at % BLOCK) as usize);
            let (head, rest) = buffer.split_at_mut(n);
            self.read_part(head, at)?;
            buffer = rest;
            at += n as u64;
        }
        self.read(buffer, at)?;
        let mut blocks = buffer.chunks_exact_mut(BLOCK as usize);
        for block in blocks.by_ref() {
            self.check(crc32c::crc32c(block), at)?;
            at += BLOCK;
        }
        let tail = blocks.into_remainder();
        if tail.is_empty() {
            return Ok(());
        }
        if end == self.len {
            return self.check(crc32c::crc32c(tail), at);
        }
        if end == zero_from {
            let sum = crc32c::crc32c_append(crc32c::crc32c(tail), &ZEROS[tail.len()..]);
            return self.check(sum, at);
        }
        self.read_part(tail, at)
    }

    /// A part of one block, by way of the whole block.
    fn read_part(&self, part: &mut [u8], at: u64) -> Result<()> {
        let start = at - at % BLOCK;
        let mut whole = ZEROS;
        let whole = &mut whole[..BLOCK.min(self.len - start) as usize];
        self.read(whole, start)?;
        self.check(crc32c::crc32c(whole), start)?;
        let from = (at - start) as usize;
        part.copy_from_slice(&whole[from..from + part.len()]);
        Ok(())
    }

    fn read(&self, buffer: &mut [u8], at: u64) -> Result<()> {
        match self.file.read_exact_at(buffer, at) {
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                self.alarm.raise();
                Err(Error::integrity(format!(
                    "{} was cut short while it was in use: no {} bytes at offset {at}",
                    self.path.display(),
                    buffer.len()
                )))
            }
            read => read.context(|| format!("read {} at offset {at}", self.path.display())),
        }
    }

    fn check(&self, found: u32, at: u64) -> Result<()> {
        let expected = self.sums[(at / BLOCK) as usize];
        if found == expected {
            return Ok(());
        }
        self.alarm.raise();
        Err(Error::integrity(format!(
            "{} is damaged: the block at offset {at} should have the checksum {expected:08x}, found {found:08x}",
            self.path.display()
        ))
        .hint("build again: damaged entries of the cache are set aside and made anew; `atomic-image cache verify` looks through all of it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(folder: &Path, bytes: &[u8]) -> CheckedFile {
        let path = folder.join("file");
        std::fs::write(&path, bytes).unwrap();
        let mut sums = BlockSums::default();
        for piece in bytes.chunks(1000) {
            sums.update(piece);
        }
        CheckedFile::new(File::open(&path).unwrap(), &path, bytes.len() as u64, sums.finish(), Alarm::default()).unwrap()
    }

    #[test]
    fn any_part_reads_as_written_and_a_changed_byte_of_any_touched_block_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes: Vec<u8> = (0..3 * BLOCK + 700).map(|n| (n * 7 + n / 256) as u8).collect();
        let content_end = 2 * BLOCK + 100;
        bytes[content_end as usize..3 * BLOCK as usize].fill(0);
        let parts = [
            (0, 1),
            (0, 4096),
            (1, 4095),
            (4000, 200),
            (0, bytes.len()),
            (5000, 7292),
            (100, 8192),
            (12288, 700),
            (12300, 100),
            (8192, 100),
        ];
        for (from, len) in parts {
            let file = checked(folder.path(), &bytes);
            let mut buffer = vec![0; len];
            let end = (from + len) as u64;
            let zero_from = if end == content_end { end } else { u64::MAX };
            file.read_exact_at(&mut buffer, from as u64, zero_from).unwrap();
            assert!(buffer == bytes[from..from + len], "{from}+{len}");
            for changed in [from, from + len - 1, from + len / 2] {
                let mut twin = bytes.clone();
                twin[changed] ^= 0x10;
                std::fs::write(file.path(), &twin).unwrap();
                let error = file.read_exact_at(&mut buffer, from as u64, zero_from).unwrap_err().to_string();
                assert!(error.contains("damaged") && file.alarm.is_raised(), "{from}+{len} {changed}: {error}");
            }
            std::fs::write(file.path(), &bytes).unwrap();
        }
        let file = checked(folder.path(), &bytes);
        assert!(file.read_exact_at(&mut [0; 2], bytes.len() as u64 - 1, u64::MAX).is_err());
        std::fs::write(file.path(), &bytes[..5000]).unwrap();
        assert!(file.read_exact_at(&mut [0; 4096], 4096, u64::MAX).unwrap_err().to_string().contains("cut short"));
        assert!(CheckedFile::new(File::open(file.path()).unwrap(), file.path(), 5000, vec![0], Alarm::default()).is_err());
    }
}
