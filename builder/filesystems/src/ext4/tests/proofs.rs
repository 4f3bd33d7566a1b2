//! What e2fsprogs say of our images: contents come back, damage is noticed, filesystems grow, sizes hold.

use super::*;
use model::{Blob, Kind};
use std::sync::Arc;

pub(super) fn debugfs(image: &Path, command: &str) -> String {
    run("debugfs", &["-R", command, image.to_str().unwrap()]).1
}

#[test]
fn debugfs_gives_every_field_back() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fs");
    let mut tree = FileTree::new();
    let mut a = Attributes { mode: 0o4751, uid: 70_001, gid: 65_537, mtime: 5_000_000_000, immutable: true, ..Attributes::default() };
    for (name, value) in [("security.selinux", "system_u:object_r:bin_t:s0"), ("user.long", "0123456789".repeat(20).as_str())] {
        a.xattrs.insert(name.as_bytes().into(), value.as_bytes().into());
    }
    a.xattrs.insert((*b"system.posix_acl_access").into(), acl().into());
    let content = Lcg(5).bytes(10_000);
    let id = tree.insert(&path("/d/file"), Inode::file(content.clone(), a.clone()), Edit::Create).unwrap();
    tree.link(&path("/d/other"), id).unwrap();
    a.immutable = false;
    a.xattrs.remove(&b"system.posix_acl_access"[..]);
    a.xattrs.remove(&b"security.selinux"[..]);
    for i in 0..3 {
        tree.insert(&path(&format!("/d/shares{i}")), Inode::file(vec![], a.clone()), Edit::Create).unwrap();
    }
    tree.insert(&path("/d/short"), Inode::symlink("x".repeat(59)), Edit::Create).unwrap();
    tree.insert(&path("/d/long"), Inode::symlink("y".repeat(60)), Edit::Create).unwrap();
    let device = Inode { kind: NodeKind::CharDevice { major: 400, minor: 70_000 }, attributes: Attributes::root(0o600) };
    tree.insert(&path("/d/device"), device, Edit::Create).unwrap();
    write(&plan(&tree, &options()).unwrap(), &image);
    assert_clean(&image);

    let out = dir.path().join("out");
    debugfs(&image, &format!("dump /d/other {}", out.display()));
    assert!(std::fs::read(&out).unwrap() == content);
    let check = |command: &str, expected: &[&str]| {
        let output = debugfs(&image, command);
        for e in expected {
            assert!(output.contains(e), "{command}: expected {e:?} in\n{output}");
        }
    };
    check(
        "stat /d/file",
        &[
            "Mode:  04751",
            "Flags: 0x80010",
            "User: 70001",
            "Group: 65537",
            "Links: 2",
            "Size: 10000",
            "0x2a05f200:00000001 -- Fri Jun 11 08:53:20 2128",
        ],
    );
    check(
        "ea_list /d/file",
        &["security.selinux (26) = \"system_u:object_r:bin_t:s0\"", "user.long (200)", "system.posix_acl_access (28) = 01 00 00 00"],
    );
    check("ea_get /d/shares1 user.long", &[&"0123456789".repeat(20)]);
    check("ea_list /d/shares2", &["user.long (200)"]);
    check("stat /d/short", &["Fast link dest: \"xxxxx"]);
    check("stat /d/long", &["Size: 60", "Links: 1"]);
    check("stat /d/device", &["400:70000"]);
    check("stat /lost+found", &["Inode: 11 ", "Mode:  0700", "Size: 16384"]);
    check("imap /", &["Inode 2 is part of block group 0"]);

    let (_, output) = run("dumpe2fs", &["-h", image.to_str().unwrap()]);
    for e in [
        "volume name:   root",
        "resize_inode",
        "metadata_csum_seed",
        "Journal start:            0",
        "Group descriptor size:    64",
        "state:         clean",
    ] {
        assert!(output.contains(e), "expected {e:?} in\n{output}");
    }
}

#[test]
fn a_tree_dumped_by_debugfs_is_the_tree() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fs");
    let tree = random_tree(11, 600);
    write(&plan(&tree, &options()).unwrap(), &image);
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    debugfs(&image, &format!("rdump / {}", out.display()));
    let mut files = 0;
    for entry in tree.walk() {
        let at = out.join(entry.path.to_string().trim_start_matches('/'));
        match &tree.inode(entry.id).kind {
            NodeKind::File(blob) => {
                assert!(std::fs::read(&at).unwrap() == blob.to_vec().unwrap(), "{}", entry.path);
                files += 1;
            }
            NodeKind::Symlink(target) => {
                use std::os::unix::ffi::OsStrExt;
                assert_eq!(std::fs::read_link(&at).unwrap().as_os_str().as_bytes(), &**target);
            }
            NodeKind::Directory(names) => {
                let extra = usize::from(entry.id == FileTree::ROOT);
                // Sockets and fifos are not dumped.
                assert!(std::fs::read_dir(&at).unwrap().count() <= names.len() + extra);
            }
            _ => {}
        }
    }
    assert!(files > 200);
}

