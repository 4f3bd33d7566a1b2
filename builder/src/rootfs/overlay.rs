//! Folders of files that are laid over the rootfs, one for each role. Mode: the executable bit of the file; everything else is stated here.

use crate::base::{Error, ImagePath, Result, ResultExt, SourceDateEpoch};
use crate::tree::{Attributes, Edit, FileTree, Inode, NodeKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Files that only root may read, whatever the umask of the checkout.
const PRIVATE: &[&str] = &["/etc/sudoers", "/etc/sudoers.d/"];

/// Lays `folder` over the tree, files root:root 0644 or 0755 by their executable bit. Returns the paths that it wrote, sorted.
pub fn apply(tree: &mut FileTree, folder: &Path, epoch: SourceDateEpoch) -> Result<Vec<ImagePath>> {
    let mut written = Vec::new();
    lay(tree, folder, &ImagePath::root(), epoch, &mut written)?;
    Ok(written)
}

fn lay(tree: &mut FileTree, host: &Path, at: &ImagePath, epoch: SourceDateEpoch, written: &mut Vec<ImagePath>) -> Result<()> {
    let doing = || format!("read overlay {}", host.display());
    let mut names = std::fs::read_dir(host).context(doing)?.collect::<std::io::Result<Vec<_>>>().context(doing)?;
    names.sort_by_key(|entry| entry.file_name());
    for entry in names {
        let name = entry.file_name();
        if *at == ImagePath::root() && name == "README.md" {
            continue;
        }
        let path = real_parent(tree, at)?.join(name.as_bytes())?;
        let meta = entry.metadata().context(doing)?;
        let attributes = |mode| Attributes { mtime: i64::from(epoch.0), ..Attributes::root(mode) };
        if meta.is_dir() {
            match tree.get(&path).map(|id| &tree.inode(id).kind) {
                Some(NodeKind::Directory(_) | NodeKind::Symlink(_)) => {}
                _ => {
                    tree.insert(&path, Inode::directory(attributes(0o755)), Edit::Replace)?;
                }
            }
            lay(tree, &entry.path(), &path, epoch, written)?;
            continue;
        }
        let inode = if meta.file_type().is_symlink() {
            let target = std::fs::read_link(entry.path()).context(doing)?;
            let mut link = Inode::symlink(target.as_os_str().as_bytes());
            link.attributes.mtime = i64::from(epoch.0);
            link
        } else if meta.is_file() {
            let private = PRIVATE.iter().any(|p| path.as_bytes().starts_with(p.as_bytes()));
            let mode = match (private, meta.permissions().mode() & 0o100 != 0) {
                (true, _) => 0o440,
                (_, true) => 0o755,
                _ => 0o644,
            };
            Inode::file(std::fs::read(entry.path()).context(doing)?, attributes(mode))
        } else {
            return Err(Error::recipe(format!("overlay {} is neither file, directory nor symlink", entry.path().display())));
        };
        tree.insert(&path, inode, Edit::Replace).context(|| format!("overlay {}", entry.path().display()))?;
        written.push(path);
    }
    Ok(())
}

/// A folder named /lib/x in an overlay belongs to /usr/lib/x where /lib is a link of the tree.
fn real_parent(tree: &FileTree, at: &ImagePath) -> Result<ImagePath> {
    match tree.resolve(at) {
        Some((real, id)) if tree.inode(id).is_directory() => Ok(real),
        Some((real, _)) => Err(Error::recipe(format!("overlay folder {at} meets {real}, which is not a directory"))),
        None => Ok(at.clone()),
    }
}
