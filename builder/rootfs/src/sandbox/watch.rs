//! The parent's side of a run: the handover, the output while it comes, the limits, and the end.

use super::child::{HANDLES, READY, Stage};
use super::clock::Tracer;
use super::jail::Started;
use super::limits::{Limits, WATCH};
use super::ownership::{Listener, OwnerChange};
use super::usage;
use model::{Error, Result, ResultExt, ResultJudged, SourceDateEpoch};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How a program ended, before anybody says what that means.
pub(super) struct Ended {
    /// The exit status, or 128 and the signal as the shell has it.
    pub code: i32,
    pub output: Vec<u8>,
    /// The limit for which it was killed.
    pub stopped: Option<String>,
    pub owners: Vec<OwnerChange>,
}

pub(super) enum Outcome {
    Ended(Ended),
    /// The program did not start.
    Failed(Stage, std::io::Error),
}

/// Sees `started` through, with its clock at `epoch`. Afterwards no process of the sandbox is alive.
pub(super) fn watch(
    started: Started,
    output: OwnedFd,
    checkout: BorrowedFd<'_>,
    written: u64,
    limits: &Limits,
    epoch: SourceDateEpoch,
) -> Result<Outcome> {
    let mut child = Child { pidfd: started.pidfd, tracer: None, reaped: false };
    let handles = match receive(started.channel.as_fd())? {
        Ok(handles) => handles,
        Err((stage, error)) => {
            child.wait()?;
            return Ok(Outcome::Failed(stage, error));
        }
    };
    let [processes, mounts, listener] = handles;
    only_our_mounts(File::from(mounts))?;
    let mut listener = Listener::new(listener, checkout, epoch.0);
    let mut meter = usage::DiskMeter::new(checkout, written, limits.disk)?;
    rustix::fs::fcntl_setfl(&output, OFlags::NONBLOCK).map_err(std::io::Error::from).context(|| "prepare the sandbox's output")?;
    child.tracer = Some(Tracer::start(started.pid)?);
    send(&started.channel, b"g", SendFlags::NOSIGNAL).map_err(std::io::Error::from).context(|| "start a program in the sandbox")?;
    // Either the exec closes the other end, or a message says why there was none.
    if let Some((stage, error)) = failure(started.channel.as_fd())? {
        child.wait()?;
        return Ok(Outcome::Failed(stage, error));
    }
    let began = Instant::now();
    let mut last_look = began;
    let mut captured = Captured::default();
    let mut open = true;
    let stopped = loop {
        if ready(&child, &output, open, &listener, WATCH)? {
            break None;
        }
        open = open && captured.read(&output)?;
        listener.answer()?;
        if captured.total > limits.output {
            break Some(format!("it wrote more than {} bytes of output", limits.output));
        }
        let elapsed = began.elapsed();
        if elapsed > limits.time {
            break Some(format!("it ran for more than {} seconds", limits.time.as_secs_f32()));
        }
        if last_look.elapsed() >= WATCH {
            last_look = Instant::now();
            let census = census(&processes)?;
            if census.threads > limits.threads {
                break Some(format!("it had more than {} processes and threads", limits.threads));
            }
            if census.memory > limits.memory {
                break Some(format!("it took more than {} bytes of memory", limits.memory));
            }
            if let Some(reason) = meter.exceeded(checkout)? {
                break Some(reason);
            }
        }
    };
    if stopped.is_some() {
        child.kill();
    }
    // The first process is reaped after all others of its namespace are gone: the kernel kills them and waits for each.
    let code = child.wait()?;
    if census(&processes)?.threads != 0 {
        return Err(Error::internal("a process of the sandbox outlived the first one"));
    }
    while open && captured.read(&output)? && captured.last_read > 0 {}
    Ok(Outcome::Ended(Ended { code, output: captured.finish(), stopped, owners: listener.changes() }))
}

/// The first process of the sandbox; with it everything in the sandbox dies.
struct Child {
    pidfd: OwnedFd,
    /// Reaps the process, once there is one.
    tracer: Option<Tracer>,
    reaped: bool,
}

impl Child {
    fn kill(&self) {
        // The only failure is that it has ended.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    fn wait(&mut self) -> Result<i32> {
        if let Some(tracer) = self.tracer.take() {
            self.reaped = true;
            let status = tracer.finish()?;
            return Ok(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) });
        }
        let status = loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
                Err(Errno::INTR) => {}
                result => break result.map_err(std::io::Error::from).context(|| "wait for a program in the sandbox")?,
            }
        };
        self.reaped = true;
        let status = status.ok_or_else(|| Error::internal("no status of a program in the sandbox"))?;
        Ok(status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(128))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
            drop(self.wait());
        }
    }
}

/// Waits for something to do; true once the program has ended.
fn ready(child: &Child, output: &OwnedFd, open: bool, listener: &Listener<'_>, most: Duration) -> Result<bool> {
    let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(most.subsec_nanos()) };
    let mut wanted = vec![PollFd::new(&child.pidfd, PollFlags::IN)];
    if open {
        wanted.push(PollFd::new(output, PollFlags::IN));
    }
    let descriptor = listener.descriptor();
    if let Some(descriptor) = &descriptor {
        wanted.push(PollFd::new(descriptor, PollFlags::IN));
    }
    match poll(&mut wanted, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(!wanted[0].revents().is_empty()),
        Err(e) => Err(std::io::Error::from(e)).context(|| "wait for a program in the sandbox"),
    }
}

type Failure = (Stage, std::io::Error);

