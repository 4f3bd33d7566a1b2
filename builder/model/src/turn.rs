//! One builder at a time in a folder that several machines share without sharing the kernel's locks, as over sshfs, SMB or 9p.
//!
//! The holder has made the file `.turn` with O_EXCL, which such file systems keep, and writes a new number into it every few seconds. Who waits reads
//! it; a file that stays the same for a minute was left by a builder that was killed, and is taken away. Nothing depends on the machines' clocks.
//!
//! A holder that does not run for longer than that, because its machine slept, may lose its turn without noticing. That costs a build that fails, never
//! a wrong image: what is read is checked all the same.

use crate::lock_reach::locks_reach_every_writer;
use crate::{Result, ResultExt, ResultJudged, random_name};
use std::fs::File;
use std::io::{ErrorKind, Result as IoResult};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const NAME: &str = ".turn";
/// Bytes of the file that are read: more than a name and a number have.
const LENGTH_MAX: usize = 256;

#[derive(Clone, Copy)]
struct Times {
    /// Between two numbers.
    heartbeat: Duration,
    /// A file that stays the same for so long was left behind. Longer than the 20 seconds for which sshfs keeps what it read.
    stale: Duration,
    /// Between two looks of who waits.
    poll: Duration,
    /// From taking a file away until the turn is certain.
    settle: Duration,
}

const TIMES: Times = Times {
    heartbeat: Duration::from_secs(5),
    stale: Duration::from_secs(60),
    poll: Duration::from_millis(300),
    settle: Duration::from_secs(2),
};

/// Held until it is dropped.
pub struct Turn {
    path: PathBuf,
    /// What the file begins with.
    name: String,
    stop: Option<Sender<()>>,
    heart: Option<JoinHandle<()>>,
}

impl Turn {
    /// Waits for the turn in `folder`, which is made for it; `waiting` is called first if somebody else has it. Returns `None`, and makes nothing, where
    /// locks reach every writer, and in a folder that cannot be written to: there is nothing to take turns in.
    pub fn where_locks_end(folder: &Path, waiting: impl FnOnce()) -> Result<Option<Turn>> {
        // An absent folder will be on the file system of the first one above it that is there.
        let absolute = std::path::absolute(folder).context(|| format!("find {}", folder.display()))?;
        if absolute.ancestors().find(|at| at.exists()).is_none_or(locks_reach_every_writer) {
            return Ok(None);
        }
        std::fs::create_dir_all(folder).context(|| format!("create directory {}", folder.display()))?;
        take(folder, TIMES, waiting).context(|| format!("wait for a turn in {}", folder.display()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(heart) = self.heart.take() {
            heart.join().ignore_because("a thread that only writes numbers");
        }
        if read(&self.path).is_ok_and(|bytes| bytes.starts_with(self.name.as_bytes())) {
            std::fs::remove_file(&self.path).ignore_because("it counts as left behind after a minute");
        }
    }
}

fn take(folder: &Path, times: Times, waiting: impl FnOnce()) -> IoResult<Option<Turn>> {
    let path = folder.join(NAME);
    let name = random_name()?;
    let (mut waiting, mut seen, mut took_away) = (Some(waiting), None::<(Vec<u8>, Instant)>, false);
    loop {
        match File::options().write(true).create_new(true).open(&path) {
            Ok(file) => {
                write(&file, &name, 0)?;
                if took_away {
                    // Somebody who had read the same old file may have taken ours away instead.
                    std::thread::sleep(times.settle);
                    if !read(&path).is_ok_and(|bytes| bytes.starts_with(name.as_bytes())) {
                        continue;
                    }
                }
                return start(path, name, file, times.heartbeat).map(Some);
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) if matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => return Ok(None),
            Err(e) => return Err(e),
        }
        if let Some(waiting) = waiting.take() {
            waiting();
        }
        match read(&path) {
            Ok(found) => match &seen {
                Some((known, since)) if *known == found => {
                    if since.elapsed() >= times.stale {
                        take_away(&path, &found)?;
                        (seen, took_away) = (None, true);
                        continue;
                    }
                }
                _ => seen = Some((found, Instant::now())),
            },
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::StaleNetworkFileHandle) => {}
            Err(e) => return Err(e),
        }
        std::thread::sleep(times.poll);
    }
}

/// Removes the file if it still holds `expected`; the file of a builder that was faster is put back.
fn take_away(path: &Path, expected: &[u8]) -> IoResult<()> {
    let aside = path.with_file_name(format!("{NAME}.{}", random_name()?));
    match std::fs::rename(path, &aside) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        renamed => renamed?,
    }
    if read(&aside)? != expected {
        std::fs::hard_link(&aside, path).ignore_because("somebody has the turn already");
    }
    std::fs::remove_file(&aside)
}

fn start(path: PathBuf, name: String, file: File, heartbeat: Duration) -> IoResult<Turn> {
    let (stop, stopped) = channel::<()>();
    let own = name.clone();
    let beat = move || {
        let mut number = 0u64;
        while stopped.recv_timeout(heartbeat) == Err(RecvTimeoutError::Timeout) {
            number += 1;
            write(&file, &own, number).ignore_because("the next one may come through");
        }
    };
    let heart = std::thread::Builder::new().name("turn".into()).spawn(beat)?;
    Ok(Turn { path, name, stop: Some(stop), heart: Some(heart) })
}

/// Always of the same length, so that a reader never sees a part of it.
fn write(file: &File, name: &str, number: u64) -> IoResult<()> {
    file.write_all_at(format!("{name} {number:020}\n").as_bytes(), 0)
}

fn read(path: &Path) -> IoResult<Vec<u8>> {
    let mut bytes = vec![0; LENGTH_MAX];
    let read = File::open(path)?.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const QUICK: Times = Times {
        heartbeat: Duration::from_millis(20),
        stale: Duration::from_millis(400),
        poll: Duration::from_millis(5),
        settle: Duration::from_millis(40),
    };

    fn no_leftovers(folder: &Path) {
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
    }

    #[test]
    fn one_has_the_turn_however_long_and_the_others_wait() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, waited) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let turn = take(folder.path(), QUICK, || {
                        waited.fetch_add(1, Ordering::SeqCst);
                    });
                    let _turn = turn.unwrap().unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    // Longer than what counts as left behind.
                    std::thread::sleep(QUICK.stale + QUICK.stale / 2);
                    inside.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(waited.load(Ordering::SeqCst), 5);
        no_leftovers(folder.path());
    }

    #[test]
    fn what_a_killed_builder_left_is_taken_away_once_however_many_wait() {
        for left in ["", "half", "0123456789abcdef 00000000000000000007\n"] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(NAME), left).unwrap();
            let inside = AtomicUsize::new(0);
            let began = Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..6 {
                    scope.spawn(|| {
                        let _turn = take(folder.path(), QUICK, || {}).unwrap().unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "{left:?}");
                        std::thread::sleep(Duration::from_millis(10));
                        inside.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            });
            assert!(began.elapsed() >= QUICK.stale, "{left:?}");
            no_leftovers(folder.path());
        }
    }

    #[test]
    fn a_file_that_is_not_the_one_that_was_read_is_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        std::fs::write(&path, "new").unwrap();
        take_away(&path, b"old").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        take_away(&path, b"new").unwrap();
        take_away(&path, b"new").unwrap();
        no_leftovers(folder.path());
    }

    #[test]
    fn a_file_system_of_this_machine_needs_no_turns() {
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("made");
        assert!(Turn::where_locks_end(&made, || panic!("nobody has it")).unwrap().is_none());
        no_leftovers(folder.path());
    }
}
