//! A file under way that only grows at its end, and is hashed as it grows.

use super::Finished;
use model::{AtomicFile, Digest, Hasher, Result, ResultExt};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes gathered before they are hashed and written with one call: small enough to stay in a core's cache.
const GATHERED: usize = 256 << 10;

pub(super) struct HashedFile {
    atomic: AtomicFile,
    path: PathBuf,
    hasher: Hasher,
    /// Where the first byte goes.
    base: u64,
    /// Bytes written from there; `gathered` come behind them.
    written: u64,
    gathered: Vec<u8>,
}

impl HashedFile {
    pub fn create(path: &Path) -> Result<Self> {
        Self::create_behind(path, 0)
    }

    /// A file whose first `base` bytes are left for the caller, and are not hashed.
    pub fn create_behind(path: &Path, base: u64) -> Result<Self> {
        let atomic = AtomicFile::create(path)?;
        Ok(HashedFile { atomic, path: path.to_path_buf(), hasher: Hasher::new(), base, written: 0, gathered: Vec::with_capacity(GATHERED) })
    }

    /// Bytes so far, without those left for the caller.
    pub fn len(&self) -> u64 {
        self.written + self.gathered.len() as u64
    }

    pub fn append(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let n = bytes.len().min(GATHERED - self.gathered.len());
            self.gathered.extend_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            if self.gathered.len() == GATHERED {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Zeros up to a multiple of `unit` bytes.
    pub fn pad(&mut self, unit: u64) -> Result<()> {
        let n = self.len().next_multiple_of(unit) - self.len();
        self.append(&vec![0; n as usize])
    }

    fn flush(&mut self) -> Result<()> {
        self.hasher.update(&self.gathered);
        let at = self.base + self.written;
        self.atomic.file().write_all_at(&self.gathered, at).context(|| format!("write {} at offset {at}", self.path.display()))?;
        self.written += self.gathered.len() as u64;
        self.gathered.clear();
        Ok(())
    }

    /// The file, still under way, and the digest of all that was appended.
    pub fn into_file(mut self) -> Result<(AtomicFile, Digest)> {
        self.flush()?;
        Ok((self.atomic, self.hasher.finish()))
    }

    /// The whole file and the digest of its bytes.
    pub fn finish(mut self, format: &'static str) -> Result<Finished> {
        self.flush()?;
        Finished::new(format, &self.path, self.atomic, self.hasher.finish())
    }
}

/// Of a file's first `length` bytes: for formats whose start is known last.
pub(super) fn digest(file: &File, length: u64, path: &Path) -> Result<Digest> {
    let mut buffer = vec![0; GATHERED];
    let mut hasher = Hasher::new();
    let mut at = 0;
    while at < length {
        let n = buffer.len().min((length - at) as usize);
        file.read_exact_at(&mut buffer[..n], at).context(|| format!("read {} at offset {at}", path.display()))?;
        hasher.update(&buffer[..n]);
        at += n as u64;
    }
    Ok(hasher.finish())
}
