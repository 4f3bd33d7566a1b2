//! SHA-256 checkpoints of an artifact, saved by the previous build, so that the next one hashes only from its first change on.
//!
//! One file for each artifact, in the state folder and not in the cache, since whoever could change it could give an artifact another digest: a magic with
//! a version, the SHA-256 of the rest, then for each whole [`STEP`] of it: where the step ends (u64, little endian), the key of all up to
//! there, and the digest's state behind it. A key is a digest of what the plan says of those bytes: for bytes that lie in a pack the
//! digest of their content, for others the bytes.

use model::{AtomicFile, Blob, Digest, Entry, Hasher, Result, ResultJudged, Segments};
use std::collections::BTreeMap;
use std::path::Path;
use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Raised whenever the same checkpoints would mean other bytes.
const MAGIC: [u8; 10] = *b"aistates\x00\x02";
/// In bytes, of the file: checkpoints of a disk of 16 TiB.
const LARGEST: u64 = 256 << 20;
/// Bytes between two kept checkpoints: at most so many are hashed too many.
pub(super) const STEP: u64 = 32 << 20;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct FileHeader {
    magic: [u8; 10],
    /// SHA-256 of all that follows.
    digest: [u8; 32],
}
const _: () = assert!(size_of::<FileHeader>() == 42);

/// What stands before each state.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct CheckpointHeader {
    end: U64,
    key: [u8; 32],
}
const _: () = assert!(size_of::<CheckpointHeader>() == 40);

/// The key of a growing part of one plan.
#[derive(Default)]
pub(super) struct Description {
    hasher: Hasher,
    end: u64,
}

impl Description {
    /// Takes in the next whole step, and says where it ends; `None` if there is none.
    pub(super) fn extend(&mut self, plan: &Segments) -> Result<Option<u64>> {
        if self.end + STEP > plan.size() {
            return Ok(None);
        }
        let (start, stop) = (self.end, self.end + STEP);
        for s in plan.overlapping(start, STEP) {
            let (from, to) = (s.offset.max(start), (s.offset + s.data.len()).min(stop));
            self.hasher.update(&(from - start).to_le_bytes());
            self.hasher.update(&(to - from).to_le_bytes());
            let (first, last) = (from - s.offset, to - s.offset);
            if let Blob::Inline(bytes) = &s.data {
                self.hasher.update(&[0]);
                self.hasher.update(&bytes[first as usize..last as usize]);
                continue;
            }
            let part = s.data.slice(first, last - first)?;
            match part.identity() {
                Some(identity) => {
                    self.hasher.update(&[1]);
                    self.hasher.update(&identity.bytes());
                }
                None => {
                    self.hasher.update(&[0]);
                    part.for_each_window(|bytes| {
                        self.hasher.update(bytes);
                        Ok(())
                    })?;
                }
            }
        }
        self.hasher.update(b"step");
        self.end += STEP;
        Ok(Some(self.end))
    }

    pub(super) fn key(&self) -> Digest {
        self.hasher.clone().finish()
    }
}

#[derive(Default)]
pub(super) struct DigestCheckpoints(BTreeMap<u64, (Digest, Vec<u8>)>);

impl DigestCheckpoints {
    /// A file that is absent, cut short or changed knows nothing.
    pub(super) fn load(path: &Path) -> Result<Self> {
        Ok(Entry::read(path, LARGEST)?.as_deref().and_then(decode).map_or_else(Self::default, DigestCheckpoints))
    }

    pub(super) fn get(&self, end: u64, key: Digest) -> Option<Hasher> {
        let (known, state) = self.0.get(&end)?;
        (*known == key).then(|| Hasher::resume(state)).flatten()
    }

    pub(super) fn insert(&mut self, end: u64, key: Digest, hasher: &Hasher) {
        self.0.insert(end, (key, hasher.state()));
    }

    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let rows = self
            .0
            .iter()
            .flat_map(|(end, (key, state))| [CheckpointHeader { end: (*end).into(), key: *key.as_bytes() }.as_bytes(), state].concat());
        let body: Vec<u8> = rows.collect();
        let header = FileHeader { magic: MAGIC, digest: *Digest::of(&body).as_bytes() };
        AtomicFile::write_unsynced(path, &[header.as_bytes(), &body].concat())
    }
}

fn decode(bytes: &[u8]) -> Option<BTreeMap<u64, (Digest, Vec<u8>)>> {
    let (header, body) = FileHeader::read_from_prefix(bytes).none_because("a file that was cut short knows nothing")?;
    if header.magic != MAGIC || *Digest::of(body).as_bytes() != header.digest {
        return None;
    }
    let mut out = BTreeMap::new();
    for row in body.chunks(size_of::<CheckpointHeader>() + Hasher::new().state().len()) {
        let (row, state) = CheckpointHeader::read_from_prefix(row).none_because("a file that was cut short knows nothing")?;
        out.insert(row.end.get(), (Digest::from_bytes(row.key), state.to_vec()));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_state_is_used_for_its_key_alone_and_a_damaged_file_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("states");
        let mut hasher = Hasher::new();
        hasher.update(b"some bytes");
        let mut checkpoints = DigestCheckpoints::default();
        let key = Digest::of(b"key");
        checkpoints.insert(STEP, key, &hasher);
        checkpoints.insert(2 * STEP, key, &Hasher::new());
        checkpoints.save(&path).unwrap();
        let loaded = DigestCheckpoints::load(&path).unwrap();
        assert_eq!(loaded.get(STEP, key).unwrap().finish(), Digest::of(b"some bytes"));
        assert_eq!(loaded.get(2 * STEP, key).unwrap().finish(), Digest::of(b""));
        assert!(loaded.get(STEP, Digest::of(b"other")).is_none() && loaded.get(3 * STEP, key).is_none());
        let good = std::fs::read(&path).unwrap();
        for at in [0, 9, 10, 50, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert!(DigestCheckpoints::load(&path).unwrap().get(STEP, key).is_none(), "{at}");
        }
        std::fs::write(&path, &good[..20]).unwrap();
        assert!(DigestCheckpoints::load(&path).unwrap().get(STEP, key).is_none());
    }
}