/// A file of `length` bytes with a few marks in it, not held in memory.
fn sparse_blob(dir: &Path, length: u64) -> Blob {
    let at = dir.join("sparse");
    let file = File::create_new(&at).unwrap();
    file.set_len(length).unwrap();
    for mark in [0, 1 << 27, length - 5] {
        file.write_all_at(b"mark!", mark).unwrap();
    }
    Blob::Extent { file: Arc::new(File::open(&at).unwrap()), path: at.into(), offset: 0, len: length }
}

#[test]
fn a_file_of_many_extents_and_an_extent_block_is_clean() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fs");
    let length = (700 << 20) + 123;
    let mut tree = FileTree::new();
    tree.insert(&path("/big"), Inode::file(sparse_blob(dir.path(), length), Attributes::root(0o644)), Edit::Create).unwrap();
    let segments = plan(&tree, &options()).unwrap();
    assert!(segments.size() < length + (100 << 20), "{}", segments.size());
    write(&segments, &image);
    assert_clean(&image);
    let output = debugfs(&image, "ex /big");
    assert!(output.contains(" 1/ 1   1/"), "a tree of two levels:\n{output}");
    let read = |offset: u64, buffer: &mut [u8]| segments.read_at(buffer, offset).map(|_| ());
    let reader = Reader::open(&read).unwrap();
    let refusal = reader.read_file(&path("/big")).unwrap_err().to_string();
    assert!(refusal.contains("734003323 bytes: expected at most 268435456"), "{refusal}");
    // The blocks that are not zero, each behind its offset.
    let mut hasher = model::Hasher::new();
    hasher.update(&length.to_le_bytes());
    for (offset, len, mark) in [(0u64, 4096, 0), (1 << 27, 4096, 0), (700 << 20, 123, 118)] {
        let mut block = vec![0; len];
        block[mark..mark + 5].copy_from_slice(b"mark!");
        hasher.update(&offset.to_le_bytes());
        hasher.update(&block);
    }
    let stat = reader.stat(&path("/big")).unwrap().unwrap();
    assert_eq!((stat.size, reader.content_digest(&stat).unwrap()), (length, hasher.finish()));
}

#[test]
fn a_copy_grows_to_twenty_gib_and_stays_clean() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fs");
    let tree = random_tree(12, 500);
    for (size, stable_prefix) in [None, Some(300 << 20), Some(3 << 30)].into_iter().flat_map(|size| [(size, false), (size, true)]) {
        write(&plan(&tree, &Options { size, stable_prefix, ..options() }).unwrap(), &image);
        let (code, output) = run("resize2fs", &[image.to_str().unwrap(), "20G"]);
        assert_eq!(code, 0, "{output}");
        assert!(output.contains("is now 5242880 (4k) blocks long"), "{output}");
        assert_clean(&image);
    }
}

#[test]
fn e2fsck_notices_one_wrong_byte() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fs");
    let mut tree = random_tree(13, 200);
    for i in 0..400 {
        tree.insert(&path(&format!("/big/{i:030}")), Inode::file(vec![1], Attributes::root(0o644)), Edit::Create).unwrap();
    }
    let segments = plan(&tree, &options()).unwrap();
    let output = {
        write(&segments, &image);
        run("dumpe2fs", &[image.to_str().unwrap()]).1
    };
    let directory: u64 = debugfs(&image, "blocks /big").split_whitespace().find_map(|w| w.parse().ok().filter(|&n: &u64| n > 9)).unwrap();
    let (inodes, blocks) = (number_after(&output, "Inode table at "), number_after(&output, "Block bitmap at "));
    for (what, at) in [
        ("an inode", inodes * 4096 + 11 * 256 + 4),
        ("a bitmap", blocks * 4096 + 8),
        ("a descriptor", 4096 + 12),
        ("a hash tree", directory * 4096 + 40),
    ] {
        assert_noticed(&segments, &image, what, at);
    }
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let bytes = || {
        let segments = plan(&random_tree(14, 400), &options()).unwrap();
        let mut out = vec![0; segments.size() as usize];
        segments.read_at(&mut out, 0).unwrap();
        model::Digest::of(&out)
    };
    assert_eq!(bytes(), bytes());
}

