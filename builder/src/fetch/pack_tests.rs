//! Packs of real packages, held against what their headers say, and damaged ones.

use super::*;
use crate::base::Digest;
use crate::fetch::{Trust, verify};
use crate::formats::rpm::{FileDigest, FileKind, fixtures};
use sha2::Digest as _;
use std::path::{Path, PathBuf};

fn verified(path: &Path) -> Result<VerifiedPackage> {
    let bytes = std::fs::read(path).unwrap();
    verify(path, &Digest::of(&bytes), bytes.len() as u64, Trust::Unsigned)
}

fn hex_digest(algorithm: u32, bytes: &[u8]) -> String {
    match algorithm {
        1 => hex::encode(md5::Md5::digest(bytes)),
        2 => hex::encode(sha1::Sha1::digest(bytes)),
        8 => Digest::of(bytes).to_string(),
        10 => hex::encode(sha2::Sha512::digest(bytes)),
        other => panic!("digest algorithm {other}"),
    }
}

#[test]
fn every_package_imports_with_the_contents_that_its_header_promises() {
    let Some(folder) = fixtures::folder() else { return };
    let packs = tempfile::tempdir().unwrap();
    let (mut imported, mut refused, mut files, mut links, mut faults) = (0, 0, 0, 0, Vec::new());
    for path in fixtures::packages(&folder.join("rpms")) {
        let package = verified(&path).unwrap();
        let pack = match Pack::import(packs.path(), &package) {
            Ok(pack) => pack,
            Err(e) => {
                // A truncated payload among the fixtures: refused only where rpm finds fault too.
                let rpm = std::process::Command::new("rpm").args(["-K", "--nosignature"]).arg(&path).output();
                if !rpm.is_ok_and(|output| !output.status.success()) {
                    faults.push(format!("{}: {e}", path.display()));
                }
                refused += 1;
                continue;
            }
        };
        imported += 1;
        let reopened = Pack::open(packs.path(), package.digest()).unwrap().unwrap();
        assert_eq!(pack.index, reopened.index);
        assert_eq!(reopened.entries().len(), package.package().files.len(), "{}", path.display());
        for (entry, header) in reopened.entries().iter().zip(&package.package().files) {
            assert_eq!((&entry.path, &entry.kind, entry.mode, entry.mtime), (&header.path, &header.kind, header.mode, header.mtime));
            if entry.kind != FileKind::File || entry.flags.is_ghost() {
                assert_eq!((entry.size, entry.digest), (0, None));
                continue;
            }
            let bytes = reopened.blob(entry).to_vec().unwrap();
            assert_eq!((bytes.len() as u64, entry.offset % PACK_ALIGNMENT), (header.size, 0), "{}", entry.path);
            assert_eq!(entry.digest, Some(Digest::of(&bytes)), "{}", entry.path);
            match &header.digest {
                Some(FileDigest::Sha256(d)) => assert_eq!(hex_digest(8, &bytes), d.to_string(), "{}", entry.path),
                Some(FileDigest::Other { algorithm, hex }) => assert_eq!(hex_digest(*algorithm, &bytes), *hex, "{}", entry.path),
                None => {}
            }
            files += 1;
            links += u32::from(entry.link_group.is_some());
        }
    }
    println!("imported {imported} packages, {files} files, {links} of them hard links; {refused} refused, as by rpm");
    assert!(refused <= 1);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The greatest package at hand, imported to a folder of its own.
fn sample() -> Option<(tempfile::TempDir, VerifiedPackage, Pack)> {
    let path = fixtures::folder()?.join("rpms/el9-bzip2-signed/bzip2-libs-1.0.8-18.el9.x86_64.rpm");
    let packs = tempfile::tempdir().unwrap();
    let package = verified(&path).unwrap();
    let pack = Pack::import(packs.path(), &package).unwrap();
    Some((packs, package, pack))
}

#[test]
fn a_damaged_pack_counts_as_absent_and_is_imported_again() {
    let Some((packs, package, first)) = sample() else { return };
    let [pack, index] = names(packs.path(), package.digest());
    let whole = std::fs::read(&index).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [&whole[..whole.len() - 1], &whole[..10], &[], &flipped] {
        std::fs::write(&index, damaged).unwrap();
        assert!(Pack::open(packs.path(), package.digest()).unwrap().is_none());
        assert_eq!(Pack::import(packs.path(), &package).unwrap().index, first.index);
    }
    let contents = std::fs::read(&pack).unwrap();
    std::fs::write(&pack, &contents[..contents.len() - 4096]).unwrap();
    assert!(Pack::open(packs.path(), package.digest()).unwrap().is_none());
    Pack::import(packs.path(), &package).unwrap();
    assert_eq!(std::fs::read(&pack).unwrap(), contents, "the second import wrote other bytes");
}

/// Numerical Recipes' linear congruential generator: the same mutations in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

#[test]
fn mutated_packages_are_imported_or_refused_with_a_reason() {
    let Some(folder) = fixtures::folder() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let sources: Vec<PathBuf> = [
        "rpms/awkward/rpm-rs/tests_assets_RPMS_v6_rpm-file-attrs-1.0-1.noarch.rpm",
        "rpms/awkward/rpm-rs/tests_assets_RPMS_v6_rpm-hardlinks-1.0-1.noarch.rpm",
        "rpms/awkward/go-rpmutils/testdata_payload-test-0.1-w.ufdio.x86_64.rpm",
        "rpms/awkward/go-rpmutils/testdata_simple-1.0.1-1.i386.rpm",
    ]
    .iter()
    .map(|name| folder.join(name))
    .collect();
    let mut dice = Dice(20_240_217);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..4_000 {
        let mut bytes = std::fs::read(&sources[round % sources.len()]).unwrap();
        for _ in 0..=dice.below(4) {
            let at = dice.below(bytes.len());
            match dice.below(4) {
                0 => bytes[at] = dice.below(256) as u8,
                1 => bytes[at] ^= 1 << dice.below(8),
                2 => bytes[at] = 0xff,
                _ => bytes.truncate(at.max(1)),
            }
        }
        let path = scratch.path().join("mutant.rpm");
        std::fs::write(&path, &bytes).unwrap();
        let outcome = verified(&path).and_then(|package| Pack::import(scratch.path(), &package));
        match outcome {
            Ok(_) => accepted += 1,
            Err(e) => {
                assert_ne!(e.kind(), crate::base::Kind::Internal, "{e}");
                refused += 1;
            }
        }
    }
    println!("mutants: {accepted} still whole, {refused} refused");
    assert!(refused > 1_000);
}
