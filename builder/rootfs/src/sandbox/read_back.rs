//! Reads what programs left in a checkout, none of which is trusted.
//!
//! No process of the sandbox is alive by then, so that nothing changes while it is read. Every path is opened relative to the checkout's own
//! descriptor with `openat2`, which refuses to leave it and to follow a symlink; only regular files and directories are opened; sizes are
//! compared with a limit before memory is taken; directories are walked with a list, not with the stack.

use model::{Error, ImagePath, Result, ResultExt};
use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Of one file, in bytes.
pub(crate) const LARGEST_FILE: u64 = 1 << 30;
/// Of all files that are read back at once, in bytes.
pub(crate) const LARGEST_TOTAL: u64 = 8 << 30;
/// Beyond any real root; a program that makes more is refused before it fills the memory.
const NAMES_MAX: usize = 4_000_000;

/// One name of a checkout.
pub(crate) struct Found {
    pub path: ImagePath,
    pub stat: Stat,
}

/// Reads below one directory.
pub(crate) struct Reader<'a> {
    top: BorrowedFd<'a>,
    /// Bytes that may still be read.
    budget: u64,
    /// What was opened to us, and the mode that it had. Few scripts make such things; each takes a descriptor.
    closed: Vec<(OwnedFd, Mode)>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(top: BorrowedFd<'a>) -> Self {
        Reader { top, budget: LARGEST_TOTAL, closed: Vec::new() }
    }

    fn open(&self, path: &ImagePath, flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
        let relative = path.as_bytes().strip_prefix(b"/").filter(|rest| !rest.is_empty()).unwrap_or(b".");
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        // Without NOFOLLOW, since with PATH that would open a symlink itself.
        rustix::fs::openat2(self.top, relative, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// What is at `path`; `None` if nothing is. A symlink on the way is an error.
    pub(crate) fn stat(&self, path: &ImagePath) -> Result<Option<Stat>> {
        // With NO_SYMLINKS even a last name that is a symlink is refused, so the directory is opened and the name looked up in it.
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return rustix::fs::fstat(self.top).map(Some).map_err(|e| io(e, "look at", path));
        };
        let folder = match self.open(&parent, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(folder) => folder,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(Errno::LOOP) => return Err(Error::tool(format!("a program in the sandbox put a symlink on the way to {path}"))),
            Err(e) => return Err(io(e, "look at", path)),
        };
        match rustix::fs::statat(&folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(io(e, "look at", path)),
        }
    }

    /// Everything below `top` that `enter` accepts, in no order, without `top` itself. What it does not accept is left out with all below.
    pub(crate) fn walk(&mut self, top: &ImagePath, enter: &dyn Fn(&ImagePath) -> bool) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        let mut folders = vec![top.clone()];
        while let Some(folder) = folders.pop() {
            let directory = self.open_permitted(&folder, OFlags::RDONLY | OFlags::DIRECTORY).map_err(|e| io(e, "list", &folder))?;
            let entries = Dir::read_from(&directory).map_err(|e| io(e, "list", &folder))?;
            for entry in entries {
                let entry = entry.map_err(|e| io(e, "list", &folder))?;
                let name = entry.file_name().to_bytes();
                if matches!(name, b"." | b"..") {
                    continue;
                }
                let path = folder.child(name).ok_or_else(|| {
                    Error::tool(format!(
                        "a program in the sandbox left a path of more than {} bytes below {}",
                        ImagePath::MAX,
                        shortened(&folder)
                    ))
                })?;
                if !enter(&path) {
                    continue;
                }
                let stat = rustix::fs::statat(&directory, entry.file_name(), rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|e| io(e, "look at", &path))?;
                if FileType::from_raw_mode(stat.st_mode).is_dir() {
                    folders.push(path.clone());
                }
                found.push(Found { path, stat });
                if found.len() > NAMES_MAX {
                    return Err(Error::tool(format!("a program left more than {NAMES_MAX} names in the sandbox")));
                }
            }
        }
        Ok(found)
    }

    /// The contents of a regular file.
    pub(crate) fn file(&mut self, path: &ImagePath) -> Result<Vec<u8>> {
        // What is no regular file does not block or act when it is opened: it is looked at first, and NONBLOCK.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let probe = self.open(path, OFlags::PATH).map_err(|e| io(e, "open", path))?;
        let stat = rustix::fs::fstat(&probe).map_err(|e| io(e, "look at", path))?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(Error::tool(format!("expected a regular file at {path} in the sandbox")));
        }
        let size = stat.st_size as u64;
        if size > LARGEST_FILE {
            return Err(Error::tool(format!("a program in the sandbox left {path} with {size} bytes, more than {LARGEST_FILE}")));
        }
        self.budget = self.budget.checked_sub(size).ok_or_else(|| {
            Error::tool(format!("programs in the sandbox left more than {LARGEST_TOTAL} bytes of changed files; {path} is one too many"))
        })?;
        let file = File::from(self.open_permitted(path, flags).map_err(|e| io(e, "open", path))?);
        let mut bytes = Vec::with_capacity(size as usize);
        file.take(size + 1).read_to_end(&mut bytes).context(|| format!("read {path} back from the sandbox"))?;
        if bytes.len() as u64 != size {
            return Err(Error::internal(format!("{path} changed while it was read back from the sandbox")));
        }
        Ok(bytes)
    }

    /// Where a symlink leads.
    pub(crate) fn link(&self, path: &ImagePath) -> Result<Vec<u8>> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else {
            return Err(Error::internal("the root of the sandbox is no symlink"));
        };
        let folder = self.open(&parent, OFlags::PATH | OFlags::DIRECTORY).map_err(|e| io(e, "open", &parent))?;
        let target = rustix::fs::readlinkat(&folder, name, Vec::new()).map_err(|e| io(e, "read the symlink", path))?;
        Ok(target.into_bytes())
    }

    /// Opens what its mode forbids us to open, too: it is ours, and only the program's root did not need the permission. Directories stay open to
    /// us until the reader is dropped.
    fn open_permitted(&mut self, path: &ImagePath, flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
        match self.open(path, flags) {
            Err(Errno::ACCESS) => {}
            result => return result,
        }
        let handle = self.open(path, OFlags::PATH)?;
        let stat = rustix::fs::fstat(&handle)?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        set_mode(&handle, mode | Mode::RWXU)?;
        self.closed.push((handle, mode));
        self.open(path, flags)
    }
}

impl Drop for Reader<'_> {
    /// Gives every mode back that was changed to read, the innermost first.
    fn drop(&mut self) {
        for (handle, mode) in self.closed.drain(..).rev() {
            let _ = set_mode(&handle, mode);
        }
    }
}

/// By a descriptor that may be one for paths only.
fn set_mode(handle: &OwnedFd, mode: Mode) -> std::result::Result<(), Errno> {
    rustix::fs::chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), mode)
}

fn io(error: Errno, doing: &str, path: &ImagePath) -> Error {
    Error::tool(format!("{doing} {} in the sandbox", shortened(path))).source(std::io::Error::from(error))
}

/// For messages: a hostile path may have thousands of bytes.
fn shortened(path: &ImagePath) -> String {
    let bytes = path.as_bytes();
    let end = bytes.len().min(256);
    format!("{}{}", String::from_utf8_lossy(&bytes[..end]), if end < bytes.len() { "…" } else { "" })
}
