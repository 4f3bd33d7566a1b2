//! A file that appears under its name only when it is whole.
//!
//! Two contracts. [`AtomicFile::commit`] returns when contents and name are on the device: after a power loss the file is there, whole. After
//! [`AtomicFile::commit_unsynced`] a power loss may leave any bytes under the name, or none: that is for entries of the cache, which are verified before
//! they are believed.

use crate::lock_reach::locks_reach_every_writer;
use crate::{Error, Result, ResultExt};
use rustix::fs::{CWD, FlockOperation};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Written beside its destination as `.NAME.RANDOM.partial`, which no other process can have or foresee; renamed by [`commit`](Self::commit), removed on
/// drop. A kill leaves at most a `.partial` that nobody reads and the next [`sweep`] removes.
#[derive(Debug)]
pub struct AtomicFile {
    file: File,
    partial: PathBuf,
    destination: PathBuf,
    done: bool,
}

impl AtomicFile {
    pub fn create(destination: &Path) -> Result<Self> {
        let folder = parent(destination);
        std::fs::create_dir_all(folder).context(|| format!("create directory {}", folder.display()))?;
        let name = destination.file_name().ok_or_else(|| Error::internal(format!("{} names no file", destination.display())))?;
        // A name has at most 255 bytes.
        let shown: String = name.to_string_lossy().chars().take(48).collect();
        let (file, partial) = create_locked(folder, &format!(".{shown}"))?;
        Ok(AtomicFile { file, partial, destination: destination.to_path_buf(), done: false })
    }

    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Waits until the contents are on the device.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().context(|| format!("write {}", self.destination.display()))
    }

    /// Gives the file its name and waits until contents and name are on the device; returns the open file.
    pub fn commit(self) -> Result<File> {
        self.sync()?;
        let folder = parent(&self.destination).to_path_buf();
        let file = self.commit_unsynced()?;
        sync_folder(&folder)?;
        Ok(file)
    }

    /// Gives the file its name without waiting for the device.
    pub fn commit_unsynced(mut self) -> Result<File> {
        // A plain rename over a file makes ext4 write all of the new one to the device first (auto_da_alloc), which nobody asked for here: so the two
        // change places. Where that cannot be done, or no file is there yet, it is a plain rename.
        let exchange = rustix::fs::RenameFlags::EXCHANGE;
        let is_file = self.destination.symlink_metadata().is_ok_and(|m| m.is_file());
        if is_file && rustix::fs::renameat_with(CWD, &self.partial, CWD, &self.destination, exchange).is_ok() {
            remove_leftover(&self.partial);
        } else {
            std::fs::rename(&self.partial, &self.destination).context(|| format!("rename to {}", self.destination.display()))?;
        }
        self.done = true;
        self.file.try_clone().context(|| format!("reopen {}", self.destination.display()))
    }

    /// Writes `bytes` whole as `destination`, on the device when this returns.
    pub fn write(destination: &Path, bytes: &[u8]) -> Result<()> {
        Self::fill(destination, bytes)?.commit().map(drop)
    }

    /// The same for an entry of the cache, which is verified before it is believed.
    pub fn write_unsynced(destination: &Path, bytes: &[u8]) -> Result<()> {
        Self::fill(destination, bytes)?.commit_unsynced().map(drop)
    }

    fn fill(destination: &Path, bytes: &[u8]) -> Result<Self> {
        use std::io::Write;
        let mut file = Self::create(destination)?;
        file.file.write_all(bytes).context(|| format!("write {}", destination.display()))?;
        Ok(file)
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Waits until the names in a folder are on the device.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).context(|| format!("sync the folder {}", folder.display()))
}

/// Removes a file that nobody reads. One that cannot be removed costs room alone.
fn remove_leftover(path: &Path) {
    let _ = std::fs::remove_file(path);
}

/// 16 hexadecimal digits from the kernel. They end in names of files under way alone, never in an artifact.
pub fn random_name() -> std::io::Result<String> {
    let mut bytes = [0; 8];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())? {
        8 => Ok(hex::encode(bytes)),
        n => Err(std::io::Error::other(format!("the kernel gave {n} random bytes, expected 8"))),
    }
}

/// A new file `PREFIX.RANDOM.partial` in `folder`, which was not there before, locked for as long as it is open: that tells a [`sweep`] that somebody is
/// still writing.
pub fn create_locked(folder: &Path, prefix: &str) -> Result<(File, PathBuf)> {
    loop {
        let random = random_name().context(|| format!("name a file in {}", folder.display()))?;
        let path = folder.join(format!("{prefix}.{random}.partial"));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).open(&path);
        let file = match file {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => continue,
            file => file.context(|| format!("create {}", path.display()))?,
        };
        // On a file system without locks nothing is swept either.
        let _ = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
        // A sweep may have come between the two calls and removed the name.
        if file.metadata().context(|| format!("create {}", path.display()))?.nlink() > 0 {
            return Ok((file, path));
        }
    }
}

/// Removes the files that killed runs left under way in `folder`: those with a name that [`create_locked`] gives and that nobody holds locked. Whatever
/// cannot be removed stays, and so does everything on a file system where another machine's lock would not be seen.
pub fn sweep(folder: &Path) {
    if !locks_reach_every_writer(folder) {
        return;
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let is_ours = |name: &str| {
        let random = name.strip_suffix(".partial").and_then(|rest| rest.rsplit_once('.'));
        random.is_some_and(|(_, random)| random.len() == 16 && random.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
    };
    for path in entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_ours)).map(|entry| entry.path()) {
        let is_free = path.symlink_metadata().is_ok_and(|m| m.is_file())
            && File::open(&path).is_ok_and(|file| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok());
        if is_free {
            remove_leftover(&path);
        }
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.done {
            remove_leftover(&self.partial);
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
        std::fs::write(at(".dead.0123456789abcdef.partial"), b"half").unwrap();
        std::fs::write(at("kept"), b"whole").unwrap();
        std::fs::write(at("thesis.partial"), b"not ours").unwrap();
        std::fs::create_dir_all(at("tree")).unwrap();
        sweep(folder.path());
        assert!(
            !at(".dead.0123456789abcdef.partial").exists() && at("tree").exists() && at("kept").exists() && at("thesis.partial").exists()
        );
        live.commit().unwrap();
        assert!(at("live").exists(), "a file that is being written is not swept");
    }

    #[test]
    fn a_file_under_way_follows_no_link_and_takes_no_name_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let names: std::collections::BTreeSet<PathBuf> = (0..100).map(|_| create_locked(folder.path(), ".file").unwrap().1).collect();
        assert_eq!(names.len(), 100);
        let [first, second] = [0, 1].map(|_| AtomicFile::create(&folder.path().join("same")).unwrap());
        assert_ne!(first.partial, second.partial);
        first.commit().unwrap();
        second.commit().unwrap();
        assert!(AtomicFile::create(Path::new("/")).is_err());
        AtomicFile::write(&folder.path().join("n".repeat(255)), b"a long name").unwrap();
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
