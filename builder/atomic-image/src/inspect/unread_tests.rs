//! Filesystems that are not read, beside others that are.

use super::sample::{committed, disk, tree};
use super::*;
use disks::Compression;
use disks::export::{qcow2, raw};
use model::{Kind, Segment, Segments, Silent};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

/// A change of one partition, and what becomes of the report.
#[test]
fn an_unreadable_filesystem_is_a_row_that_says_so_and_the_rest_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.raw");
    let tree = tree();
    raw::write(&disk(&tree, &committed(&tree), 512), "raw", None, &path, &Silent).unwrap().name().unwrap();
    let whole = image(&path).unwrap();
    let starts: Vec<u64> = whole.partitions.iter().map(|row| row.start).collect();
    let check = |partition: usize, at: u64, bytes: &[u8], kind: &str, state: FilesystemState, problem: &str| {
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let place = starts[partition - 1];
        // Whatever was recognised there is gone first.
        let (mut start, mut before) = (vec![0; 2048], vec![0; bytes.len()]);
        file.read_exact_at(&mut start, place).unwrap();
        if state == FilesystemState::Unread && kind != "ext4" {
            file.write_all_at(&[0; 2048], place).unwrap();
        }
        file.read_exact_at(&mut before, place + at).unwrap();
        file.write_all_at(bytes, place + at).unwrap();
        let report = image(&path).unwrap();
        file.write_all_at(&before, place + at).unwrap();
        file.write_all_at(&start, place).unwrap();
        let numbers: Vec<u32> = report.filesystems.iter().map(|row| row.partition).collect();
        assert_eq!(numbers, [2, 3, 4], "{kind}");
        for row in &report.filesystems {
            if row.partition as usize == partition {
                assert_eq!((row.kind.as_str(), row.state, row.free), (kind, state, None), "{problem}");
                assert!(row.problem.as_ref().is_some_and(|text| text.contains(problem)), "{row:?}");
            } else {
                assert_eq!((row.state, row.problem.is_none()), (FilesystemState::Read, true), "{kind}: {row:?}");
            }
        }
        // Exit code 0 for what is unknown, 5 for damage.
        let expected = (state == FilesystemState::Damaged).then_some(Kind::Integrity);
        assert_eq!(report.check(&path).map_err(|error| error.kind()).err(), expected, "{kind}: {:?}", report.damage);
        assert_eq!(report.partitions.len(), 4);
        // The root has the deployments, the boot filesystem their order and arguments.
        assert_eq!(report.deployments.len(), if partition == 4 { 0 } else { 2 }, "{kind} on {partition}");
    };
    use FilesystemState::{Damaged, Unread};
    for partition in [3, 4] {
        check(partition, 0, b"XFSB", "xfs", Unread, "only ext4 and vfat");
        check(partition, 65_600, b"_BHRfS_M", "btrfs", Unread, "only ext4 and vfat");
        check(partition, 0, b"LUKS\xba\xbe", "crypto_LUKS", Unread, "only ext4 and vfat");
        check(partition, 512, b"LABELONE", "LVM2_member", Unread, "only ext4 and vfat");
        check(partition, 0, b"hsqs", "squashfs", Unread, "only ext4 and vfat");
        // s_feature_incompat: encrypt and casefold; inline data; recover.
        check(partition, 1024 + 0x60 + 2, &[3], "ext4", Unread, "s_feature_incompat");
        check(partition, 1024 + 0x60 + 1, &[0x82], "ext4", Unread, "s_feature_incompat");
        check(partition, 1024 + 0x60, &[0xc6], "ext4", Unread, "the journal must be replayed");
        check(partition, 1024 + 0x18, &[9], "ext4", Damaged, "s_log_block_size");
        check(partition, 1024 + 4, &[0xff; 4], "ext4", Damaged, "expected at most the");
    }
    check(2, 16, &[7], "vfat", Damaged, "expected 2 FATs");
    assert_eq!(serde_json::to_value(image(&path).unwrap()).unwrap(), serde_json::to_value(&whole).unwrap());
}

#[test]
fn a_disk_without_a_table_is_refused_whatever_it_is_wrapped_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.qcow2");
    let with = |mbr: &[u8]| Segments::new(1 << 20, vec![Segment { offset: 446, data: mbr.to_vec().into() }]).unwrap();
    let entry = |kind: u8| [&[0, 0, 0, 0, kind][..], &[0; 59], &[0x55, 0xaa]].concat();
    for (mbr, kind, expected) in [
        (vec![0; 66], Kind::Recipe, "not a disk image"),
        (entry(0), Kind::Recipe, "a boot sector without partitions"),
        (entry(0x83), Kind::Recipe, "a disk with an MBR partition table"),
        (entry(0xee), Kind::Integrity, "a protective MBR, but no GPT"),
    ] {
        let disk = with(&mbr);
        qcow2::write(&disk, Compression::Zstd, &path, &Silent).unwrap().name().unwrap();
        let error = image(&path).unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(expected), "{error:#}");
    }
}

#[test]
fn a_file_that_is_one_unread_filesystem_is_a_row_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fs.img");
    for (at, magic, kind) in
        [(0, &b"XFSB"[..], "xfs"), (65_600, b"_BHRfS_M", "btrfs"), (32_769, b"CD001", "iso9660"), (3, b"NTFS    ", "ntfs")]
    {
        let mut bytes = vec![0; 1 << 20];
        bytes[at..at + magic.len()].copy_from_slice(magic);
        std::fs::write(&path, bytes).unwrap();
        let report = image(&path).unwrap();
        let rows: Vec<_> = report.filesystems.iter().map(|row| (row.partition, row.kind.as_str(), row.state)).collect();
        assert_eq!(rows, [(0, kind, FilesystemState::Unread)]);
        let error = cat(&path, &ImagePath::parse("/etc/fstab").unwrap()).unwrap_err();
        assert!(error.kind() == Kind::Recipe && error.to_string().contains(kind), "{error:#}");
        let error = diff(&path, &path).unwrap_err();
        assert!(error.kind() == Kind::Recipe && error.to_string().contains(kind), "{error:#}");
    }
}
