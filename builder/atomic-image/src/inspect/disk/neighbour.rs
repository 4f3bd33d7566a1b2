//! The files that an image names: backing files and extents.
//!
//! An image from elsewhere is not trusted to name any file of this machine. A name is followed only to a regular file in the folder of the image
//! that was opened, or below it, with every symlink on the way resolved first; and only to so many files, none of them twice.

use model::{Error, InputExt, Result};
use std::path::{Path, PathBuf};

/// Files on the way to the last backing file at most; QEMU's own tools get slow long before.
const CHAIN_MAX: usize = 32;

/// Device and inode: what makes two names the same file.
type Identity = (u64, u64);

/// The files from the image that was opened to the one that is being opened.
#[derive(Clone)]
pub(super) struct Chain {
    /// The folder of the image that was opened, as it really is.
    root: PathBuf,
    open: Vec<Identity>,
}

impl Chain {
    pub(super) fn starting_at(image: &Path) -> Result<Self> {
        let folder = image.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // A folder that is not there is told as the image that is not there.
        let root = folder.canonicalize().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::recipe("no such file"),
            _ => Err::<(), _>(e).input(|| "cannot open its folder").err().unwrap_or_else(|| Error::internal("cannot open its folder")),
        })?;
        Ok(Chain { root, open: Vec::new() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn enter(&mut self, file: Identity) -> Result<()> {
        if self.open.contains(&file) {
            return Err(Error::integrity("a chain of backing files that comes back to this file"));
        }
        if self.open.len() == CHAIN_MAX {
            return Err(Error::recipe(format!("a chain of more than {CHAIN_MAX} backing files")));
        }
        self.open.push(file);
        Ok(())
    }

    /// The real path of the file that `image` names; `what` it is, for messages.
    pub(super) fn follow(&self, image: &Path, name: &str, what: &str) -> Result<PathBuf> {
        let refused = |why: &str| Error::recipe(format!("its {what} {name:?} {why}"));
        let plain = name.strip_prefix("file:").unwrap_or(name);
        // QEMU's own rule: a colon before any slash makes it a protocol, such as nbd: or json:.
        let is_protocol = plain.split('/').next().is_some_and(|first| first.contains(':')) || plain.starts_with("//");
        if is_protocol || plain.is_empty() || plain.contains('\0') {
            return Err(refused("is no path of a file, and is not followed"));
        }
        let path = image.parent().unwrap_or(Path::new("")).join(plain);
        let real = path.canonicalize().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                refused("is not there").hint("copy it beside the image, under the name that the image has for it")
            }
            _ => refused("cannot be opened").source(e),
        })?;
        if !real.starts_with(&self.root) {
            return Err(refused("is outside of the image's folder, and is not followed"));
        }
        if !real.is_file() {
            return Err(refused("is no regular file, and is not followed"));
        }
        Ok(real)
    }
}
