//! Images are proved with e2fsprogs.

use super::*;
use crate::base::{ImagePath, Segments};
use crate::tree::{Attributes, Edit, FileTree, Inode};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

pub(super) fn options() -> Options {
    Options {
        label: "root".into(),
        uuid: [0x11, 2, 3, 4, 5, 6, 0x87, 8, 0x89, 10, 11, 12, 13, 14, 15, 16],
        hash_seed: [7; 16],
        epoch: SourceDateEpoch(1_700_000_000),
        size: None,
        reserve: 16 << 20,
        journal: true,
        grub_readable: false,
    }
}

pub(super) fn path(text: &str) -> ImagePath {
    ImagePath::parse(text).unwrap()
}

pub(super) fn write(segments: &Segments, to: &Path) {
    let file = File::create(to).unwrap();
    file.set_len(segments.size()).unwrap();
    for s in segments.iter() {
        let mut at = s.offset;
        s.data
            .for_each_window(|bytes| {
                if bytes.iter().any(|&b| b != 0) {
                    file.write_all_at(bytes, at).unwrap();
                }
                at += bytes.len() as u64;
                Ok(())
            })
            .unwrap();
    }
}

/// Exit code and output.
pub(super) fn run(program: &str, arguments: &[&str]) -> (i32, String) {
    let out = Command::new(program).args(arguments).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
    let text = [out.stdout, out.stderr].concat();
    (out.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

pub(super) fn assert_clean(image: &Path) {
    let (code, output) = run("e2fsck", &["-fn", image.to_str().unwrap()]);
    assert_eq!(code, 0, "{output}");
}

#[test]
fn an_empty_tree_is_clean() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fs");
    for size in [None, Some(6 << 20), Some(64 << 20), Some(2 << 30), Some(8 << 30), Some(20 << 30)] {
        for journal in [false, true] {
            let segments = plan(&FileTree::new(), &Options { size, journal, ..options() }).unwrap();
            write(&segments, &image);
            assert_clean(&image);
        }
    }
}

#[test]
fn one_file_is_clean() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fs");
    let mut tree = FileTree::new();
    tree.insert(&path("/usr/bin/x"), Inode::file(b"hello".to_vec(), Attributes::root(0o755)), Edit::Create).unwrap();
    write(&plan(&tree, &options()).unwrap(), &image);
    assert_clean(&image);
}
