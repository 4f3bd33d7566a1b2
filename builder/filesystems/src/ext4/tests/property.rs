//! Random trees of every kind and attribute, told back by four others: e2fsck, debugfs, the `ext4-view` crate, and `mke2fs -d` on the
//! same tree in a directory.

use super::*;
use ext4_view::{Ext4, Ext4Error};
use model::{Digest, ResultExt};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Inodes of the biggest tree: 10^5 where everything is tested.
#[expect(clippy::disallowed_methods, reason = "the test command says how much there is to be tested")]
fn biggest() -> usize {
    if std::env::var_os("ATOMIC_IMAGE_THOROUGH").is_some() { 100_000 } else { 5_000 }
}

#[test]
fn four_others_tell_random_trees_back() {
    let dir = tempfile::tempdir().unwrap();
    for (seed, count) in [(41, 0), (42, 1), (43, 10), (44, 100), (45, 1000), (46, biggest())] {
        let image = dir.path().join("fs");
        let tree = early_in_its_era(random_tree(seed, count));
        let options = Options { journal: seed % 2 == 0, stable_prefix: seed % 3 == 0, ..options() };
        let segments = plan(&tree, &options).unwrap();
        write(&segments, &image);
        assert_clean(&image);
        let view = Ext4::load_from_path(&image).unwrap();
        for entry in tree.walk() {
            told_by_ext4_view(&view, &tree, &entry).unwrap_or_else(|e| panic!("tree {seed}: {}: {e}", entry.path));
        }
        attributes_by_debugfs(&image, &tree, dir.path());
        let again = plan(&early_in_its_era(random_tree(seed, count)), &options).unwrap();
        assert!(digest(&segments) == digest(&again), "tree {seed} of {count}");
    }
}

/// ext4-view 1.0 refuses times whose low 32 bits are negative: 1901 to 1969, 2038 to 2106 and so on.
fn early_in_its_era(mut tree: FileTree) -> FileTree {
    for entry in tree.walk() {
        tree.inode_mut(entry.id).attributes.mtime &= 0x3_7fff_ffff;
    }
    tree
}

fn digest(segments: &Segments) -> Digest {
    model::Blob::Sparse(std::sync::Arc::new(segments.clone())).digest().unwrap()
}

fn told_by_ext4_view(view: &Ext4, tree: &FileTree, entry: &model::tree::Entry) -> Result<(), Ext4Error> {
    let inode = tree.inode(entry.id);
    let at = ext4_view::PathBuf::try_from(entry.path.as_bytes()).unwrap();
    let found = view.symlink_metadata(&at)?;
    let a = &inode.attributes;
    assert_eq!((found.mode(), found.uid(), found.gid()), (a.mode, a.uid, a.gid), "{}", entry.path);
    assert_eq!((found.modified().seconds(), found.modified().nanoseconds()), (a.mtime, a.mtime_nanoseconds), "{}", entry.path);
    let kind = found.file_type();
    let is_kind = match &inode.kind {
        NodeKind::Directory(names) => {
            let names: Vec<Vec<u8>> = names.keys().map(|name| name.to_vec()).collect();
            let mut listed =
                view.read_dir(&at)?.map(|e| Ok(e?.file_name().as_ref().to_vec())).collect::<Result<Vec<Vec<u8>>, Ext4Error>>()?;
            listed.retain(|name| name != b"." && name != b".." && name != b"lost+found");
            listed.sort();
            assert!(listed == names, "{}", entry.path);
            kind.is_dir()
        }
        NodeKind::File(blob) => {
            assert!(view.read(&at)? == blob.to_vec().unwrap(), "{}", entry.path);
            kind.is_regular_file()
        }
        NodeKind::Symlink(target) => {
            assert_eq!(view.read_link(&at)?.as_ref(), &**target, "{}", entry.path);
            kind.is_symlink()
        }
        NodeKind::CharDevice { .. } => kind.is_char_dev(),
        NodeKind::BlockDevice { .. } => kind.is_block_dev(),
        NodeKind::Fifo => kind.is_fifo(),
        NodeKind::Socket => kind.is_socket(),
    };
    assert!(is_kind, "{}: {kind:?}", entry.path);
    Ok(())
}

