//! What is prepared before the clone, and the clone: a child that is pid 1 of its own namespaces.

#![allow(unsafe_code, reason = "clone3 has no safe form")]

use super::child::{self, Stage};
use super::limits::Limits;
use super::seccomp;
use model::{Error, Result, ResultExt};
use rustix::fs::{Mode, OFlags, ResolveFlags, StatVfsMountFlags};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A file system that is made for the program alone.
pub(super) struct Mount {
    pub kind: CString,
    pub at: CString,
    pub options: CString,
    pub flags: libc::c_ulong,
}

/// Everything that the child needs, allocated before the clone: between it and the exec only system calls are made.
pub(super) struct Jail {
    pub top: CString,
    /// Flags of the mount that the checkout is on: the kernel refuses to take one of them away.
    pub top_flags: libc::c_ulong,
    pub mounts: Vec<Mount>,
    /// The machine's device, and where it is shown.
    pub devices: Vec<(CString, CString)>,
    pub links: Vec<(CString, CString)>,
    pub uid_map: Vec<u8>,
    pub gid_map: Vec<u8>,
    pub limits: Vec<(u32, libc::rlimit)>,
    pub filter: Vec<libc::sock_filter>,
    /// Where the program may be, in the order in which they are tried.
    pub programs: Vec<CString>,
    pub arguments: Vec<CString>,
    pub environment: Vec<CString>,
}

/// The child of a clone, and our ends of what connects us.
pub(super) struct Started {
    pub pid: libc::pid_t,
    pub pidfd: OwnedFd,
    pub channel: OwnedFd,
}

/// Mount points of the sandbox, which the checkout must have as directories.
const PLACES: [&str; 4] = ["proc", "dev", "run", "tmp"];

impl Jail {
    pub(super) fn new(top: &Path, directory: BorrowedFd<'_>, argv: &[&str], environment: &[(&str, &str)], limits: &Limits) -> Result<Self> {
        let c = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(|_| Error::internal("a NUL byte in the sandbox's path"));
        let text =
            |text: &str| CString::new(text).map_err(|_| Error::tool(format!("a NUL byte in {text:?}, which is to run in the sandbox")));
        // A package or an earlier program may have put a symlink there.
        for place in PLACES {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat2(directory, place, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS).map_err(
                |e| {
                    Error::tool(format!("/{place} in the tree is no directory that the sandbox can mount on"))
                        .source(std::io::Error::from(e))
                },
            )?;
        }
        let quiet = libc::MS_NOSUID | libc::MS_NODEV;
        let mut mounts = Vec::new();
        for (kind, at, options, flags) in [
            // Processes only: nothing of the machine, whose settings and keys root could otherwise read, and with uid 0 write.
            ("proc", "proc", "subset=pid", quiet | libc::MS_NOEXEC | libc::MS_RDONLY),
            ("tmpfs", "dev", "mode=0755,size=1m,nr_inodes=1k", libc::MS_NOSUID | libc::MS_NOEXEC),
            ("tmpfs", "run", "mode=0755,size=64m,nr_inodes=64k", quiet),
            ("tmpfs", "tmp", "mode=1777,size=4g,nr_inodes=1m", quiet),
        ] {
            mounts.push(Mount { kind: text(kind)?, at: c(&top.join(at))?, options: text(options)?, flags });
        }
        let mut devices = Vec::new();
        for name in ["null", "zero", "full", "random", "urandom"] {
            devices.push((text(&format!("/dev/{name}"))?, c(&top.join("dev").join(name))?));
        }
        let mut links = Vec::new();
        // What udev makes; the shell's process substitution needs /dev/fd.
        for (name, target) in
            [("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")]
        {
            links.push((text(target)?, c(&top.join("dev").join(name))?));
        }
        let program = argv.first().ok_or_else(|| Error::internal("no program to run in the sandbox"))?;
        let programs = if program.contains('/') {
            vec![text(program)?]
        } else {
            super::PATH.split(':').map(|folder| text(&format!("{folder}/{program}"))).collect::<Result<_>>()?
        };
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Ok(Jail {
            top: c(top)?,
            top_flags: mount_flags(directory)?,
            mounts,
            devices,
            links,
            uid_map: format!("0 {uid} 1\n").into_bytes(),
            gid_map: format!("0 {gid} 1\n").into_bytes(),
            limits: resource_limits(limits),
            filter: seccomp::filter(),
            programs,
            arguments: argv.iter().map(|word| text(word)).collect::<Result<_>>()?,
            environment: environment.iter().map(|(name, value)| text(&format!("{name}={value}"))).collect::<Result<_>>()?,
        })
    }

