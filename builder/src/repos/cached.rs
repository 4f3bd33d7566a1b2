//! Metadata in the cache: judged anew each time it is used, as if it had just come. A file that is not what it should be is set aside.

use crate::base::{Digest, Error, Hasher, Result, ResultExt};
use std::fs::File;
use std::io::Read;
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
    let doing = || format!("read {}", path.display());
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Cached::Absent),
        Err(e) => return Err(e).context(doing),
    };
    let facts = file.metadata().context(doing)?;
    let mut good = facts.is_file() && size.is_none_or(|size| size == facts.len());
    if good {
        let mut hasher = Hasher::new();
        std::io::copy(&mut file, &mut hasher).context(doing)?;
        good = hasher.finish() == *digest;
    }
    if good {
        return Ok(Cached::Intact);
    }
    let mut aside = path.as_os_str().to_owned();
    aside.push(".rejected");
    let aside = PathBuf::from(aside);
    std::fs::rename(path, &aside).context(|| format!("set aside the damaged {}", path.display()))?;
    Ok(Cached::SetAside(aside))
}

/// Reads a file of the cache, which has at most `limit` bytes.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let doing = || format!("read {}", path.display());
    let mut bytes = Vec::new();
    File::open(path).context(doing)?.take(limit.saturating_add(1)).read_to_end(&mut bytes).context(doing)?;
    if bytes.len() as u64 > limit {
        return Err(Error::integrity(format!("{}: expected at most {limit} bytes, found more", path.display()))
            .hint("the cache is damaged: delete this file"));
    }
    Ok(bytes)
}