/// `ea_list` of every inode that has attributes: names and lengths.
fn attributes_by_debugfs(image: &Path, tree: &FileTree, dir: &Path) {
    let with: Vec<_> = tree.walk().into_iter().filter(|e| !tree.inode(e.id).attributes.xattrs.is_empty()).collect();
    let commands = dir.join("commands");
    std::fs::write(&commands, with.iter().map(|e| format!("ea_list {}\n", e.path)).collect::<String>()).unwrap();
    let output = run("debugfs", &["-f", commands.to_str().unwrap(), image.to_str().unwrap()]).1;
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut current = String::new();
    for line in output.lines() {
        if let Some(path) = line.strip_prefix("debugfs: ea_list ") {
            current = path.trim().to_owned();
        } else if let Some(attribute) = line.strip_prefix("  ") {
            told.entry(current.clone()).or_default().push(attribute.split(" = ").next().unwrap_or_default().to_owned());
        }
    }
    for entry in with {
        let listed = |(name, value): (&[u8], &[u8])| {
            // An ACL of five entries, of which one names a user, is shorter on disk.
            let length = if name.starts_with(b"system.") { 28 } else { value.len() };
            format!("{} ({length})", String::from_utf8_lossy(name))
        };
        let mut expected: Vec<String> = tree.inode(entry.id).attributes.xattrs.iter().map(|(name, value)| listed((name, value))).collect();
        let mut found = told.remove(&entry.path.to_string()).unwrap_or_default();
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{}", entry.path);
    }
}

