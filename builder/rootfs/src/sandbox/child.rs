//! What the child does between the clone and the exec: its identity, mounts, a new root, limits, privileges, the filter.
//!
//! Other threads may have held locks at the moment of the clone, so that nothing here allocates or takes one: only system calls on memory that
//! the parent prepared. Nothing of the tree runs before the exec.

#![allow(unsafe_code, reason = "mount, pivot_root, capset and seccomp between clone and exec have no safe form")]

use super::jail::Jail;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Where the child gave up; sent as one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Identity,
    Session,
    Mounts,
    Root,
    Limits,
    Privileges,
    Filter,
    Descriptors,
    Handover,
    Exec,
}

impl Stage {
    const ALL: [Stage; 10] = [
        Stage::Identity,
        Stage::Session,
        Stage::Mounts,
        Stage::Root,
        Stage::Limits,
        Stage::Privileges,
        Stage::Filter,
        Stage::Descriptors,
        Stage::Handover,
        Stage::Exec,
    ];

    pub(super) fn from_byte(byte: u8) -> Option<Stage> {
        Self::ALL.get(usize::from(byte)).copied()
    }
}

/// A message without this first byte is a failure: the stage, then the error number (little endian).
pub(super) const READY: u8 = 0xff;
/// The descriptors that come with [`READY`]: /proc of the sandbox, its list of mounts, and the notifications of the filter.
pub(super) const HANDLES: usize = 3;

/// CHOWN, DAC_OVERRIDE, FOWNER, FSETID and SYS_CHROOT: what a package's script does to files as root.
///
/// CHOWN and FOWNER for owners, modes and times; DAC_OVERRIDE for directories without permissions; FSETID to keep set-group-id bits. SYS_CHROOT for
/// `ldconfig -r`, which dracut calls: since the root of the mount namespace is the checkout, nothing lies outside of it that a chroot could lead to.
/// Not SETFCAP: capabilities of files are not read back, so that setcap must fail. Not SETUID, SETGID, KILL and MKNOD: there is no other user to
/// become or to reach, and the kernel makes no devices in a user namespace. All others concern the machine.
pub(super) const CAPABILITIES: u64 = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 18;

type Step = Result<(), Stage>;

/// Never returns: becomes the program, or says why not and exits.
pub(super) fn run(
    jail: &Jail,
    stdin: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    channel: BorrowedFd<'_>,
    arguments: &[*const libc::c_char],
    environment: &[*const libc::c_char],
) -> ! {
    let channel = channel.as_raw_fd();
    let failed = match prepare(jail, stdin.as_raw_fd(), output.as_raw_fd(), channel) {
        Ok(()) => exec(jail, arguments, environment),
        Err(stage) => stage,
    };
    // SAFETY: errno is this thread's; the message is a live array; `_exit` runs no handlers of the parent.
    unsafe {
        let number = (*libc::__errno_location()).to_le_bytes();
        let message = [failed as u8, number[0], number[1], number[2], number[3]];
        libc::send(channel, message.as_ptr().cast(), message.len(), libc::MSG_NOSIGNAL);
        libc::_exit(127)
    }
}

fn check(result: libc::c_int, stage: Stage) -> Result<libc::c_int, Stage> {
    if result < 0 { Err(stage) } else { Ok(result) }
}

fn prepare(jail: &Jail, stdin: RawFd, output: RawFd, channel: RawFd) -> Step {
    identity(jail)?;
    session(stdin, output)?;
    mounts(jail)?;
    root(jail)?;
    let handles = handles()?;
    for (resource, limit) in &jail.limits {
        // SAFETY: `limit` is live.
        check(unsafe { libc::setrlimit(*resource as _, limit) }, Stage::Limits)?;
    }
    privileges()?;
    // All but 0, 1 and 2 goes at the exec. SAFETY: numbers only.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3 as libc::c_uint, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    check(closed as libc::c_int, Stage::Descriptors)?;
    let listener = install_filter(jail)?;
    hand_over(channel, [handles[0], handles[1], listener])
}

