//! Changes of owner: the sandbox has one user, so that the kernel cannot give a file to another.
//!
//! The filter passes such a call on to the builder, which notes the file and the ids and answers with success. The program goes on as if it were
//! root on a real system, except that `stat` still shows root; the owner is given in the tree when the changes are read back, wherever the file has
//! been moved to by then. A call whose file cannot be found is answered with an error, so that none succeeds without a note; what is in /tmp, /run
//! and /dev needs none, since it does not outlive the program. Giving a file back to root (`chown 0:0`) is a call that the kernel can answer itself,
//! and is not noted.

#![allow(unsafe_code, reason = "seccomp notifications have no safe form")]

use super::clock;
use model::{Error, ImagePath, Result};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

/// One successful call; `None` leaves an id as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnerChange {
    /// The file's number in the checkout.
    pub inode: u64,
    pub user: Option<u32>,
    pub group: Option<u32>,
}

/// Beyond this many, calls are refused: a program that repeats them must not fill the builder's memory.
const OWNERS_MAX: usize = 200_000;

pub(super) struct Listener<'a> {
    descriptor: Option<OwnedFd>,
    checkout: BorrowedFd<'a>,
    changes: Vec<OwnerChange>,
    /// What the sandbox's clock says, in seconds since 1970.
    epoch: u32,
}

/// Mounts of the sandbox that end with it.
const PASSING: [&str; 4] = ["/tmp", "/run", "/dev", "/proc"];

impl<'a> Listener<'a> {
    pub(super) fn new(descriptor: OwnedFd, checkout: BorrowedFd<'a>, epoch: u32) -> Self {
        Listener { descriptor: Some(descriptor), checkout, changes: Vec::new(), epoch }
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.descriptor.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn changes(self) -> Vec<OwnerChange> {
        self.changes
    }

    /// Answers the calls that wait, a bounded number of them.
    pub(super) fn answer(&mut self) -> Result<()> {
        for _ in 0..64 {
            let Some(descriptor) = &self.descriptor else { return Ok(()) };
            let mut waiting = [rustix::event::PollFd::new(descriptor, rustix::event::PollFlags::IN)];
            let none = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
            if rustix::event::poll(&mut waiting, Some(&none)).is_err() {
                return Ok(());
            }
            let events = waiting[0].revents();
            if !events.contains(rustix::event::PollFlags::IN) {
                if !events.is_empty() {
                    // The last process has gone.
                    self.descriptor = None;
                }
                return Ok(());
            }
            // SAFETY: the kernel asks for a zeroed structure, of integers only.
            let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
            // SAFETY: the descriptor is a listener, and the structure is the one that this request fills.
            let received = unsafe { libc::ioctl(descriptor.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV as _, &raw mut call) };
            if received != 0 {
                // Killed before it was received.
                continue;
            }
            let time = clock::answer(&call, self.epoch);
            let memory = time.as_ref().map(|_| clock::memory_of(&call)).transpose();
            let change = match &time {
                Some(_) => Ok(None),
                None if self.changes.len() < OWNERS_MAX => read(&call, self.checkout),
                None => Err(Errno::PERM),
            };
            // What was read or opened is of this call only if its process still waits in it: ids of processes are used again.
            // SAFETY: the request reads one id.
            let valid = unsafe { libc::ioctl(descriptor.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID as _, &raw const call.id) } == 0;
            let (value, told) = match (&time, memory) {
                (Some(time), Ok(Some(memory))) if valid => (time.value, clock::write(&memory, time)),
                (_, Err(e)) => (0, Err(e)),
                _ => (0, Ok(())),
            };
            let error = change.as_ref().err().or(told.as_ref().err()).map_or(0, |e| -e.raw_os_error());
            let mut answer = libc::seccomp_notif_resp { id: call.id, val: if error == 0 { value } else { 0 }, error, flags: 0 };
            // SAFETY: as above.
            let sent = unsafe { libc::ioctl(descriptor.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND as _, &raw mut answer) };
            match change {
                Ok(change) if valid && sent == 0 => self.changes.extend(change),
                _ if sent == 0 => {}
                _ if std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOENT) => {}
                _ => return Err(Error::internal("answer a call from the sandbox").source(std::io::Error::last_os_error())),
            }
        }
        Ok(())
    }
}

