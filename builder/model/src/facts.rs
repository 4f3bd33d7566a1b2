//! What earlier runs of this user have verified or computed, so that it need not be done again.
//!
//! The cache may be shared, restored from an archive, or damaged: nothing in it is believed for its name or for a checksum that lies beside it. What
//! may be believed is kept apart, in a folder of the user's own (the state folder, never inside a shared cache), as facts: a key, which is the digest of
//! a question, and the digest that answers it. Without a state folder there are no facts, and everything is verified and computed anew.
//!
//! The file `facts` is a sequence of records of 72 bytes: key (32), answer (32), and the first 8 bytes of the SHA-256 of both. Records are only
//! appended; one that does not hold its checksum, as a power loss may leave it, is passed over.

use crate::{Alarm, Digest, Error, Hasher, Result, ResultExt};
use rustix::fs::FlockOperation;
use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const RECORD: usize = 72;
/// Records beyond which the older half is dropped, so that the file stays below 7 MiB.
const RECORDS_MAX: u64 = 100_000;

/// The digest of a question: what kind of fact it is, and all that the answer depends on.
pub fn question(kind: &str, parts: &[&[u8]]) -> Digest {
    let mut hasher = Hasher::new();
    for part in std::iter::once(kind.as_bytes()).chain(parts.iter().copied()) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finish()
}

/// What tells a file apart from every other, and from itself after a change: device, inode number, size, and the times of the last change of its
/// contents and of its inode. The latter cannot be set by a program.
///
/// `boot` is the kernel's id of the current boot, so that a fact about a file whose bytes were not synced does not outlive a power loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp(Digest);

impl FileStamp {
    pub fn of(metadata: &Metadata, boot: &str) -> Self {
        let numbers = [
            metadata.dev(),
            metadata.ino(),
            metadata.size(),
            metadata.mtime() as u64,
            metadata.mtime_nsec() as u64,
            metadata.ctime() as u64,
            metadata.ctime_nsec() as u64,
        ];
        FileStamp(question("stamp", &[boot.as_bytes(), &numbers.map(u64::to_le_bytes).concat()]))
    }

    pub fn digest(&self) -> Digest {
        self.0
    }
}

#[derive(Debug, Default)]
pub struct Facts {
    folder: Option<PathBuf>,
    boot: String,
    known: Mutex<BTreeMap<Digest, Digest>>,
    /// Set once a block of the cache was found damaged behind a stamp that said otherwise.
    distrusted: AtomicBool,
    alarm: Alarm,
}

impl Facts {
    /// Knows nothing and keeps what it learns to itself.
    pub fn none() -> Self {
        Self::default()
    }

    /// The facts in `folder`, which is made if it is absent.
    pub fn open(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).context(|| format!("create the state folder {}", folder.display()))?;
        let facts = Facts { folder: Some(folder.to_path_buf()), boot: boot_id(), ..Self::default() };
        let Some(mut file) = facts.file()? else { return Ok(facts) };
        let mut bytes = Vec::new();
        let reading = || format!("read {}", facts_path(folder).display());
        Read::by_ref(&mut file).take(2 * RECORDS_MAX * RECORD as u64).read_to_end(&mut bytes).context(reading)?;
        let (records, torn) = bytes.as_chunks::<RECORD>();
        if !torn.is_empty() || records.len() as u64 > RECORDS_MAX {
            // The end of a record that a power loss cut, or more of them than are worth reading: both are mended here, under the lock.
            let kept = &records[records.len().saturating_sub(RECORDS_MAX as usize / 2)..];
            file.set_len(0).context(reading)?;
            file.seek(SeekFrom::Start(0)).context(reading)?;
            file.write_all(kept.as_flattened()).context(reading)?;
        }
        {
            let mut known = facts.known();
            for record in records {
                let (key, rest) = record.split_at(32);
                let (answer, check) = rest.split_at(32);
                if checksum(key, answer) == *check {
                    known.insert(digest(key), digest(answer));
                }
            }
        }
        Ok(facts)
    }

    /// Where facts of other forms are kept; `None` if nothing is kept, or nothing believed.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref().filter(|_| !self.distrusted.load(Ordering::Relaxed))
    }

    pub fn get(&self, key: Digest) -> Option<Digest> {
        self.known().get(&key).copied()
    }

    /// Remembers the answer, in the file too. A state folder that cannot be written to costs time later, not the build.
    pub fn add(&self, key: Digest, answer: Digest) {
        if self.known().insert(key, answer) == Some(answer) {
            return;
        }
        let record = [key.as_bytes().as_slice(), answer.as_bytes(), &checksum(key.as_bytes(), answer.as_bytes())].concat();
        if let Ok(Some(mut file)) = self.file() {
            let _ = file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(&record));
        }
    }

    pub fn stamp(&self, metadata: &Metadata) -> FileStamp {
        FileStamp::of(metadata, &self.boot)
    }

    /// Whether the file with this stamp was verified to hold what `content` is the digest of.
    pub fn was_verified(&self, stamp: FileStamp, content: Digest) -> bool {
        !self.distrusted.load(Ordering::Relaxed) && self.get(verified(stamp, content)) == Some(content)
    }

    pub fn add_verified(&self, stamp: FileStamp, content: Digest) {
        self.add(verified(stamp, content), content);
    }

    /// What raises the alarm is read behind a stamp that was believed.
    pub fn alarm(&self) -> &Alarm {
        &self.alarm
    }

    /// From now on every file is verified whole, whatever its stamp, and facts of other forms are not looked at.
    pub fn distrust(&self) {
        self.distrusted.store(true, Ordering::Relaxed);
    }

    /// The file, locked, at its start; `None` if nothing is kept.
    fn file(&self) -> Result<Option<File>> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let path = facts_path(folder);
        let opening = || format!("open {}", path.display());
        let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32;
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(&path);
        let file = open.context(opening)?;
        if !file.metadata().context(opening)?.is_file() {
            return Err(Error::internal(format!("{} is not a regular file", path.display())).hint("remove it"));
        }
        // Where a file system has no locks, two writers may tear a record, which its checksum shows.
        let _ = rustix::fs::flock(&file, FlockOperation::LockExclusive);
        Ok(Some(file))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<Digest, Digest>> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn verified(stamp: FileStamp, content: Digest) -> Digest {
    question("verified", &[stamp.0.as_bytes(), content.as_bytes()])
}

