//! Folders of files that are laid over the rootfs, one for each role. Mode: the executable bit of the file; everything else is stated here.

use model::tree::{Attributes, Edit, FileTree, Inode, NodeKind};
use model::{Alarm, Blob, ByteSize, CheckedFile, Content, Error, ImagePath, Result, SourceDateEpoch, open_regular, read_regular};
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files that only root may read, whatever the umask of the checkout.
const PRIVATE: &[&str] = &["/etc/sudoers", "/etc/sudoers.d/"];
/// Longer files stay on the disk and are read in windows.
const MAX_IN_MEMORY: ByteSize = ByteSize::mib(1);
/// Of an overlay's long files, as each needs a descriptor. Further ones are opened for each read, and not checked for a change in the same length.
const MAX_CHECKED: usize = 128;
/// Longer files are refused: what an image holds it holds in full, also the holes of a sparse file.
const MAX_FILE: ByteSize = ByteSize::mib(16 << 10);

/// Lays `folder` over the tree, files root:root 0644 or 0755 by their executable bit. Returns the paths that it wrote, parents first, siblings sorted.
pub fn apply(tree: &mut FileTree, folder: &Path, epoch: SourceDateEpoch) -> Result<Vec<ImagePath>> {
    let mut written = Vec::new();
    let mut checked = 0;
    // Not a recursion: folders may be nested as deep as a path is long.
    let mut pending = names(folder, &ImagePath::root())?;
    while let Some(entry) = pending.pop() {
        if entry.at == ImagePath::root() && entry.name == b"README.md" {
            continue;
        }
        let wrong = |why: &dyn std::fmt::Display| Error::recipe(format!("overlay {}: {why}", entry.host.display()));
        let parent = real_parent(tree, &entry.at)?;
        let path = parent.child(&entry.name).ok_or_else(|| wrong(&"its path in the image is too long"))?;
        let meta = std::fs::symlink_metadata(&entry.host).map_err(|e| wrong(&e))?;
        if meta.is_dir() {
            match tree.get(&path).map(|id| &tree.inode(id).kind) {
                Some(NodeKind::Directory(_) | NodeKind::Symlink(_)) => {}
                _ => {
                    tree.insert(&path, Inode::directory(Attributes::at(epoch, 0o755)), Edit::Replace).map_err(|e| wrong(&e))?;
                }
            }
            pending.extend(names(&entry.host, &path)?);
            continue;
        }
        let inode = if meta.is_symlink() {
            let target = std::fs::read_link(&entry.host).map_err(|e| wrong(&e))?;
            let mut link = Inode::symlink(target.as_os_str().as_bytes());
            link.attributes.mtime = i64::from(epoch.0);
            link
        } else if meta.is_file() {
            let private = PRIVATE.iter().any(|p| path.as_bytes().starts_with(p.as_bytes()));
            let mode = match (private, meta.permissions().mode() & 0o100 != 0) {
                (true, _) => 0o440,
                (_, true) => 0o755,
                (_, false) => 0o644,
            };
            Inode::file(content(&entry.host, &meta, &mut checked).map_err(|e| wrong(&e))?, Attributes::at(epoch, mode))
        } else {
            return Err(wrong(&"it is neither file, directory nor symlink")
                .hint("devices, FIFOs and sockets are made on the host: see tmpfiles.d(5)"));
        };
        tree.insert(&path, inode, Edit::Replace).map_err(|e| wrong(&e))?;
        written.push(path);
    }
    Ok(written)
}

/// A name in a folder of the overlay.
struct Entry {
    host: PathBuf,
    /// The folder in the image.
    at: ImagePath,
    name: Vec<u8>,
}

/// The last name first, so that taking from the end goes in order.
fn names(folder: &Path, at: &ImagePath) -> Result<Vec<Entry>> {
    let wrong = |e: std::io::Error| Error::recipe(format!("cannot read the overlay folder {}", folder.display())).source(e);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        entries.push(Entry { host: entry.path(), at: at.clone(), name: entry.file_name().as_bytes().to_vec() });
    }
    entries.sort_by(|a, b| b.name.cmp(&a.name));
    Ok(entries)
}

/// The bytes of a file, which must not change before the build is done. `checked` counts the files that are kept open.
fn content(host: &Path, meta: &Metadata, checked: &mut usize) -> Result<Blob> {
    let changed = || Error::recipe("it changed while it was read");
    let unreadable = |e: std::io::Error| Error::recipe("cannot read it").source(e);
    if meta.len() > MAX_FILE.0 {
        return Err(Error::recipe(format!("it has {}, expected at most {MAX_FILE}", ByteSize(meta.len()))));
    }
    if meta.len() > MAX_IN_MEMORY.0 {
        let file = open_regular(host).map_err(unreadable)?;
        let opened = file.metadata().map_err(unreadable)?;
        if (opened.dev(), opened.ino(), opened.len()) != (meta.dev(), meta.ino(), meta.len()) {
            return Err(changed());
        }
        if *checked == MAX_CHECKED {
            return Ok(Blob::Unopened { path: host.into(), offset: 0, len: meta.len() });
        }
        *checked += 1;
        let (file, digest) = CheckedFile::scan(file, host, Alarm::default())?;
        let len = file.len();
        if len != meta.len() {
            return Err(changed());
        }
        return Ok(Blob::Checked { file: Arc::new(file), offset: 0, len, content: Some(Content { digest, offset: 0, len }) });
    }
    let bytes = read_regular(host, MAX_IN_MEMORY.0).map_err(unreadable)?;
    if bytes.len() as u64 == meta.len() { Ok(bytes.into()) } else { Err(changed()) }
}

