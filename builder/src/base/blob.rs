//! Immutable bytes of known length, in memory or as an extent of a file (a pack): what file contents and disk segments are made of.

use crate::base::{Digest, Error, Hasher, Result, ResultExt};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

#[derive(Debug, Clone)]
pub enum Blob {
    Inline(Arc<[u8]>),
    /// `len` bytes of `file` from `offset`. `path` is for messages only.
    Extent {
        file: Arc<File>,
        path: Arc<Path>,
        offset: u64,
        len: u64,
    },
}

impl Blob {
    /// Bytes read at a time when streaming.
    const WINDOW: usize = 1 << 20;

    pub fn empty() -> Self {
        Blob::Inline(Arc::from([]))
    }

    pub fn len(&self) -> u64 {
        match self {
            Blob::Inline(bytes) => bytes.len() as u64,
            Blob::Extent { len, .. } => *len,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A part of this blob, sharing its bytes' source. In memory the part is copied.
    pub fn slice(&self, offset: u64, len: u64) -> Result<Blob> {
        if offset.checked_add(len).is_none_or(|end| end > self.len()) {
            return Err(Error::internal(format!("slice {offset}+{len} of a blob of {} bytes", self.len())));
        }
        Ok(match self {
            Blob::Inline(bytes) => Blob::Inline(bytes[offset as usize..(offset + len) as usize].into()),
            Blob::Extent { file, path, offset: base, .. } => {
                Blob::Extent { file: file.clone(), path: path.clone(), offset: base + offset, len }
            }
        })
    }

    /// Fills `buffer` from `offset`; an error if the blob ends before.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.len()) {
            return Err(Error::internal(format!(
                "read of {} bytes at {offset} past the end of a blob of {} bytes",
                buffer.len(),
                self.len()
            )));
        }
        match self {
            Blob::Inline(bytes) => {
                buffer.copy_from_slice(&bytes[offset as usize..offset as usize + buffer.len()]);
                Ok(())
            }
            Blob::Extent { file, path, offset: base, .. } => {
                file.read_exact_at(buffer, base + offset).context(|| format!("read {} at offset {}", path.display(), base + offset))
            }
        }
    }

    /// Calls `each` with the bytes in order, at most 1 MiB at a time.
    pub fn for_each_window(&self, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        if let Blob::Inline(bytes) = self {
            return each(bytes);
        }
        let mut buffer = vec![0; Self::WINDOW.min(self.len() as usize)];
        let mut done = 0;
        while done < self.len() {
            let n = buffer.len().min((self.len() - done) as usize);
            self.read_exact_at(&mut buffer[..n], done)?;
            each(&buffer[..n])?;
            done += n as u64;
        }
        Ok(())
    }

    /// All bytes in memory. For small files; big ones are streamed.
    pub fn to_vec(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.len() as usize];
        self.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    pub fn digest(&self) -> Result<Digest> {
        let mut hasher = Hasher::new();
        self.for_each_window(|bytes| {
            hasher.update(bytes);
            Ok(())
        })?;
        Ok(hasher.finish())
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Blob::Inline(bytes.into())
    }
}

impl From<&[u8]> for Blob {
    fn from(bytes: &[u8]) -> Self {
        Blob::Inline(bytes.into())
    }
}
