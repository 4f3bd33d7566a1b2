//! What the child of a fork does before it becomes the program: new namespaces, mounts, a new root.

#![allow(unsafe_code, reason = "fork, unshare and mount between fork and exec have no safe form")]

use crate::base::{Error, Result};
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Everything the child needs after fork, allocated before it.
pub(super) struct Jail {
    top: CString,
    mounts: Vec<(CString, CString, Option<CString>, libc::c_ulong)>,
    devices: Vec<(CString, CString)>,
    uid_map: Vec<u8>,
    gid_map: Vec<u8>,
}

impl Jail {
    pub(super) fn new(top: &Path) -> Result<Self> {
        let c = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(|_| Error::internal("a NUL byte in the sandbox's path"));
        let fixed = |text: &str| CString::new(text).unwrap_or_default();
        let mut mounts = Vec::new();
        for (kind, at, flags) in [
            ("proc", "proc", libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC),
            ("tmpfs", "dev", libc::MS_NOSUID),
            ("tmpfs", "run", libc::MS_NOSUID),
            ("tmpfs", "tmp", libc::MS_NOSUID),
        ] {
            mounts.push((fixed(kind), c(&top.join(at))?, (kind == "tmpfs").then(|| fixed("mode=0755")), flags));
        }
        let mut devices = Vec::new();
        for name in ["null", "zero", "full", "random", "urandom"] {
            devices.push((fixed(&format!("/dev/{name}")), c(&top.join("dev").join(name))?));
        }
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Ok(Jail {
            top: c(top)?,
            mounts,
            devices,
            uid_map: format!("0 {uid} 1\n").into_bytes(),
            gid_map: format!("0 {gid} 1\n").into_bytes(),
        })
    }

    /// In the child: new namespaces, then a second child that is pid 1 of its own and goes on to exec; the first waits and passes the status on.
    pub(super) fn enter(&self) -> io::Result<()> {
        let check = |r: libc::c_int| if r < 0 { Err(io::Error::last_os_error()) } else { Ok(r) };
        // SAFETY: plain system calls; every pointer is to NUL-terminated memory that lives in `self`.
        unsafe {
            check(libc::unshare(
                libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS,
            ))?;
            write_proc(c"/proc/self/setgroups", b"deny")?;
            write_proc(c"/proc/self/uid_map", &self.uid_map)?;
            write_proc(c"/proc/self/gid_map", &self.gid_map)?;
            // Who waits for the sandbox must not outlive the build, nor the sandbox whoever waits for it.
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            let pid = check(libc::fork())?;
            if pid > 0 {
                // std's parent waits for the exec of the second child on a pipe: do not hold it open.
                libc::syscall(libc::SYS_close_range, 3 as libc::c_uint, libc::c_uint::MAX, 0 as libc::c_uint);
                let mut status = 0;
                while libc::waitpid(pid, &mut status, 0) < 0 && *libc::__errno_location() == libc::EINTR {}
                libc::_exit(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) });
            }
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::umask(0o022);
            let none = std::ptr::null();
            check(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()))?;
            check(libc::mount(self.top.as_ptr(), self.top.as_ptr(), none, libc::MS_BIND | libc::MS_REC, none.cast()))?;
            for (kind, at, data, flags) in &self.mounts {
                check(libc::mount(
                    kind.as_ptr(),
                    at.as_ptr(),
                    kind.as_ptr(),
                    *flags,
                    data.as_ref().map_or(none.cast(), |d| d.as_ptr().cast()),
                ))?;
            }
            for (from, to) in &self.devices {
                let fd = check(libc::open(to.as_ptr(), libc::O_CREAT | libc::O_WRONLY | libc::O_CLOEXEC, 0o666))?;
                libc::close(fd);
                check(libc::mount(from.as_ptr(), to.as_ptr(), none, libc::MS_BIND, none.cast()))?;
            }
            check(libc::chroot(self.top.as_ptr()))?;
            check(libc::chdir(c"/".as_ptr()))?;
            // A mirror of what udev would make; the shell's process substitution needs /dev/fd.
            libc::symlink(c"/proc/self/fd".as_ptr(), c"/dev/fd".as_ptr());
            libc::sethostname(c"localhost".as_ptr(), 9);
        }
        Ok(())
    }
}

unsafe fn write_proc(path: &std::ffi::CStr, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: `path` is NUL-terminated and `bytes` is a live slice.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let written = libc::write(fd, bytes.as_ptr().cast(), bytes.len());
        let error = io::Error::last_os_error();
        libc::close(fd);
        if written == bytes.len() as isize { Ok(()) } else { Err(error) }
    }
}