    /// Clones into new namespaces. The child prepares itself, sends its [`child::Handles`] over the channel, and waits there for leave to exec.
    pub(super) fn start(&self, stdin: BorrowedFd<'_>, output: BorrowedFd<'_>) -> std::io::Result<Started> {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        // exec takes NULL-terminated lists of pointers, which must exist before the clone.
        let pointers = |words: &[CString]| words.iter().map(|w| w.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>();
        let (arguments, environment) = (pointers(&self.arguments), pointers(&self.environment));
        let flags = libc::CLONE_NEWUSER
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWPID
            | libc::CLONE_NEWNET
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWCGROUP
            // Whoever traces the builder (strace -f) does not get the child: the builder traces it itself.
            | libc::CLONE_UNTRACED
            | libc::CLONE_PIDFD;
        let mut pidfd: libc::c_int = -1;
        // struct clone_args as of Linux 5.3: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls.
        let request: [u64; 8] = [flags as u64, (&raw mut pidfd) as u64, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
        // SAFETY: without CLONE_VM and without a stack this is a fork; the child only makes system calls on memory prepared above.
        let pid = unsafe { libc::syscall(libc::SYS_clone3, request.as_ptr(), size_of_val(&request)) };
        match pid {
            -1 => Err(std::io::Error::last_os_error()),
            0 => child::run(self, stdin, output, theirs.as_fd(), &arguments, &environment),
            _ => {
                // SAFETY: the kernel has just made this descriptor for us.
                let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
                // The kernel counts processes with 32 bits.
                Ok(Started { pid: pid as libc::pid_t, pidfd, channel: ours })
            }
        }
    }
}

fn mount_flags(directory: BorrowedFd<'_>) -> Result<libc::c_ulong> {
    let have = rustix::fs::fstatvfs(directory).map_err(std::io::Error::from).context(|| "look at the sandbox's file system")?.f_flag;
    let pairs = [
        (StatVfsMountFlags::NODEV, libc::MS_NODEV),
        (StatVfsMountFlags::NOSUID, libc::MS_NOSUID),
        (StatVfsMountFlags::NOEXEC, libc::MS_NOEXEC),
        (StatVfsMountFlags::RDONLY, libc::MS_RDONLY),
    ];
    if have.contains(StatVfsMountFlags::NOEXEC) {
        return Err(Error::tool("the cache is on a file system that is mounted noexec: no program can run from there")
            .hint("name a directory on another file system with --cache"));
    }
    Ok(pairs.iter().filter(|(flag, _)| have.contains(*flag)).fold(libc::MS_NOSUID | libc::MS_NODEV, |all, (_, flag)| all | flag))
}

/// Hard limits, none above what we have ourselves.
fn resource_limits(limits: &Limits) -> Vec<(u32, libc::rlimit)> {
    use rustix::process::{Resource, getrlimit};
    [
        (Resource::Core, libc::RLIMIT_CORE, 0),
        (Resource::Fsize, libc::RLIMIT_FSIZE, limits.file),
        (Resource::Data, libc::RLIMIT_DATA, limits.memory),
        // Counted for the user namespace alone; not for the machine's root, whom only the watch bounds.
        (Resource::Nproc, libc::RLIMIT_NPROC, limits.threads),
        (Resource::Nofile, libc::RLIMIT_NOFILE, 4096),
        (Resource::Memlock, libc::RLIMIT_MEMLOCK, 64 << 10),
        (Resource::Msgqueue, libc::RLIMIT_MSGQUEUE, 1 << 20),
        (Resource::Sigpending, libc::RLIMIT_SIGPENDING, 4096),
        (Resource::Rtprio, libc::RLIMIT_RTPRIO, 0),
    ]
    .into_iter()
    .map(|(resource, number, most)| {
        let most = getrlimit(resource).maximum.map_or(most, |ours| ours.min(most));
        (number, libc::rlimit { rlim_cur: most, rlim_max: most })
    })
    .collect()
}

impl Stage {
    /// What could not be done, as a message says it.
    pub(super) fn doing(self) -> &'static str {
        match self {
            Stage::Identity => "map the user into the sandbox",
            Stage::Session => "start a session for the sandbox",
            Stage::Mounts => "mount the sandbox's file systems",
            Stage::Root => "change the sandbox's root",
            Stage::Limits => "limit what the sandbox may use",
            Stage::Privileges => "drop the sandbox's privileges",
            Stage::Filter => "install the sandbox's seccomp filter",
            Stage::Descriptors => "close what the sandbox must not inherit",
            Stage::Handover => "hand over to the program in the sandbox",
            Stage::Exec => "start the program in the sandbox",
        }
    }
}