/// What the call would change. The arguments are the program's, and so is everything that is read here: it may lie only about its own tree.
/// `None` for a file that needs no note.
fn read(call: &libc::seccomp_notif, checkout: BorrowedFd<'_>) -> std::result::Result<Option<OwnerChange>, Errno> {
    let [first, second, third, fourth, fifth, _] = call.data.args;
    let process = format!("/proc/{}", call.pid);
    let text = |address: u64| string_at(&process, address);
    let nr = libc::c_long::from(call.data.nr);
    let (base, name, user, group, follow) = match nr {
        #[cfg(target_arch = "x86_64")]
        libc::SYS_chown => (format!("{process}/cwd"), text(first)?, second, third, true),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_lchown => (format!("{process}/cwd"), text(first)?, second, third, false),
        libc::SYS_fchown => (format!("{process}/fd/{}", first as u32), Vec::new(), second, third, false),
        libc::SYS_fchownat => {
            let base = if first as i32 == libc::AT_FDCWD { format!("{process}/cwd") } else { format!("{process}/fd/{}", first as u32) };
            (base, text(second)?, third, fourth, fifth as i32 & libc::AT_SYMLINK_NOFOLLOW == 0)
        }
        _ => return Err(Errno::PERM),
    };
    let id = |value: u64| (value as u32 != u32::MAX).then_some(value as u32);
    let path = absolute(&base, &name)?;
    let inside = |place: &str| path.strip_prefix(place.as_bytes()).is_some_and(|rest| rest.first().is_none_or(|&b| b == b'/'));
    if PASSING.iter().any(|place| inside(place)) {
        return Ok(None);
    }
    let last = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = rustix::fs::openat2(checkout, path.as_slice(), OFlags::PATH | OFlags::CLOEXEC | last, Mode::empty(), resolve)?;
    Ok(Some(OwnerChange { inode: rustix::fs::fstat(&file)?.st_ino, user: id(user), group: id(group) }))
}

/// The path as the sandbox sees it, with its symlinks.
fn absolute(base: &str, name: &[u8]) -> std::result::Result<Vec<u8>, Errno> {
    let mut path = Vec::new();
    if !name.starts_with(b"/") {
        let folder = std::fs::read_link(base).map_err(|_| Errno::BADF)?;
        path.extend_from_slice(folder.as_os_str().as_bytes());
        if !path.starts_with(b"/") {
            return Err(Errno::BADF);
        }
        if !name.is_empty() {
            path.push(b'/');
        }
    }
    path.extend_from_slice(name);
    if path.len() > ImagePath::MAX { Err(Errno::NAMETOOLONG) } else { Ok(path) }
}

/// A path in the memory of a process.
fn string_at(process: &str, address: u64) -> std::result::Result<Vec<u8>, Errno> {
    let memory = rustix::fs::open(format!("{process}/mem"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(|_| Errno::PERM)?;
    let memory = File::from(memory);
    let mut text = Vec::new();
    // The string may end just before a page that cannot be read: page by page.
    while text.len() <= ImagePath::MAX {
        let at = address.checked_add(text.len() as u64).ok_or(Errno::FAULT)?;
        let mut page = vec![0; 4096 - (at % 4096) as usize];
        let read = memory.read_at(&mut page, at).map_err(|_| Errno::FAULT)?;
        if read == 0 {
            return Err(Errno::FAULT);
        }
        match page[..read].iter().position(|&b| b == 0) {
            Some(end) => {
                text.extend_from_slice(&page[..end]);
                return Ok(text);
            }
            None => text.extend_from_slice(&page[..read]),
        }
    }
    Err(Errno::NAMETOOLONG)
}
