//! Runs a program inside a user namespace whose root is a checkout of the image's own tree: no privilege, no network, no view of the host.
//!
//! The caller becomes uid 0 of a single-uid namespace, so a run as root and a run as anybody else see the same. The checkout is a scratch
//! directory that is deleted afterwards; only named paths are read back from it.

#![allow(unsafe_code, reason = "fork, unshare and mount between fork and exec have no safe form")]

mod jail;

use self::jail::Jail;
use crate::base::{Blob, Error, ImagePath, Result, ResultExt, SourceDateEpoch, remove_tree};
use crate::tree::{Attributes, Edit, FileTree, Inode, InodeId, NodeKind};
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A tree, or a part of one, written to a scratch directory. Removed on drop.
pub struct Checkout {
    top: PathBuf,
    /// Held locked, so that the sweep of another run lets it be.
    _lock: File,
}

impl Checkout {
    /// Writes what is no directory and `select` accepts, with the directories above it, below `top`, which must not exist. Set-id bits are left out and
    /// directories stay writable for their owner: permissions of the image live in the tree, not here.
    pub fn write(tree: &FileTree, top: &Path, select: &dyn Fn(&ImagePath) -> bool) -> Result<Self> {
        fs::create_dir_all(top).context(|| format!("create {}", top.display()))?;
        let lock = File::open(top).context(|| format!("open {}", top.display()))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).ok();
        let checkout = Checkout { top: top.to_path_buf(), _lock: lock };
        let mut linked: std::collections::BTreeMap<InodeId, PathBuf> = Default::default();
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
                    linked.insert(entry.id, host);
                }
                // Programs that run at build time have no business with the image's device nodes and sockets.
                _ => {}
            }
        }
        for name in ["proc", "dev", "sys", "run", "tmp", "var/tmp", "root"] {
            let host = checkout.top.join(name);
            if !host.is_dir() && !host.is_symlink() {
                fs::create_dir_all(&host).context(|| format!("create /{name} in the sandbox"))?;
            }
        }
        Ok(checkout)
    }

    /// Where `path` is outside. Safe to write to only if no program has run that could have put a link on the way.
    pub(super) fn host(&self, path: &ImagePath) -> PathBuf {
        self.top.join(std::ffi::OsStr::from_bytes(path.as_bytes().strip_prefix(b"/").unwrap_or_default()))
    }

    /// The file, symlink or directory (with all below) that the run left at `path`, owned by root with mtime `epoch`; `None` if nothing is there.
    pub fn read_back(&self, path: &ImagePath, epoch: SourceDateEpoch) -> Result<Option<FileTree>> {
        // The name may hide behind a symlink that the program planted: refuse to leave the checkout.
        let mut at = self.top.clone();
        for name in path.components() {
            if at.is_symlink() {
                return Err(Error::tool(format!("a program in the sandbox put a symlink on the way to {path}")));
            }
            at.push(std::ffi::OsStr::from_bytes(name));
        }
        if at.symlink_metadata().is_err() {
            return Ok(None);
        }
        let mut tree = FileTree::new();
        self.read_into(&mut tree, path, &at, epoch)?;
        Ok(Some(tree))
    }

    fn read_into(&self, tree: &mut FileTree, path: &ImagePath, host: &Path, epoch: SourceDateEpoch) -> Result<()> {
        let doing = || format!("read {path} back from the sandbox");
        let meta = host.symlink_metadata().context(doing)?;
        let attributes = Attributes { mtime: i64::from(epoch.0), ..Attributes::root((meta.mode() & 0o7777) as u16) };
        let kind = meta.file_type();
        if kind.is_symlink() {
            let target = fs::read_link(host).context(doing)?;
            let mut inode = Inode::symlink(target.as_os_str().as_bytes());
            inode.attributes.mtime = i64::from(epoch.0);
            tree.insert(path, inode, Edit::Replace)?;
        } else if kind.is_dir() {
            tree.insert(path, Inode::directory(attributes), Edit::Replace)?;
            for child in fs::read_dir(host).context(doing)? {
                let child = child.context(doing)?;
                self.read_into(tree, &path.join(child.file_name().as_bytes())?, &child.path(), epoch)?;
            }
        } else if kind.is_file() {
            tree.insert(path, Inode::file(fs::read(host).context(doing)?, attributes), Edit::Replace)?;
        }
        Ok(())
    }

    /// What a program reads: a file without a name, since a pipe could fill up before anybody reads.
    fn input(&self, bytes: &[u8]) -> Result<Stdio> {
        if bytes.is_empty() {
            return Ok(Stdio::null());
        }
        let path = self.top.with_extension("input");
        let doing = || format!("write {}", path.display());
        let mut file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).context(doing)?;
        fs::remove_file(&path).context(doing)?;
        file.write_all(bytes).and_then(|()| file.rewind()).context(doing)?;
        Ok(file.into())
    }

    /// Runs `argv` with `/` at the checkout; its whole output, or an error with the end of it.
    pub fn run(&self, argv: &[&str], environment: &[(&str, &str)], epoch: SourceDateEpoch) -> Result<String> {
        let exit = self.run_to_exit(argv, environment, &[], epoch)?;
        if exit.code == 0 {
            return Ok(exit.output);
        }
        let tail: Vec<&str> = exit.output.lines().rev().take(30).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        Err(Error::tool(format!("{} failed in the sandbox (exit status: {}):\n{}", argv.join(" "), exit.code, tail.join("\n"))))
    }

    /// The same, where a failure of the program is an answer; an error is one of the sandbox.
    pub(super) fn run_to_exit(&self, argv: &[&str], environment: &[(&str, &str)], input: &[u8], epoch: SourceDateEpoch) -> Result<Exit> {
        let what = argv.join(" ");
        let program = argv.first().ok_or_else(|| Error::internal("no program to run in the sandbox"))?;
        let output = self.top.with_extension("log");
        let log = File::create(&output).context(|| format!("create {}", output.display()))?;
        let log2 = log.try_clone().context(|| "duplicate a log")?;
        let mut command = Command::new(program);
        command.args(&argv[1..]).env_clear().stdin(self.input(input)?).stdout(log).stderr(log2);
        command
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("LANG", "C.UTF-8")
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC");
        command.env("SOURCE_DATE_EPOCH", epoch.0.to_string()).envs(environment.iter().copied());
        let jail = Jail::new(&self.top)?;
        // SAFETY: between fork and exec only system calls on memory prepared by `Jail::new`.
        unsafe { command.pre_exec(move || jail.enter()) };
        // A sibling thread that forks while our copy of the program is still open for writing makes the exec fail for a moment.
        let mut status = command.status();
        for _ in 0..50 {
            if !status.as_ref().is_err_and(|e| e.raw_os_error() == Some(libc::ETXTBSY)) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
            status = command.status();
        }
        let mut text = Vec::new();
        File::open(&output)
            .context(|| "open the log of the sandbox")?
            .take(OUTPUT)
            .read_to_end(&mut text)
            .context(|| "read the log of the sandbox")?;
        fs::remove_file(&output).ok();
        match status {
            // The first child passes a signal on as the shell does.
            Ok(status) => Ok(Exit { code: status.code().unwrap_or(128), output: String::from_utf8_lossy(&text).into_owned() }),
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => Ok(Exit { code: 127, output: format!("{program} or its interpreter is not in the tree") }),
            Err(e) if e.raw_os_error().is_some_and(|n| [libc::EPERM, libc::ENOSPC, libc::EACCES, libc::EINVAL].contains(&n)) => Err(Error::tool(format!(
                "cannot make a user namespace to run {what}: {e}"
            ))
            .hint("allow unprivileged user namespaces: sysctl user.max_user_namespaces=10000 (and kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0 where these exist)")),
            Err(e) => Err(Error::tool(format!("cannot start {what} in the sandbox")).source(e)),
        }
    }
}

