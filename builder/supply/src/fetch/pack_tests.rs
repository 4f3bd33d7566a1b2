//! Packs of real packages, held against what their headers say, and damaged ones.

use super::*;
use crate::fetch::{Trust, verify};
use model::Digest;
use packages::rpm::{FileDigest, FileKind};
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
    let facts = Facts::none();
    let (mut imported, mut refused, mut files, mut links, mut faults) = (0, 0, 0, 0, Vec::new());
    for path in fixtures::packages(&folder.join("rpms")) {
        let package = verified(&path).unwrap();
        let pack = match Pack::import(packs.path(), &package, &facts) {
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
        let reopened = open(packs.path(), package.digest(), &facts).unwrap();
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

fn open(packs: &Path, digest: &Digest, facts: &Facts) -> Option<Pack> {
    if let FoundPack::Whole(pack) = Pack::open(packs, digest, facts).unwrap() { Some(pack) } else { None }
}

/// The greatest package at hand, imported to a cache of its own.
struct Sample {
    cache: tempfile::TempDir,
    package: VerifiedPackage,
    first: Pack,
    facts: Facts,
}

impl Sample {
    fn new() -> Option<Sample> {
        let path = fixtures::folder()?.join("rpms/el9-bzip2-signed/bzip2-libs-1.0.8-18.el9.x86_64.rpm");
        let cache = tempfile::tempdir().unwrap();
        let (package, facts) = (verified(&path).unwrap(), Facts::none());
        let first = Pack::import(&cache.path().join("packs"), &package, &facts).unwrap();
        Some(Sample { cache, package, first, facts })
    }

    fn packs(&self) -> PathBuf {
        self.cache.path().join("packs")
    }
}

#[test]
fn a_damaged_pack_is_found_set_aside_and_imported_again() {
    let Some(sample) = Sample::new() else { return };
    let packs = sample.packs();
    let digest = sample.package.digest();
    let files = names(&packs, digest);
    let good = files.clone().map(|path| std::fs::read(path).unwrap());
    let other = {
        let another = Sample::new().unwrap();
        names(&another.packs(), digest).map(|path| std::fs::read(path).unwrap())
    };
    assert!(good == other, "an import gives the same bytes each time");
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 7] = [
        ("a bit flipped at the beginning", |bytes| bytes[0] ^= 1),
        ("a bit flipped in the middle", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x80;
        }),
        ("a bit flipped in the last used byte", |bytes| {
            let last = bytes.iter().rposition(|b| *b != 0).unwrap();
            bytes[last] ^= 2;
        }),
        ("truncated", |bytes| bytes.truncate(bytes.len() - 4096.min(bytes.len() / 2))),
        ("zeroed", |bytes| bytes.fill(0)),
        ("emptied", Vec::clear),
        ("longer", |bytes| bytes.extend([0; 4096])),
    ];
    for (which, path) in files.iter().enumerate() {
        for (name, damage) in damages {
            let mut bytes = good[which].clone();
            damage(&mut bytes);
            std::fs::write(path, &bytes).unwrap();
            let found = Pack::open(&packs, digest, &sample.facts).unwrap();
            assert!(matches!(found, FoundPack::Damaged(_)), "{name}: {found:?}");
            let again = Pack::import(&packs, &sample.package, &sample.facts).unwrap();
            assert_eq!(again.index, sample.first.index);
            assert!(files.clone().map(|path| std::fs::read(path).unwrap()) == good, "{name}");
        }
        // What is no file at all.
        std::fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
        assert!(matches!(Pack::open(&packs, digest, &sample.facts).unwrap(), FoundPack::Damaged(_)));
        Pack::import(&packs, &sample.package, &sample.facts).unwrap();
        assert!(path.symlink_metadata().unwrap().is_file());
        std::fs::remove_file(path).unwrap();
        assert!(matches!(Pack::open(&packs, digest, &sample.facts).unwrap(), FoundPack::Absent));
        Pack::import(&packs, &sample.package, &sample.facts).unwrap();
    }
    assert!(std::fs::read_dir(sample.cache.path().join("damaged")).unwrap().count() >= 16);
}

