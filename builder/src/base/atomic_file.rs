//! A file that appears under its name only when it is whole.

use crate::base::{Result, ResultExt};
use rustix::fs::{CWD, FlockOperation};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

static SERIAL: AtomicU64 = AtomicU64::new(0);

/// Written beside its destination as `.NAME.PID.N.partial`, renamed by [`commit`](Self::commit), removed on drop. A kill leaves at most a
/// `.partial` that nobody reads and the next [`sweep`] removes.
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
        let file = create_locked(&partial)?;
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
        // A plain rename over a file makes ext4 write all of the new one to the device first (auto_da_alloc), which nobody asked for here: so the two
        // change places. Where that cannot be done, or no file is there yet, it is a plain rename.
        let exchange = rustix::fs::RenameFlags::EXCHANGE;
        let is_file = self.destination.symlink_metadata().is_ok_and(|m| m.is_file());
        if is_file && rustix::fs::renameat_with(CWD, &self.partial, CWD, &self.destination, exchange).is_ok() {
            std::fs::remove_file(&self.partial).ok();
        } else {
            std::fs::rename(&self.partial, &self.destination).context(|| format!("rename to {}", self.destination.display()))?;
        }
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

/// A new file, locked for as long as it is open, which tells a [`sweep`] that somebody is still writing.
pub fn create_locked(path: &Path) -> Result<File> {
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .open(path)
            .context(|| format!("create {}", path.display()))?;
        // A file system without locks is swept by nobody either.
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).ok();
        // A sweep may have come between the two calls and removed the name.
        if file.metadata().context(|| format!("create {}", path.display()))?.nlink() > 0 {
            return Ok(file);
        }
    }
}

/// Removes the `.partial` files that killed runs left in `folder`: those that nobody holds locked. Whatever cannot be removed stays.
pub fn sweep(folder: &Path) {
    for path in abandoned(folder, |path| path.extension().is_some_and(|e| e == "partial") && path.is_file()) {
        std::fs::remove_file(path).ok();
    }
}

fn abandoned(folder: &Path, select: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let free =
        |path: &PathBuf| File::open(path).is_ok_and(|file| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok());
    entries.flatten().map(|entry| entry.path()).filter(|path| !path.is_symlink() && select(path) && free(path)).collect()
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.done {
            std::fs::remove_file(&self.partial).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_removes_what_nobody_writes_and_leaves_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let live = AtomicFile::create(&at("live")).unwrap();
        std::fs::write(at(".dead.1.0.partial"), b"half").unwrap();
        std::fs::write(at("kept"), b"whole").unwrap();
        std::fs::create_dir_all(at("tree")).unwrap();
        sweep(folder.path());
        assert!(!at(".dead.1.0.partial").exists() && at("tree").exists() && at("kept").exists());
        live.commit().unwrap();
        assert!(at("live").exists(), "a file that is being written is not swept");
    }

    #[test]
    fn a_file_takes_the_place_of_another_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for text in ["one", "another"] {
            AtomicFile::write(&path, text.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
        // A directory may hold the name: it is not taken away.
        std::fs::create_dir(folder.path().join("held")).unwrap();
        assert!(AtomicFile::write(&folder.path().join("held"), b"x").is_err() && folder.path().join("held").is_dir());
    }
}
