//! What lies at the edges of the format: large values, holes, deep trees, many names, late times; each judged by e2fsprogs.

use super::proofs::debugfs;
use super::*;
use model::{Blob, Segment};
use std::sync::Arc;

fn image_of(tree: &FileTree, options: &Options) -> (tempfile::TempDir, std::path::PathBuf, Segments) {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fs");
    let segments = plan(tree, options).unwrap();
    write(&segments, &image);
    assert_clean(&image);
    (dir, image, segments)
}

fn header(image: &Path) -> String {
    run("dumpe2fs", &["-h", image.to_str().unwrap()]).1
}

#[test]
fn values_that_fit_no_block_have_inodes_which_equal_ones_share() {
    let mut tree = FileTree::new();
    let large: Vec<Vec<u8>> = [4000usize, 5000, 65_536].iter().map(|&n| Lcg(n as u64).bytes(n)).collect();
    for i in 0..1500 {
        let mut a = Attributes::root(0o644);
        a.xattrs.insert((*b"user.small").into(), (*b"s").into());
        a.xattrs.insert((*b"user.large").into(), large[i % 3].clone().into());
        a.xattrs.insert((*b"security.other").into(), large[(i + 1) % 3].clone().into());
        if i % 3 == 0 {
            a.xattrs.insert((*b"trusted.again").into(), large[0].clone().into());
        }
        tree.insert(&path(&format!("/d{}/{i}", i % 7)), Inode::file(vec![0; i * 10], a), Edit::Create).unwrap();
    }
    let (dir, image, segments) = image_of(&tree, &options());
    assert!(header(&image).contains(" ea_inode "));
    let out = dir.path().join("value");
    debugfs(&image, &format!("ea_get -f {} /d2/2 user.large", out.display()));
    assert!(std::fs::read(&out).unwrap() == large[2]);
    let read = |offset: u64, buffer: &mut [u8]| segments.read_at(buffer, offset).map(drop);
    let reader = Reader::open(&read).unwrap();
    let found = reader.xattrs(&path("/d2/9")).unwrap();
    assert!(found.len() == 4 && found[&b"user.large"[..]] == large[0] && found[&b"security.other"[..]] == large[1]);

    // The twin: another hash in the first such inode, which follows those of the tree (debugfs mends the record's own checksum).
    run("debugfs", &["-w", "-R", "set_inode_field <1519> atime 0x12345678", image.to_str().unwrap()]);
    let (code, output) = run("e2fsck", &["-fn", image.to_str().unwrap()]);
    assert!(code != 0 && output.contains("Hash of EA inode 1519") || output.contains("hash"), "{output}");

    let error = plan(&tree, &Options { grub_readable: true, ..options() }).unwrap_err().to_string();
    assert!(error.contains("one ext4 block"), "{error}");
}

#[test]
fn a_filesystem_without_large_values_does_not_ask_for_them() {
    let (_dir, image, _) = image_of(&random_tree(31, 50), &options());
    let text = header(&image);
    assert!(text.contains(" verity") && !text.contains("ea_inode"), "{text}");
    let (_dir, image, _) = image_of(&random_tree(31, 50), &Options { grub_readable: true, verity: false, ..options() });
    let text = header(&image);
    assert!(!text.contains("verity") && !text.contains("metadata_csum_seed"), "{text}");
}

/// `count` marks of `text`, `step` bytes apart from `first` on, in a file of `size`.
fn marked(size: u64, first: u64, step: u64, count: u64, text: &[u8]) -> Blob {
    let list = (0..count).map(|i| Segment { offset: first + i * step, data: text.into() }).collect();
    Blob::Sparse(Arc::new(Segments::new(size, list).unwrap()))
}

