//! The clock of a program in the sandbox stands still at the epoch.
//!
//! Linux has no namespace for the time of day, and a program reads it without a system call: the kernel maps code for that (the vDSO) into each
//! process and names its address in the auxiliary vector. So a thread of the builder traces the sandbox, and wherever a process executes a program it
//! strikes that entry out; the C library then makes the system calls instead, which the filter passes on to the builder, which answers with the epoch.
//! Clocks that only measure (CLOCK_MONOTONIC and the like) run on, and so do sleeping, timers, and the times that the kernel gives to files.
//!
//! This is for the sake of equal bytes, not of security: a program that means to can still read the processor's own counter.

#![allow(unsafe_code, reason = "ptrace has no safe form")]

use model::{Error, Result, ResultExt};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

/// Entries of an auxiliary vector that are looked through: more than the kernel's AT_VECTOR_SIZE, which is below 60 on every machine.
const ENTRIES_MAX: usize = 256;
/// Words of a new program's stack that are looked through: more than the kernel takes arguments and variables for.
const STACK_WORDS_MAX: u64 = 1 << 20;
/// Bytes of the stack that are read at a time.
const WINDOW: usize = 64 << 10;

/// The thread that traces a sandbox. It also reaps the first process, whose status [`Tracer::finish`] returns.
pub(super) struct Tracer {
    thread: JoinHandle<io::Result<i32>>,
}

impl Tracer {
    /// Begins to trace `pid`, which has not executed the program yet, and all that it will start. If the builder dies, the kernel kills them.
    pub(super) fn start(pid: libc::pid_t) -> Result<Tracer> {
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("sandbox-clock".into())
            .spawn(move || trace(pid, &sender))
            .context(|| "start a thread that stops the sandbox's clock")?;
        match receiver.recv() {
            Ok(Ok(())) => Ok(Tracer { thread }),
            Ok(Err(e)) => Err(Error::tool("cannot stop the clock of the sandbox: the kernel does not let the builder trace its own child")
                .source(e)
                .hint("allow it: sysctl kernel.yama.ptrace_scope=1, and in a container the system call ptrace")),
            Err(_) => Err(Error::internal("the thread that stops the sandbox's clock ended")),
        }
    }

    /// Waits until every process of the sandbox has ended; the wait status of the first one.
    pub(super) fn finish(self) -> Result<i32> {
        let status = self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        status.context(|| "wait for a program in the sandbox")
    }
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Continues a stopped process. One that has been killed meanwhile is no error: its end is reported as any other.
fn go_on(request: libc::c_uint, thread: libc::pid_t, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: the request takes numbers only.
    match check(unsafe { libc::ptrace(request, thread, 0 as libc::c_long, libc::c_long::from(signal)) }) {
        Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        result => result,
    }
}

fn trace(pid: libc::pid_t, ready: &Sender<io::Result<()>>) -> io::Result<i32> {
    let options = libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_EXITKILL;
    // SAFETY: the request takes numbers only.
    let seized = check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0 as libc::c_long, libc::c_long::from(options)) });
    let failed = seized.is_err();
    if ready.send(seized).is_err() || failed {
        // Nobody asks for a status: the start has failed.
        return Ok(0);
    }
    let mut code = None;
    loop {
        let mut status = 0;
        // Only what this thread traces: the builder has other children.
        // SAFETY: the kernel writes one integer.
        let thread = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
        if thread == -1 {
            match io::Error::last_os_error() {
                e if e.raw_os_error() == Some(libc::EINTR) => continue,
                e if e.raw_os_error() == Some(libc::ECHILD) => break,
                e => return Err(e),
            }
        }
        if !libc::WIFSTOPPED(status) {
            if thread == pid {
                code = Some(status);
            }
            continue;
        }
        let signal = libc::WSTOPSIG(status);
        match status >> 16 {
            // A signal on its way to the program.
            0 => go_on(libc::PTRACE_CONT, thread, signal)?,
            libc::PTRACE_EVENT_EXEC => {
                match strike_out_vdso(thread) {
                    // Killed meanwhile.
                    Err(e) if e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(libc::ESRCH) => {}
                    // No stack of a 64-bit program: the filter ends it at its first call.
                    Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {}
                    // With this thread all of the sandbox ends.
                    result => result?,
                }
                go_on(libc::PTRACE_CONT, thread, 0)?;
            }
            // Stopped by a signal, as a shell stops a job: it stays so until SIGCONT.
            libc::PTRACE_EVENT_STOP if matches!(signal, libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU) => {
                go_on(libc::PTRACE_LISTEN, thread, 0)?;
            }
            _ => go_on(libc::PTRACE_CONT, thread, 0)?,
        }
    }
    code.ok_or_else(|| io::Error::other("no status of the sandbox's first process"))
}

