//! Content ids that an earlier build computed, so that a rebuild hashes only what is new.
//!
//! The file lies in the state folder, not in the cache: whoever could change it could give an object another name. It is the SHA-256 of the rest, then 64 bytes for each content, sorted: a key, and the id. The key is the digest of the object's header and of
//! its content's own digest. Only entries that the build before used are kept, so the file does not grow.

use crate::ContentId;
use model::{AtomicFile, Digest, Entry, Hasher, Result, ResultJudged};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;

/// In bytes, of the file: four million contents.
const LARGEST: u64 = 256 << 20;

/// Digest of a header and of the identity of the bytes behind it.
pub(crate) type Key = Digest;

#[derive(Debug, Default)]
pub struct KnownContents {
    path: Option<PathBuf>,
    table: BTreeMap<Key, ContentId>,
    used: Mutex<BTreeMap<Key, ContentId>>,
}

impl KnownContents {
    /// Knows nothing, keeps nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// A file that is absent, cut short or changed knows nothing.
    pub fn load(path: PathBuf) -> Result<Self> {
        let table = Entry::read(&path, LARGEST)?.as_deref().and_then(decode).unwrap_or_else(BTreeMap::new);
        Ok(KnownContents { path: Some(path), table, used: Mutex::default() })
    }

    pub(crate) fn key(header: &[u8], identity: &[u8]) -> Key {
        let mut hasher = Hasher::new();
        hasher.update(&(header.len() as u64).to_le_bytes());
        hasher.update(header);
        hasher.update(identity);
        hasher.finish()
    }

    /// What is known under `key`, else what `compute` gives, which is known from then on.
    pub(crate) fn get_or(&self, key: Key, compute: impl FnOnce() -> Result<ContentId>) -> Result<ContentId> {
        let id = match self.table.get(&key) {
            Some(id) => *id,
            None => compute()?,
        };
        self.used().insert(key, id);
        Ok(id)
    }

    /// Writes what this build used, if that differs from what was loaded.
    pub fn save(&self) -> Result<()> {
        let used = self.used();
        match &self.path {
            Some(path) if *used != self.table => AtomicFile::write_unsynced(path, &encode(&used)),
            _ => Ok(()),
        }
    }

    fn used(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, ContentId>> {
        self.used.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn encode(table: &BTreeMap<Key, ContentId>) -> Vec<u8> {
    let body: Vec<u8> = table.iter().flat_map(|(key, id)| [*key.as_bytes(), *id.digest().as_bytes()]).flatten().collect();
    [Digest::of(&body).as_bytes().as_slice(), &body].concat()
}

fn decode(bytes: &[u8]) -> Option<BTreeMap<Key, ContentId>> {
    let (digest, body) = bytes.split_first_chunk::<32>()?;
    let (entries, []) = body.as_chunks::<64>() else { return None };
    if Digest::of(body).as_bytes() != digest {
        return None;
    }
    let half = |bytes: &[u8]| {
        <[u8; 32]>::try_from(bytes).none_because("a half of another length is none that was written").map(Digest::from_bytes)
    };
    let table: Option<BTreeMap<Key, ContentId>> =
        entries.iter().map(|entry| Some((half(&entry[..32])?, ContentId::new(half(&entry[32..])?)))).collect();
    // Two entries of one key would mean that we did not write it.
    table.filter(|t| t.keys().collect::<BTreeSet<_>>().len() == entries.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_known_to_the_next_build_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known");
        let [a, b] = [b"a", b"b"].map(|name| KnownContents::key(b"header", name));
        let id = |text: &[u8]| ContentId::new(Digest::of(text));
        let first = KnownContents::load(path.clone()).unwrap();
        assert_eq!(first.get_or(a, || Ok(id(b"1"))).unwrap(), id(b"1"));
        assert_eq!(first.get_or(b, || Ok(id(b"2"))).unwrap(), id(b"2"));
        first.save().unwrap();
        let second = KnownContents::load(path.clone()).unwrap();
        assert_eq!(second.get_or(a, || panic!("known")).unwrap(), id(b"1"));
        second.save().unwrap();
        let third = KnownContents::load(path.clone()).unwrap();
        assert_eq!(third.get_or(b, || Ok(id(b"3"))).unwrap(), id(b"3"), "the second build did not use b");
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(KnownContents::load(path).unwrap().get_or(a, || Ok(id(b"4"))).unwrap(), id(b"4"), "a changed file knows nothing");
    }

    #[test]
    fn header_and_identity_do_not_run_into_each_other() {
        assert_ne!(KnownContents::key(b"ab", b"c"), KnownContents::key(b"a", b"bc"));
    }
}