#[test]
fn holes_take_no_blocks_and_extent_trees_are_as_deep_as_needed() {
    let mut tree = FileTree::new();
    for (name, blob) in [
        ("empty", marked(1 << 30, 0, 1, 0, b"")),
        ("tail", marked((1 << 40) + 77, (1 << 40) + 70, 1, 1, b"the end")),
        ("many", marked(1 << 30, 4090, 20_480, 6000, b"0123456789ab")),
        ("near16T", marked((1 << 44) - 4096, (1 << 43) + 5, 1, 1, b"here")),
    ] {
        tree.insert(&path(&format!("/{name}")), Inode::file(blob, Attributes::root(0o644)), Edit::Create).unwrap();
    }
    let (dir, image, segments) = image_of(&tree, &options());
    assert!(segments.size() < 3 << 30, "{}", segments.size());
    let output = debugfs(&image, "ex /many");
    assert!(output.contains(" 2/ 2 "), "{}", &output[..400.min(output.len())]);
    assert!(debugfs(&image, "stat /empty").contains("Blockcount: 0"));
    let out = dir.path().join("out");
    debugfs(&image, &format!("dump /many {}", out.display()));
    let NodeKind::File(blob) = &tree.at("/many").unwrap().kind else { panic!("/many is a file") };
    let file = File::open(&out).unwrap();
    assert_eq!(file.metadata().unwrap().len(), blob.len());
    for at in [0, 4000, 20_480 * 5000, (1 << 30) - 4096] {
        let (mut expected, mut found) = ([0; 4096], [1; 4096]);
        blob.read_exact_at(&mut expected, at).unwrap();
        file.read_exact_at(&mut found, at).unwrap();
        assert!(expected == found, "at {at}");
    }
    let mut big = FileTree::new();
    big.insert(&path("/big"), Inode::file(marked(1 << 44, 0, 1, 1, b"x"), Attributes::root(0o644)), Edit::Create).unwrap();
    assert!(plan(&big, &options()).unwrap_err().to_string().contains("less than 16 TiB"));
}

#[test]
fn a_directory_of_a_hundred_thousand_names_is_indexed_and_found_through() {
    let mut tree = FileTree::new();
    let id = tree.insert(&path("/first"), Inode::file(vec![], Attributes::root(0o644)), Edit::Create).unwrap();
    for i in 0..100_000 {
        if i < 40_000 {
            tree.link(&path(&format!("/big/{i:032}")), id).unwrap();
        } else {
            tree.insert(&path(&format!("/big/{i:032}")), Inode::symlink("x"), Edit::Create).unwrap();
        }
    }
    let (_dir, image, _) = image_of(&tree, &options());
    assert!(debugfs(&image, "htree_dump /big").contains("Indirect levels: 1"));
    assert!(debugfs(&image, &format!("stat /big/{:032}", 77_777)).contains("Fast link dest: \"x\""));
}

#[test]
fn names_for_one_inode_end_at_65000_and_subdirectories_do_not() {
    let mut tree = FileTree::new();
    let id = tree.insert(&path("/0"), Inode::file(vec![1], Attributes::root(0o644)), Edit::Create).unwrap();
    for i in 1..65_000 {
        tree.link(&path(&format!("/{i}")), id).unwrap();
    }
    for i in 0..65_005 {
        tree.ensure_directory(&path(&format!("/d/{i}")), Attributes::root(0o755)).unwrap();
    }
    let (_dir, image, _) = image_of(&tree, &options());
    assert!(debugfs(&image, "stat /777").contains("Links: 65000"));
    assert!(debugfs(&image, "stat /d").contains("Links: 1 "));
    tree.link(&path("/one-more"), id).unwrap();
    let error = plan(&tree, &options()).unwrap_err().to_string();
    assert!(error.starts_with("ext4: /0: 65001 names") && error.contains("at most 65000"), "{error}");
}

