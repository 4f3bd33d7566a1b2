//! Scratch directories: made with a random name, marked as ours, locked while in use, and removed afterwards whatever a program left in them.
//!
//! A directory of a killed run is removed by the next [`sweep_scratch`]. The sweep removes a directory only if it has our marker, belongs to the
//! user who runs, and nobody holds the marker locked; every other name in the folder is left alone. On a filesystem without locks no directory is
//! ever marked, so that nobody sweeps it.

use crate::lock_reach::locks_reach_every_writer;
use crate::{Error, Result, ResultExt, random_name};
use rustix::fs::{AtFlags, CWD, Dir, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

const MARKER: &CStr = c".atomic-image-scratch";
/// The marker's name until it is locked, so that a sweep never meets an unlocked marker of a live run.
const UNLOCKED: &CStr = c".atomic-image-scratch.new";
const MAGIC: &[u8] = b"scratch directory of atomic-image, removed by its next build\n";
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory of mode 0700 that only we use; removed on drop with all that is in it.
pub struct ScratchDirectory {
    folder: OwnedFd,
    directory: OwnedFd,
    name: CString,
    path: PathBuf,
    /// Held open and locked: another run's sweep leaves the directory alone.
    _marker: File,
}

impl ScratchDirectory {
    /// Makes a directory in `folder` (which is made if it is missing) whose name starts with `prefix`.
    pub fn create(folder: &Path, prefix: &str) -> Result<Self> {
        std::fs::create_dir_all(folder).context(|| format!("create {}", folder.display()))?;
        let opened = open_folder(folder)?;
        let doing = || format!("create a scratch directory in {}", folder.display());
        let (name, text) = loop {
            let text = format!("{prefix}.{}", random_name().context(doing)?);
            let name = CString::new(text.as_bytes()).map_err(|_| Error::internal("a NUL byte in the name of a scratch directory"))?;
            match rustix::fs::mkdirat(&opened, &name, Mode::RWXU) {
                Ok(()) => break (name, text),
                Err(Errno::EXIST) => continue,
                Err(e) => return Err(std::io::Error::from(e)).context(doing),
            }
        };
        let directory =
            rustix::fs::openat(&opened, &name, DIRECTORY | OFlags::RDONLY, Mode::empty()).map_err(std::io::Error::from).context(doing)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let marker =
            rustix::fs::openat(&directory, UNLOCKED, flags, Mode::RUSR | Mode::WUSR).map_err(std::io::Error::from).context(doing)?;
        let mut marker = File::from(marker);
        marker.write_all(MAGIC).context(doing)?;
        if rustix::fs::flock(&marker, FlockOperation::NonBlockingLockExclusive).is_ok() {
            rustix::fs::renameat(&directory, UNLOCKED, &directory, MARKER).map_err(std::io::Error::from).context(doing)?;
        }
        Ok(ScratchDirectory { folder: opened, directory, name, path: folder.join(text), _marker: marker })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchDirectory {
    fn drop(&mut self) {
        // What cannot be removed stays marked, for the next sweep.
        drop(remove(&self.folder, &self.name, &self.directory));
    }
}

/// Removes the scratch directories that killed runs left in `folder`. Whatever cannot be removed stays. A `folder` that is a symlink is an error.
pub fn sweep_scratch(folder: &Path) -> Result<()> {
    if folder.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
        return Ok(());
    }
    let opened = open_folder(folder)?;
    // Elsewhere the run of another machine may be using them.
    if !locks_reach_every_writer(folder) {
        return Ok(());
    }
    let entries = Dir::read_from(&opened).map_err(std::io::Error::from).context(|| format!("list {}", folder.display()))?;
    let names: Vec<CString> = entries.flatten().map(|entry| entry.file_name().to_owned()).filter(|name| !is_dot(name)).collect();
    for name in names {
        let Ok(directory) = rustix::fs::openat(&opened, &name, DIRECTORY | OFlags::RDONLY, Mode::empty()) else { continue };
        // Held until the directory is gone.
        if let Some(_marker) = abandoned(&directory) {
            drop(remove(&opened, &name, &directory));
        }
    }
    Ok(())
}

fn open_folder(folder: &Path) -> Result<OwnedFd> {
    rustix::fs::openat(CWD, folder, DIRECTORY | OFlags::RDONLY, Mode::empty()).map_err(|e| match e {
        Errno::LOOP | Errno::NOTDIR => Error::internal(format!("{} is not a directory but a symlink or a file", folder.display()))
            .hint("scratch directories are made and removed there, which must not happen elsewhere: remove it, or name another directory with --cache"),
        e => Error::internal(format!("open {}", folder.display())).source(std::io::Error::from(e)),
    })
}

/// The locked marker of a directory that is ours and that nobody uses.
fn abandoned(directory: &OwnedFd) -> Option<File> {
    let owned = |stat: &rustix::fs::Stat| stat.st_uid == rustix::process::geteuid().as_raw();
    if !rustix::fs::fstat(directory).is_ok_and(|stat| owned(&stat)) {
        return None;
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(marker) = rustix::fs::openat(directory, MARKER, flags, Mode::empty()) else { return None };
    let regular = |stat: &rustix::fs::Stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file();
    if !rustix::fs::fstat(&marker).is_ok_and(|stat| owned(&stat) && regular(&stat)) {
        return None;
    }
    rustix::fs::flock(&marker, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(())?;
    let marker = File::from(marker);
    let mut text = Vec::new();
    let read = (&marker).take(MAGIC.len() as u64 + 1).read_to_end(&mut text);
    (read.is_ok() && text == MAGIC).then_some(marker)
}

fn is_dot(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

/// Removes a marked directory; the marker goes last, so that a removal that is cut short is taken up by the next sweep.
fn remove(folder: &OwnedFd, name: &CStr, directory: &OwnedFd) -> std::io::Result<()> {
    empty(directory)?;
    for marker in [UNLOCKED, MARKER] {
        match rustix::fs::unlinkat(directory, marker, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)?)
}

/// Removes all that is in `top` but the marker. Directories in directories are first moved up to `top`, so that neither the stack nor the number of
/// open files grows with the depth, and no path becomes too long. No symlink is followed: names are given relative to open directories.
fn empty(top: &OwnedFd) -> std::io::Result<()> {
    let prefix = random_name()?;
    let mut moved = 0_u64;
    loop {
        let mut progress = false;
        let mut last = None;
        let mut left = false;
        for entry in Dir::read_from(top)? {
            let entry = entry?;
            let name = entry.file_name();
            if is_dot(name) || name == MARKER || name == UNLOCKED {
                continue;
            }
            left = true;
            match remove_name(top, name, &prefix, &mut moved) {
                Ok(()) => progress = true,
                Err(e) => last = Some(e),
            }
        }
        match last {
            _ if !left => return Ok(()),
            Some(error) if !progress => return Err(error),
            _ => {}
        }
    }
}

/// Removes one name of `top`. What is in it and is not an empty directory is moved beside it.
fn remove_name(top: &OwnedFd, name: &CStr, prefix: &str, moved: &mut u64) -> std::io::Result<()> {
    match rustix::fs::unlinkat(top, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(e) => return Err(e.into()),
    }
    unlock(top, name)?;
    let directory = rustix::fs::openat(top, name, DIRECTORY | OFlags::RDONLY, Mode::empty())?;
    // A directory that changes while it is listed may need another pass.
    loop {
        match rustix::fs::unlinkat(top, name, AtFlags::REMOVEDIR) {
            Ok(()) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
        }
        let mut progress = false;
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let child = entry.file_name();
            if is_dot(child) {
                continue;
            }
            match rustix::fs::unlinkat(&directory, child, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => progress = true,
                Err(Errno::ISDIR | Errno::PERM) => {
                    if rustix::fs::unlinkat(&directory, child, AtFlags::REMOVEDIR).is_err() {
                        // Moving a directory changes its `..`, which needs its write permission.
                        unlock(&directory, child)?;
                        *moved += 1;
                        rustix::fs::renameat(&directory, child, top, format!("{prefix}.{moved}"))?;
                    }
                    progress = true;
                }
                Err(e) => return Err(e.into()),
            }
        }
        if !progress {
            return Err(Errno::NOTEMPTY.into());
        }
    }
}

/// Gives the owner of a directory all permissions, by a descriptor that cannot be one of something else.
fn unlock(folder: impl AsFd, name: &CStr) -> std::io::Result<()> {
    let directory = rustix::fs::openat(folder, name, DIRECTORY | OFlags::PATH, Mode::empty())?;
    Ok(rustix::fs::chmod(format!("/proc/self/fd/{}", directory.as_raw_fd()), Mode::RWXU)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// What a killed run leaves: the directory, with its marker, without a lock.
    fn killed(folder: &Path) -> PathBuf {
        let live = ScratchDirectory::create(folder, "killed").unwrap();
        let path = live.path().to_path_buf();
        let marker = path.join(".atomic-image-scratch");
        let bytes = std::fs::read(&marker).unwrap();
        std::fs::remove_file(&marker).unwrap();
        std::fs::write(&marker, bytes).unwrap();
        std::mem::forget(live);
        path
    }

    #[test]
    fn a_sweep_removes_only_what_is_ours_marked_and_unlocked() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let live = ScratchDirectory::create(folder.path(), "live").unwrap();
        assert_eq!(std::fs::metadata(live.path()).unwrap().permissions().mode() & 0o7777, 0o700);
        let dead = killed(folder.path());
        std::fs::create_dir_all(at("foreign/below")).unwrap();
        std::fs::create_dir_all(at("false-marker")).unwrap();
        std::fs::write(at("false-marker/.atomic-image-scratch"), "x").unwrap();
        std::fs::create_dir_all(at("linked-marker")).unwrap();
        symlink(dead.join(".atomic-image-scratch"), at("linked-marker/.atomic-image-scratch")).unwrap();
        std::fs::write(at("file"), "x").unwrap();
        symlink(at("foreign"), at("link")).unwrap();
        sweep_scratch(folder.path()).unwrap();
        assert!(!dead.exists());
        for kept in ["foreign/below", "false-marker", "linked-marker", "file", "link"] {
            assert!(at(kept).exists() || at(kept).is_symlink(), "{kept}");
        }
        let path = live.path().to_path_buf();
        assert!(path.exists());
        drop(live);
        assert!(!path.exists());
    }

    #[test]
    fn a_scratch_folder_that_is_a_symlink_is_refused_and_a_missing_one_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("elsewhere")).unwrap();
        let dead = killed(&at("elsewhere"));
        symlink(at("elsewhere"), at("scratch")).unwrap();
        let error = sweep_scratch(&at("scratch")).unwrap_err();
        assert!(error.to_string().contains("symlink") && error.hint_text().is_some(), "{error}");
        assert!(ScratchDirectory::create(&at("scratch"), "x").is_err());
        assert!(dead.exists());
        sweep_scratch(&at("none")).unwrap();
    }

    #[test]
    fn forty_thousand_nested_directories_and_directories_without_permissions_are_removed() {
        // In memory where there is such a place: a disk takes a minute for so many directories.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("kept"), "x").unwrap();
        let dead = killed(folder.path());
        let open = |path: &Path| rustix::fs::openat(CWD, path, DIRECTORY | OFlags::RDONLY, Mode::empty()).unwrap();
        let mut at = open(&dead);
        for _ in 0..40_000 {
            rustix::fs::mkdirat(&at, c"d", Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, c"d", DIRECTORY | OFlags::RDONLY, Mode::empty()).unwrap();
        }
        for (name, mode) in [("none", 0o000), ("unwritable", 0o500), ("unsearchable", 0o600)] {
            let directory = dead.join(name);
            std::fs::create_dir_all(directory.join("below/deeper")).unwrap();
            std::fs::write(directory.join("below/file"), "x").unwrap();
            symlink(outside.path(), directory.join("link")).unwrap();
            for locked in [directory.join("below"), directory] {
                std::fs::set_permissions(locked, std::fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        sweep_scratch(folder.path()).unwrap();
        assert!(!dead.exists());
        assert!(outside.path().join("kept").exists());
    }
}
