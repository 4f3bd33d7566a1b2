//! Runs a program in a sandbox whose root is a checkout of the image's own tree: no privilege, no network, nothing of the host.
//!
//! The caller becomes uid 0 of a single-uid user namespace, so a run as root and a run as anybody else see the same. The checkout is a scratch
//! directory of mode 0700 that is deleted afterwards; only named paths are read back from it. Needs Linux 5.11.
//!
//! What holds a program, from the outside in:
//!
//! - `jail`, `child`: user, mount, pid, network, IPC, UTS and cgroup namespaces; `pivot_root` to the checkout with the machine's tree unmounted,
//!   which the builder verifies in the list of mounts; `no_new_privs`; five capabilities; a session without a terminal; no inherited descriptor but
//!   standard input and output; an environment of our own.
//! - `seccomp`: the parts of the kernel that no package's script needs are refused.
//! - `limits`, `watch`: time, processes, memory, output and disk. Whoever passes a limit is killed with all that it started, and the run fails.
//! - `read_back`: what is left is read without following a symlink, after the last process is gone.
//!
//! What a program sees: `/proc` has its own processes alone and is read-only; `/sys` is empty; `/dev` has null, zero, full, random, urandom and the
//! links to `/proc/self/fd`; `/run` and `/tmp` are empty and kept in memory. It is pid 1. `mount`, `unshare`, `mknod` of devices, `setcap`, and
//! becoming another user fail with EPERM or EINVAL. A file may be given to any owner: `chown` succeeds, and the builder notes it and gives the owner
//! in the tree (`ownership`), while `stat` in the sandbox goes on to show root.
//!
//! The clock stands still at the epoch (`clock`), which `SOURCE_DATE_EPOCH` names as well; clocks that only measure run on. Every file that is read
//! back gets the epoch as its time.

mod child;
mod clock;
mod jail;
mod limits;
mod ownership;
mod read_back;
mod seccomp;
mod usage;
mod watch;

use self::child::Stage;
use self::jail::Jail;
pub use self::limits::Limits;
pub(super) use self::ownership::OwnerChange;
pub(super) use self::read_back::Reader;
use self::watch::Outcome;
use model::tree::{Attributes, Edit, FileTree, Inode, InodeId, NodeKind};
use model::{Blob, Error, ImagePath, Result, ResultExt, ScratchDirectory, SourceDateEpoch};
use rustix::fs::{FileType, MemfdFlags, Mode, SealFlags};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Where programs are looked for.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// The mode of the checkout's top, whatever a program made of it.
const TOP: Mode = Mode::RWXU.union(Mode::RGRP).union(Mode::XGRP).union(Mode::ROTH).union(Mode::XOTH);

/// A tree, or a part of one, written to a scratch directory. Removed on drop.
pub struct Checkout {
    top: PathBuf,
    directory: OwnedFd,
    /// Bytes on the disk, about.
    written: u64,
    limits: Limits,
    _scratch: ScratchDirectory,
}