#[test]
fn names_need_not_be_utf8_and_times_have_nanoseconds_far_beyond_2038() {
    let mut tree = FileTree::new();
    let odd: Vec<Vec<u8>> = vec![b"\xff\xfe".to_vec(), b"new\nline".to_vec(), b"\x01 \x7f\\\"'".to_vec(), vec![0xc3; 255], b"...".to_vec()];
    for (i, name) in odd.iter().enumerate() {
        let mut a = Attributes { mtime: 15_000_000_000, mtime_nanoseconds: 123_456_789, ..Attributes::root(0o644) };
        a.xattrs.insert([b"user.\xe4\xff", name.as_slice()].concat()[..100.min(7 + name.len())].into(), vec![9; 100 + i].into());
        tree.insert(&ImagePath::root().join(name).unwrap(), Inode::file(name.clone(), a), Edit::Create).unwrap();
    }
    // Enough to need a hash tree over odd names.
    for i in 0..2000u32 {
        let name = [b"\x80\xff\xc0".as_slice(), &i.to_be_bytes().map(|b| b | 0x81), &format!("{i}").into_bytes()].concat();
        tree.insert(&path("/many").join(name).unwrap(), Inode::file(vec![], Attributes::root(0o600)), Edit::Create).unwrap();
    }
    let (dir, image, _) = image_of(&tree, &options());
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    debugfs(&image, &format!("rdump / {}", out.display()));
    use std::os::unix::ffi::OsStrExt;
    for name in &odd {
        assert!(&std::fs::read(out.join(std::ffi::OsStr::from_bytes(name))).unwrap() == name);
    }
    assert_eq!(std::fs::read_dir(out.join("many")).unwrap().count(), 2000);
    let stat = debugfs(&image, "stat /...");
    assert!(stat.contains("mtime: 0x7e11d600:1d6f3457") && stat.contains(" 2445"), "{stat}");
}

#[test]
fn the_journal_has_checksums_from_the_start() {
    let (_dir, image, _) = image_of(&FileTree::new(), &Options { size: Some(64 << 20), ..options() });
    let text = header(&image);
    for expected in ["journal_64bit journal_checksum_v3", "Journal checksum type:    crc32c"] {
        assert!(text.contains(expected), "expected {expected:?} in\n{text}");
    }
    // The twin: a byte of the journal's superblock that only the checksum covers.
    let first: u64 = debugfs(&image, "blocks <8>").split_whitespace().find_map(|w| w.parse().ok().filter(|&n: &u64| n > 8)).unwrap();
    File::options().write(true).open(&image).unwrap().write_all_at(&[1], first * 4096 + 0x60).unwrap();
    let (code, output) = run("e2fsck", &["-fn", image.to_str().unwrap()]);
    assert!(code != 0 && output.contains("ournal"), "{output}");
}

#[test]
fn a_filesystem_grows_a_thousandfold_within_its_reserved_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fs");
    let mut tree = random_tree(32, 300);
    tree.insert(&path("/content"), Inode::file(Lcg(3).bytes(3 << 20), Attributes::root(0o644)), Edit::Create).unwrap();
    write(&plan(&tree, &Options { size: Some(24 << 20), ..options() }).unwrap(), &image);
    let places = |image: &Path| {
        let text = run("dumpe2fs", &[image.to_str().unwrap()]).1;
        let line = |what: &str| text.lines().find(|l| l.contains(what)).unwrap_or_default().trim().to_owned();
        [line("Inode table at"), line("Block bitmap at"), line("Group 0:")]
    };
    let words = |image: &Path| places(image).map(|line| line.split(", csum").next().unwrap_or_default().to_owned());
    let before = words(&image);
    let (code, output) = run("resize2fs", &[image.to_str().unwrap(), "24000M"]);
    assert_eq!(code, 0, "{output}");
    assert_clean(&image);
    // Nothing had to move: what the kernel does online.
    assert_eq!(words(&image)[..2], before[..2]);
    assert!(!header(&image).contains("meta_bg"));
    debugfs(&image, &format!("dump /content {}", dir.path().join("out").display()));
    assert!(std::fs::read(dir.path().join("out")).unwrap() == Lcg(3).bytes(3 << 20));
}
