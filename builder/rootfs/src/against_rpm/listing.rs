//! A tree as rows that can be compared: ours, and one that rpm left on a disk.

use model::Digest;
use model::tree::{FileTree, NodeKind};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Everything but times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// With the kind, as in `st_mode`.
    pub mode: u32,
    pub owner: (u32, u32),
    /// Of a file's contents, or the target of a link.
    pub content: String,
    pub capability: Option<Vec<u8>>,
    /// Names of the same inode.
    pub names: u64,
}

pub(super) type Listing = BTreeMap<String, Row>;

pub(super) fn of_tree(tree: &FileTree) -> Listing {
    let counts = tree.link_counts();
    let row = |id| {
        let inode = tree.inode(id);
        let content = match &inode.kind {
            NodeKind::File(blob) => blob.digest().unwrap().to_string(),
            NodeKind::Symlink(target) => String::from_utf8_lossy(target).into_owned(),
            _ => String::new(),
        };
        Row {
            mode: inode.st_mode(),
            owner: (inode.attributes.uid, inode.attributes.gid),
            content,
            capability: inode.attributes.xattrs.get(b"security.capability".as_slice()).map(|value| value.to_vec()),
            names: if inode.is_directory() { 1 } else { u64::from(counts[id.index()]) },
        }
    };
    tree.walk().into_iter().map(|entry| (entry.path.to_string(), row(entry.id))).collect()
}

pub(super) fn of_disk(root: &Path) -> Listing {
    let mut found = Listing::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(path) = pending.pop() {
        let meta = path.symlink_metadata().unwrap();
        let content = if meta.is_file() {
            Digest::of(&std::fs::read(&path).unwrap()).to_string()
        } else if meta.is_symlink() {
            String::from_utf8_lossy(std::fs::read_link(&path).unwrap().as_os_str().as_bytes()).into_owned()
        } else {
            String::new()
        };
        if meta.is_dir() {
            pending.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let mut value = [0u8; 64];
        let capability = rustix::fs::lgetxattr(&path, "security.capability", &mut value).ok().map(|len| value[..len].to_vec());
        let name = format!("/{}", path.strip_prefix(root).unwrap().display());
        let names = if meta.is_dir() { 1 } else { meta.nlink() };
        found.insert(name, Row { mode: meta.mode(), owner: (meta.uid(), meta.gid()), content, capability, names });
    }
    found
}
