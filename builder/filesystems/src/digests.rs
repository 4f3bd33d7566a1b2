//! The bytes of everything that is written, as committed digests: a change in digests.txt is a change of every user's images, and the CHANGELOG says why.

use crate::{ext4, fat, iso9660, tar};
use model::tree::{Attributes, Edit, FileTree, Inode, NodeKind};
use model::{Blob, Digest, Hasher, ImagePath, Segment, Segments, SourceDateEpoch};
use std::path::Path;

const EPOCH: SourceDateEpoch = SourceDateEpoch(1_700_000_001);

/// Device files of both forms, hash trees of one and two levels, an extent tree of two levels, and attributes in inodes of their own.
fn large_tree() -> FileTree {
    let mut tree = FileTree::new();
    let mut put = |path: &str, inode: Inode| {
        tree.insert(&ImagePath::parse(path).unwrap(), inode, Edit::Create).unwrap();
    };
    for (directory, count, length) in [("few", 3000, 12), ("deep", 9000, 240)] {
        for i in 0..count {
            put(&format!("/{directory}/{i:0>length$}"), Inode::file(vec![], Attributes::root(0o644)));
        }
    }
    let parts = (0..900u64).map(|n| Segment { offset: n << 13, data: vec![n as u8 | 1; 4096].into() }).collect();
    let sparse = Blob::Sparse(Segments::new(900 << 13, parts).unwrap().into());
    let mut attributes = Attributes::root(0o600);
    attributes.xattrs.insert((*b"user.large").into(), vec![7; 9000].into());
    attributes.xattrs.insert((*b"user.medium").into(), vec![8; 900].into());
    put("/sparse", Inode { kind: NodeKind::File(sparse), attributes });
    for (name, major, minor) in [("old", 8, 1), ("new", 300, 70_000)] {
        put(&format!("/{name}"), Inode { kind: NodeKind::BlockDevice { major, minor }, attributes: Attributes::root(0o600) });
    }
    tree
}

fn boot_tree() -> FileTree {
    let mut tree = FileTree::new();
    for path in ["/EFI/BOOT/BOOTX64.EFI", "/EFI/BOOT/a long name with spaces and ünïcode.conf", "/exactly thirteen.x", "/empty"] {
        let bytes = if path == "/empty" { vec![] } else { path.repeat(200).into_bytes() };
        tree.insert(&ImagePath::parse(path).unwrap(), Inode::file(bytes, Attributes::root(0o644)), Edit::Create).unwrap();
    }
    tree
}

fn digest(segments: &Segments) -> Digest {
    let mut hasher = Hasher::new();
    let mut window = vec![0; 1 << 20];
    for at in (0..segments.size()).step_by(window.len()) {
        let length = (segments.size() - at).min(window.len() as u64) as usize;
        segments.read_at(&mut window[..length], at).unwrap();
        hasher.update(&window[..length]);
    }
    hasher.finish()
}

#[test]
fn the_bytes_of_every_format_are_the_committed_ones() {
    let mut found = String::new();
    let mut line = |name: &str, digest: Digest| found.push_str(&format!("{name:<24}{digest}\n"));
    let random = ext4::tests::random_tree(31, 900);
    let options = ext4::Options { reserve: 0, ..ext4::tests::options() };
    for (name, tree, options) in [
        ("ext4", &random, options.clone()),
        ("ext4 stable_prefix", &random, ext4::Options { stable_prefix: true, ..options.clone() }),
        ("ext4 without journal", &random, ext4::Options { journal: false, size: Some(200 << 20), ..options.clone() }),
        ("ext4 grub_readable", &random, ext4::Options { grub_readable: true, verity: false, ..options.clone() }),
        ("ext4 large", &large_tree(), options),
    ] {
        line(name, digest(&ext4::plan(tree, &options).unwrap()));
    }
    for (sector, size) in [(512, 16 << 20), (512, 40 << 20), (4096, 300 << 20)] {
        let options = fat::Options { label: "EFI-SYSTEM".into(), volume_id: 0x1234_abcd, epoch: EPOCH, size, sector };
        line(&format!("fat {sector} {}", size >> 20), digest(&fat::plan(&boot_tree(), &options).unwrap()));
    }
    let files: [(&str, &[u8]); 3] = [("user-data", b"#cloud-config\n"), ("meta-data", b""), ("a.tar.gz", &[9; 5000])];
    line("iso9660", Digest::of(&iso9660::write("cidata", &files).unwrap()));
    line("tar ustar", Digest::of(&tar::header(tar::Dialect::Ustar, "disk.raw", 0o1234567, EPOCH).unwrap()));
    for parts in [2u64, 60] {
        let list = (0..parts).map(|n| Segment { offset: n << 20, data: vec![n as u8 + 1; 5000].into() }).collect();
        let content = Segments::new(9 << 30, list).unwrap();
        line(&format!("tar sparse {parts}"), digest(&tar::sparse_archive("disk.raw", &content, EPOCH).unwrap()));
    }
    fixtures::golden(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/digests.txt"), &found);
}
