//! SHA-256 of a planned file, without the file. It is what takes longest of all when a disk is written: one core's 1.8 GB/s, zeros included, since
//! each block's digest needs the one before it. So one thread does nothing else, a second fetches the bytes for it, and what comes before the first
//! change since the last build is not hashed again.

use crate::base::{AtomicFile, Digest, Error, Hasher, Result, Segments};
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes fetched and hashed at a time, and how many such windows are on their way.
const WINDOW: usize = 256 << 10;
const IN_FLIGHT: usize = 16;

/// The first bytes of a plan, which often are those of an earlier one.
#[derive(Debug, Clone, Copy)]
pub struct KnownStart<'a> {
    /// A folder of the cache, where the digest's state behind them is kept under a digest of them.
    pub cache: &'a Path,
    /// In bytes.
    pub length: u64,
}

/// Of the whole plan, zeros included.
pub fn digest(plan: &Segments, known: Option<KnownStart>) -> Result<Digest> {
    let Some(known) = known.filter(|known| known.length <= plan.size()) else {
        return Ok(hash(plan, 0, plan.size(), Hasher::new())?.finish());
    };
    let path = known.cache.join(format!("{}.sha256-state", content_digest(plan, known.length)?));
    let hasher = match read_state(&path) {
        Some(hasher) => hasher,
        None => {
            let hasher = hash(plan, 0, known.length, Hasher::new())?;
            // It only saves time: a cache that cannot be written to is no error here.
            write_state(&path, &hasher).ok();
            hasher
        }
    };
    Ok(hash(plan, known.length, plan.size(), hasher)?.finish())
}

/// Of what is not zero by plan in the first `length` bytes, with its positions: a small part of the bytes themselves.
fn content_digest(plan: &Segments, length: u64) -> Result<Digest> {
    let mut hasher = Hasher::new();
    hasher.update(&length.to_le_bytes());
    for s in plan.iter().take_while(|s| s.offset < length) {
        let inside = s.data.len().min(length - s.offset);
        hasher.update(&s.offset.to_le_bytes());
        hasher.update(&inside.to_le_bytes());
        s.data.slice(0, inside)?.for_each_window(|bytes| {
            hasher.update(bytes);
            Ok(())
        })?;
    }
    Ok(hasher.finish())
}

/// The state, with its own digest behind it.
fn read_state(path: &Path) -> Option<Hasher> {
    let bytes = std::fs::read(path).ok()?;
    let (state, sum) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
    if Digest::of(state).as_bytes() != sum {
        return None;
    }
    Hasher::resume(state)
}

fn write_state(path: &Path, hasher: &Hasher) -> Result<()> {
    let state = hasher.state();
    let mut file = AtomicFile::create(path)?;
    file.file().write_all(&[&state[..], Digest::of(&state).as_bytes()].concat()).map_err(|e| Error::internal("keep a state").source(e))?;
    file.commit_unsynced().map(drop)
}

enum Window {
    Zeros(u64),
    Bytes(Vec<u8>),
}

/// Feeds bytes `from` to `to` of the plan to `hasher`.
fn hash(plan: &Segments, from: u64, to: u64, mut hasher: Hasher) -> Result<Hasher> {
    let zeros = vec![0; WINDOW];
    let (full, to_hash) = sync_channel(IN_FLIGHT);
    let (empty, used) = sync_channel(IN_FLIGHT + 2);
    std::thread::scope(|scope| {
        let fetched = scope.spawn(move || fetch(plan, from, to, &full, &used));
        for window in to_hash {
            match window {
                Window::Zeros(length) => {
                    for at in (0..length).step_by(WINDOW) {
                        hasher.update(&zeros[..WINDOW.min((length - at) as usize)]);
                    }
                }
                Window::Bytes(bytes) => {
                    hasher.update(&bytes);
                    empty.try_send(bytes).ok();
                }
            }
        }
        fetched.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    Ok(hasher)
}

/// Sends the windows in order, in buffers that came back.
fn fetch(plan: &Segments, from: u64, to: u64, full: &SyncSender<Window>, used: &Receiver<Vec<u8>>) -> Result<()> {
    let mut at = from;
    let mut zeros = 0;
    while at < to {
        let length = (WINDOW as u64).min(to - at);
        if plan.touches(at, length) {
            let mut bytes = used.try_recv().unwrap_or_default();
            bytes.resize(length as usize, 0);
            plan.read_at(&mut bytes, at)?;
            for window in [Window::Zeros(std::mem::take(&mut zeros)), Window::Bytes(bytes)] {
                // Nobody listens any more: the hasher has panicked, which the join says.
                full.send(window).ok();
            }
        } else {
            zeros += length;
        }
        at += length;
    }
    full.send(Window::Zeros(zeros)).ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Segment;

    fn plan(last: u8) -> Segments {
        let at = |offset, bytes: Vec<u8>| Segment { offset, data: bytes.into() };
        Segments::new(5_000_001, vec![at(100, vec![7; 300_000]), at(1_000_000, b"boundary".to_vec()), at(4_999_990, vec![last; 11])])
            .unwrap()
    }

    fn expected(plan: &Segments) -> Digest {
        let mut bytes = vec![0; plan.size() as usize];
        plan.read_at(&mut bytes, 0).unwrap();
        Digest::of(&bytes)
    }

    #[test]
    fn the_digest_is_that_of_the_bytes_with_a_known_start_and_without() {
        let folder = tempfile::tempdir().unwrap();
        // Where the start ends within a segment, in a hole, at nothing, and past the end.
        for length in [0, 200, 1_000_003, 3_000_000, 5_000_001, 6_000_000] {
            let known = KnownStart { cache: folder.path(), length };
            for last in [1, 2] {
                let plan = plan(last);
                assert_eq!(digest(&plan, None).unwrap(), expected(&plan));
                assert_eq!(digest(&plan, Some(known)).unwrap(), expected(&plan), "{length} {last}");
            }
        }
    }

    #[test]
    fn a_kept_state_is_used_and_a_damaged_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let known = KnownStart { cache: folder.path(), length: 2_000_000 };
        let plan = plan(1);
        digest(&plan, Some(known)).unwrap();
        let kept: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(kept.len(), 1);
        let mut bytes = std::fs::read(&kept[0]).unwrap();
        bytes[5] ^= 1;
        std::fs::write(&kept[0], &bytes).unwrap();
        assert_eq!(digest(&plan, Some(known)).unwrap(), expected(&plan));
        // Another state with its right digest: only if it is believed does the result change.
        let mut other = Hasher::new();
        other.update(&[1; 2_000_000]);
        write_state(&kept[0], &other).unwrap();
        assert_ne!(digest(&plan, Some(known)).unwrap(), expected(&plan));
    }
}
