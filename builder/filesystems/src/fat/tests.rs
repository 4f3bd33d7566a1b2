use super::*;
use model::tree::{Attributes, Edit, FileTree, Inode};
use model::{Blob, ImagePath, Segments, SourceDateEpoch};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

fn sample() -> FileTree {
    let mut tree = FileTree::new();
    let mut put = |path: &str, bytes: Vec<u8>| {
        tree.insert(&ImagePath::parse(path).unwrap(), Inode::file(bytes, Attributes::root(0o644)), Edit::Create).unwrap();
    };
    put("/EFI/BOOT/BOOTX64.EFI", (0..900_001u32).flat_map(|n| (n as u16).to_le_bytes()).take(900_001).collect());
    put("/EFI/BOOT/a long name with spaces and ünïcode.conf", b"x = 1\n".to_vec());
    put("/EFI/empty", vec![]);
    for n in 0..300 {
        put(&format!("/EFI/many/entry number {n:04}.conf"), format!("{n}").into_bytes());
    }
    put("/exactly thirteen.x", vec![7; 513]);
    tree
}

fn options(size: u64) -> Options {
    on_sectors(size, 512)
}

fn on_sectors(size: u64, sector: u64) -> Options {
    Options { label: "EFI-SYSTEM".into(), volume_id: 0x1234_abcd, epoch: SourceDateEpoch(1_700_000_001), size, sector }
}

fn write(segments: &Segments, path: &Path) {
    let file = File::create(path).unwrap();
    file.set_len(segments.size()).unwrap();
    for s in segments.iter() {
        file.write_all_at(&s.data.to_vec().unwrap(), s.offset).unwrap();
    }
}

fn fsck(path: &Path) -> (bool, String) {
    let out = Command::new("fsck.fat").args(["-n", "-v"]).arg(path).output().unwrap();
    (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned())
}

#[test]
fn fsck_is_clean_for_every_size_and_complains_about_a_corrupted_twin() {
    let dir = tempfile::tempdir().unwrap();
    let small = [(8, 16), (16, 16), (32, 16), (34, 32), (40, 32), (64, 32), (100, 32), (300, 32), (600, 32)];
    let large = [(32, 16), (64, 16), (300, 32)];
    for (sector, mib, expected) in small.map(|(mib, bits)| (512, mib, bits)).into_iter().chain(large.map(|(mib, bits)| (4096, mib, bits))) {
        let path = dir.path().join(format!("{sector}-{mib}.img"));
        let segments = plan(&sample(), &on_sectors(mib << 20, sector)).unwrap();
        write(&segments, &path);
        let (clean, said) = fsck(&path);
        assert!(clean && said.contains(&format!("{expected} bit entries")), "{mib} MiB: {said}");
        assert!(said.contains("308 files") && said.contains(&format!("{sector} bytes per logical sector")), "{mib} MiB: {said}");

        // The same with one FAT entry of BOOTX64.EFI's chain freed.
        let geometry = boot_record::Geometry::choose(mib << 20, sector).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&[0; 4], geometry.fat_offset(0) + 4 * 200).unwrap();
        let (clean, said) = fsck(&path);
        assert!(!clean, "{mib} MiB: fsck.fat accepted a broken chain: {said}");
    }
}

#[test]
fn mtools_read_back_what_was_planned() {
    let dir = tempfile::tempdir().unwrap();
    for mib in [16, 64] {
        let (path, out) = (dir.path().join("esp.img"), dir.path().join("out"));
        write(&plan(&sample(), &options(mib << 20)).unwrap(), &path);
        for name in [
            "EFI/BOOT/BOOTX64.EFI",
            "EFI/BOOT/a long name with spaces and ünïcode.conf",
            "EFI/many/entry number 0299.conf",
            "exactly thirteen.x",
        ] {
            let got = Command::new("mcopy")
                .env("LC_ALL", "C.UTF-8")
                .args(["-n", "-i"])
                .arg(&path)
                .arg(format!("::{name}"))
                .arg(&out)
                .output()
                .unwrap();
            assert!(got.status.success(), "{name}: {}", String::from_utf8_lossy(&got.stderr));
            assert!(std::fs::read(&out).unwrap() == sample().read(&format!("/{name}")).unwrap().unwrap(), "{name}");
            std::fs::remove_file(&out).unwrap();
        }
        let listing = Command::new("mdir").arg("-i").arg(&path).arg("::").output().unwrap();
        let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
        assert!(listing.contains("EFI-SYSTEM") && listing.contains("1234-ABCD") && listing.contains("2023-11-14"), "{listing}");
    }
}

#[test]
fn the_reader_finds_every_name_and_byte_and_never_panics_on_noise() {
    for (mib, sector) in [(16, 512), (64, 512), (64, 4096)] {
        let segments = plan(&sample(), &on_sectors(mib << 20, sector)).unwrap();
        let source = |offset: u64, buffer: &mut [u8]| segments.read_at(buffer, offset).map(drop);
        let reader = Reader::open(&source).unwrap();
        let listed = reader.list().unwrap();
        let mut paths: Vec<String> = listed.iter().map(|e| e.path.clone()).collect();
        paths.sort();
        let expected: Vec<String> = sample().walk().iter().skip(1).map(|e| e.path.to_string()).collect();
        let mut expected = expected;
        expected.sort();
        assert_eq!(paths, expected);
        for e in listed.iter().filter(|e| !e.is_directory) {
            assert!(reader.read(&e.path, 1 << 20).unwrap() == sample().read(&e.path).unwrap().unwrap(), "{}", e.path);
        }
        assert!(reader.read("/EFI/BOOT/BOOTX64.EFI", 1000).is_err());

        let salts = if sector == 512 { 0..200u64 } else { 0..20 };
        for salt in salts {
            let noisy = |offset: u64, buffer: &mut [u8]| -> model::Result<()> {
                segments.read_at(buffer, offset)?;
                for (n, b) in buffer.iter_mut().enumerate() {
                    let at = offset + n as u64;
                    if at.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(salt.wrapping_mul(0x1234_5678_9abc_def1)) >> 57 == 0
                        && !(510..512).contains(&at)
                        && (at > 64 || salt > 100)
                    {
                        *b ^= 0x55;
                    }
                }
                Ok(())
            };
            if let Ok(reader) = Reader::open(&noisy) {
                for e in reader.list().unwrap_or_default().iter().take(50) {
                    reader.read_entry(e, 1 << 20).ok();
                }
            }
        }
    }
}

#[test]
fn what_fat_cannot_hold_is_refused() {
    let at = |path: &str| ImagePath::parse(path).unwrap();
    let mut link = FileTree::new();
    link.insert(&at("/x"), Inode::symlink("y"), Edit::Create).unwrap();
    let mut big = FileTree::new();
    big.insert(&at("/x"), Inode::file(Blob::from(vec![0; 17 << 20]), Attributes::root(0o644)), Edit::Create).unwrap();
    for (tree, size) in [(&link, 64 << 20), (&big, 16 << 20), (&FileTree::new(), 1 << 20), (&FileTree::new(), (64 << 20) + 1)] {
        assert!(plan(tree, &options(size)).is_err());
    }
}
