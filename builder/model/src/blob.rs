//! Immutable bytes of known length, in memory or as an extent of a file (a pack): what file contents and disk segments are made of.

use crate::{CheckedFile, Digest, Error, Hasher, Result, ResultExt, Segments};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

#[derive(Debug, Clone)]
pub enum Blob {
    Inline(Arc<[u8]>),
    /// `len` bytes of `file` from `offset`, each block of which is checked whenever it is read. `content` says whose bytes they are, if that is known.
    Checked {
        file: Arc<CheckedFile>,
        offset: u64,
        len: u64,
        content: Option<Content>,
    },
    /// `len` bytes of `file` from `offset`, which nobody else can write to. `path` is for messages only.
    Extent {
        file: Arc<File>,
        path: Arc<Path>,
        offset: u64,
        len: u64,
    },
    /// The same, opened for each read: for trees of more files than a process may hold open. The file must not change meanwhile.
    Unopened {
        path: Arc<Path>,
        offset: u64,
        len: u64,
    },
    /// A file with holes: what no segment covers reads as zero, and takes no blocks in a filesystem.
    Sparse(Arc<Segments>),
}

/// A whole content that lies in a file, of which a blob may be a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Of all its bytes.
    pub digest: Digest,
    /// Where it begins in the file, in bytes, and how long it is. From its end to the end of the block the file is zero.
    pub offset: u64,
    pub len: u64,
}

/// Says which bytes a blob holds without reading them: those of the content with this digest, from `from` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    digest: Digest,
    from: u64,
    len: u64,
}

impl Identity {
    pub fn bytes(&self) -> [u8; 48] {
        let mut out = [0; 48];
        out[..32].copy_from_slice(self.digest.as_bytes());
        out[32..40].copy_from_slice(&self.from.to_le_bytes());
        out[40..].copy_from_slice(&self.len.to_le_bytes());
        out
    }
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
            Blob::Checked { len, .. } | Blob::Extent { len, .. } | Blob::Unopened { len, .. } => *len,
            Blob::Sparse(segments) => segments.size(),
        }
    }

    /// `None` where only reading the bytes would tell.
    pub fn identity(&self) -> Option<Identity> {
        let Blob::Checked { offset, len, content: Some(content), .. } = self else { return None };
        Some(Identity { digest: content.digest, from: offset - content.offset, len: *len })
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
            Blob::Checked { file, offset: base, content, .. } => {
                Blob::Checked { file: file.clone(), offset: base + offset, len, content: *content }
            }
            Blob::Extent { file, path, offset: base, .. } => {
                Blob::Extent { file: file.clone(), path: path.clone(), offset: base + offset, len }
            }
            Blob::Unopened { path, offset: base, .. } => Blob::Unopened { path: path.clone(), offset: base + offset, len },
            Blob::Sparse(segments) => Blob::Sparse(Arc::new(Segments::new(len, segments.within(offset, len, 0)?)?)),
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
            Blob::Checked { file, offset: base, content, .. } => {
                file.read_exact_at(buffer, base + offset, content.map_or(u64::MAX, |c| c.offset + c.len))
            }
            Blob::Extent { file, path, offset: base, .. } => {
                file.read_exact_at(buffer, base + offset).context(|| format!("read {} at offset {}", path.display(), base + offset))
            }
            Blob::Unopened { path, offset: base, .. } => File::open(path)
                .and_then(|file| file.read_exact_at(buffer, base + offset))
                .context(|| format!("read {} at offset {}", path.display(), base + offset)),
            Blob::Sparse(segments) => segments.read_at(buffer, offset).map(drop),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Segment;

    #[test]
    fn holes_read_as_zero_and_a_slice_keeps_them() {
        let at = |offset, text: &str| Segment { offset, data: text.as_bytes().into() };
        let blob = Blob::Sparse(Arc::new(Segments::new(16, vec![at(2, "abc"), at(8, "wxyz")]).unwrap()));
        assert_eq!(blob.to_vec().unwrap(), b"\0\0abc\0\0\0wxyz\0\0\0\0");
        let Blob::Sparse(part) = blob.slice(4, 6).unwrap() else { panic!("a slice of a sparse blob is sparse") };
        assert_eq!(
            part.iter().map(|s| (s.offset, s.data.to_vec().unwrap())).collect::<Vec<_>>(),
            [(0, b"c".to_vec()), (4, b"wx".to_vec())]
        );
        assert!(blob.slice(10, 7).is_err() && blob.read_exact_at(&mut [0; 2], 15).is_err());
    }

    #[test]
    fn an_unopened_file_reads_as_an_opened_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"0123456789").unwrap();
        let blob = Blob::Unopened { path: file.path().into(), offset: 1, len: 8 };
        assert_eq!((blob.to_vec().unwrap(), blob.slice(2, 3).unwrap().to_vec().unwrap()), (b"12345678".to_vec(), b"345".to_vec()));
        std::fs::remove_file(file.path()).unwrap();
        assert!(blob.to_vec().unwrap_err().to_string().contains(&file.path().display().to_string()));
    }
}
