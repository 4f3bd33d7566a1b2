//! A finished file.

use model::{AtomicFile, Digest, Result, ResultExt, sync_folder};
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

/// An artifact whose file is whole, and does not have its name yet.
#[derive(Debug)]
#[must_use = "the file has its name only once it is given"]
pub struct Finished {
    artifact: Artifact,
    file: AtomicFile,
}

impl Finished {
    /// `path` is the name that the file is to have.
    pub(super) fn new(format: &'static str, path: &Path, mut file: AtomicFile, sha256: Digest) -> Result<Self> {
        let metadata = file.file().metadata().context(|| format!("read the size of {}", path.display()))?;
        // st_blocks counts 512-byte units whatever the file system's block size.
        let artifact = Artifact { format, path: path.to_path_buf(), size: metadata.len(), disk_usage: metadata.blocks() * 512, sha256 };
        Ok(Finished { artifact, file })
    }

    pub fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    /// Gives the file its name, without waiting for the device.
    pub fn name(self) -> Result<Artifact> {
        self.file.commit_unsynced().map(|_| self.artifact)
    }

    /// Waits until the file's bytes are on the device.
    pub fn sync(&self) -> Result<()> {
        self.file.sync()
    }
}

/// Gives the finished files of `folder` their names; with `durable` the names are on the device afterwards, if the bytes are.
pub fn publish(finished: Vec<Finished>, folder: &Path, durable: bool) -> Result<Vec<Artifact>> {
    let artifacts = finished.into_iter().map(Finished::name).collect::<Result<Vec<_>>>()?;
    if durable {
        sync_folder(folder)?;
    }
    Ok(artifacts)
}
