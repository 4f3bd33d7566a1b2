//! Hashes the planned bytes of a file while the file is written, and resumes from the last checkpoint before the first changed segment
//! ([`DigestCheckpoints`]). SHA-256 takes longer than any other part of writing a disk: one core hashes 1.8 GB/s, zeros included, and the digest of
//! a block needs that of the block before it. So one thread hashes, and a second one fetches the bytes.

use super::digest_checkpoints::{Description, DigestCheckpoints};
use model::{Digest, Hasher, Result, ResultJudged, Segments};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes fetched and hashed at a time, and how many such windows are on their way.
const WINDOW: usize = 256 << 10;
const IN_FLIGHT: usize = 16;

/// Of the whole plan, zeros included. `checkpoints` is where an earlier build kept its own.
pub fn digest(plan: &Segments, checkpoints: Option<&Path>) -> Result<Digest> {
    let _span = tracing::debug_span!("digest").entered();
    let Some(path) = checkpoints else {
        return Ok(hash(plan, 0, plan.size(), Hasher::new())?.finish());
    };
    let before = DigestCheckpoints::load(path)?;
    let mut now = DigestCheckpoints::default();
    let mut description = Description::default();
    let (mut at, mut hasher) = (0, Hasher::new());
    while let Some(end) = description.extend(plan)? {
        let known = before.get(end, description.key());
        hasher = match known {
            Some(known) => known,
            None => hash(plan, at, end, hasher)?,
        };
        at = end;
        now.insert(end, description.key(), &hasher);
    }
    // It only saves time: a state folder that cannot be written to is no error here.
    let _ = now.save(path);
    Ok(hash(plan, at, plan.size(), hasher)?.finish())
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
                    empty.try_send(bytes).ignore_because("a full queue drops the buffer, the next one is new");
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
            let mut bytes = used.try_recv().unwrap_or_else(|_| Vec::new());
            bytes.resize(length as usize, 0);
            plan.read_at(&mut bytes, at)?;
            for window in [Window::Zeros(std::mem::take(&mut zeros)), Window::Bytes(bytes)] {
                // Nobody listens any more: the hasher has panicked, which the join says.
                full.send(window).ignore_because("nobody listens after the hasher has panicked, which the join says");
            }
        } else {
            zeros += length;
        }
        at += length;
    }
    full.send(Window::Zeros(zeros)).ignore_because("nobody listens after the hasher has panicked, which the join says");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::digest_checkpoints::STEP;
    use model::{Alarm, Blob, CheckedFile, Content, Segment};
    use std::sync::Arc;

    /// Three steps and a bit: bytes that change at `changed`, a pack's extent over the first boundary, holes.
    fn plan(folder: &Path, changed: u64, last: u8) -> Segments {
        let at = |offset, bytes: Vec<u8>| Segment { offset, data: bytes.into() };
        let pack = folder.join("pack");
        if !pack.exists() {
            std::fs::write(&pack, (0..3_000_000u32).map(|n| (n >> 8) as u8).collect::<Vec<_>>()).unwrap();
        }
        let extent = content_of(&pack, 4096, 2_500_000);
        let list = vec![
            at(100, vec![7; 300_000]),
            Segment { offset: STEP - 1_000_000, data: extent },
            at(changed, vec![last; 11]),
            at(3 * STEP + 5, vec![3; 9]),
        ];
        Segments::new(3 * STEP + 5_001, list).unwrap()
    }

    fn expected(plan: &Segments) -> Digest {
        let mut bytes = vec![0; plan.size() as usize];
        plan.read_at(&mut bytes, 0).unwrap();
        Digest::of(&bytes)
    }

    #[test]
    fn the_digest_is_that_of_the_bytes_wherever_the_first_change_is() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = folder.path().join("states");
        // Before, in and behind the first step, at a boundary, in the last step, behind the last whole one.
        for changed in [0, 500_000, STEP + 2_000_000, 2 * STEP, 3 * STEP - 11, 3 * STEP + 100] {
            for last in [1, 2, 2] {
                let plan = plan(folder.path(), changed, last);
                assert_eq!(digest(&plan, Some(&checkpoints)).unwrap(), expected(&plan), "{changed} {last}");
            }
        }
        let plan = plan(folder.path(), 0, 1);
        assert_eq!(digest(&plan, None).unwrap(), expected(&plan));
    }

    /// A content in a file, and its digest as it is now.
    fn content_of(path: &Path, offset: u64, len: u64) -> Blob {
        let (file, _) = CheckedFile::scan(std::fs::File::open(path).unwrap(), path, Alarm::default()).unwrap();
        // To the end of a block, so that no zeros are expected there.
        let whole = len.next_multiple_of(4096);
        let digest = Digest::of(&std::fs::read(path).unwrap()[offset as usize..(offset + whole) as usize]);
        Blob::Checked { file: Arc::new(file), offset, len, content: Some(Content { digest, offset, len: whole }) }
    }

    #[test]
    fn what_comes_before_the_first_change_is_not_read_again_and_other_bytes_are_another_plan() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = folder.path().join("states");
        digest(&plan(folder.path(), 2 * STEP + 7, 1), Some(&checkpoints)).unwrap();
        let second = plan(folder.path(), 2 * STEP + 7, 2);
        let wanted = expected(&second);
        // Nothing of the pack is read: its content is known by its digest, which this run verified.
        let pack = folder.path().join("pack");
        let good = std::fs::read(&pack).unwrap();
        std::fs::write(&pack, b"").unwrap();
        assert_eq!(digest(&second, Some(&checkpoints)).unwrap(), wanted);
        std::fs::write(&pack, vec![0; 3_000_000]).unwrap();
        std::fs::remove_file(&checkpoints).unwrap();
        assert!(digest(&second, Some(&checkpoints)).unwrap_err().to_string().contains("damaged"));
        // The same name, place and length with another content.
        std::fs::write(&pack, &good).unwrap();
        digest(&plan(folder.path(), 2 * STEP + 7, 1), Some(&checkpoints)).unwrap();
        let changed: Vec<u8> = good.iter().map(|byte| byte ^ 1).collect();
        std::fs::write(&pack, changed).unwrap();
        let third = plan(folder.path(), 2 * STEP + 7, 1);
        assert_eq!(digest(&third, Some(&checkpoints)).unwrap(), expected(&third));
    }
}