#[test]
fn a_pack_is_believed_only_as_what_this_user_made_of_this_package() {
    let Some(sample) = Sample::new() else { return };
    let packs = sample.packs();
    let digest = sample.package.digest();
    // Somebody else's cache: whole, and nothing that is known to be true.
    assert!(matches!(Pack::open(&packs, digest, &Facts::none()).unwrap(), FoundPack::Absent));
    // Pack and index of one package under another's name.
    let stranger = Digest::of(b"another package");
    for (from, to) in names(&packs, digest).iter().zip(names(&packs, &stranger)) {
        std::fs::copy(from, to).unwrap();
    }
    let made = sample.facts.get(import_question(digest)).unwrap();
    assert!(open(&packs, &stranger, &sample.facts).is_none());
    sample.facts.add(import_question(&stranger), made);
    let FoundPack::Damaged(why) = Pack::open(&packs, &stranger, &sample.facts).unwrap() else {
        panic!("a pack of another package is taken")
    };
    assert!(why.contains("not the one that was made of this package"), "{why}");
    // An index that is whole in itself, and says something else.
    let forged = PackIndex { entries: Vec::new(), ..(*sample.first.index).clone() };
    std::fs::write(&names(&packs, digest)[1], IndexFile::encode(&forged, None).unwrap().0).unwrap();
    assert!(matches!(Pack::open(&packs, digest, &sample.facts).unwrap(), FoundPack::Damaged(_)));
    // A signer that was not verified is none.
    let signer = Signer { fingerprint: "ab".repeat(20), relaxed: Vec::new(), packet: b"packet".to_vec() };
    let index = IndexFile::encode(&sample.first.index, Some(&signer)).unwrap();
    assert_eq!(index.1, made, "the signer does not change the index");
    std::fs::write(&names(&packs, digest)[1], index.0).unwrap();
    assert_eq!(open(&packs, digest, &sample.facts).unwrap().signer(), None);
    sample.facts.add(signer_question(digest), index.2);
    assert_eq!(open(&packs, digest, &sample.facts).unwrap().signer(), Some(&signer));
}

#[test]
fn a_byte_that_changes_behind_a_stamp_is_found_when_it_is_read() {
    let Some(sample) = Sample::new() else { return };
    let path = &names(&sample.packs(), sample.package.digest())[0];
    let pack = open(&sample.packs(), sample.package.digest(), &sample.facts).unwrap();
    let entry = pack.entries().iter().max_by_key(|entry| entry.size).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    bytes[(entry.offset + entry.size - 1) as usize] ^= 0x40;
    std::fs::write(path, &bytes).unwrap();
    // As if the disk had changed the byte: nobody has written to the file.
    sample.facts.add_verified(
        sample.facts.stamp(&std::fs::metadata(path).unwrap()),
        sample.facts.get(import_question(sample.package.digest())).unwrap(),
    );
    let believed = open(&sample.packs(), sample.package.digest(), &sample.facts).unwrap();
    let error = believed.blob(entry).to_vec().unwrap_err();
    assert!(error.to_string().contains("is damaged: the block at offset") && sample.facts.alarm().is_raised(), "{error}");
    sample.facts.distrust();
    assert!(open(&sample.packs(), sample.package.digest(), &sample.facts).is_none());
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
        let outcome = verified(&path).and_then(|package| Pack::import(scratch.path(), &package, &Facts::none()));
        match outcome {
            Ok(_) => accepted += 1,
            Err(e) => {
                assert_ne!(e.kind(), model::Kind::Internal, "{e}");
                refused += 1;
            }
        }
    }
    println!("mutants: {accepted} still whole, {refused} refused");
    assert!(refused > 1_000);
}
