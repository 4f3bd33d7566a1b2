//! One small image in every format: what its report says, what damage is, and the golden bytes.

use super::sample::{committed, deployed, exported, tree};
use super::*;
use disks::OutputFormat;
use model::{Digest, Kind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

fn written() -> (tempfile::TempDir, PathBuf, PathBuf, String) {
    let (folder, paths, commit) = exported(&[OutputFormat::Raw, OutputFormat::Qcow2], 512);
    (folder, paths[0].clone(), paths[1].clone(), commit)
}

#[test]
fn every_format_tells_the_same() {
    let (folder, paths, _) = exported(&OutputFormat::ALL, 512);
    let expected = serde_json::to_value(image(&paths[0]).unwrap()).unwrap();
    for path in &paths[1..] {
        assert_eq!(serde_json::to_value(image(path).unwrap()).unwrap(), expected, "{}", path.display());
    }
    for (tool, name) in [("gzip", "disk.raw.gz"), ("bzip2", "disk.raw.bz2"), ("zstd", "disk2.raw.zst"), ("xz", "disk2.raw.xz")] {
        let Ok(out) = std::process::Command::new(tool).args(["-1", "-c"]).arg(&paths[0]).output() else {
            fixtures::missing(format_args!("no {tool}"));
            continue;
        };
        let path = folder.path().join(name);
        std::fs::write(&path, out.stdout).unwrap();
        assert_eq!(serde_json::to_value(image(&path).unwrap()).unwrap(), expected, "{tool}");
    }
}

#[test]
fn every_format_that_was_cut_short_is_refused() {
    let (folder, paths, _) = exported(&OutputFormat::ALL, 512);
    let twin = folder.path().join("twin");
    let raw_length = std::fs::metadata(&paths[0]).unwrap().len();
    for path in &paths {
        std::fs::copy(path, &twin).unwrap();
        let length = std::fs::metadata(path).unwrap().len();
        // A fixed VHD without its footer is the raw disk, whole.
        let whole = |cut: u64| path.extension().is_some_and(|e| e == "vhd") && length - cut == raw_length;
        for cut in [1, 9, 512, 2000, 70_000, length / 2].into_iter().filter(|&cut| cut < length && !whole(cut)) {
            let file = std::fs::OpenOptions::new().write(true).open(&twin).unwrap();
            file.set_len(length - cut).unwrap();
            let error = image(&twin).expect_err(&format!("{} without its last {cut} bytes", path.display()));
            assert!(error.kind() == Kind::Integrity && error.to_string().contains("offset"), "{} - {cut}: {error}", path.display());
        }
    }
}

#[test]
fn a_disk_with_large_sectors_tells_the_same_but_where_they_are() {
    let formats: Vec<_> = OutputFormat::ALL.into_iter().filter(|format| format.takes_large_sectors()).collect();
    let (_small, small, _) = exported(&[OutputFormat::Raw], 512);
    let (_large, large, _) = exported(&formats, 4096);
    let expected = image(&small[0]).unwrap();
    for path in &large {
        let report = image(path).unwrap();
        assert_eq!(serde_json::to_value(&report.partitions).unwrap(), serde_json::to_value(&expected.partitions).unwrap());
        assert_eq!(serde_json::to_value(&report.deployments).unwrap(), serde_json::to_value(&expected.deployments).unwrap());
    }
    let listed = |path: &Path| std::process::Command::new("fdisk").args(["-b", "4096", "-l"]).arg(path).output();
    let Ok(out) = listed(&large[0]) else {
        fixtures::missing("no fdisk");
        return;
    };
    let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    assert!(said.contains("Disklabel type: gpt") && said.contains("Linux root (x86-64)") && !said.contains("corrupt"), "{said}");
    std::fs::OpenOptions::new().write(true).open(&large[0]).unwrap().write_all_at(b"x", 4096 + 60).unwrap();
    let out = listed(&large[0]).unwrap();
    assert!(String::from_utf8_lossy(&out.stderr).contains("corrupt"), "{out:?}");
}

#[test]
fn raw_and_qcow2_tell_the_same_of_partitions_filesystems_deployments_and_packages() {
    let (_folder, raw, qcow2, commit) = written();
    let report = image(&raw).unwrap();
    assert_eq!(serde_json::to_value(&report).unwrap(), serde_json::to_value(image(&qcow2).unwrap()).unwrap());
    let names: Vec<_> = report.partitions.iter().map(|p| (p.number, p.name.as_str())).collect();
    assert_eq!(names, [(1, "bios-boot"), (2, "EFI-SYSTEM"), (3, "boot"), (4, "root")]);
    assert_eq!((report.partitions[1].start, report.partitions[1].size), (2 << 20, ByteSize::mib(64)));
    let kinds: Vec<_> = report.filesystems.iter().map(|f| (f.partition, f.kind.as_str(), f.label.as_str())).collect();
    assert_eq!(kinds, [(2, "vfat", "EFI-SYSTEM"), (3, "ext4", "boot"), (4, "ext4", "root")]);
    assert!(
        report
            .filesystems
            .iter()
            .all(|f| f.free > Some(ByteSize(0)) && f.free < Some(f.size) && f.state == FilesystemState::Read && !f.uuid.is_empty()),
        "{report:?}"
    );
    let told: Vec<_> = report.deployments.iter().map(|d| (d.os.as_str(), d.reference.as_str(), d.version.as_deref())).collect();
    assert_eq!(told, [("test-os", "test/x86_64/stable", Some("7")); 2]);
    assert!(report.deployments.iter().all(|d| d.commit == commit));
    // The default first, although its serial is the higher one.
    for (row, argument) in report.deployments.iter().zip(["quiet", "debug"]) {
        assert_eq!(row.kernel_arguments[..2], ["root=LABEL=root", argument]);
        assert!(row.kernel_arguments[2].starts_with("ostree=/ostree/boot.0/test-os/"), "{row:?}");
    }
    let packages: Vec<_> = report.packages.iter().map(|p| (p.nevra.as_str(), p.sha256.as_str())).collect();
    assert_eq!(packages, [("bash-0:5.2-1.x86_64", "aa"), ("zlib-0:1.3-1.x86_64", "bb")]);
}

#[test]
fn the_labels_and_ids_are_those_that_blkid_finds() {
    let (folder, raw, _, _) = written();
    for row in image(&raw).unwrap().filesystems {
        let part = image(&raw).unwrap().partitions[row.partition as usize - 1].clone();
        let mut bytes = vec![0; part.size.0 as usize];
        std::fs::File::open(&raw).unwrap().read_exact_at(&mut bytes, part.start).unwrap();
        let path = folder.path().join("part");
        std::fs::write(&path, bytes).unwrap();
        let Ok(out) = std::process::Command::new("blkid").args(["-p", "-o", "export"]).arg(&path).output() else {
            fixtures::missing("no blkid");
            return;
        };
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        for line in [format!("LABEL={}", row.label), format!("UUID={}", row.uuid), format!("TYPE={}", row.kind)] {
            assert!(said.lines().any(|l| l == line), "{line} is not in {said}");
        }
    }
}

#[test]
fn what_is_no_image_or_a_damaged_one_is_refused_with_the_reason() {
    let (folder, raw, qcow2, commit) = written();
    let report = image(&raw).unwrap();
    let (boot, root) = (report.partitions[2].start, report.partitions[3].start);
    let bytes = std::fs::read(&raw).unwrap();
    let find = |needle: &[u8]| bytes.windows(needle.len()).position(|w| w == needle).unwrap() as u64;
    let commit_bytes = committed(&tree()).bytes;
    let check = |name: &str, of: &Path, damage: &dyn Fn(&std::fs::File), kind: Kind, expected: &str| {
        let path = folder.path().join("damaged");
        std::fs::copy(of, &path).unwrap();
        damage(&std::fs::OpenOptions::new().write(true).open(&path).unwrap());
        // Damage inside of a disk that can be read is an error beside the report.
        let error = image(&path).and_then(|report| report.check(&path)).expect_err(name);
        assert!(error.kind() == kind && error.to_string().contains(expected), "{name}: {error}");
    };
    let put = |at: u64, what: &'static [u8]| move |file: &std::fs::File| file.write_all_at(what, at).unwrap();
    let cut = |length: u64| move |file: &std::fs::File| file.set_len(length).unwrap();
    let bad = Kind::Integrity;
    check("empty", &raw, &cut(0), Kind::Recipe, "the file is empty");
    check("text", &raw, &|f| (f.set_len(0), f.write_all_at(b"hello", 0)).1.unwrap(), Kind::Recipe, "not a disk image");
    check("packed", &raw, &|f| (f.set_len(0), f.write_all_at(b"PK\x03\x04....", 0)).1.unwrap(), Kind::Recipe, "a zip file");
    check("no GPT", &raw, &put(512, &[0; 512]), bad, "no GPT");
    check("a flipped bit in the GPT", &raw, &put(512 + 60, b"\xff"), bad, "GPT header at sector 1");
    check("a raw file cut short", &raw, &cut(50 << 20), bad, "expected the backup header at sector");
    let length = std::fs::metadata(&qcow2).unwrap().len();
    for at in [4, 40, 104, 65_536, length / 2] {
        check("a qcow2 file cut short", &qcow2, &cut(at), bad, "damaged: ");
    }
    check("a qcow2 file cut in its magic", &qcow2, &cut(3), Kind::Recipe, "not a disk image");
    check("superblock", &raw, &put(root + 1024 + 0x18, &[9]), bad, "partition 4 (root): ext4 superblock");
    check("too many blocks", &raw, &put(boot + 1024 + 4, &[0xff; 4]), bad, "partition 3 (boot): ext4");
    check("boot entry", &raw, &put(find(b"linux /ostree/"), b"Linux"), bad, "boot entry ostree-");
    check("commit object", &raw, &put(find(&commit_bytes) + 1, b"x"), bad, &format!("expected the sha256 {commit}"));
    assert_eq!(image(&folder.path().join("absent")).unwrap_err().kind(), Kind::Recipe);
    assert_eq!(image(folder.path()).unwrap_err().kind(), Kind::Recipe);
}

#[test]
fn random_damage_of_the_metadata_never_panics() {
    let (folder, raw, qcow2, _) = written();
    let starts: Vec<u64> = image(&raw).unwrap().partitions.iter().map(|p| p.start).collect();
    let (path, mut state, mut refused) = (folder.path().join("damaged"), 9u64, 0);
    let mut draw = move |below: u64| {
        // Knuth's MMIX generator; the high bits are the good ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for (of, bases) in [(&raw, starts), (&qcow2, vec![0])] {
        std::fs::copy(of, &path).unwrap();
        let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        for _ in 0..100 {
            let at = bases[draw(bases.len() as u64) as usize] + draw(8 << 10);
            let mut before = [0; 64];
            file.read_exact_at(&mut before, at).unwrap();
            file.write_all_at(&std::array::from_fn::<u8, 64, _>(|_| draw(256) as u8), at).unwrap();
            refused += u32::from(image(&path).and_then(|report| report.check(&path)).is_err());
            file.write_all_at(&before, at).unwrap();
        }
        assert!(image(&path).is_ok());
    }
    assert!(refused > 0);
}

/// The sample as it is laid out, partitioned, formatted and wrapped: a change in golden_formats.txt is a change of every user's images, and the CHANGELOG says why.
#[test]
fn the_bytes_of_a_small_tree_in_every_format_are_the_golden_ones() {
    let mut found = String::new();
    for sector in [512, 4096] {
        let formats: Vec<OutputFormat> = OutputFormat::ALL.into_iter().filter(|f| sector == 512 || f.takes_large_sectors()).collect();
        let (_folder, paths, _) = exported(&formats, sector);
        for (format, path) in formats.iter().zip(paths) {
            found += &format!("{sector} {} {}\n", format.name(), Digest::of(&std::fs::read(path).unwrap()));
        }
    }
    let golden = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("src/inspect").join(name);
    // The trees first: where they differ, that says more than a digest.
    let tree = tree();
    let made = deployed(&tree, &committed(&tree));
    fixtures::golden(&golden("golden_root.txt"), &made.root.dump().unwrap());
    fixtures::golden(&golden("golden_boot.txt"), &made.boot.dump().unwrap());
    fixtures::golden(&golden("golden_formats.txt"), &found);
}