/// Makes the C library of the program that `pid` has just executed believe that there is no vDSO.
fn strike_out_vdso(pid: libc::pid_t) -> io::Result<()> {
    let memory = File::options().read(true).write(true).open(format!("/proc/{pid}/mem"))?;
    let mut words = Words { memory: &memory, at: stack_pointer(pid)?, window: Vec::new(), used: 0 };
    // The number of arguments, the arguments, NULL, the environment, NULL, pairs of kind and value.
    let arguments = words.next()?;
    for _ in 0..=arguments.min(STACK_WORDS_MAX) {
        words.next()?;
    }
    for _ in 0..STACK_WORDS_MAX {
        if words.next()? == 0 {
            break;
        }
    }
    for _ in 0..ENTRIES_MAX {
        let at = words.at;
        match (words.next()?, words.next()?) {
            (libc::AT_NULL, _) => break,
            (libc::AT_SYSINFO_EHDR, _) => return memory.write_all_at(&libc::AT_IGNORE.to_ne_bytes(), at),
            _ => {}
        }
    }
    Ok(())
}

/// Reads a process's memory upwards, a word of 64 bits at a time.
struct Words<'a> {
    memory: &'a File,
    /// The address of the next word.
    at: u64,
    window: Vec<u8>,
    used: usize,
}

impl Words<'_> {
    fn next(&mut self) -> io::Result<u64> {
        if self.used + 8 > self.window.len() {
            self.window.resize(WINDOW, 0);
            let read = self.memory.read_at(&mut self.window, self.at)?;
            self.window.truncate(read);
            self.used = 0;
        }
        let word = self.window.get(self.used..).and_then(|rest| rest.first_chunk::<8>()).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.used += 8;
        self.at += 8;
        Ok(u64::from_ne_bytes(*word))
    }
}

fn stack_pointer(pid: libc::pid_t) -> io::Result<u64> {
    // SAFETY: registers are integers only.
    let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
    let mut part = libc::iovec { iov_base: (&raw mut registers).cast(), iov_len: size_of_val(&registers) };
    // SAFETY: the kernel writes at most `iov_len` bytes of registers.
    check(unsafe { libc::ptrace(libc::PTRACE_GETREGSET, pid, libc::c_long::from(libc::NT_PRSTATUS), &raw mut part) })?;
    #[cfg(target_arch = "x86_64")]
    return Ok(registers.rsp);
    #[cfg(target_arch = "aarch64")]
    return Ok(registers.sp);
}

/// Clocks that tell the time of day.
pub(super) const TIMES_OF_DAY: &[u32] =
    &[libc::CLOCK_REALTIME as u32, libc::CLOCK_REALTIME_COARSE as u32, libc::CLOCK_REALTIME_ALARM as u32, libc::CLOCK_TAI as u32];

/// The answer to a call that asks for the time of day.
pub(super) struct Time {
    /// Addresses in the program's memory, and what is to be written there.
    writes: Vec<(u64, Vec<u8>)>,
    /// What the call returns.
    pub value: i64,
}

/// What the program gets for a call that asks for the time of day; `None` for any other call. `epoch` is in seconds since 1970.
pub(super) fn answer(call: &libc::seccomp_notif, epoch: u32) -> Option<Time> {
    let [first, second, ..] = call.data.args;
    let seconds = i64::from(epoch);
    // struct timespec and struct timeval alike: seconds, and a fraction of none.
    let time = [seconds.to_ne_bytes(), 0_i64.to_ne_bytes()].concat();
    let writes = match libc::c_long::from(call.data.nr) {
        libc::SYS_clock_gettime => vec![(second, time)],
        // The second argument is a struct timezone: UTC. Either may be absent.
        libc::SYS_gettimeofday => [(first, time), (second, vec![0; 8])].into_iter().filter(|(address, _)| *address != 0).collect(),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_time => {
            let stored = (first != 0).then(|| (first, seconds.to_ne_bytes().to_vec()));
            return Some(Time { writes: Vec::from_iter(stored), value: seconds });
        }
        _ => return None,
    };
    Some(Time { writes, value: 0 })
}

/// The memory of the process that waits for an answer.
pub(super) fn memory_of(call: &libc::seccomp_notif) -> std::result::Result<File, Errno> {
    File::options().write(true).open(format!("/proc/{}/mem", call.pid)).map_err(|_| Errno::PERM)
}

/// Writes into the program's memory; EFAULT, as the kernel has it, where the program named none.
pub(super) fn write(memory: &File, time: &Time) -> std::result::Result<(), Errno> {
    time.writes.iter().try_for_each(|(address, bytes)| memory.write_all_at(bytes, *address).map_err(|_| Errno::FAULT))
}
