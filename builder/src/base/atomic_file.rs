//! A file that appears under its name only when it is whole.

use crate::base::{Result, ResultExt};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

static SERIAL: AtomicU64 = AtomicU64::new(0);

/// Written beside its destination as `.NAME.PID.N.partial`, renamed by [`commit`](Self::commit), removed on drop. A kill leaves at most a
/// `.partial` that nobody reads.
pub struct AtomicFile {
    file: File,
    partial: PathBuf,
    destination: PathBuf,
    done: bool,
}

impl AtomicFile {
    pub fn create(destination: &Path) -> Result<Self> {
        let parent = destination.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).context(|| format!("create directory {}", parent.display()))?;
        let name = destination.file_name().unwrap_or_default().to_string_lossy();
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let partial = parent.join(format!(".{name}.{}.{serial}.partial", std::process::id()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .open(&partial)
            .context(|| format!("create {}", partial.display()))?;
        Ok(AtomicFile { file, partial, destination: destination.to_path_buf(), done: false })
    }

    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Flushes to the device and renames over the destination; returns the open file.
    pub fn commit(mut self) -> Result<File> {
        self.file.sync_data().context(|| format!("write {}", self.destination.display()))?;
        self.publish()
    }

    /// Renames without waiting for the device: for cache entries that are verified when read.
    pub fn commit_unsynced(mut self) -> Result<File> {
        self.publish()
    }

    fn publish(&mut self) -> Result<File> {
        std::fs::rename(&self.partial, &self.destination).context(|| format!("rename to {}", self.destination.display()))?;
        self.done = true;
        self.file.try_clone().context(|| format!("reopen {}", self.destination.display()))
    }

    /// Writes `bytes` whole as `destination`.
    pub fn write(destination: &Path, bytes: &[u8]) -> Result<()> {
        use std::io::Write;
        let mut file = Self::create(destination)?;
        file.file.write_all(bytes).context(|| format!("write {}", destination.display()))?;
        file.commit().map(drop)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.done {
            std::fs::remove_file(&self.partial).ok();
        }
    }
}
