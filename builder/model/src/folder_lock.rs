//! One at a time in a folder.

use crate::{Result, ResultExt};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::fs::File;
use std::path::Path;

/// Held until it is dropped. It is a lock of the kernel: a process that is killed leaves none behind.
#[derive(Debug)]
pub struct FolderLock(#[expect(dead_code, reason = "closing the file gives the lock back")] File);

impl FolderLock {
    /// Makes the folder if it is absent, and waits until nobody else holds it; `waiting` is called first if that takes more than a moment.
    ///
    /// NFS locks only files that are open for writing: there a file `.lock` in the folder is locked. A file system without locks gives none; then artifacts
    /// are still whole each for itself.
    pub fn acquire(folder: &Path, waiting: impl FnOnce()) -> Result<Self> {
        std::fs::create_dir_all(folder).context(|| format!("create directory {}", folder.display()))?;
        let mut file = File::open(folder).context(|| format!("open {}", folder.display()))?;
        let mut locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
        if let Err(Errno::BADF | Errno::INVAL) = locked {
            file = lock_file(folder)?;
            locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
        }
        if let Err(Errno::WOULDBLOCK) = locked {
            waiting();
            let waited = rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(std::io::Error::from);
            waited.context(|| format!("wait for another build in {}", folder.display()))?;
        }
        Ok(FolderLock(file))
    }
}

/// Never removed: whoever waits for it would then hold a file that nobody else sees.
fn lock_file(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    let opened = File::options().write(true).create(true).truncate(false).open(&path);
    opened.context(|| format!("open {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn one_holds_it_and_the_others_wait_and_say_so() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("made");
        let (inside, waited) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let first = FolderLock::acquire(&folder, || panic!("nobody holds it")).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _lock = FolderLock::acquire(&folder, || {
                        waited.fetch_add(1, Ordering::SeqCst);
                    })
                    .unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    inside.fetch_sub(1, Ordering::SeqCst);
                });
            }
            while waited.load(Ordering::SeqCst) < 8 {
                std::thread::yield_now();
            }
            drop(first);
        });
    }
}