impl Checkout {
    /// Writes what is no directory and `select` accepts, with the directories above it, to a new scratch directory in `folder` whose name starts with
    /// `name`. Set-id bits are left out and directories stay writable for their owner: permissions of the image live in the tree, not here.
    pub fn write(tree: &FileTree, folder: &Path, name: &str, select: &dyn Fn(&ImagePath) -> bool) -> Result<Self> {
        // The mount in the child needs the whole path.
        fs::create_dir_all(folder).context(|| format!("create {}", folder.display()))?;
        let absolute = std::path::absolute(folder).context(|| format!("find {}", folder.display()))?;
        let scratch = ScratchDirectory::create(&absolute, name)?;
        let top = scratch.path().join("root");
        let doing = || format!("create {}", top.display());
        fs::create_dir(&top).context(doing)?;
        fs::set_permissions(&top, fs::Permissions::from_mode(TOP.as_raw_mode())).context(doing)?;
        let directory: OwnedFd = File::open(&top).context(doing)?.into();
        let mut checkout = Checkout { top, directory, written: 0, limits: Limits::default(), _scratch: scratch };
        let mut linked: BTreeMap<InodeId, PathBuf> = BTreeMap::new();
        // The directory of the file before, to spare most of the calls.
        let mut made = PathBuf::new();
        let entries: Vec<_> = tree.walk().into_iter().skip(1).filter(|e| !tree.inode(e.id).is_directory() && select(&e.path)).collect();
        for entry in entries {
            let inode = tree.inode(entry.id);
            let host = checkout.host(&entry.path);
            let doing = || format!("write {} into the sandbox", entry.path);
            if let Some(parent) = host.parent().filter(|p| *p != made) {
                fs::create_dir_all(parent).context(doing)?;
                made = parent.to_path_buf();
            }
            checkout.written += 4096;
            match &inode.kind {
                NodeKind::Symlink(target) => symlink(std::ffi::OsStr::from_bytes(target), &host).context(doing)?,
                NodeKind::File(content) => {
                    if let Some(first) = linked.get(&entry.id) {
                        fs::hard_link(first, &host).context(doing)?;
                        continue;
                    }
                    let mode = u32::from(inode.attributes.mode) & 0o777 | 0o400;
                    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&host).context(doing)?;
                    copy_blob(content, &mut file).context(doing)?;
                    file.set_permissions(fs::Permissions::from_mode(mode)).context(doing)?;
                    // Programs compare and copy times: dracut gives everything that it packs at most that of its own files.
                    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(inode.attributes.mtime).unwrap_or(0));
                    file.set_times(fs::FileTimes::new().set_accessed(time).set_modified(time)).context(doing)?;
                    checkout.written += content.len();
                    linked.insert(entry.id, host);
                }
                // Programs that run at build time have no business with the image's device nodes and sockets.
                _ => {}
            }
        }
        for name in ["proc", "dev", "sys", "run", "tmp", "var", "var/tmp", "root"] {
            let host = checkout.top.join(name);
            // A package may have a symlink there, even one out of the checkout: nothing is made behind it.
            let behind_link = host.parent().is_some_and(Path::is_symlink);
            if !behind_link && host.symlink_metadata().is_err() {
                fs::create_dir(&host).context(|| format!("create /{name} in the sandbox"))?;
            }
        }
        Ok(checkout)
    }

    /// The same with other limits.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The checkout's top directory outside.
    pub fn path(&self) -> &Path {
        &self.top
    }

    /// Where `path` is outside. Safe to write to only if no program has run that could have put a link on the way.
    pub(super) fn host(&self, path: &ImagePath) -> PathBuf {
        self.top.join(std::ffi::OsStr::from_bytes(path.as_bytes().strip_prefix(b"/").unwrap_or(b"")))
    }

    /// Reads what programs left.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader::new(self.directory.as_fd())
    }

    /// The file, symlink or directory (with all below) that the run left at `path`, owned by root with mtime `epoch`; `None` if nothing is there.
    pub fn read_back(&self, path: &ImagePath, epoch: SourceDateEpoch) -> Result<Option<FileTree>> {
        let mut reader = self.reader();
        let Some(stat) = reader.stat(path)? else { return Ok(None) };
        let mut found = vec![read_back::Found { path: path.clone(), stat }];
        if FileType::from_raw_mode(stat.st_mode).is_dir() {
            found.extend(reader.walk(path, &|_| true)?);
        }
        // Parents before their children.
        found.sort_by(|a, b| a.path.cmp(&b.path));
        let mut tree = FileTree::new();
        for read_back::Found { path, stat } in found {
            let attributes = Attributes::at(epoch, (stat.st_mode & 0o7777) as u16);
            let inode = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => {
                    let mut inode = Inode::symlink(reader.link(&path)?.as_slice());
                    inode.attributes.mtime = i64::from(epoch.0);
                    inode
                }
                FileType::Directory => Inode::directory(attributes),
                FileType::RegularFile => Inode::file(reader.file(&path)?, attributes),
                _ => continue,
            };
            tree.insert(&path, inode, Edit::Replace)?;
        }
        Ok(Some(tree))
    }

    /// Runs `argv` with `/` at the checkout; its output, or an error with the end of it.
    pub fn run(&self, argv: &[&str], environment: &[(&str, &str)], epoch: SourceDateEpoch) -> Result<String> {
        let exit = self.run_to_exit(argv, environment, &[], epoch)?;
        match exit.failure() {
            None => Ok(exit.output),
            Some(failure) => Err(Error::tool(format!("{} failed in the sandbox: {failure}", argv.join(" ")))),
        }
    }

    /// The same, where a failure of the program is an answer; an error is one of the sandbox.
    pub(super) fn run_to_exit(&self, argv: &[&str], environment: &[(&str, &str)], input: &[u8], epoch: SourceDateEpoch) -> Result<Exit> {
        let what = argv.join(" ");
        let _span = tracing::debug_span!("sandbox", command = %what).entered();
        let date = epoch.0.to_string();
        let mut variables = vec![("PATH", PATH), ("HOME", "/root"), ("LANG", "C.UTF-8"), ("LC_ALL", "C.UTF-8"), ("TZ", "UTC")];
        variables.push(("SOURCE_DATE_EPOCH", &date));
        for &(name, value) in environment {
            variables.retain(|(known, _)| *known != name);
            variables.push((name, value));
        }
        let jail = Jail::new(&self.top, self.directory.as_fd(), argv, &variables, &self.limits)?;
        let (ours, theirs) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(std::io::Error::from).context(|| "make a pipe")?;
        let started = jail.start(stdin(input)?.as_fd(), theirs.as_fd()).map_err(|e| refused(&what, e))?;
        drop(theirs);
        let outcome = watch::watch(started, ours, self.directory.as_fd(), self.written, &self.limits, epoch);
        // A program may have closed its root to the user who runs the builder.
        rustix::fs::fchmod(&self.directory, TOP).map_err(std::io::Error::from).context(|| "open the sandbox's top again")?;
        let program = argv.first().copied().unwrap_or("");
        match outcome.map_err(|e| e.context(format!("run {what}")))? {
            Outcome::Ended(ended) => Ok(Exit {
                code: ended.code,
                output: String::from_utf8_lossy(&ended.output).into_owned(),
                stopped: ended.stopped,
                owners: ended.owners,
            }),
            Outcome::Failed(Stage::Exec, e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => {
                Ok(Exit::failed(127, format!("{program} or its interpreter is not in the tree")))
            }
            Outcome::Failed(Stage::Exec, e) if matches!(e.raw_os_error(), Some(libc::EACCES | libc::ENOEXEC)) => {
                Ok(Exit::failed(126, format!("{program} is no program that can be run: {e}")))
            }
            Outcome::Failed(Stage::Identity | Stage::Mounts, e) => Err(refused(&what, e)),
            Outcome::Failed(stage, e) => Err(Error::tool(format!("cannot run {what}: {}", stage.doing())).source(e)),
        }
    }
}

