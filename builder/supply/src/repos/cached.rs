//! Metadata in the cache: judged anew each time it is used, as if it had just come. A file that is not what it should be is set aside.

use model::{Digest, Entry, Error, Hasher, Result, ResultExt, set_aside};
use std::path::{Path, PathBuf};

/// What the cache holds under a digest.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cached {
    Absent,
    Intact,
    /// Another file stood there; where it is now.
    SetAside(PathBuf),
}

impl Cached {
    /// Adds to an error of fetching the file anew why it had to be fetched.
    pub(super) fn explain<T>(&self, path: &Path, fetched: Result<T>) -> Result<T> {
        match self {
            Cached::SetAside(aside) => fetched.map_err(|error| {
                error.context(format_args!("the cached {} was damaged and is kept as {}", path.display(), aside.display()))
            }),
            Cached::Absent | Cached::Intact => fetched,
        }
    }
}

/// Checks size (if known) and digest of the file at `path`.
pub(super) fn examine(path: &Path, size: Option<u64>, digest: &Digest) -> Result<Cached> {
    match Entry::open(path)? {
        Entry::Absent => return Ok(Cached::Absent),
        Entry::Open(mut file, facts) if size.is_none_or(|size| size == facts.len()) => {
            let mut hasher = Hasher::new();
            std::io::copy(&mut file, &mut hasher).context(|| format!("read {}", path.display()))?;
            if hasher.finish() == *digest {
                return Ok(Cached::Intact);
            }
        }
        Entry::Open(..) | Entry::Unreadable(_) => {}
    }
    set_aside(path).map(Cached::SetAside)
}

/// Reads a file of the cache, which has at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    Entry::read(path, limit)?.ok_or_else(|| {
        Error::integrity(format!("{}: expected a regular file of at most {limit} bytes, found none or another", path.display()))
            .hint("the cache is damaged or was never filled: run once without --offline")
    })
}
