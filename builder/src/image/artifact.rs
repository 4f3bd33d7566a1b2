//! A finished file.

use crate::base::{Digest, Result, ResultExt};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Artifact {
    pub format: &'static str,
    pub path: PathBuf,
    /// As `ls -l` says, in bytes.
    pub size: u64,
    /// As `du` says, in bytes.
    pub disk_usage: u64,
    /// Of all bytes, zeros in holes included: what `sha256sum` prints.
    pub sha256: Digest,
}

impl Artifact {
    /// `file` is open on `path`.
    pub(super) fn of(format: &'static str, path: &Path, file: &File, sha256: Digest) -> Result<Self> {
        let metadata = file.metadata().context(|| format!("read the size of {}", path.display()))?;
        // st_blocks counts 512-byte units whatever the file system's block size.
        Ok(Artifact { format, path: path.to_path_buf(), size: metadata.len(), disk_usage: metadata.blocks() * 512, sha256 })
    }
}
