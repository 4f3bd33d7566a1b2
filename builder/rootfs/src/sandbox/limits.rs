//! How much of the machine a program in the sandbox may use.

use std::time::Duration;

/// Limits of one program with all that it starts.
///
/// Without a cgroup, which a user cannot be assumed to have, not everything can be bounded exactly: the kernel bounds what concerns one process,
/// and the builder looks every [`WATCH`] at the number of threads, their memory and the disk, and kills all of them when a limit is passed. Memory
/// that belongs to no process (System V segments, files of memory) is bounded by the size of one file and by the size of /tmp and /run only.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From start to end.
    pub time: Duration,
    /// Processes and threads at the same time.
    pub threads: u64,
    /// Resident bytes of all processes together; also the private bytes of one.
    pub memory: u64,
    /// Bytes written to standard output and standard error.
    pub output: u64,
    /// Bytes of one file.
    pub file: u64,
    /// Bytes that the checkout may grow by.
    pub disk: u64,
}

impl Default for Limits {
    /// Many times what dracut, the largest of them, takes.
    fn default() -> Self {
        Limits { time: Duration::from_secs(600), threads: 2048, memory: 8 << 30, output: 256 << 20, file: 4 << 30, disk: 16 << 30 }
    }
}

/// How often the builder looks.
pub(super) const WATCH: Duration = Duration::from_millis(25);
