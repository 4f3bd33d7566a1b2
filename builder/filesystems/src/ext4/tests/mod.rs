//! Images are proved with e2fsprogs.

use super::*;
use model::tree::{Attributes, Edit, FileTree, Inode, NodeKind};
use model::{ImagePath, Segments};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

pub(crate) fn options() -> Options {
    Options {
        label: "root".into(),
        uuid: [0x11, 2, 3, 4, 5, 6, 0x87, 8, 0x89, 10, 11, 12, 13, 14, 15, 16],
        hash_seed: [7; 16],
        epoch: SourceDateEpoch(1_700_000_000),
        size: None,
        reserve: 16 << 20,
        journal: true,
        grub_readable: false,
        verity: true,
        stable_prefix: false,
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

/// e2fsck is content with the filesystem, and not with the same with one wrong bit at the offset `at`, which is in `what`.
pub(super) fn assert_noticed(segments: &Segments, image: &Path, what: &str, at: u64) {
    write(segments, image);
    assert_clean(image);
    let file = File::options().read(true).write(true).open(image).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    let (code, output) = run("e2fsck", &["-fn", image.to_str().unwrap()]);
    assert_ne!(code, 0, "{what}:\n{output}");
}

/// The first number behind `after` in a tool's output.
pub(super) fn number_after(output: &str, after: &str) -> u64 {
    let at = output.find(after).unwrap() + after.len();
    output[at..].chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

#[test]
fn an_empty_tree_is_clean() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fs");
    for size in [None, Some(6 << 20), Some(64 << 20), Some(2 << 30), Some(8 << 30), Some(20 << 30), Some(300 << 30)] {
        for (journal, stable_prefix) in [(false, false), (true, false), (false, true), (true, true)] {
            let segments = plan(&FileTree::new(), &Options { size, journal, stable_prefix, ..options() }).unwrap();
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

/// Knuth's MMIX generator: the tests' own randomness.
pub(super) struct Lcg(pub(super) u64);

impl Lcg {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    pub(super) fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.below(256) as u8).collect()
    }

    pub(super) fn name(&mut self, longest: u64) -> String {
        let length = 1 + self.below(longest);
        (0..length).map(|_| char::from(b"abcdefghijklmnopqrstuvwxyz0123456789_-+"[self.below(39) as usize])).collect()
    }
}

/// All kinds of inodes, attributes, hard links, in a tree of directories.
pub(crate) fn random_tree(seed: u64, count: usize) -> FileTree {
    let mut random = Lcg(seed);
    let mut tree = FileTree::new();
    let mut directories = vec![ImagePath::root()];
    let mut files = Vec::new();
    for i in 0..count {
        let parent = directories[random.below(directories.len() as u64) as usize].clone();
        let longest = if random.below(20) == 0 { 200 } else { 20 };
        let at = parent.join(format!("{}-{i}", random.name(longest))).unwrap();
        let mut a = Attributes {
            mode: random.below(0o10000) as u16,
            uid: random.below(70_000) as u32,
            gid: random.below(1 << 31) as u32,
            mtime: random.below(1 << 33) as i64 - (1 << 30),
            mtime_nanoseconds: random.below(1_000_000_000) as u32,
            ..Attributes::default()
        };
        if random.below(3) == 0 {
            let label = format!("system_u:object_r:type{}_t:s0\0", random.below(5));
            a.xattrs.insert((*b"security.selinux").into(), label.into_bytes().into());
        }
        if random.below(20) == 0 {
            a.xattrs.insert((*b"security.capability").into(), vec![1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].into());
        }
        if random.below(20) == 0 {
            let length = random.below(300) as usize;
            a.xattrs.insert(format!("user.{}", random.name(30)).into_bytes().into(), random.bytes(length).into());
            a.xattrs.insert((*b"trusted.overlay.opaque").into(), (*b"y").into());
        }
        if random.below(30) == 0 {
            a.xattrs.insert((*b"system.posix_acl_access").into(), acl().into());
        }
        let kind = random.below(20);
        let mut inode = match kind {
            0..=3 => Inode::directory(a.clone()),
            4 => Inode::symlink(random.name(59)),
            5 => Inode::symlink(format!("/{}", "long/".repeat(12 + random.below(700) as usize))),
            6 => Inode {
                kind: NodeKind::CharDevice { major: random.below(300) as u32, minor: random.below(70_000) as u32 },
                attributes: a.clone(),
            },
            7 => Inode { kind: NodeKind::BlockDevice { major: 8, minor: random.below(300) as u32 }, attributes: a.clone() },
            8 => Inode { kind: NodeKind::Fifo, attributes: a.clone() },
            9 => Inode { kind: NodeKind::Socket, attributes: a.clone() },
            _ => {
                let length = if random.below(4) == 0 { random.below(60_000) } else { random.below(5000) };
                Inode::file(random.bytes(length as usize), a.clone())
            }
        };
        inode.attributes.immutable = !(4..10).contains(&kind) && random.below(10) == 0;
        if kind == 5 || kind == 4 {
            inode.attributes.xattrs = a.xattrs.into_iter().filter(|(name, _)| name.starts_with(b"security.s")).collect();
        }
        let id = tree.insert(&at, inode, Edit::Create).unwrap();
        match kind {
            0..=3 => directories.push(at),
            6.. => files.push(id),
            _ => {}
        }
        if random.below(15) == 0 && !files.is_empty() {
            let to = parent.join(format!("link-{i}")).unwrap();
            tree.link(&to, files[random.below(files.len() as u64) as usize]).unwrap();
        }
    }
    tree
}

/// user::rwx, user:1000:r-x, group::r-x, mask::rwx, other::r-- in the form of getxattr.
pub(super) fn acl() -> Vec<u8> {
    let mut out = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [(1u16, 7u16, u32::MAX), (2, 5, 1000), (4, 5, u32::MAX), (0x10, 7, u32::MAX), (0x20, 4, u32::MAX)] {
        out.extend(tag.to_le_bytes());
        out.extend(permissions.to_le_bytes());
        out.extend(id.to_le_bytes());
    }
    out
}

#[test]
fn random_trees_of_all_kinds_are_clean() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fs");
    for (seed, count) in [(1, 50), (2, 500), (3, 3000), (4, 8000)] {
        for stable_prefix in [false, true] {
            let segments = plan(&random_tree(seed, count), &Options { grub_readable: seed == 2, stable_prefix, ..options() }).unwrap();
            write(&segments, &image);
            assert_clean(&image);
        }
    }
}

#[test]
fn big_directories_are_clean() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("fs");
    let mut tree = FileTree::new();
    for (name, count, length) in [("one", 170, 8), ("few", 3000, 12), ("many", 20_000, 40), ("deep", 20_000, 240)] {
        for i in 0..count {
            let at = format!("/{name}/{i:0>length$}");
            tree.insert(&path(&at), Inode::file(vec![], Attributes::root(0o644)), Edit::Create).unwrap();
        }
    }
    write(&plan(&tree, &options()).unwrap(), &image);
    assert_clean(&image);
    let (_, output) = run("debugfs", &["-R", "htree_dump /deep", image.to_str().unwrap()]);
    assert!(output.contains("Indirect levels: 1"), "{}", &output[..500.min(output.len())]);
}

mod limits;
mod proofs;
mod property;
mod reading;
mod stable_prefix;