fn identity(jail: &Jail) -> Step {
    // SAFETY: numbers only.
    unsafe {
        // Whatever the parent ignores or blocks, the program does not.
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        // The sandbox must not outlive whoever waits for it.
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL), Stage::Identity)?;
        libc::umask(0o022);
    }
    write_file(c"/proc/self/setgroups", b"deny")?;
    write_file(c"/proc/self/uid_map", &jail.uid_map)?;
    write_file(c"/proc/self/gid_map", &jail.gid_map)
}

fn write_file(path: &CStr, bytes: &[u8]) -> Step {
    // SAFETY: `path` is NUL-terminated and `bytes` is a live slice.
    unsafe {
        let fd = check(libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC), Stage::Identity)?;
        let written = libc::write(fd, bytes.as_ptr().cast(), bytes.len());
        check(if written == bytes.len() as isize { 0 } else { -1 }, Stage::Identity)?;
        libc::close(fd);
    }
    Ok(())
}

/// A session of its own: no terminal to type into, and no process group that it shares with the builder.
fn session(stdin: RawFd, output: RawFd) -> Step {
    // SAFETY: numbers only.
    unsafe {
        check(libc::setsid(), Stage::Session)?;
        check(libc::dup2(stdin, 0), Stage::Session)?;
        check(libc::dup2(output, 1), Stage::Session)?;
        check(libc::dup2(output, 2), Stage::Session)?;
    }
    Ok(())
}

fn mounts(jail: &Jail) -> Step {
    let none = std::ptr::null();
    let (top, stage) = (jail.top.as_ptr(), Stage::Mounts);
    // SAFETY: every pointer is to NUL-terminated memory that lives in `jail`, or null.
    unsafe {
        check(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()), stage)?;
        check(libc::mount(top, top, none, libc::MS_BIND | libc::MS_REC, none.cast()), stage)?;
        check(libc::mount(none, top, none, libc::MS_BIND | libc::MS_REMOUNT | jail.top_flags, none.cast()), stage)?;
        for mount in &jail.mounts {
            check(
                libc::mount(mount.kind.as_ptr(), mount.at.as_ptr(), mount.kind.as_ptr(), mount.flags, mount.options.as_ptr().cast()),
                stage,
            )?;
        }
        for (from, to) in &jail.devices {
            let fd = check(libc::open(to.as_ptr(), libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_CLOEXEC, 0o666), stage)?;
            libc::close(fd);
            check(libc::mount(from.as_ptr(), to.as_ptr(), none, libc::MS_BIND, none.cast()), stage)?;
        }
        for (target, link) in &jail.links {
            check(libc::symlink(target.as_ptr(), link.as_ptr()), stage)?;
        }
    }
    Ok(())
}

/// The checkout becomes the root of the mount namespace, and the machine's tree leaves it: no path, handle or chroot leads there any more.
fn root(jail: &Jail) -> Step {
    // SAFETY: every pointer is to NUL-terminated memory.
    unsafe {
        check(libc::chdir(jail.top.as_ptr()), Stage::Root)?;
        // With both names the same, the old root ends up on top of the new one, and the working directory in the old one.
        check(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) as libc::c_int, Stage::Root)?;
        check(libc::umount2(c".".as_ptr(), libc::MNT_DETACH), Stage::Root)?;
        check(libc::chdir(c"/".as_ptr()), Stage::Root)?;
        check(libc::sethostname(c"localhost".as_ptr(), 9), Stage::Root)?;
    }
    Ok(())
}

/// What the parent watches by.
fn handles() -> Result<[RawFd; 2], Stage> {
    // SAFETY: the paths are NUL-terminated.
    unsafe {
        Ok([
            check(libc::open(c"/proc".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC), Stage::Root)?,
            check(libc::open(c"/proc/self/mountinfo".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC), Stage::Root)?,
        ])
    }
}

