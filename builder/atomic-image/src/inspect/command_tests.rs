//! cat, diff, explain and compare on small disks of two deployments.

use super::sample::{EPOCH, committed, disk, tree};
use super::*;
use disks::Compression;
use disks::export::{qcow2, raw};
use filesystems::ext4;
use model::tree::{Attributes, Edit, FileTree, Inode};
use model::{Segments, Silent};
use std::os::unix::fs::FileExt;

fn at(path: &str) -> ImagePath {
    ImagePath::parse(path).unwrap()
}

fn put(tree: &mut FileTree, path: &str, content: &[u8], mode: u16) {
    tree.insert(&at(path), Inode::file(content, Attributes::root(mode)), Edit::Replace).unwrap();
}

fn sample() -> (FileTree, Segments) {
    let mut tree = tree();
    put(&mut tree, "/usr/bin/tool", &[7; 20_000], 0o755);
    tree.insert(&at("/usr/bin/alias"), Inode::symlink("../bin/tool"), Edit::Create).unwrap();
    tree.insert(&at("/home"), Inode::symlink("var/home"), Edit::Create).unwrap();
    tree.insert(&at("/ostree"), Inode::symlink("sysroot/ostree"), Edit::Create).unwrap();
    let disk = disk(&tree, &committed(&tree), 512);
    (tree, disk)
}

#[test]
fn a_file_is_found_as_the_booted_host_finds_it() {
    let (folder, (_, disk)) = (tempfile::tempdir().unwrap(), sample());
    let (raw, qcow2) = (folder.path().join("a.raw"), folder.path().join("a.qcow2"));
    raw::write(&disk, "raw", None, &raw, &Silent).unwrap().name().unwrap();
    qcow2::write(&disk, Compression::Zstd, &qcow2, &Silent).unwrap().name().unwrap();
    for image in [&raw, &qcow2] {
        assert_eq!(cat(image, &at("/etc/hostname")).unwrap(), b"host\n");
        assert_eq!(cat(image, &at("/usr/bin/alias")).unwrap(), [7; 20_000]);
        assert_eq!(cat(image, &at("/boot/efi/efi/boot/bootx64.efi")).unwrap(), vec![0x4d; 5000]);
        assert!(cat(image, &at("/boot/loader/entries/ostree-2.conf")).unwrap().starts_with(b"title Test"));
        assert!(cat(image, &at("/ostree/repo/config")).unwrap().starts_with(b"[core]"));
    }
    for (path, expected) in [("/usr/bin", "is a directory"), ("/usr/bin/none", "no such file"), ("/home/x", "no such file")] {
        let error = cat(&raw, &at(path)).unwrap_err();
        assert!(error.kind() == model::Kind::Recipe && error.to_string().contains(expected), "{error}");
    }
    // A filesystem without a disk around it.
    let alone = folder.path().join("alone");
    let mut tree = FileTree::new();
    put(&mut tree, "/d/f", b"content", 0o600);
    raw::write(&ext4::plan(&tree, &ext4::Options::new("data", [3; 16], EPOCH)).unwrap(), "raw", None, &alone, &Silent)
        .unwrap()
        .name()
        .unwrap();
    assert_eq!(cat(&alone, &at("/d/f")).unwrap(), b"content");
    assert_eq!(image(&alone).unwrap().filesystems[0].label, "data");
}

#[test]
fn two_images_differ_in_what_was_changed_and_an_image_not_from_itself() {
    let (folder, (mut tree, before)) = (tempfile::tempdir().unwrap(), sample());
    put(&mut tree, "/usr/bin/tool", &[8; 20_000], 0o755);
    put(&mut tree, "/usr/etc/hostname", b"host\n", 0o600);
    put(&mut tree, "/usr/share/atomic-image/packages", b"bash-5.3-1.x86_64 cc\nzlib-1.3-1.x86_64 bb\n", 0o644);
    put(&mut tree, "/usr/share/new", b"12345", 0o644);
    tree.remove(&at("/usr/bin/alias"));
    let after = disk(&tree, &committed(&tree), 512);
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    raw::write(&before, "raw", None, &a, &Silent).unwrap().name().unwrap();
    qcow2::write(&after, Compression::Zstd, &b, &Silent).unwrap().name().unwrap();
    assert!(diff(&a, &a).unwrap().is_empty());
    let found = diff(&a, &b).unwrap();
    let file = |path: &str| found.files.iter().find(|f| f.path == path).map(|f| (f.what.join(" "), f.before, f.after));
    for (path, what, before, after) in [
        ("/usr/bin/tool", "content", Some(20_000), Some(20_000)),
        ("/usr/etc/hostname", "mode", Some(5), Some(5)),
        ("/etc/hostname", "mode", Some(5), Some(5)),
        ("/usr/share/new", "added", None, Some(5)),
        ("/usr/bin/alias", "removed", Some(11), None),
    ] {
        assert_eq!(file(path), Some((what.to_owned(), before, after)), "{path}");
    }
    assert_eq!(file("/usr/lib/modules/6.1.0/vmlinuz"), None);
    let packages: Vec<_> = found.packages.iter().map(|p| (p.name.as_str(), p.before.as_deref(), p.after.as_deref())).collect();
    assert_eq!(packages, [("bash.x86_64", Some("0:5.2-1"), Some("5.3-1")), ("zlib.x86_64", Some("0:1.3-1"), Some("1.3-1"))]);
}

