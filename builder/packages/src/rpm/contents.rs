//! A package's contents, read through to the end for their digests alone.

use super::{ContentHasher, Package, read_payload};
use model::{Digest, Error, Hasher, Result, ResultExt};
use std::io::{BufRead, BufReader, Read};

/// Reads the whole payload, checks it against each digest that the header has, and returns the SHA-256 of each of its files in the header's
/// order: `None` for what has no contents, and for what is absent from the payload.
pub fn read_contents(package: &Package, payload: impl Read + Send) -> Result<Vec<Option<Digest>>> {
    let mut found: Vec<Option<Digest>> = vec![None; package.files.len()];
    let mut source = HashedPayload::new(payload);
    let mut buffer = vec![0; 1 << 16];
    read_payload(package, &mut source, |file| {
        let entry = file.entry;
        // Of the names of a hard link, one has the contents.
        if file.size != entry.size || !matches!(entry.kind, super::FileKind::File) {
            return Ok(());
        }
        let mut hasher = ContentHasher::new(entry.digest.as_ref());
        let mut left = file.size;
        while left > 0 {
            let n = file.contents.read(&mut buffer).map_err(|e| Error::integrity(format!("decompress {}", entry.path)).source(e))?;
            if n == 0 {
                return Err(Error::integrity(format!("{}: the payload ends {left} bytes early", entry.path)));
            }
            hasher.update(&buffer[..n]);
            left = left.saturating_sub(n as u64);
        }
        let digest = hasher.finish(entry.digest.as_ref(), &entry.path)?;
        found[file.index] = Some(digest);
        if let Some(last) = entry.link_group {
            found[last as usize] = Some(digest);
        }
        Ok(())
    })?;
    source.finish(package)?;
    for (i, file) in package.files.iter().enumerate() {
        if let Some(last) = file.link_group {
            found[i] = found[last as usize];
        }
    }
    Ok(found)
}

/// The payload as it is in the file, hashed on its way to the decoder.
pub struct HashedPayload<R>(BufReader<Hashing<R>>);

struct Hashing<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> HashedPayload<R> {
    pub fn new(inner: R) -> Self {
        HashedPayload(BufReader::with_capacity(1 << 20, Hashing { inner, hasher: Hasher::new() }))
    }

    /// Reads what the decoder left, and checks the payload's digest if the header has one.
    pub fn finish(mut self, package: &Package) -> Result<()> {
        std::io::copy(&mut self.0, &mut std::io::sink()).context(|| "read the rest of the payload")?;
        let found = self.0.into_inner().hasher.finish();
        match package.payload_sha256 {
            Some(expected) if expected != found => Err(Error::integrity(format!(
                "the payload at offset {}: expected sha256 {expected}, found {found}",
                package.payload_offset
            ))),
            _ => Ok(()),
        }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}

impl<R: Read> Read for HashedPayload<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> BufRead for HashedPayload<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}