/// Lays the tree into a directory. Only root can; false where even root cannot (a file system without attributes).
fn lay_out(tree: &FileTree, top: &Path) -> std::io::Result<()> {
    use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};
    let at = |path: &ImagePath| top.join(std::ffi::OsStr::from_bytes(path.as_bytes().strip_prefix(b"/").unwrap_or_default()));
    let mut first: BTreeMap<usize, PathBuf> = BTreeMap::new();
    let mut entries = tree.walk();
    for entry in &entries {
        let (inode, path) = (tree.inode(entry.id), at(&entry.path));
        if let Some(known) = first.get(&entry.id.index()) {
            std::fs::hard_link(known, &path)?;
            continue;
        }
        let node = |kind, device| rustix::fs::mknodat(CWD, &path, kind, Mode::from_raw_mode(0o600), device);
        match &inode.kind {
            NodeKind::Directory(_) if entry.id == FileTree::ROOT => {}
            NodeKind::Directory(_) => std::fs::create_dir(&path)?,
            NodeKind::File(blob) => std::fs::write(&path, blob.to_vec().unwrap())?,
            NodeKind::Symlink(target) => std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), &path)?,
            &NodeKind::CharDevice { major, minor } => node(FileType::CharacterDevice, rustix::fs::makedev(major, minor))?,
            &NodeKind::BlockDevice { major, minor } => node(FileType::BlockDevice, rustix::fs::makedev(major, minor))?,
            NodeKind::Fifo => node(FileType::Fifo, 0)?,
            NodeKind::Socket => node(FileType::Socket, 0)?,
        }
        first.insert(entry.id.index(), path);
    }
    // Owners clear set-id bits and writes change times: fields last, children before parents.
    entries.reverse();
    for entry in entries {
        let (inode, path) = (tree.inode(entry.id), at(&entry.path));
        let a = &inode.attributes;
        std::os::unix::fs::lchown(&path, Some(a.uid), Some(a.gid))?;
        if !matches!(inode.kind, NodeKind::Symlink(_)) {
            rustix::fs::chmodat(CWD, &path, Mode::from_raw_mode(a.mode.into()), AtFlags::empty())?;
        }
        for (name, value) in &a.xattrs {
            rustix::fs::lsetxattr(&path, std::ffi::OsStr::from_bytes(name), value, XattrFlags::empty())?;
        }
        let time = Timespec { tv_sec: a.mtime, tv_nsec: a.mtime_nanoseconds.into() };
        let times = Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

#[test]
fn mke2fs_makes_the_same_of_the_same_tree_in_a_directory() {
    if !rustix::process::geteuid().is_root() {
        fixtures::skip("only root can lay out owners and devices");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut tree = random_tree(51, 1500);
    for entry in tree.walk() {
        let inode = tree.inode_mut(entry.id);
        // Linux has no user.* on what is neither file nor directory, an ACL rewrites the mode, and mke2fs copies no flags.
        let plain = matches!(inode.kind, NodeKind::File(_) | NodeKind::Directory(_));
        inode.attributes.xattrs.retain(|name, _| (plain || !name.starts_with(b"user.")) && !name.starts_with(b"system."));
        inode.attributes.immutable = false;
    }
    let top = dir.path().join("tree");
    std::fs::create_dir(&top).unwrap();
    if let Err(e) = lay_out(&tree, &top) {
        fixtures::skip(format_args!("{e}"));
        return;
    }
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    write(&plan(&tree, &options()).unwrap(), &ours);
    File::create(&theirs).unwrap().set_len(200 << 20).unwrap();
    let (code, output) = run("mke2fs", &["-q", "-t", "ext4", "-b", "4096", "-d", top.to_str().unwrap(), theirs.to_str().unwrap()]);
    assert_eq!(code, 0, "{output}");
    let listing = |image: &Path| {
        let file = File::open(image).unwrap();
        let read = move |offset: u64, buffer: &mut [u8]| file.read_exact_at(buffer, offset).context(|| "read");
        let reader = Reader::open(&read).unwrap();
        let lines = reader.entries().unwrap().into_iter().map(|(path, stat)| {
            let content = match () {
                () if stat.is_file() => reader.read_file(&path).unwrap(),
                () if stat.is_symlink() => reader.read_link(&path).unwrap(),
                () => Vec::new(),
            };
            // mke2fs 1.47.0 keeps neither nanoseconds nor the years after 2038, and gives / and lost+found the time of day.
            let time = if path == super::path("/lost+found") || path == ImagePath::root() { 0 } else { stat.mtime as u32 };
            let links = if stat.is_directory() { 0 } else { stat.links };
            let size = if stat.is_directory() { 0 } else { stat.size };
            let fields = (stat.mode, stat.uid, stat.gid, time, links, size);
            format!("{path} {fields:?} {:?} {}", reader.xattrs(&path).unwrap(), Digest::of(&content))
        });
        lines.collect::<Vec<_>>()
    };
    let (a, b) = (listing(&ours), listing(&theirs));
    for (a, b) in a.iter().zip(&b) {
        assert_eq!(a, b);
    }
    assert_eq!(a.len(), b.len());
}

/// GRUB's own reader, and the twin: metadata_csum_seed, which GRUB before 2.12 does not know, or a wrong magic for all.
#[test]
fn grub_reads_what_is_made_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("boot");
    let mut tree = random_tree(52, 200);
    let kernel = Lcg(8).bytes(12 << 20);
    tree.insert(&path("/ostree/os-1/vmlinuz"), Inode::file(kernel.clone(), Attributes::root(0o644)), Edit::Create).unwrap();
    tree.insert(&path("/loader"), Inode::symlink("ostree"), Edit::Create).unwrap();
    let options = Options { grub_readable: true, verity: false, ..options() };
    let segments = plan(&tree, &options).unwrap();
    write(&segments, &image);
    let copied = dir.path().join("copied");
    let read = |image: &Path| {
        let arguments = [image.to_str().unwrap(), "cp", "(loop0)/loader/os-1/vmlinuz", copied.to_str().unwrap()];
        let (code, output) = run("grub-fstest", &arguments);
        (code == 0 && std::fs::read(&copied).is_ok_and(|bytes| bytes == kernel), output)
    };
    let (good, output) = read(&image);
    assert!(good, "{output}");
    std::fs::remove_file(&copied).unwrap();
    File::options().write(true).open(&image).unwrap().write_all_at(&[0x80], 1024 + 0x61).unwrap();
    let (good, output) = read(&image);
    assert!(!good && !output.is_empty());
}
