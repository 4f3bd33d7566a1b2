//! The installed ostree as the judge of everything here. Writing owners to disk needs root; without root or ostree these tests say that they skipped.

mod commits;
mod deltas;
mod on_disk;
mod releases;
mod signatures;
mod stores;
mod sysroots;

use crate::{CommitMeta, MetadataValue};
use model::tree::{Attributes, Edit, FileTree, Inode};
use model::{ImagePath, SourceDateEpoch};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

const REF: &str = "test/x86_64/stable";

/// Commits the folder `tree` to `repo` with what `meta()` says.
const COMMIT: &str = "ostree commit --repo=repo -b test/x86_64/stable --tree=dir=tree --timestamp=@1700000000 -s 'a subject' --no-bindings \
     --add-metadata=\"ostree.ref-binding=['test/x86_64/stable']\" --add-metadata=\"version='1'\"";

fn can_run() -> bool {
    if Command::new("ostree").arg("--version").output().is_err() {
        fixtures::missing("no ostree");
        return false;
    }
    if !rustix::process::geteuid().is_root() {
        fixtures::skip("only root can write owners to disk");
        return false;
    }
    true
}

fn run(folder: &Path, command: &str) -> Output {
    Command::new("sh").arg("-c").arg(command).current_dir(folder).env("LC_ALL", "C").output().unwrap()
}

/// Standard output of a command that must succeed.
fn ok(folder: &Path, command: &str) -> String {
    let output = run(folder, command);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command}\n{out}\n{err}");
    out.trim_end().to_owned()
}

fn meta() -> CommitMeta {
    let metadata = [
        ("ostree.ref-binding".to_owned(), MetadataValue::TextList(vec![REF.into()])),
        ("version".to_owned(), MetadataValue::Text("1".into())),
    ];
    CommitMeta {
        subject: "a subject".into(),
        body: String::new(),
        parent: None,
        epoch: SourceDateEpoch(1_700_000_000),
        metadata: metadata.into(),
    }
}

fn path(text: &str) -> ImagePath {
    ImagePath::parse(text).unwrap()
}

/// A tree that can be deployed, with `seed`-dependent files of every kind that a commit holds.
fn sample(seed: u64) -> FileTree {
    let mut tree = FileTree::new();
    for name in ["boot", "dev", "proc", "run", "sys", "sysroot", "var", "usr/bin", "usr/etc/foo", "usr/lib/modules/6.1.0"] {
        tree.insert(&path(name), Inode::directory(Attributes::root(0o755)), Edit::Create).unwrap();
    }
    tree.insert(&path("tmp"), Inode::directory(Attributes::root(0o1777)), Edit::Create).unwrap();
    tree.insert(&path("ostree"), Inode::symlink("sysroot/ostree"), Edit::Create).unwrap();
    let release = "NAME=\"Test OS\"\nID=test\nVERSION_ID=1\nPRETTY_NAME=\"Test OS\"\n";
    for (name, text, mode) in [
        ("usr/lib/modules/6.1.0/vmlinuz", "a kernel", 0o600),
        ("usr/lib/modules/6.1.0/initramfs.img", "an initramfs", 0o644),
        ("usr/lib/os-release", release, 0o644),
        ("usr/etc/foo/bar", "a setting", 0o640),
        ("usr/etc/foo/twin", "a setting", 0o640),
        ("usr/etc/empty", "", 0o644),
        ("usr/bin/sudo", "sudo", 0o4755),
    ] {
        tree.insert(&path(name), Inode::file(text.as_bytes(), Attributes::root(mode)), Edit::Create).unwrap();
    }
    tree.insert(&path("usr/etc/link"), Inode::symlink("foo/bar"), Edit::Create).unwrap();

    let mut state = seed;
    let mut draw = move |below: u64| {
        // Knuth's MMIX generator; the high bits are the good ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for i in 0..120 {
        let name = path(&format!("usr/share/d{}/é{}/f{i}", draw(5), draw(4)));
        let mut attributes = Attributes::root([0o644, 0o755, 0o2755, 0o4711, 0o600][draw(5) as usize]);
        (attributes.uid, attributes.gid) = (draw(3) as u32 * 1000, draw(2) as u32 * 70_000);
        for x in 0..draw(4) {
            let name = [b"user.b".as_slice(), b"user.a", b"security.capability", b"user.aa"][x as usize];
            let value = if name.starts_with(b"sec") {
                [1, 0, 0, 2].iter().chain(&[0; 16]).copied().collect()
            } else {
                vec![b'v'; draw(9) as usize]
            };
            attributes.xattrs.insert(name.into(), value.into());
        }
        let inode = match draw(6) {
            0 => Inode::symlink(format!("../target{}", draw(9))),
            1 => Inode::file(vec![], attributes),
            2 => Inode::file(vec![b'x'; 3_000_000 + draw(70_000) as usize], attributes),
            _ => Inode::file(format!("text {}", draw(20)).into_bytes(), attributes),
        };
        tree.insert(&name, inode, Edit::Create).unwrap();
    }
    let id = tree.get(&path("usr/share/d1")).unwrap();
    tree.inode_mut(id).attributes.xattrs.insert(b"user.d".as_slice().into(), b"1".as_slice().into());
    let id = tree.get(&path("usr/lib/os-release")).unwrap();
    tree.link(&path("usr/share/os-release-too"), id).unwrap();
    tree
}