fn receive(channel: BorrowedFd<'_>) -> Result<std::result::Result<[OwnedFd; HANDLES], Failure>> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDLES))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 8];
    let received = loop {
        match recvmsg(channel, &mut [std::io::IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            result => break result.map_err(std::io::Error::from).context(|| "hear from the sandbox")?.bytes,
        }
    };
    if let Some(failure) = parse(&bytes[..received]) {
        return Ok(Err(failure));
    }
    let mut handles = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            handles.extend(descriptors);
        }
    }
    match <[OwnedFd; HANDLES]>::try_from(handles) {
        Ok(handles) if bytes[0] == READY => Ok(Ok(handles)),
        _ => Err(Error::internal("the sandbox ended before it was ready")),
    }
}

fn failure(channel: BorrowedFd<'_>) -> Result<Option<Failure>> {
    let mut bytes = [0; 8];
    loop {
        match rustix::net::recv(channel, &mut bytes, RecvFlags::empty()) {
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => return Ok(None),
            Err(e) => return Err(std::io::Error::from(e)).context(|| "hear from the sandbox"),
            Ok((received, _)) => return Ok(parse(&bytes[..received])),
        }
    }
}

fn parse(message: &[u8]) -> Option<Failure> {
    let &[stage, a, b, c, d] = message else { return None };
    Some((Stage::from_byte(stage)?, std::io::Error::from_raw_os_error(i32::from_le_bytes([a, b, c, d]))))
}

/// Proof that the machine's tree is gone: the namespace has the sandbox's own mounts and no other.
fn only_our_mounts(mut list: File) -> Result<()> {
    let mut text = String::new();
    list.read_to_string(&mut text).context(|| "read the mounts of the sandbox")?;
    let mut foreign: Vec<&str> = text.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    for own in ["/", "/proc", "/dev", "/run", "/tmp", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"] {
        match foreign.iter().position(|at| *at == own) {
            Some(at) => drop(foreign.swap_remove(at)),
            None => return Err(Error::internal(format!("the sandbox has nothing mounted at {own}"))),
        }
    }
    if foreign.is_empty() { Ok(()) } else { Err(Error::internal(format!("the sandbox still sees {}", foreign.join(", ")))) }
}

struct Census {
    threads: u64,
    /// Resident bytes; what processes share is counted for each.
    memory: u64,
}

/// Counts by the sandbox's own /proc, which has no other processes.
fn census(processes: &OwnedFd) -> Result<Census> {
    let mut census = Census { threads: 0, memory: 0 };
    let list = Dir::read_from(processes).map_err(std::io::Error::from).context(|| "list the sandbox's processes")?;
    for entry in list {
        let Ok(entry) = entry else { break };
        let Ok(name) = entry.file_name().to_str() else { continue };
        if !name.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        // A process may end at any moment between these calls.
        let Ok(tasks) = rustix::fs::statat(processes, format!("{name}/task"), AtFlags::SYMLINK_NOFOLLOW) else { continue };
        census.threads += u64::from(tasks.st_nlink as u32).saturating_sub(2);
        if let Some(pages) = resident(processes, name) {
            census.memory = census.memory.saturating_add(pages.saturating_mul(rustix::param::page_size() as u64));
        }
    }
    Ok(census)
}

/// Resident pages of a process; `None` if it has ended.
fn resident(processes: &OwnedFd, name: &str) -> Option<u64> {
    let path = format!("{name}/statm");
    let Ok(file) = rustix::fs::openat(processes, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else { return None };
    let mut text = String::new();
    let Ok(_) = File::from(file).take(256).read_to_string(&mut text) else { return None };
    let pages = text.split(' ').nth(1)?;
    pages.parse().none_because("a process that has ended uses no memory")
}

/// The beginning and the end of the output; what is between is dropped while it comes.
#[derive(Default)]
struct Captured {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
    last_read: usize,
}

/// Bytes kept of the beginning, and as many of the end.
const KEPT: usize = 512 << 10;

impl Captured {
    /// Reads what is there, a bounded amount; false once nobody can write any more.
    fn read(&mut self, output: &OwnedFd) -> Result<bool> {
        let mut buffer = [0; 64 << 10];
        match rustix::io::read(output, &mut buffer) {
            Ok(0) => Ok(false),
            Ok(n) => {
                self.last_read = n;
                self.add(&buffer[..n]);
                Ok(true)
            }
            Err(Errno::AGAIN | Errno::INTR) => {
                self.last_read = 0;
                Ok(true)
            }
            Err(e) => Err(std::io::Error::from(e)).context(|| "read the sandbox's output"),
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let (first, rest) = bytes.split_at(bytes.len().min(KEPT - self.head.len()));
        self.head.extend_from_slice(first);
        self.tail.extend(rest);
        self.tail.drain(..self.tail.len().saturating_sub(KEPT));
    }

    fn finish(self) -> Vec<u8> {
        let dropped = self.total - (self.head.len() + self.tail.len()) as u64;
        let mut bytes = self.head;
        if dropped > 0 {
            bytes.extend_from_slice(format!("\n[{dropped} bytes of output left out]\n").as_bytes());
        }
        bytes.extend(self.tail);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_of_an_output_are_kept() {
        for (length, note) in [(0, false), (KEPT, false), (2 * KEPT, false), (2 * KEPT + 1, true), (9 * KEPT, true)] {
            let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let mut captured = Captured::default();
            bytes.chunks(70_000).for_each(|chunk| captured.add(chunk));
            let kept = captured.finish();
            assert_eq!(String::from_utf8_lossy(&kept).contains("left out"), note, "{length}");
            assert!(kept.len() <= 2 * KEPT + 64 && kept.starts_with(&bytes[..length.min(KEPT)]), "{length}");
            assert!(kept.ends_with(&bytes[length - length.min(KEPT)..]), "{length}");
        }
    }
}