/// Of one program's output, in bytes; the rest is dropped.
const OUTPUT: u64 = 1 << 20;

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exit {
    pub code: i32,
    pub output: String,
}

impl Drop for Checkout {
    fn drop(&mut self) {
        remove_tree(&self.top);
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
mod tests {
    use super::*;

    /// A tree with the host's static busybox as its only program, if there is one.
    fn busybox() -> Option<FileTree> {
        let bytes = fs::read("/bin/busybox").ok()?;
        let mut tree = FileTree::new();
        tree.insert(&ImagePath::parse("/bin/busybox").unwrap(), Inode::file(bytes, Attributes::root(0o755)), Edit::Create).unwrap();
        Some(tree)
    }

    #[test]
    fn a_program_sees_only_the_tree_and_only_named_paths_come_back() {
        let Some(tree) = busybox() else { return eprintln!("skipped: no static busybox on this machine") };
        let scratch = tempfile::tempdir().unwrap();
        let checkout = Checkout::write(&tree, &scratch.path().join("root"), &|_| true).unwrap();
        let script = "/bin/busybox id -u; /bin/busybox ls /; echo new >/made; /bin/busybox ls /proc/self/fd >/dev/null && echo $$";
        let text = checkout.run(&["/bin/busybox", "sh", "-c", script], &[], SourceDateEpoch(7)).unwrap();
        assert_eq!(text, "0\nbin\ndev\nproc\nroot\nrun\nsys\ntmp\nvar\n1\n");
        let back = checkout.read_back(&ImagePath::parse("/made").unwrap(), SourceDateEpoch(7)).unwrap().unwrap();
        assert_eq!(back.read("/made").unwrap().unwrap(), b"new\n");
        assert_eq!(back.at("/made").unwrap().attributes.mtime, 7);
    }

    #[test]
    fn a_failing_program_is_an_error_with_its_output_and_a_planted_symlink_is_not_followed() {
        let Some(tree) = busybox() else { return eprintln!("skipped: no static busybox on this machine") };
        let scratch = tempfile::tempdir().unwrap();
        let checkout = Checkout::write(&tree, &scratch.path().join("root"), &|_| true).unwrap();
        let error = checkout.run(&["/bin/busybox", "sh", "-c", "echo why; exit 3"], &[], SourceDateEpoch(0)).unwrap_err();
        assert!(error.to_string().contains("why") && error.to_string().contains("exit status: 3"), "{error}");
        checkout.run(&["/bin/busybox", "ln", "-s", "/etc", "/out"], &[], SourceDateEpoch(0)).unwrap();
        assert!(checkout.read_back(&ImagePath::parse("/out/passwd").unwrap(), SourceDateEpoch(0)).is_err());
    }
}
