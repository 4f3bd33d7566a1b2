//! A tree written to and read from a folder of the host, so that a foreign tool can look at it.

use model::Digest;
use model::tree::{FileTree, InodeId, NodeKind};
use rustix::fs::{Gid, Uid, XattrFlags};
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub(super) fn write(tree: &FileTree, to: &Path) {
    let mut written: BTreeMap<InodeId, PathBuf> = BTreeMap::new();
    for entry in tree.walk() {
        let at = to.join(String::from_utf8_lossy(entry.path.as_bytes()).trim_start_matches('/'));
        let inode = tree.inode(entry.id);
        if let Some(first) = written.get(&entry.id) {
            std::fs::hard_link(first, &at).unwrap();
            continue;
        }
        match &inode.kind {
            NodeKind::Directory(_) => std::fs::create_dir_all(&at).unwrap(),
            NodeKind::File(blob) => std::fs::write(&at, blob.to_vec().unwrap()).unwrap(),
            NodeKind::Symlink(target) => std::os::unix::fs::symlink(String::from_utf8_lossy(target).as_ref(), &at).unwrap(),
            other => panic!("cannot write a {}", other.name()),
        }
        let a = &inode.attributes;
        rustix::fs::chownat(
            rustix::fs::CWD,
            &at,
            Some(Uid::from_raw(a.uid)),
            Some(Gid::from_raw(a.gid)),
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
        if !matches!(inode.kind, NodeKind::Symlink(_)) {
            std::fs::set_permissions(&at, std::fs::Permissions::from_mode(a.mode.into())).unwrap();
        }
        for (name, value) in &a.xattrs {
            rustix::fs::lsetxattr(&at, &**name, value, XattrFlags::empty()).unwrap();
        }
        written.insert(entry.id, at);
    }
}

/// One line a name: mode, owner, xattrs, content or target, and for files all names of the same inode.
pub(super) fn describe(root: &Path) -> BTreeMap<String, String> {
    let mut found: Vec<(String, u64, String)> = Vec::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(at) = pending.pop() {
        let m = std::fs::symlink_metadata(&at).unwrap();
        let name = at.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let mut line = format!("{:o} {}:{}", m.mode(), m.uid(), m.gid());
        let mut names = [0; 4096];
        let length = rustix::fs::llistxattr(&at, &mut names).unwrap();
        let mut xattrs: Vec<&[u8]> = names[..length].split(|&b| b == 0).filter(|n| !n.is_empty()).collect();
        xattrs.sort();
        for xattr in xattrs {
            let mut value = [0; 4096];
            let length = rustix::fs::lgetxattr(&at, xattr, &mut value).unwrap();
            if length == 0 {
                // None to libostree, and so to us.
                continue;
            }
            line += &format!(" {}={}", String::from_utf8_lossy(xattr), hex::encode(&value[..length]));
        }
        if m.is_dir() {
            pending.extend(std::fs::read_dir(&at).unwrap().map(|e| e.unwrap().path()));
            found.push((name, 0, line));
        } else if m.is_symlink() {
            found.push((name, m.ino(), format!("{line} -> {}", std::fs::read_link(&at).unwrap().display())));
        } else {
            let bytes = std::fs::read(&at).unwrap();
            let shown = if bytes.len() < 400 { String::from_utf8_lossy(&bytes).into_owned() } else { Digest::of(&bytes).to_string() };
            found.push((name, m.ino(), format!("{line} {shown:?}")));
        }
    }
    let mut links: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    // The boot filesystem is another one in an image, so its links are not compared.
    for (name, inode, _) in found.iter().filter(|(name, inode, _)| *inode != 0 && !name.starts_with("boot/")) {
        links.entry(*inode).or_default().push(name.clone());
    }
    links.values_mut().for_each(|names| names.sort());
    let all = |inode: u64| links.get(&inode).map_or(String::new(), |names| names.join(" = "));
    found
        .into_iter()
        .map(|(name, inode, line)| (name.clone(), if name.starts_with("boot/") { line } else { line + " | " + &all(inode) }))
        .collect()
}
