//! A download on its way: `NAME.part` beside `NAME`, one writer at a time, kept when interrupted.
//!
//! Locks of the kernel keep writers apart. A file system that several machines share may not have such locks; there a writer can find its file renamed
//! or removed by another one. Then it looks again, and most often finds the download done. What two writers mixed up has the wrong digest for whoever
//! opens it.

use crate::net::Url;
use crate::net::client::cut;
use crate::net::exchange::{Answer, broken};
use crate::net::retry::Failure;
use model::{Digest, Error, Hasher, OptionJudged, Result, ResultExt};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const CHUNK: usize = 128 * 1024;
/// How often a writer looks again that finds its file gone.
pub(super) const LOOKS_MAX: usize = 100;

pub(super) struct Partial {
    file: File,
    path: PathBuf,
    destination: PathBuf,
    /// Bytes expected in the end.
    size: u64,
    present: u64,
    /// Of the `present` bytes.
    hasher: Hasher,
}

impl Partial {
    /// `None` if the destination is there already with this size: its digest is checked by whoever opens it.
    pub(super) fn open(destination: &Path, size: u64) -> Result<Option<Self>> {
        if let Some(parent) = destination.parent() {
            std::fs::create_dir_all(parent).context(|| format!("create directory {}", parent.display()))?;
        }
        let path = beside(destination, "part");
        let mut looks = 0;
        loop {
            if std::fs::metadata(destination).is_ok_and(|m| m.is_file() && m.len() == size) {
                return Ok(None);
            }
            let name = || format!("open {}", path.display());
            let (mut file, mut present) = match open_locked(&path) {
                Ok(Some(opened)) => opened,
                Ok(None) => continue,
                // Another machine took the file away between two of these calls.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && looks < LOOKS_MAX => {
                    looks += 1;
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    continue;
                }
                Err(e) => return Err(e).context(name),
            };
            let mut hasher = Hasher::new();
            if present > size {
                file.set_len(0).context(name)?;
                present = 0;
            }
            let hashed = std::io::copy(&mut Read::by_ref(&mut file).take(present), &mut hasher).context(name)?;
            return Ok(Some(Partial { file, path, destination: destination.to_path_buf(), size, present: hashed, hasher }));
        }
    }

    pub(super) fn present(&self) -> u64 {
        self.present
    }

    /// Asks for the rest and appends it; `report` hears how many bytes are present.
    pub(super) fn fill(
        &mut self,
        url: &Url,
        open: impl FnOnce(u64) -> Result<Answer, Failure>,
        report: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        let answer = match open(self.present) {
            Err(Failure::BadRange) => {
                self.restart().map_err(Failure::Final)?;
                return Err(Failure::BadRange);
            }
            other => other?,
        };
        if answer.offset != self.present {
            self.restart().map_err(Failure::Final)?;
        }
        if answer.offset != self.present {
            return Err(Failure::BadRange);
        }
        let other_size = |found: String| {
            Failure::Final(
                Error::integrity(format!("{url}: expected {} bytes, found {found}", self.size))
                    .hint("the file on the server is not the one that was locked: lock again, or name another mirror"),
            )
        };
        if let Some(length) = answer.length.filter(|l| l.saturating_add(answer.offset) != self.size) {
            return Err(other_size(length.saturating_add(answer.offset).to_string()));
        }
        let mut body = answer.body;
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = match body.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(broken(url, e)),
            };
            let bytes = chunk.get(..read).unwrap_or(&[]);
            if self.present + read as u64 > self.size {
                return Err(other_size("more".into()));
            }
            self.file.write_all(bytes).context(|| format!("write {}", self.path.display())).map_err(Failure::Final)?;
            self.hasher.update(bytes);
            self.present += read as u64;
            report(self.present);
        }
        if self.present < self.size { Err(Failure::Passing(cut(url, self.size, self.present), None)) } else { Ok(()) }
    }

    pub(super) fn digest(&self) -> Digest {
        self.hasher.clone().finish()
    }

    pub(super) fn restart(&mut self) -> Result<()> {
        let name = || format!("empty {}", self.path.display());
        self.file.set_len(0).context(name)?;
        self.file.seek(SeekFrom::Start(0)).context(name)?;
        self.present = 0;
        self.hasher = Hasher::new();
        Ok(())
    }

    /// Gives the file its name. Returns false if another writer has taken it away.
    pub(super) fn publish(self) -> Result<bool> {
        self.rename(&self.destination)
    }

    /// Keeps the bytes for whoever looks into it, where nothing takes them for the file. Returns `None` if another writer has taken them away.
    pub(super) fn reject(self) -> Result<Option<PathBuf>> {
        let aside = beside(&self.destination, "rejected");
        Ok(self.rename(&aside)?.then_some(aside))
    }

    fn rename(&self, to: &Path) -> Result<bool> {
        match std::fs::rename(&self.path, to) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
            renamed => renamed.map(|()| true).context(|| format!("rename to {}", to.display())),
        }
    }
}

/// The file and its length, once no other thread or process of this machine brings the same; `None` if the name is another file's by then.
fn open_locked(path: &Path) -> std::io::Result<Option<(File, u64)>> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
    let opened = file.metadata()?;
    let is_same = std::fs::metadata(path).is_ok_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino()));
    Ok(is_same.then_some((file, opened.len())))
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.file_name().default_because("a path without a name gets the extension alone").to_owned();
    name.push(".");
    name.push(extension);
    path.with_file_name(name)
}
