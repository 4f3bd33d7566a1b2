//! A tree as text, one line a name: what two trees differ in is what `diff` shows of their dumps.
//!
//! ```text
//! PATH directory MODE UID:GID MTIME
//! PATH file MODE UID:GID MTIME SIZE sha256:DIGEST
//! PATH symlink MODE UID:GID MTIME -> TARGET
//! PATH character-device|block-device MODE UID:GID MTIME MAJOR:MINOR
//! PATH fifo|socket MODE UID:GID MTIME
//! PATH = FIRST                              another name of the file at FIRST (a hard link)
//! ```
//!
//! MODE has four octal digits; SIZE is in bytes; MTIME is in seconds since 1970 UTC, with nine digits behind a point where it has nanoseconds.
//! Behind that stand `immutable` where it is set, then the extended attributes in byte order of their names, `NAME=VALUE`. In paths,
//! targets, names and values everything but printable ASCII, and blanks, `\\` and `=`, is written `\\xHH`.

use crate::Result;
use crate::tree::{FileTree, InodeId, NodeKind};
use std::collections::BTreeMap;
use std::fmt::Write as _;

impl FileTree {
    /// Returns the tree as text, parents before children and siblings in byte order. Reads the contents of every file.
    pub fn dump(&self) -> Result<String> {
        let mut out = String::new();
        let mut first_names: BTreeMap<InodeId, String> = BTreeMap::new();
        for entry in self.walk() {
            let path = escaped(entry.path.as_bytes());
            if let Some(first) = first_names.get(&entry.id) {
                _ = writeln!(out, "{path} = {first}");
                continue;
            }
            _ = writeln!(out, "{path} {}", self.describe(entry.id)?);
            first_names.insert(entry.id, path);
        }
        Ok(out)
    }

    /// Returns what stands behind the path.
    fn describe(&self, id: InodeId) -> Result<String> {
        let inode = self.inode(id);
        let attributes = &inode.attributes;
        let mut line = inode.kind.name().replace(' ', "-");
        _ = write!(line, " {:04o} {}:{} {}", attributes.mode, attributes.uid, attributes.gid, attributes.mtime);
        if attributes.mtime_nanoseconds != 0 {
            _ = write!(line, ".{:09}", attributes.mtime_nanoseconds);
        }
        match &inode.kind {
            NodeKind::File(content) => _ = write!(line, " {} sha256:{}", content.len(), content.digest()?),
            NodeKind::Symlink(target) => _ = write!(line, " -> {}", escaped(target)),
            NodeKind::CharDevice { major, minor } | NodeKind::BlockDevice { major, minor } => _ = write!(line, " {major}:{minor}"),
            NodeKind::Directory(_) | NodeKind::Fifo | NodeKind::Socket => {}
        }
        if attributes.immutable {
            line.push_str(" immutable");
        }
        for (name, value) in &attributes.xattrs {
            _ = write!(line, " {}={}", escaped(name), escaped(value));
        }
        Ok(line)
    }
}

fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_graphic() && byte != b'\\' && byte != b'=' {
            out.push(byte.into());
        } else {
            _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::tree::{Attributes, Edit, FileTree, Inode, NodeKind};
    use crate::{Digest, ImagePath};

    #[test]
    fn a_line_says_all_of_an_inode_and_odd_bytes_are_escaped() {
        let check = |path: &[u8], inode: Inode, expected: &str| {
            let mut tree = FileTree::new();
            tree.insert(&ImagePath::parse(path).unwrap(), inode, Edit::Create).unwrap();
            assert_eq!(tree.dump().unwrap(), format!("/ directory 0755 0:0 0\n{expected}\n"));
        };
        let special = |kind| Inode { kind, attributes: Attributes::root(0o600) };
        let file = Inode::file(b"text".as_slice(), Attributes { uid: 7, gid: 8, mtime: -5, ..Attributes::root(0o4755) });
        check(b"/f", file, &format!("/f file 4755 7:8 -5 4 sha256:{}", Digest::of(b"text")));
        check(
            b"/d",
            Inode::directory(Attributes { mtime: 9, mtime_nanoseconds: 70, ..Attributes::root(0o1777) }),
            "/d directory 1777 0:0 9.000000070",
        );
        check(b"/l", Inode::symlink("../a b"), "/l symlink 0777 0:0 0 -> ../a\\x20b");
        check(b"/c", special(NodeKind::CharDevice { major: 1, minor: 3 }), "/c character-device 0600 0:0 0 1:3");
        check(b"/b", special(NodeKind::BlockDevice { major: 8, minor: 0 }), "/b block-device 0600 0:0 0 8:0");
        check(b"/p", special(NodeKind::Fifo), "/p fifo 0600 0:0 0");
        check(b"/s", special(NodeKind::Socket), "/s socket 0600 0:0 0");
        check("/\u{e4}\n\\=".as_bytes(), special(NodeKind::Fifo), "/\\xc3\\xa4\\x0a\\x5c\\x3d fifo 0600 0:0 0");
        let xattrs = [(b"user.b".as_slice(), b"\0=".as_slice()), (b"user.a", b"v")];
        let xattrs = xattrs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let marked = Inode::directory(Attributes { xattrs, immutable: true, ..Attributes::root(0o700) });
        check(b"/x", marked, "/x directory 0700 0:0 0 immutable user.a=v user.b=\\x00\\x3d");
    }

    #[test]
    fn a_second_name_of_a_file_refers_to_the_first_in_the_order_of_the_dump() {
        let mut tree = FileTree::new();
        let path = |text: &str| ImagePath::parse(text).unwrap();
        let id = tree.insert(&path("/b"), Inode::file(b"".as_slice(), Attributes::root(0o644)), Edit::Create).unwrap();
        tree.link(&path("/a"), id).unwrap();
        let dump = tree.dump().unwrap();
        let lines: Vec<&str> = dump.lines().collect();
        assert!(lines[1].starts_with("/a file 0644 0:0 0 0 sha256:e3b0c442"), "{dump}");
        assert_eq!(lines[2..], ["/b = /a"]);
    }
}
