//! Which objects of a store were verified, so that the next commit need not read them all again.
//!
//! One file for each store in the state folder: the SHA-256 of the rest, then 64 bytes for each object, sorted: its digest and the stamp of its file. Only
//! objects of the last commit are kept, so the file does not grow.

use model::{AtomicFile, Digest, Entry, FileStamp, Result};
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::PathBuf;

/// In bytes: of four million objects.
const LARGEST: u64 = 256 << 20;

#[derive(Debug, Default)]
pub(super) struct ObjectStamps {
    path: Option<PathBuf>,
    known: BTreeMap<Digest, Digest>,
}

impl ObjectStamps {
    /// A file that is absent, cut short or changed knows nothing; without a path nothing is kept.
    pub(super) fn load(path: Option<PathBuf>) -> Result<Self> {
        let bytes = match &path {
            Some(path) => Entry::read(path, LARGEST)?,
            None => None,
        };
        let known = bytes.as_deref().and_then(decode).unwrap_or_else(BTreeMap::new);
        Ok(ObjectStamps { path, known })
    }

    pub(super) fn has(&self, object: Digest, metadata: &Metadata) -> bool {
        self.known.get(&object) == Some(&stamp(metadata))
    }

    /// Keeps these and no others.
    pub(super) fn replace(&self, now: &BTreeMap<Digest, Metadata>) -> Result<()> {
        let now: BTreeMap<Digest, Digest> = now.iter().map(|(object, metadata)| (*object, stamp(metadata))).collect();
        match &self.path {
            Some(path) if now != self.known => {
                let body: Vec<u8> = now.iter().flat_map(|(object, stamp)| [*object.as_bytes(), *stamp.as_bytes()]).flatten().collect();
                AtomicFile::write_unsynced(path, &[Digest::of(&body).as_bytes().as_slice(), &body].concat())
            }
            _ => Ok(()),
        }
    }
}

/// A store is synced before a ref names what is in it, so its stamps outlive a restart of the machine.
fn stamp(metadata: &Metadata) -> Digest {
    FileStamp::of(metadata, "").digest()
}

fn decode(bytes: &[u8]) -> Option<BTreeMap<Digest, Digest>> {
    let (digest, body) = bytes.split_first_chunk::<32>()?;
    let (rows, []) = body.as_chunks::<64>() else { return None };
    let half = |bytes: &[u8]| bytes.first_chunk::<32>().map(|bytes| Digest::from_bytes(*bytes));
    (Digest::of(body).as_bytes() == digest).then(|| rows.iter().map(|row| Some((half(&row[..32])?, half(&row[32..])?))).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_verified_is_known_until_its_file_or_the_table_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (table, object) = (folder.path().join("table"), folder.path().join("object"));
        std::fs::write(&object, b"one").unwrap();
        let look = || std::fs::metadata(&object).unwrap();
        let load = || ObjectStamps::load(Some(table.clone())).unwrap();
        let name = Digest::of(b"one");
        load().replace(&BTreeMap::from([(name, look())])).unwrap();
        assert!(load().has(name, &look()) && !load().has(Digest::of(b"two"), &look()));
        let good = std::fs::read(&table).unwrap();
        for at in [0, 40, good.len() - 1] {
            let mut twin = good.clone();
            twin[at] ^= 1;
            std::fs::write(&table, twin).unwrap();
            assert!(!load().has(name, &look()), "{at}");
        }
        std::fs::write(&table, &good).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&object, b"two").unwrap();
        assert!(!load().has(name, &look()));
        assert!(!ObjectStamps::load(None).unwrap().has(name, &look()));
    }
}
