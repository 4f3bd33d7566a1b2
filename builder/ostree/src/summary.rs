//! What a host reads first: the summary of the store, with the signatures over it and over the commits that it names.

use crate::format::{Summary, SummaryRef};
use crate::{CommitId, Detached, ObjectKind, Store};
use model::{AtomicFile, Entry, Error, Result, ResultExt, SourceDateEpoch};
use signing::{PublicKey, SigningKey};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// In bytes, of detached metadata: thousands of signatures.
const LARGEST_DETACHED: u64 = 1 << 20;
/// In bytes; libostree takes no larger one.
const LARGEST_SUMMARY: u64 = 128 << 20;

impl Store {
    /// Every ref with its commit, sorted by name.
    pub fn refs(&self) -> Result<BTreeMap<String, CommitId>> {
        fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) -> std::io::Result<()> {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                // What is no ref's name is a file under way or somebody else's.
                let Ok(name) = entry.file_name().into_string() else { continue };
                if name.starts_with('.') {
                    continue;
                }
                let name = format!("{prefix}{name}");
                if entry.file_type()?.is_dir() { walk(&entry.path(), &format!("{name}/"), found)? } else { found.push(name) }
            }
            Ok(())
        }
        let folder = self.path().join("refs/heads");
        let mut names = Vec::new();
        walk(&folder, "", &mut names).context(|| format!("list the refs below {}", folder.display()))?;
        let mut refs = BTreeMap::new();
        for name in names {
            if let Some(commit) = self.resolve_ref(&name)? {
                refs.insert(name, commit);
            }
        }
        Ok(refs)
    }

    /// What stands beside a commit.
    pub fn detached(&self, id: CommitId) -> Result<Detached> {
        read_detached(&self.detached_path(id))
    }

    /// A commit's detached metadata as it lies there, an `a{sv}`; `None` if it has none.
    pub(crate) fn detached_metadata(&self, id: CommitId) -> Result<Option<Vec<u8>>> {
        detached_bytes(&self.detached_path(id))
    }

    /// Adds the signatures of `keys` to a commit that the store has.
    pub fn sign_commit(&self, id: CommitId, keys: &[SigningKey]) -> Result<()> {
        let bytes = self.read_metadata(ObjectKind::Commit, id.digest())?;
        let path = self.detached_path(id);
        let before = read_detached(&path)?;
        let mut after = before.clone();
        let time = epoch(self.read_commit(id)?.timestamp);
        keys.iter().try_for_each(|key| after.sign(&bytes, key, time))?;
        if after != before { AtomicFile::write(&path, &after.encode()) } else { Ok(()) }
    }

    /// Those of `keys` that have signed a commit.
    pub fn commit_signers(&self, id: CommitId, keys: &[PublicKey]) -> Result<Vec<PublicKey>> {
        let bytes = self.read_metadata(ObjectKind::Commit, id.digest())?;
        Ok(self.detached(id)?.signers(&bytes, keys))
    }

    /// The summary with its signatures; `None` if the store has none.
    pub fn summary(&self) -> Result<Option<(Summary, Vec<u8>, Detached)>> {
        let path = self.path().join("summary");
        if let Entry::Absent = Entry::open(&path)? {
            return Ok(None);
        }
        let bytes = Entry::read(&path, LARGEST_SUMMARY)?
            .ok_or_else(|| Error::integrity(format!("{} cannot be read as a summary", path.display())))?;
        let summary = Summary::decode(&bytes).context(|| format!("read {}", path.display()))?;
        Ok(Some((summary, bytes, read_detached(&self.path().join("summary.sig"))?)))
    }

    /// Writes the summary of all refs and deltas, signed by `keys`. It changes only if what it tells does; then its time grows, so that a host notices an
    /// older one that is offered again. That time is no clock's: it is the newest commit's, or one second more than the time before.
    pub fn write_summary(&self, keys: &[SigningKey]) -> Result<Summary> {
        let deltas = self.deltas()?.into_iter().map(|delta| (delta.name.to_string(), delta.superblock)).collect();
        let mut summary = Summary { refs: BTreeMap::new(), deltas, last_modified: 0 };
        for (name, commit) in self.refs()? {
            let bytes = self.read_metadata(ObjectKind::Commit, commit.digest())?;
            let object = self.read_commit(commit)?;
            let version = object.version().map(str::to_owned);
            summary.last_modified = summary.last_modified.max(object.timestamp);
            summary.refs.insert(name, SummaryRef { commit, size: bytes.len() as u64, timestamp: object.timestamp, version });
        }
        // One that cannot be read is replaced like one that is absent.
        if let Ok(Some((before, _, _))) = self.summary() {
            let same = before.refs == summary.refs && before.deltas == summary.deltas;
            summary.last_modified =
                if same { before.last_modified } else { summary.last_modified.max(before.last_modified.saturating_add(1)) };
        }
        let bytes = summary.encode();
        let mut detached = Detached::default();
        keys.iter().try_for_each(|key| detached.sign(&bytes, key, epoch(summary.last_modified)))?;
        let signatures = self.path().join("summary.sig");
        if keys.is_empty() {
            match std::fs::remove_file(&signatures) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                removed => removed.context(|| format!("remove {}, which is of another summary", signatures.display()))?,
            }
        } else {
            AtomicFile::write(&signatures, &detached.encode())?;
        }
        AtomicFile::write(&self.path().join("summary"), &bytes)?;
        Ok(summary)
    }

    pub(crate) fn detached_path(&self, id: CommitId) -> PathBuf {
        self.object_path(ObjectKind::Commit, id.digest()).with_extension("commitmeta")
    }
}

/// OpenPGP counts seconds in 32 bits.
fn epoch(seconds: u64) -> SourceDateEpoch {
    SourceDateEpoch(u32::try_from(seconds).unwrap_or(u32::MAX))
}

/// Nothing where there is no file.
fn read_detached(path: &Path) -> Result<Detached> {
    match detached_bytes(path)? {
        Some(bytes) => Detached::decode(&bytes).context(|| format!("read {}", path.display())),
        None => Ok(Detached::default()),
    }
}

/// `None` where there is no file.
fn detached_bytes(path: &Path) -> Result<Option<Vec<u8>>> {
    if let Entry::Absent = Entry::open(path)? {
        return Ok(None);
    }
    let bytes = Entry::read(path, LARGEST_DETACHED)?;
    bytes.map(Some).ok_or_else(|| {
        Error::integrity(format!("{}: expected a file of at most {LARGEST_DETACHED} bytes", path.display())).hint("sign again")
    })
}
