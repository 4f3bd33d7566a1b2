//! Filesystems whose changes come last: similar trees give filesystems that begin alike, and e2fsprogs judge them like any other.

use super::proofs::debugfs;
use super::*;
use model::{Alarm, Blob, CheckedFile, Content, Digest};
use std::sync::Arc;

/// Packed files, known by their identity, around a changing one in /etc, which stands for all that is made anew for each image.
fn tree_of(folder: &Path, changing: &[u8], packed: u64) -> FileTree {
    let pack = folder.join(format!("{}.pack", "a".repeat(64)));
    if !pack.exists() {
        std::fs::write(&pack, Lcg(1).bytes(40 << 20)).unwrap();
    }
    let file = Arc::new(CheckedFile::scan(File::open(&pack).unwrap(), &pack, Alarm::default()).unwrap().0);
    let mut tree = random_tree(61, 900);
    for i in 0..packed {
        let (offset, len) = (i * 8192, 4000 + i);
        // Known by a digest, whichever: the bytes are not looked at. The file is no pack, so there are no zeros behind what is read.
        let content = Content { digest: Digest::of(&i.to_le_bytes()), offset, len: 8192 };
        let blob = Blob::Checked { file: file.clone(), offset, len, content: Some(content) };
        tree.insert(&path(&format!("/usr/{}/{i}", i % 37)), Inode::file(blob, Attributes::root(0o644)), Edit::Create).unwrap();
    }
    tree.insert(&path("/etc/changing"), Inode::file(changing.to_vec(), Attributes::root(0o644)), Edit::Create).unwrap();
    tree
}

fn first_difference(a: &Segments, b: &Segments) -> u64 {
    assert_eq!(a.size(), b.size());
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    for at in (0..a.size()).step_by(1 << 20) {
        let n = (a.size() - at).min(1 << 20) as usize;
        a.read_at(&mut left[..n], at).unwrap();
        b.read_at(&mut right[..n], at).unwrap();
        if let Some(i) = (0..n).find(|&i| left[i] != right[i]) {
            return at + i as u64;
        }
    }
    a.size()
}

#[test]
fn a_small_change_changes_nothing_before_the_last_part() {
    let dir = tempfile::tempdir().unwrap();
    let planned = |changing: &[u8], packed, stable_prefix| {
        plan(&tree_of(dir.path(), changing, packed), &Options { reserve: 300 << 20, stable_prefix, ..options() }).unwrap()
    };
    let first = planned(b"one", 4000, true);
    // Other bytes, more blocks, no blocks.
    for changed in [&b"two"[..], &[7; 50_000], b""] {
        let at = first_difference(&first, &planned(changed, 4000, true));
        assert!(at > (300 << 20) + 4000 * 4096, "{} bytes: the first difference is at {at} of {}", changed.len(), first.size());
    }
    // The twins: another number of inodes is in the superblock, and the usual order has the tables in front.
    assert!(first_difference(&first, &planned(b"one", 4001, true)) < 4096);
    assert!(first_difference(&planned(b"one", 4000, false), &planned(b"two", 4000, false)) < 64 << 20);
}

#[test]
fn free_room_comes_first_and_tables_may_lie_in_any_group() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fs");
    let tree = tree_of(dir.path(), b"x", 5000);
    for (size, reserve) in [(None, 0), (None, 1 << 20), (None, 700 << 20), (Some(1 << 30), 0), (Some(9 << 30), 0)] {
        let segments = plan(&tree, &Options { size, reserve, stable_prefix: true, ..options() }).unwrap();
        write(&segments, &image);
        assert_clean(&image);
        let text = run("dumpe2fs", &[image.to_str().unwrap()]).1;
        let free: u64 = text.lines().find_map(|l| l.strip_prefix("Free blocks:")).unwrap().trim().parse().unwrap();
        assert!(free * 4096 >= reserve, "{free} free blocks");
        let out = dir.path().join("out");
        let NodeKind::File(blob) = &tree.at(&format!("/usr/{}/4999", 4999 % 37)).unwrap().kind else { panic!("a file") };
        debugfs(&image, &format!("dump /usr/{}/4999 {}", 4999 % 37, out.display()));
        assert!(std::fs::read(&out).unwrap() == blob.to_vec().unwrap());
        let (code, output) = run("resize2fs", &[image.to_str().unwrap(), "12G"]);
        assert_eq!(code, 0, "{output}");
        assert_clean(&image);
    }
}

#[test]
fn a_wrong_byte_in_a_table_at_the_end_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fs");
    let segments = plan(&tree_of(dir.path(), b"x", 2000), &Options { stable_prefix: true, ..options() }).unwrap();
    write(&segments, &image);
    let text = run("dumpe2fs", &[image.to_str().unwrap()]).1;
    for (what, at) in [
        ("an inode", number_after(&text, "Inode table at ") * 4096 + 11 * 256 + 4),
        ("a bitmap", number_after(&text, "Block bitmap at ") * 4096 + 8),
    ] {
        assert_noticed(&segments, &image, what, at);
    }
}
