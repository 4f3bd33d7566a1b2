//! How much of the disk a program takes while it runs.

use model::{Result, ResultExt};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// Below this, in bytes, the program is stopped before it leaves the machine without space.
const RESERVE: u64 = 64 << 20;

/// From the program's start to the first count, and the least time between two.
const FIRST: Duration = Duration::from_millis(200);
/// Time between two counts, as a multiple of what the last one took: counting takes at most a fiftieth of a program's time.
const PAUSE: u32 = 50;

/// Counts the blocks of the checkout when its file system has lost much free space since the beginning, and else from time to time: others write there
/// and remove files there, too, so that free space alone can hide what the program wrote.
pub(super) struct DiskMeter {
    most: u64,
    free: u64,
    /// Bytes that the checkout took when it was written.
    written: u64,
    /// Lost space at which to count again, in bytes.
    next: u64,
    /// When to count again in any case.
    due: Instant,
}

impl DiskMeter {
    pub(super) fn new(checkout: BorrowedFd<'_>, written: u64, most: u64) -> Result<Self> {
        Ok(DiskMeter { most, free: free(checkout)?, written, next: most, due: Instant::now() + FIRST })
    }

    /// Why the program must stop.
    pub(super) fn exceeded(&mut self, checkout: BorrowedFd<'_>) -> Result<Option<String>> {
        let now = free(checkout)?;
        if now < RESERVE && self.free > RESERVE {
            return Ok(Some(format!("it left less than {RESERVE} bytes free on the disk")));
        }
        let lost = self.free.saturating_sub(now);
        let began = Instant::now();
        if lost < self.next && began < self.due {
            return Ok(None);
        }
        // Where the blocks cannot be counted, the space that is lost is the program's.
        let grown = allocated(checkout).map_or(lost, |blocks| blocks.saturating_sub(self.written));
        self.next = lost.saturating_add(self.most / 4);
        self.due = Instant::now() + (began.elapsed() * PAUSE).max(FIRST);
        Ok((grown >= self.most).then(|| format!("it wrote more than {} bytes to the disk", self.most)))
    }
}

fn free(checkout: BorrowedFd<'_>) -> Result<u64> {
    let stat = rustix::fs::fstatvfs(checkout).map_err(std::io::Error::from).context(|| "look at the sandbox's disk")?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes that the blocks below a directory take; `None` if they cannot be counted because paths are too long. What changes while it is counted
/// is counted as it is met.
fn allocated(top: BorrowedFd<'_>) -> Option<u64> {
    let mut total = 0_u64;
    let mut folders = vec![b".".to_vec()];
    while let Some(folder) = folders.pop() {
        if folder.len() > 3800 {
            return None;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        let Ok(directory) = rustix::fs::openat2(top, folder.as_slice(), flags, Mode::empty(), resolve) else { continue };
        let Ok(entries) = Dir::read_from(&directory) else { continue };
        for entry in entries {
            let Ok(entry) = entry else { break };
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(&directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
            total = total.saturating_add((stat.st_blocks as u64).saturating_mul(512));
            if FileType::from_raw_mode(stat.st_mode).is_dir() {
                folders.push([&folder, b"/".as_slice(), name].concat());
            }
        }
    }
    Some(total)
}