/// A folder named /lib/x in an overlay belongs to /usr/lib/x where /lib is a link of the tree.
fn real_parent(tree: &FileTree, at: &ImagePath) -> Result<ImagePath> {
    match tree.resolve(at) {
        Some((real, id)) if tree.inode(id).is_directory() => Ok(real),
        Some((real, _)) => Err(Error::recipe(format!("overlay folder {at} meets {real}, which is not a directory"))),
        None => Ok(at.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Kind;
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    fn applied(folder: &Path) -> Result<(FileTree, Vec<ImagePath>)> {
        let mut tree = FileTree::new();
        tree.insert(&ImagePath::parse("/usr/lib").unwrap(), Inode::directory(Attributes::root(0o755)), Edit::Create).unwrap();
        tree.insert(&ImagePath::parse("/lib").unwrap(), Inode::symlink("usr/lib"), Edit::Create).unwrap();
        let written = apply(&mut tree, folder, SourceDateEpoch(7))?;
        Ok((tree, written))
    }

    #[test]
    fn a_long_file_stays_on_the_disk_and_names_come_in_order() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("lib/b")).unwrap();
        fs::create_dir_all(folder.path().join("etc")).unwrap();
        fs::write(folder.path().join("README.md"), "not laid").unwrap();
        fs::write(folder.path().join("lib/b/small"), "s").unwrap();
        symlink("loop", folder.path().join("etc/loop")).unwrap();
        let big = File::create(folder.path().join("lib/a-big")).unwrap();
        big.set_len(8 << 20).unwrap();
        let (tree, written) = applied(folder.path()).unwrap();
        let shown: Vec<String> = written.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["/etc/loop", "/usr/lib/a-big", "/usr/lib/b/small"]);
        let NodeKind::File(content) = &tree.at("/usr/lib/a-big").unwrap().kind else { panic!("a file is a file") };
        assert!(matches!(content, Blob::Checked { .. }) && content.len() == 8 << 20);
        assert!(content.read_exact_at(&mut [0; 8], 1 << 20).is_ok());
        // What changes afterwards is an error, not another content.
        std::os::unix::fs::FileExt::write_at(&big, b"x", (1 << 20) + 100).unwrap();
        assert!(content.read_exact_at(&mut [0; 8], 1 << 20).is_err());
        big.set_len(5).unwrap();
        assert!(content.read_exact_at(&mut [0; 8], 2 << 20).is_err());
    }

    #[test]
    fn what_no_image_can_hold_is_refused_by_name() {
        let check = |make: &dyn Fn(&Path), expected: &str| {
            let folder = tempfile::tempdir().unwrap();
            make(folder.path());
            let error = applied(folder.path()).map(drop).unwrap_err();
            assert_eq!(error.kind(), Kind::Recipe, "{error}");
            assert!(error.to_string().contains(expected) && error.to_string().contains(&folder.path().display().to_string()), "{error}");
        };
        let fifo = |at: &Path| rustix::fs::mkfifoat(rustix::fs::CWD, at.join("f"), rustix::fs::Mode::RUSR).unwrap();
        check(&fifo, "neither file, directory nor symlink");
        check(&|at| drop(std::os::unix::net::UnixListener::bind(at.join("s")).unwrap()), "neither file, directory nor symlink");
        check(&|at| File::create(at.join("tera")).unwrap().set_len(1 << 40).unwrap(), "it has 1024.00 GiB, expected at most 16.00 GiB");
        let over_a_directory = |at: &Path| {
            fs::create_dir(at.join("usr")).unwrap();
            fs::write(at.join("usr/lib"), "a file").unwrap();
        };
        check(&over_a_directory, "cannot replace the directory /usr/lib by a file");
    }

    #[test]
    fn folders_nested_as_deep_as_a_disk_allows_are_an_error_and_no_crash() {
        let folder = tempfile::tempdir().unwrap();
        let mut at = File::open(folder.path()).unwrap();
        for _ in 0..3_000 {
            rustix::fs::mkdirat(&at, "d", rustix::fs::Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, "d", rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap().into();
        }
        let error = applied(folder.path()).map(drop).unwrap_err();
        assert_eq!(error.kind(), Kind::Recipe);
        assert!(error.to_string().contains("too long"), "{error}");
    }
}