#[test]
fn a_size_is_kept_or_refused_with_numbers() {
    let mut tree = FileTree::new();
    tree.insert(&path("/x"), Inode::file(vec![1; 20 << 20], Attributes::root(0o644)), Edit::Create).unwrap();
    assert_eq!(plan(&tree, &Options { size: Some(512 << 20), ..options() }).unwrap().size(), 512 << 20);
    let error = plan(&tree, &Options { size: Some(16 << 20), ..options() }).unwrap_err();
    assert_eq!(error.kind(), Kind::Recipe);
    assert!(
        error.to_string().starts_with("ext4 filesystem \"root\" of 16.0 MiB is too small: contents need 20.0 MiB in blocks and 12 inodes"),
        "{error}"
    );
    let hint = error.hint_text().unwrap().to_string();
    let smallest: f64 = hint.split(' ').nth(4).unwrap().parse().unwrap();
    assert!(smallest > 20.0 && smallest < 30.0, "{hint}");
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fs");
    for (reserve, journal) in [(0, false), (0, true), (100 << 20, true), (1 << 30, true), (5 << 30, true)] {
        let segments = plan(&tree, &Options { reserve, journal, ..options() }).unwrap();
        write(&segments, &image);
        assert_clean(&image);
        let (_, output) = run("dumpe2fs", &["-h", image.to_str().unwrap()]);
        let free: u64 = output.lines().find_map(|l| l.strip_prefix("Free blocks:")).unwrap().trim().parse().unwrap();
        assert!((reserve..reserve + (2 << 20)).contains(&(free * 4096)), "{reserve}: {free} free blocks");
    }
}

#[test]
fn what_ext4_cannot_keep_is_refused_by_path() {
    let check = |inode: Inode, expected: &str| {
        let mut tree = FileTree::new();
        tree.ensure_directory(&path("/a"), Attributes::root(0o755)).unwrap();
        tree.insert(&path("/a/b"), inode, Edit::Create).unwrap();
        let error = plan(&tree, &options()).unwrap_err().to_string();
        assert!(error.starts_with("ext4: /a/b: ") && error.contains(expected), "{error}");
    };
    let with = |name: &str, value: Vec<u8>| {
        let mut a = Attributes::root(0o644);
        a.xattrs.insert(name.as_bytes().into(), value.into());
        Inode::file(vec![], a)
    };
    check(with("user.big", vec![1; 65_537]), "at most 65536");
    check(with("btrfs.compression", vec![]), "btrfs.compression");
    check(with("user.", vec![]), "1 to 255 bytes");
    check(with("system.posix_acl_access", vec![1; 4]), "version 2");
    check(Inode::symlink(vec![b'x'; 4096]), "1 to 4095");
    check(Inode::symlink(""), "1 to 4095");
    check(Inode::file(vec![], Attributes { mtime: 1 << 40, ..Attributes::default() }), "time");
    check(Inode { kind: NodeKind::BlockDevice { major: 5000, minor: 0 }, attributes: Attributes::default() }, "4095");
}

#[test]
fn many_small_files_get_enough_inodes() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fs");
    let mut tree = FileTree::new();
    for i in 0..70_000 {
        tree.insert(&path(&format!("/{}/{i}", i % 70)), Inode::file(vec![], Attributes::root(0o644)), Edit::Create).unwrap();
    }
    write(&plan(&tree, &Options { reserve: 0, ..options() }).unwrap(), &image);
    assert_clean(&image);
}

#[test]
fn the_reserved_blocks_are_those_that_mke2fs_reserves() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    for size in [300 << 20, 2 << 30, 40 << 30] {
        write(&plan(&FileTree::new(), &Options { size: Some(size), ..options() }).unwrap(), &ours);
        File::create(&theirs).unwrap().set_len(size).unwrap();
        let (code, output) = run("mke2fs", &["-q", "-t", "ext4", "-b", "4096", theirs.to_str().unwrap()]);
        assert_eq!(code, 0, "{output}");
        // The first block listed is the map itself, which may lie anywhere.
        let reserved = |image: &Path| -> Vec<u64> {
            let mut blocks: Vec<u64> = debugfs(image, "blocks <7>").split_whitespace().filter_map(|w| w.parse().ok()).skip(1).collect();
            blocks.sort();
            blocks
        };
        let (a, b) = (reserved(&ours), reserved(&theirs));
        assert!(a.len() > 30 && a == b, "{size}: {} and {} blocks", a.len(), b.len());
        let fields = |image: &Path| {
            let text = debugfs(image, "stat <7>");
            let lines = text.lines().filter(|l| ["Size:", "Blockcount:", "Mode:"].iter().any(|w| l.contains(w)));
            lines.map(|l| l.split("Project").next().unwrap_or(l).split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
        };
        assert_eq!(fields(&ours), fields(&theirs));
    }
}

#[test]
fn equal_attributes_share_blocks_of_at_most_1024_references() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fs");
    let mut a = Attributes::root(0o644);
    a.xattrs.insert((*b"user.same").into(), vec![7; 500].into());
    let mut tree = FileTree::new();
    for i in 0..2500 {
        tree.insert(&path(&format!("/{i}")), Inode::file(vec![], a.clone()), Edit::Create).unwrap();
    }
    write(&plan(&tree, &options()).unwrap(), &image);
    assert_clean(&image);
    let blocks: std::collections::BTreeSet<String> = [0, 1100, 2499]
        .iter()
        .map(|i| debugfs(&image, &format!("stat /{i}")).lines().find(|l| l.starts_with("File ACL:")).unwrap_or_default().to_owned())
        .collect();
    assert!(!blocks.contains("") && blocks.len() <= 3 && blocks.len() >= 2, "{blocks:?}");
}
