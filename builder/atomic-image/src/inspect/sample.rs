//! A small disk with two deployments, in every format: for the tests of this module, and those of the program.

use disks::export::{ExportOptions, export, publish};
use disks::{Compression, OutputFormat, mbr};
use filesystems::ext4;
use image::{DiskParts, EspFiles, assemble, esp};
use model::tree::{Attributes, Edit, FileTree, Inode};
use model::{Blob, ByteSize, Digest, ImagePath, ImageSeed, Segment, Segments, Silent, SourceDateEpoch};
use ostree::{Commit, CommitMeta, Deployment, MetadataValue, Sysroot, SysrootRequest, commit, sysroot};
use std::path::PathBuf;

pub const EPOCH: SourceDateEpoch = SourceDateEpoch(1_700_000_000);
const PACKAGES: &str = "bash-0:5.2-1.x86_64 aa\nzlib-0:1.3-1.x86_64 bb\n";

pub fn tree() -> FileTree {
    let mut tree = FileTree::new();
    for (name, text) in [
        ("/usr/lib/modules/6.1.0/vmlinuz", "a kernel"),
        ("/usr/lib/modules/6.1.0/initramfs.img", "an initramfs"),
        ("/usr/etc/hostname", "host\n"),
        ("/usr/share/atomic-image/packages", PACKAGES),
    ] {
        let path = ImagePath::parse(name).unwrap();
        tree.ensure_directory(&path.parent().unwrap(), Attributes::root(0o755)).unwrap();
        tree.insert(&path, Inode::file(text.as_bytes(), Attributes::root(0o644)), Edit::Create).unwrap();
    }
    tree
}

pub fn committed(tree: &FileTree) -> Commit {
    let metadata = [("version".to_owned(), MetadataValue::from("7"))].into();
    commit(tree, &CommitMeta { subject: String::new(), body: String::new(), parent: None, epoch: EPOCH, metadata }).unwrap()
}

/// The trees of two deployments of one commit.
pub fn deployed(tree: &FileTree, commit: &Commit) -> Sysroot {
    let deployment = |serial, argument: &str| Deployment {
        commit,
        tree,
        signatures: None,
        serial,
        kargs: vec!["root=LABEL=root".into(), argument.into()],
        title: "Test".into(),
        version: Some("7".into()),
    };
    sysroot(&SysrootRequest {
        os: "test-os".into(),
        ref_name: "test/x86_64/stable".into(),
        remote: "upstream".into(),
        deployments: vec![deployment(1, "quiet"), deployment(0, "debug")],
        epoch: EPOCH,
    })
    .unwrap()
}

/// A disk of them, with sectors of `sector` bytes.
pub fn disk(tree: &FileTree, commit: &Commit, sector: u64) -> Segments {
    let made = deployed(tree, commit);
    let seed = ImageSeed::new(Digest::of(b"inspect"));
    let volume = |tree: &FileTree, label: &str| {
        let (uuid, hash_seed) = (seed.uuid(label), seed.uuid("hash"));
        let options = ext4::Options {
            label: label.into(),
            uuid,
            hash_seed,
            epoch: EPOCH,
            size: None,
            reserve: 4 << 20,
            journal: false,
            grub_readable: label != "root",
            verity: label == "root",
            stable_prefix: label == "root",
        };
        ext4::plan(tree, &options).unwrap()
    };
    let files = EspFiles { loader: Blob::from(vec![0x4d; 5000]), others: vec![] };
    let parts = DiskParts {
        sector,
        bios_boot: Segments::new(1024, vec![Segment { offset: 0, data: b"core".as_slice().into() }]).unwrap(),
        boot_sector: [0x90; mbr::CODE],
        esp: esp(files, ByteSize::mib(64), sector, &seed, EPOCH).unwrap(),
        boot: volume(&made.boot, "boot"),
        root: volume(&made.root, "root"),
    };
    assemble(&parts, &seed).unwrap().segments
}

/// The sample in these formats in a new folder, and its commit.
pub fn exported(formats: &[OutputFormat], sector: u64) -> (tempfile::TempDir, Vec<PathBuf>, String) {
    exported_tree(&tree(), formats, sector)
}

/// The same of another tree.
pub fn exported_tree(tree: &FileTree, formats: &[OutputFormat], sector: u64) -> (tempfile::TempDir, Vec<PathBuf>, String) {
    let folder = tempfile::tempdir().unwrap();
    let commit = committed(tree);
    let options = ExportOptions {
        name: "disk",
        title: "Disk",
        version: "7",
        compression: Compression::Zstd,
        sector,
        uefi: true,
        seed: ImageSeed::new(Digest::of(b"inspect")),
        epoch: EPOCH,
        checkpoints: None,
    };
    let made = export(&disk(tree, &commit, sector), formats, &options, folder.path(), &Silent).unwrap();
    let made = publish(made, folder.path(), true).unwrap();
    (folder, made.into_iter().map(|artifact| artifact.path).collect(), commit.id.to_string())
}
