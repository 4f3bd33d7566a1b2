//! A second disk with every kind of inode and attribute: the guest's kernel tells the tree back, writes into it and seals a file; e2fsck comes after.

use crate::guest::Guest;
use disks::export::raw;
use filesystems::ext4;
use model::tree::{Attributes, Edit, FileTree, Inode, NodeKind};
use model::{Blob, Digest, Error, ImagePath, Kind, Result, Segment, Segments, Silent, SourceDateEpoch};
use std::path::Path;
use std::sync::Arc;

const SCRIPT: &str = include_str!("kinds.py");
const SEALED: &[u8] = b"nobody changes this any more\n";

/// Writes the disk and returns what is in it.
pub fn write(disk: &Path) -> Result<FileTree> {
    let tree = tree()?;
    let options =
        ext4::Options { reserve: 64 << 20, verity: true, ..ext4::Options::new("kinds", [0x5a; 16], SourceDateEpoch(1_700_000_000)) };
    raw::write(&ext4::plan(&tree, &options)?, "raw", None, disk, &Silent)?.name()?;
    Ok(tree)
}

/// The guest has the disk attached.
pub fn told_by(guest: &Guest, tree: &FileTree) -> Result<()> {
    let said = guest.ssh("sudo python3 -", SCRIPT.as_bytes(), 900)?;
    let mut found: Vec<&str> = said.lines().collect();
    let sealed = format!("sealed {}", sealed_digest());
    if found.pop() != Some(sealed.as_str()) {
        return Err(failed(format!("expected {sealed} as the last line of the kernel's words, found {:?}", said.lines().last())));
    }
    let mut expected = expected(tree)?;
    expected.sort();
    found.sort_unstable();
    if found.len() != expected.len() {
        return Err(failed(format!("expected {} inodes, the kernel sees {}", expected.len(), found.len())));
    }
    match expected.iter().zip(found).find(|(expected, found)| expected != found) {
        Some((expected, found)) => Err(failed(format!("expected the kernel to see\n{expected}\nfound\n{found}"))),
        None => Ok(()),
    }
}

fn failed(what: String) -> Error {
    Error::new(Kind::Verification, what)
}