/// Drops all capabilities but [`CAPABILITIES`], for good: with `no_new_privs`, no exec brings one back that is not in the bounding set.
fn privileges() -> Step {
    const VERSION_3: u32 = 0x2008_0522;
    const SECBIT_KEEP_CAPS_LOCKED: libc::c_ulong = 1 << 5;
    const SECBIT_NO_CAP_AMBIENT_RAISE: libc::c_ulong = 1 << 6;
    const SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED: libc::c_ulong = 1 << 7;
    let stage = Stage::Privileges;
    let zero: libc::c_ulong = 0;
    // SAFETY: numbers, and live arrays of the shapes that capset(2) gives: version and pid; effective, permitted, inheritable, low words first.
    unsafe {
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1 as libc::c_ulong, zero, zero, zero), stage)?;
        for capability in 0..64 {
            let kept = CAPABILITIES & 1 << capability != 0;
            // Beyond the last capability that the kernel knows it is EINVAL.
            if !kept && libc::prctl(libc::PR_CAPBSET_READ, capability as libc::c_ulong, zero, zero, zero) == 1 {
                check(libc::prctl(libc::PR_CAPBSET_DROP, capability as libc::c_ulong, zero, zero, zero), stage)?;
            }
        }
        let bits = SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
        check(libc::prctl(libc::PR_SET_SECUREBITS, bits, zero, zero, zero), stage)?;
        check(libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong, zero, zero, zero), stage)?;
        let header: [u32; 2] = [VERSION_3, 0];
        let (low, high) = (CAPABILITIES as u32, (CAPABILITIES >> 32) as u32);
        let sets: [u32; 6] = [low, low, 0, high, high, 0];
        check(libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) as libc::c_int, stage)?;
    }
    Ok(())
}

/// Returns the descriptor over which the kernel tells of calls that the filter passes on.
fn install_filter(jail: &Jail) -> Result<RawFd, Stage> {
    let program = libc::sock_fprog { len: jail.filter.len() as libc::c_ushort, filter: jail.filter.as_ptr().cast_mut() };
    // SAFETY: the kernel copies `len` instructions from live memory.
    let listener = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER, &raw const program)
    };
    check(listener as libc::c_int, Stage::Filter)
}

/// Sends the handles and waits until the parent has them and gives leave.
fn hand_over(channel: RawFd, handles: [RawFd; HANDLES]) -> Step {
    const SPACE: usize = 64;
    #[repr(align(8))]
    struct Control([u8; SPACE]);
    let mut control = Control([0; SPACE]);
    let mut byte = READY;
    let length = size_of_val(&handles) as libc::c_uint;
    // SAFETY: the header points to live memory; the control buffer is aligned and larger than CMSG_SPACE of three descriptors (32 bytes).
    unsafe {
        let mut part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(length) as _;
        let head = libc::CMSG_FIRSTHDR(&message);
        (*head).cmsg_level = libc::SOL_SOCKET;
        (*head).cmsg_type = libc::SCM_RIGHTS;
        (*head).cmsg_len = libc::CMSG_LEN(length) as _;
        std::ptr::copy_nonoverlapping(handles.as_ptr().cast::<u8>(), libc::CMSG_DATA(head), size_of_val(&handles));
        check(libc::sendmsg(channel, &message, libc::MSG_NOSIGNAL) as libc::c_int, Stage::Handover)?;
        let mut leave = 0_u8;
        loop {
            match libc::recv(channel, (&raw mut leave).cast(), 1, 0) {
                1 => return Ok(()),
                -1 if *libc::__errno_location() == libc::EINTR => {}
                // The parent is gone, or does not want the program to run.
                _ => libc::_exit(127),
            }
        }
    }
}

/// Returns only if the program cannot be started.
fn exec(jail: &Jail, arguments: &[*const libc::c_char], environment: &[*const libc::c_char]) -> Stage {
    let mut error = libc::ENOENT;
    for program in &jail.programs {
        // A sibling thread that clones while our copy of the program is still open for writing makes the exec fail for a moment.
        for _ in 0..50 {
            // SAFETY: the lists end with NULL, and what they point to lives in `jail`.
            unsafe {
                libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr());
                if *libc::__errno_location() != libc::ETXTBSY {
                    break;
                }
                libc::usleep(20_000);
            }
        }
        // SAFETY: errno is this thread's.
        let number = unsafe { *libc::__errno_location() };
        if number != libc::ENOENT && number != libc::ENOTDIR {
            error = number;
            break;
        }
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = error };
    Stage::Exec
}