fn facts_path(folder: &Path) -> PathBuf {
    folder.join("facts")
}

/// An empty text where the kernel does not say: facts about files are then those of a machine that never restarts.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map_or_else(|_| String::new(), |text| text.trim().to_owned())
}

fn checksum(key: &[u8], answer: &[u8]) -> [u8; 8] {
    let mut hasher = Hasher::new();
    hasher.update(key);
    hasher.update(answer);
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finish().as_bytes()[..8]);
    first
}

fn digest(bytes: &[u8]) -> Digest {
    let mut whole = [0; 32];
    whole.copy_from_slice(bytes);
    Digest::from_bytes(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(n: u64) -> Digest {
        Digest::of(&n.to_le_bytes())
    }

    #[test]
    fn a_fact_is_known_to_the_next_run_and_a_damaged_record_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let first = Facts::open(folder.path()).unwrap();
        (0..20).for_each(|n| first.add(numbered(n), numbered(n + 100)));
        first.add(numbered(3), numbered(3));
        let again = Facts::open(folder.path()).unwrap();
        assert_eq!(
            (again.get(numbered(5)), again.get(numbered(3)), again.get(numbered(20))),
            (Some(numbered(105)), Some(numbered(3)), None)
        );
        let path = facts_path(folder.path());
        let good = std::fs::read(&path).unwrap();
        for at in [5 * RECORD, 5 * RECORD + 40, 5 * RECORD + 70] {
            let mut twin = good.clone();
            twin[at] ^= 4;
            std::fs::write(&path, &twin).unwrap();
            let damaged = Facts::open(folder.path()).unwrap();
            assert_eq!((damaged.get(numbered(5)), damaged.get(numbered(6))), (None, Some(numbered(106))), "{at}");
        }
        // Cut in the middle of a record, or zeroed by a power loss: what follows is whole again.
        for bytes in [&good[..RECORD * 4 + 9], &vec![0; RECORD * 4 + 9]] {
            std::fs::write(&path, bytes).unwrap();
            Facts::open(folder.path()).unwrap().add(numbered(50), numbered(51));
            let mended = Facts::open(folder.path()).unwrap();
            assert_eq!((mended.get(numbered(50)), mended.get(numbered(4))), (Some(numbered(51)), None));
        }
    }

    #[test]
    fn the_file_stays_small_and_keeps_what_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let records: Vec<u8> = (0..RECORDS_MAX + 1)
            .flat_map(|n| {
                let (key, answer) = (numbered(n), numbered(n + 1));
                [key.as_bytes().as_slice(), answer.as_bytes(), &checksum(key.as_bytes(), answer.as_bytes())].concat()
            })
            .collect();
        std::fs::write(facts_path(folder.path()), records).unwrap();
        Facts::open(folder.path()).unwrap();
        let after = Facts::open(folder.path()).unwrap();
        assert!(after.get(numbered(1)).is_none() && after.get(numbered(RECORDS_MAX)).is_some());
        assert_eq!(std::fs::metadata(facts_path(folder.path())).unwrap().len(), RECORDS_MAX / 2 * RECORD as u64);
    }

    #[test]
    fn a_stamp_is_of_one_file_in_one_state_and_can_be_distrusted() {
        let folder = tempfile::tempdir().unwrap();
        let facts = Facts::none();
        let path = folder.path().join("file");
        std::fs::write(&path, b"one").unwrap();
        let stamp = || facts.stamp(&std::fs::metadata(&path).unwrap());
        let content = Digest::of(b"one");
        let first = stamp();
        facts.add_verified(first, content);
        assert!(facts.was_verified(stamp(), content) && !facts.was_verified(stamp(), Digest::of(b"two")));
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&path, b"two").unwrap();
        assert!(!facts.was_verified(stamp(), content), "the same size, written later");
        facts.distrust();
        assert!(!facts.was_verified(first, content));
        assert_ne!(FileStamp::of(&std::fs::metadata(&path).unwrap(), "a"), FileStamp::of(&std::fs::metadata(&path).unwrap(), "b"));
    }
}