/// The kernel has refused a namespace or a mount in it.
fn refused(what: &str, error: std::io::Error) -> Error {
    let hint = "allow unprivileged user namespaces: sysctl user.max_user_namespaces=10000 (and kernel.unprivileged_userns_clone=1, \
                kernel.apparmor_restrict_unprivileged_userns=0 where these exist); in a container, /proc must not be masked";
    Error::tool(format!("cannot make a user namespace to run {what}")).source(error).hint(hint)
}

/// What a program reads: sealed memory, since a pipe could fill up before anybody reads.
fn stdin(bytes: &[u8]) -> Result<OwnedFd> {
    if bytes.is_empty() {
        return Ok(File::open("/dev/null").context(|| "open /dev/null")?.into());
    }
    let doing = || "prepare the input of a program";
    let memory =
        rustix::fs::memfd_create("input", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).map_err(std::io::Error::from).context(doing)?;
    let mut file = File::from(memory);
    file.write_all(bytes).and_then(|()| file.rewind()).context(doing)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals).map_err(std::io::Error::from).context(doing)?;
    Ok(file.into())
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exit {
    pub code: i32,
    pub output: String,
    /// The limit for which it was killed.
    pub stopped: Option<String>,
    /// Files that it gave to other owners.
    pub owners: Vec<OwnerChange>,
}

impl Exit {
    fn failed(code: i32, output: String) -> Self {
        Exit { code, output, stopped: None, owners: Vec::new() }
    }

    /// Why this is a failure, with the end of the output, where programs say why they gave up; `None` for success.
    pub(super) fn failure(&self) -> Option<String> {
        const LINES: usize = 20;
        let why = match &self.stopped {
            Some(limit) => format!("stopped: {limit}"),
            None if self.code == 0 => return None,
            None => format!("exit status {}", self.code),
        };
        let lines: Vec<&str> = self.output.trim().lines().collect();
        let tail = lines[lines.len().saturating_sub(LINES)..].join("\n");
        Some(if tail.is_empty() { why } else { format!("{why}: {tail}") })
    }
}

fn copy_blob(content: &Blob, to: &mut File) -> Result<()> {
    if let Blob::Extent { file, offset, len, .. } = content {
        let (mut from, mut left) = (*offset, *len);
        while left > 0 {
            match rustix::fs::copy_file_range(&**file, Some(&mut from), &*to, None, left.min(1 << 30) as usize) {
                Ok(n) if n > 0 => left -= n as u64,
                _ => break,
            }
        }
        if left == 0 {
            return Ok(());
        }
        let done = *len - left;
        return content.slice(done, left)?.for_each_window(|bytes| to.write_all(bytes).context(|| "write"));
    }
    content.for_each_window(|bytes| to.write_all(bytes).context(|| "write"))
}

#[cfg(test)]
#[path = "sandbox/attacks_tests.rs"]
mod attacks;

#[cfg(test)]
#[path = "sandbox/sandbox_tests.rs"]
mod tests;