#[test]
fn a_difference_is_named_down_to_the_file() {
    let (folder, (_, disk)) = (tempfile::tempdir().unwrap(), sample());
    let path = folder.path().join("disk");
    raw::write(&disk, "raw", None, &path, &Silent).unwrap().name().unwrap();
    assert_eq!(compare(&path, &disk).unwrap(), None);
    let bytes = std::fs::read(&path).unwrap();
    let root = image(&path).unwrap().partitions[3].start;
    let content = (root..).step_by(4096).find(|&o| bytes[o as usize..][..4096] == [7; 4096]).unwrap();
    let check = |offset: u64, structure: &str, partition: Option<&str>, file: Option<&str>| {
        let file_handle = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file_handle.write_all_at(&[!bytes[offset as usize]], offset).unwrap();
        let found = compare(&path, &disk).unwrap();
        file_handle.write_all_at(&[bytes[offset as usize]], offset).unwrap();
        let Some(Difference::Byte { expected, found, place }) = found else { panic!("no difference at {offset}") };
        assert_eq!((expected, !found), (bytes[offset as usize], bytes[offset as usize]));
        assert_eq!((place.offset, place.partition.as_deref(), place.structure.as_str()), (offset, partition, structure));
        assert_eq!(place.files.first().map(String::as_str), file, "{place:?}");
        place
    };
    let place = check(content + 4096 + 9, "contents", Some("4 (root)"), Some("/usr/bin/tool"));
    assert_eq!(place.position, Some(4096 + 9));
    assert!(place.names.iter().any(|name| name.starts_with("/ostree/repo/objects/")), "{place:?}");
    let (gpt, last) = (512, bytes.len() as u64 - 1);
    check(gpt + 16, "GPT header", None, None);
    check(1030, "GPT entries", None, None);
    check(3, "boot code and protective MBR", None, None);
    check(last, "backup GPT header", None, None);
    check(root + 1100, "boot block and superblock", Some("4 (root)"), None);
    check(root + 4096 + 3, "group descriptors", Some("4 (root)"), None);
    check(root - 1, "behind the filesystem", Some("3 (boot)"), None);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(last + 1 - 512).unwrap();
    assert_eq!(compare(&path, &disk).unwrap(), Some(Difference::Size { expected: last + 1, found: last + 1 - 512 }));
}

/// Every block of a filesystem has the owner that debugfs names.
#[test]
fn debugfs_names_the_same_owner_of_every_block() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fs");
    let mut tree = FileTree::new();
    for i in 0..40 {
        put(&mut tree, &format!("/d{}/f{i}", i % 3), &vec![i as u8 + 1; i * 700], 0o644);
    }
    let mut a = Attributes::root(0o644);
    a.xattrs.insert((*b"user.medium").into(), vec![1; 900].into());
    tree.insert(&at("/with"), Inode::file(vec![], a), Edit::Create).unwrap();
    let segments = ext4::plan(&tree, &ext4::Options::new("data", [3; 16], EPOCH)).unwrap();
    raw::write(&segments, "raw", None, &path, &Silent).unwrap().name().unwrap();
    let read = |offset: u64, buffer: &mut [u8]| segments.read_at(buffer, offset).map(drop);
    let reader = ext4::Reader::open(&read).unwrap();
    let blocks: Vec<u64> = (0..segments.size() / 4096).collect();
    let list: String = blocks.iter().map(|b| format!("{b} ")).collect();
    let out = std::process::Command::new("debugfs").args(["-R", &format!("icheck {list}")]).arg(&path).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let (mut owned, mut others) = (0, 0);
    for line in text.lines().skip(1) {
        let (block, inode) = line.split_once('\t').unwrap();
        let block: u64 = block.parse().unwrap();
        let owner = reader.owner(block).unwrap();
        match (inode.parse::<u32>().ok(), owner) {
            (Some(expected), ext4::Owner::Inode { number, .. }) => {
                assert_eq!(number, expected, "block {block}");
                owned += 1;
            }
            (Some(8), ext4::Owner::Journal) | (Some(7), ext4::Owner::ResizeMap | ext4::Owner::ReservedDescriptors(_)) => {}
            (None, owner) => {
                assert!(!matches!(owner, ext4::Owner::Inode { .. } | ext4::Owner::Journal), "block {block}: {owner:?}");
                others += 1;
            }
            (Some(inode), owner) => panic!("block {block}: debugfs says inode {inode}, we {owner:?}"),
        }
    }
    assert!(owned > 150 && others > 50, "{owned} {others}");
}
