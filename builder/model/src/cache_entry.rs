//! Entries of the cache, which anybody may have put there: opened without following links, and set aside when they are not what they should be.

use crate::{Error, Result, ResultExt};
use std::fs::{File, Metadata, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How often an entry is opened again that is replaced meanwhile.
const LOOKS_MAX: usize = 20;

/// What was found under an entry's name.
#[derive(Debug)]
pub enum Entry {
    Absent,
    /// Nothing that can be read as a file, and why.
    Unreadable(String),
    Open(File, Metadata),
}

impl Entry {
    /// Opens a regular file for reading. A link, a pipe, a device or a folder is unreadable.
    pub fn open(path: &Path) -> Result<Self> {
        for _ in 0..LOOKS_MAX {
            match Self::open_once(path) {
                // On a file system that machines share, another one may have put a new file in its place since it was opened.
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::StaleNetworkFileHandle) => {}
                opened => return opened.context(|| format!("read the size of {}", path.display())),
            }
        }
        Ok(Entry::Unreadable("it is replaced again and again".to_owned()))
    }

    fn open_once(path: &Path) -> std::io::Result<Self> {
        let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC).bits();
        let file = match OpenOptions::new().read(true).custom_flags(flags as i32).open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Entry::Absent),
            // ELOOP for a link, EACCES, ENXIO for a socket, EIO: the entry is at fault, not the build.
            Err(e) => return Ok(Entry::Unreadable(e.to_string())),
        };
        let metadata = file.metadata()?;
        Ok(match metadata.is_file() {
            true => Entry::Open(file, metadata),
            false => Entry::Unreadable("it is not a regular file".to_owned()),
        })
    }

    /// The bytes of an entry that is no longer than `limit`; `None` if it is absent, unreadable or longer.
    pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        use std::io::Read;
        let Entry::Open(file, metadata) = Self::open(path)? else { return Ok(None) };
        if metadata.len() > limit {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        match file.take(limit + 1).read_to_end(&mut bytes) {
            Ok(_) if bytes.len() as u64 <= limit => Ok(Some(bytes)),
            // It grew while it was read, or the disk cannot read it.
            _ => Ok(None),
        }
    }
}

/// Moves an entry of a folder of the cache to the folder `damaged` beside that, under a name of its own, and returns where it is now.
pub fn set_aside(path: &Path) -> Result<PathBuf> {
    let doing = || format!("set the damaged file {} aside", path.display());
    let (Some(name), Some(folder)) = (path.file_name(), path.parent()) else { return Err(Error::internal(doing())) };
    let aside = folder.parent().unwrap_or(folder).join("damaged");
    std::fs::create_dir_all(&aside).context(doing)?;
    let to = aside.join(format!("{}.{}", name.to_string_lossy(), super::random_name().context(doing)?));
    match std::fs::rename(path, &to) {
        Ok(()) => Ok(to),
        // Another build was faster.
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(to),
        Err(e) => Err(e).context(doing).map_err(|e| e.hint("remove it by hand")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_of_a_bearable_size_is_read() {
        let cache = tempfile::tempdir().unwrap();
        let at = |name: &str| cache.path().join(name);
        std::fs::write(at("file"), b"12345").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        assert_eq!(Entry::read(&at("file"), 5).unwrap().unwrap(), b"12345");
        for (name, limit) in [("file", 4), ("link", 9), ("folder", 9), ("pipe", 9), ("absent", 9)] {
            assert!(Entry::read(&at(name), limit).unwrap().is_none(), "{name}");
        }
        assert!(matches!(Entry::open(&at("absent")).unwrap(), Entry::Absent));
        for name in ["link", "folder", "pipe"] {
            assert!(matches!(Entry::open(&at(name)).unwrap(), Entry::Unreadable(_)), "{name}");
        }
    }

    #[test]
    fn what_is_set_aside_is_kept_under_a_name_of_its_own() {
        let cache = tempfile::tempdir().unwrap();
        let entry = cache.path().join("packs/entry");
        std::fs::create_dir(entry.parent().unwrap()).unwrap();
        let mut kept = Vec::new();
        for text in ["one", "two"] {
            std::fs::write(&entry, text).unwrap();
            kept.push((set_aside(&entry).unwrap(), text));
            assert!(!entry.exists());
        }
        for (path, text) in kept {
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
            assert_eq!(path.parent().unwrap(), cache.path().join("damaged"));
        }
        set_aside(&entry).unwrap();
    }
}