/// Lines as the script prints them.
fn expected(tree: &FileTree) -> Result<Vec<String>> {
    let links = tree.link_counts();
    let line = |entry: model::tree::Entry| {
        let inode = tree.inode(entry.id);
        let a = &inode.attributes;
        let count = links.get(entry.id.index()).map_or_else(String::new, u32::to_string);
        let (content, count) = match &inode.kind {
            NodeKind::Directory(_) => ("-".to_owned(), "-".to_owned()),
            NodeKind::File(blob) => (blob.digest()?.to_string(), count),
            NodeKind::Symlink(target) => (hex(target), count),
            NodeKind::CharDevice { major, minor } | NodeKind::BlockDevice { major, minor } => (format!("{major}:{minor}"), count),
            NodeKind::Fifo | NodeKind::Socket => ("-".to_owned(), count),
        };
        let attributes: Vec<String> =
            a.xattrs.iter().map(|(name, value)| format!("{}={}", String::from_utf8_lossy(name), Digest::of(value))).collect();
        let attributes = if attributes.is_empty() { "-".to_owned() } else { attributes.join(",") };
        let time = i128::from(a.mtime) * 1_000_000_000 + i128::from(a.mtime_nanoseconds);
        let (name, mode, immutable) = (hex(entry.path.as_bytes()), inode.st_mode(), if a.immutable { "i" } else { "-" });
        Ok(format!("{name} {mode:o} {} {} {count} {time} {content} {attributes} {immutable}", a.uid, a.gid))
    };
    tree.walk().into_iter().map(line).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// fs-verity's digest of a file of at most one block: SHA-256 of a descriptor with the block's own (Documentation/filesystems/fsverity.rst).
fn sealed_digest() -> Digest {
    let mut block = SEALED.to_vec();
    block.resize(4096, 0);
    let mut descriptor = vec![1, 1, 12, 0, 0, 0, 0, 0];
    descriptor.extend((SEALED.len() as u64).to_le_bytes());
    descriptor.extend(Digest::of(&block).as_bytes());
    descriptor.resize(256, 0);
    Digest::of(&descriptor)
}

fn tree() -> Result<FileTree> {
    let mut tree = FileTree::new();
    let mut add = |path: &[u8], kind: NodeKind, attributes: Attributes| -> Result<()> {
        tree.insert(&ImagePath::parse(path)?, Inode { kind, attributes }, Edit::Create).map(drop)
    };
    let file = |bytes: &[u8]| NodeKind::File(Blob::from(bytes));
    let directory = || NodeKind::Directory(Default::default());
    let mode = Attributes::root;
    let long: Vec<u8> = (0..700_000u32).map(|n| (n / 3) as u8).collect();

    add(b"/empty", file(b""), mode(0o600))?;
    add(b"/plain", file(&long), Attributes { uid: 100_000, gid: 4_000_000_000, ..mode(0o640) })?;
    add(b"/sealed", file(SEALED), mode(0o644))?;
    add(b"/immutable", file(b"as it is"), Attributes { immutable: true, ..mode(0o644) })?;
    add(b"/fixed", directory(), Attributes { immutable: true, ..mode(0o755) })?;
    add(b"/setuid", file(b"x"), mode(0o4755))?;
    add(b"/sticky", directory(), mode(0o1777))?;
    for (name, mtime, mtime_nanoseconds) in
        [("1902", -2_145_916_800, 1), ("1969", -1, 999_999_999), ("2040", 2_208_988_800, 123_456_789), ("2400", 13_569_465_600, 5)]
    {
        add(format!("/time-{name}").as_bytes(), file(name.as_bytes()), Attributes { mtime, mtime_nanoseconds, ..mode(0o644) })?;
    }

    let segment = |offset, bytes: &[u8]| Segment { offset, data: bytes.into() };
    let sparse = Segments::new(8 << 20, vec![segment(5000, b"first"), segment((8 << 20) - 4, b"last")])?;
    add(b"/sparse", NodeKind::File(Blob::Sparse(Arc::new(sparse))), mode(0o644))?;
    // More extents than one node of the tree has.
    let fragments = (0..400).map(|n| segment(n * 8192, &n.to_le_bytes())).collect();
    add(b"/fragments", NodeKind::File(Blob::Sparse(Arc::new(Segments::new(400 * 8192, fragments)?))), mode(0o644))?;

    add(b"/names", directory(), mode(0o755))?;
    for n in 0..5000 {
        add(format!("/names/{n:04}").as_bytes(), file(b"n"), mode(0o644))?;
    }
    add(b"/not utf-8 \xff\xfe\n", file(b"x"), mode(0o644))?;
    add(format!("/{}", "l".repeat(255)).as_bytes(), file(b"x"), mode(0o644))?;
    for (name, length) in [("/short", 59), ("/longer", 60), ("/longest", 4095)] {
        add(name.as_bytes(), NodeKind::Symlink(vec![b't'; length].into()), mode(0o777))?;
    }
    add(b"/null", NodeKind::CharDevice { major: 1, minor: 3 }, mode(0o666))?;
    add(b"/far", NodeKind::CharDevice { major: 300, minor: 70_000 }, mode(0o600))?;
    add(b"/block", NodeKind::BlockDevice { major: 8, minor: 1 }, mode(0o660))?;
    add(b"/fifo", NodeKind::Fifo, mode(0o600))?;
    add(b"/socket", NodeKind::Socket, mode(0o600))?;

    let with = |permissions: u16, pairs: &[(&str, &[u8])]| {
        let xattrs = pairs.iter().map(|(name, value)| (Box::from(name.as_bytes()), Box::from(*value))).collect();
        Attributes { xattrs, ..mode(permissions) }
    };
    let (block, large) = (vec![b'b'; 1000], (0..20_000u32).map(|n| n as u8).collect::<Vec<u8>>());
    add(
        b"/attributes",
        file(b"a"),
        with(0o644, &[("user.block", &block), ("user.large", &large), ("user.small", b"s"), ("trusted.t", b"")]),
    )?;
    for n in 0..3 {
        add(format!("/shared-{n}").as_bytes(), file(b"s"), with(0o644, &[("user.block", &block)]))?;
    }
    // cap_net_bind_service=ep, version 2.
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    add(b"/capable", file(b"c"), with(0o755, &[("security.capability", &capability)]))?;
    add(b"/acl", file(b"a"), with(0o674, &[("system.posix_acl_access", &acl())]))?;
    add(b"/acl-default", directory(), with(0o755, &[("system.posix_acl_default", &acl())]))?;

    add(b"/one", file(&long), mode(0o644))?;
    let one = tree.get(&ImagePath::parse("/one")?).ok_or_else(|| Error::internal("/one is not there"))?;
    tree.link(&ImagePath::parse("/two")?, one)?;
    Ok(tree)
}

/// Owner rw-, user 1000 r-x, group r-x, mask rwx, others r--, in the form of getxattr.
fn acl() -> Vec<u8> {
    let mut out = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [(1u16, 6u16, u32::MAX), (2, 5, 1000), (4, 5, u32::MAX), (0x10, 7, u32::MAX), (0x20, 4, u32::MAX)] {
        out.extend(tag.to_le_bytes());
        out.extend(permissions.to_le_bytes());
        out.extend(id.to_le_bytes());
    }
    out
}
