//! Signatures made by gpg and rpmsign, good and bad in every way that we refuse.

use super::*;
use crate::fetch::Policy;
use model::SourceDateEpoch;
use packages::rpm::tags::signature;
use recipe::Weakness;
use std::process::Command;

/// A gpg home with one key, and a package signed by it.
struct Signed {
    folder: tempfile::TempDir,
    key: Keyring,
}

fn run(program: &str, args: &[&str]) -> Option<Vec<u8>> {
    match Command::new(program).args(args).output() {
        Ok(output) if output.status.success() => Some(output.stdout),
        Ok(output) => panic!("{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => {
            fixtures::missing(format_args!("no {program}"));
            None
        }
    }
}

/// Key `kind` (as gpg's batch files say it), made in 2020 and living so long, signs `source` on the given day with `hash`.
fn sign(source: &Path, kind: &str, expiry: &str, signed_on: &str, hash: &str) -> Option<Signed> {
    sign_with(source, kind, expiry, signed_on, hash, "--addsign")
}

fn sign_with(source: &Path, kind: &str, expiry: &str, signed_on: &str, hash: &str, how: &str) -> Option<Signed> {
    let folder = tempfile::Builder::new().prefix("g").tempdir().unwrap();
    let home = folder.path().to_str().unwrap();
    let batch = folder.path().join("batch");
    let made = "20200101T000000";
    std::fs::write(&batch, format!("%no-protection\n{kind}\nName-Real: test\nExpire-Date: {expiry}\n%commit\n")).unwrap();
    run("gpg", &["--homedir", home, "--batch", "--quiet", "--faked-system-time", made, "--generate-key", batch.to_str().unwrap()])?;
    let public = run("gpg", &["--homedir", home, "--batch", "--quiet", "--armor", "--export", "test"])?;
    let copy = folder.path().join("signed.rpm");
    std::fs::copy(source, &copy).unwrap();
    let command = format!(
        "__gpg_sign_cmd %{{__gpg}} gpg --homedir {home} --batch --no-verbose --no-armor --faked-system-time {signed_on} \
         --ignore-time-conflict --ignore-valid-from --allow-weak-digest-algos --digest-algo {hash} -u test -sbo %{{__signature_filename}} -- %{{__plaintext_filename}}"
    );
    run(
        "rpmsign",
        &[
            "--define",
            "_gpg_name test",
            "--define",
            "__gpg /usr/bin/gpg",
            "--define",
            &format!("_gpg_path {home}"),
            "--define",
            &command,
            "--addsign",
            how,
            copy.to_str().unwrap(),
        ],
    )?;
    Some(Signed { key: Keyring::from_bytes("test key", &public).unwrap(), folder })
}

fn check(path: &Path, keys: &Keyring) -> Result<VerifiedPackage> {
    let bytes = std::fs::read(path).unwrap();
    verify(path, &Digest::of(&bytes), bytes.len() as u64, Trust::Keys(keys))
}

const RSA: &str = "Key-Type: RSA\nKey-Length: 2048\nKey-Usage: sign";
const EDDSA: &str = "Key-Type: EDDSA\nKey-Curve: ed25519\nKey-Usage: sign";

/// The certificate that gpg wrote with the key, published in it.
fn revoke(signed: &Signed) -> Keyring {
    let home = signed.folder.path().to_str().unwrap();
    let certificates = signed.folder.path().join("openpgp-revocs.d");
    let certificate = std::fs::read_dir(certificates).unwrap().next().unwrap().unwrap().path();
    // A colon in front keeps it from being published by accident.
    let armored = std::fs::read_to_string(&certificate).unwrap().replace("\n:-----", "\n-----");
    std::fs::write(&certificate, armored).unwrap();
    let gpg = |args: &[&str]| run("gpg", &[&["--homedir", home, "--batch", "--quiet"], args].concat()).unwrap();
    gpg(&["--import", certificate.to_str().unwrap()]);
    Keyring::from_bytes("revoked key", &gpg(&["--armor", "--export", "test"])).unwrap()
}

/// 1 January 2026.
const NOW: SourceDateEpoch = SourceDateEpoch(1_767_225_600);

fn policy(relax: &[Weakness]) -> Policy {
    Policy { relax: relax.to_vec(), now: Some(NOW) }
}

#[test]
fn signatures_of_rpmsign_are_accepted_and_weak_ones_refused_with_a_reason_unless_relaxed() {
    let Some(folder) = fixtures::folder() else { return };
    let modern = folder.join("rpms/el9-bzip2-signed/bzip2-libs-1.0.8-18.el9.x86_64.rpm");
    for (kind, expiry, signed_on, hash, expected) in [
        (RSA, "0", "20210101T000000", "SHA256", None),
        (EDDSA, "0", "20210101T000000", "SHA512", None),
        (RSA, "20y", "20210101T000000", "SHA256", None),
        (RSA, "0", "20210101T000000", "SHA1", Some((Weakness::Sha1Signature, "rests on SHA1"))),
        (RSA, "0", "20210101T000000", "MD5", Some((Weakness::Md5Signature, "rests on MD5"))),
        (
            "Key-Type: RSA\nKey-Length: 1024\nKey-Usage: sign",
            "0",
            "20210101T000000",
            "SHA256",
            Some((Weakness::ShortRsa, "RSA key of 1024 bits")),
        ),
        (
            "Key-Type: DSA\nKey-Length: 2048\nKey-Usage: sign",
            "0",
            "20210101T000000",
            "SHA256",
            Some((Weakness::Dsa, "its algorithm is DSA")),
        ),
        (EDDSA, "2y", "20210101T000000", "SHA256", Some((Weakness::ExpiredKey, "and it is 1767225600 now"))),
        (EDDSA, "0", "20190101T000000", "SHA256", Some((Weakness::SignatureBeforeKey, "before the key, created at"))),
    ] {
        let Some(signed) = sign(&modern, kind, expiry, signed_on, hash) else { return };
        let path = signed.folder.path().join("signed.rpm");
        let strict = check(&path, &signed.key.clone().with_policy(policy(&[])));
        match (strict, expected) {
            (Ok(package), None) => assert_eq!(package.signer().unwrap().relaxed, []),
            (Err(e), Some((weakness, reason))) => {
                assert!(e.to_string().contains(reason), "{e}");
                assert!(e.hint_text().unwrap().contains(weakness.name()), "{e}");
                assert!(path.exists(), "a weak signature is no reason to set the file aside");
                let others: Vec<Weakness> = Weakness::ALL.into_iter().filter(|other| *other != weakness).collect();
                check(&path, &signed.key.clone().with_policy(policy(&others))).unwrap_err();
                let package = check(&path, &signed.key.clone().with_policy(policy(&[weakness]))).unwrap();
                assert_eq!(package.signer().unwrap().relaxed, [weakness]);
            }
            (outcome, expected) => {
                panic!("{kind} {hash}: expected {expected:?}, found {:?}", outcome.map(|p| p.signer).map_err(|e| e.to_string()))
            }
        }
    }
    let Some(signed) = sign(&modern, EDDSA, "0", "20210101T000000", "SHA256") else { return };
    let path = signed.folder.path().join("signed.rpm");
    let revoked = revoke(&signed);
    let error = check(&path, &revoked).unwrap_err();
    assert!(error.to_string().contains("it is revoked"), "{error}");
    check(&path, &revoked.with_policy(policy(&[Weakness::RevokedKey]))).unwrap();
}

#[test]
fn contents_known_by_md5_or_sha1_alone_are_refused_unless_relaxed() {
    let Some(folder) = fixtures::folder() else { return };
    // Built by an rpm that knew only MD5.
    let old = folder.join("rpms/awkward/go-rpmutils/testdata_simple-1.0.1-1.i386.rpm");
    let Some(signed) = sign(&old, RSA, "0", "20210101T000000", "SHA256") else { return };
    let path = signed.folder.path().join("signed.rpm");
    let relaxed = signed.key.clone().with_policy(policy(&[Weakness::Md5Digest]));
    // The signature over header and payload needs nothing relaxed, so nothing is, although the recipe would.
    assert_eq!(check(&path, &relaxed).unwrap().signer().unwrap().relaxed, []);
    assert_eq!(check(&path, &relaxed).unwrap().signer(), check(&path, &signed.key).unwrap().signer());
    // The signature over header and payload gets a tag that no one reads, so that only the header is signed.
    let mut bytes = std::fs::read(&path).unwrap();
    let entry = [signature::PGP.to_be_bytes(), 7u32.to_be_bytes()].concat();
    let at = bytes.windows(8).position(|w| w == entry).unwrap();
    bytes[at + 3] += 1;
    std::fs::write(&path, bytes).unwrap();
    let error = check(&path, &signed.key).map(|_| "accepted").unwrap_err();
    assert!(error.to_string().contains("knows the contents by md5-digest alone"), "{error}");
    let package = check(&path, &relaxed).unwrap();
    assert_eq!(package.signer().unwrap().relaxed, [Weakness::Md5Digest]);
    assert_eq!(relaxed.accepted(package.signer().unwrap()).as_ref(), package.signer());
    assert_eq!(signed.key.accepted(package.signer().unwrap()), None);
    // The MD5 is then what is checked.
    let packs = tempfile::tempdir().unwrap();
    crate::fetch::Pack::import(packs.path(), &package, &model::Facts::none()).unwrap();
    let mut wrong = package;
    for file in &mut wrong.package.files {
        if let Some(rpm::FileDigest::Other { hex, .. }) = &mut file.digest {
            *hex = "0".repeat(32);
        }
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let error = crate::fetch::Pack::import(elsewhere.path(), &wrong, &model::Facts::none()).unwrap_err().to_string();
    assert!(error.contains("expected contents with md5 000"), "{error}");
}

#[test]
fn a_signature_in_the_cache_is_judged_by_the_key_file_and_the_time_of_now() {
    let Some(folder) = fixtures::folder() else { return };
    let modern = folder.join("rpms/el9-bzip2-signed/bzip2-libs-1.0.8-18.el9.x86_64.rpm");
    // Until 1 January 2025.
    let Some(signed) = sign(&modern, EDDSA, "20250101T000000", "20210101T000000", "SHA256") else { return };
    let at = |now: u32, relax: &[Weakness]| Policy { relax: relax.to_vec(), now: Some(SourceDateEpoch(now)) };
    let (before, after) = (1_700_000_000, NOW.0);
    let path = signed.folder.path().join("signed.rpm");
    let import = |policy: Policy| {
        let verified = check(&path, &signed.key.clone().with_policy(policy)).unwrap();
        let packs = tempfile::tempdir().unwrap();
        let facts = model::Facts::none();
        crate::fetch::Pack::import(packs.path(), &verified, &facts).unwrap();
        let found = crate::fetch::Pack::open(packs.path(), verified.digest(), &facts).unwrap();
        let crate::fetch::FoundPack::Whole(pack) = found else { panic!("{found:?}") };
        pack
    };
    // Imported while the key was good; and later, when a recipe had to relax that it had expired.
    let (pack, pack_of_relaxed) = (import(at(before, &[])), import(at(after, &[Weakness::ExpiredKey])));
    assert_eq!(pack_of_relaxed.signer().unwrap().relaxed, [Weakness::ExpiredKey]);
    let signer = pack.signer().unwrap();
    let revoked = revoke(&signed);
    for (keys, policy) in [
        (&signed.key, at(before, &[])),
        (&signed.key, at(after, &[])),
        (&signed.key, at(after, &[Weakness::ExpiredKey])),
        (&revoked, at(before, &[])),
        (&revoked, at(before, &[Weakness::RevokedKey])),
        (&revoked, at(after, &[Weakness::RevokedKey, Weakness::ExpiredKey])),
        (&Keyring::default(), at(before, &[])),
    ] {
        let keys = keys.clone().with_policy(policy.clone());
        let anew = check(&path, &keys).ok().map(|verified| verified.signer().unwrap().clone());
        for old in [&pack, &pack_of_relaxed] {
            let judged = old.clone().judged(&keys).map(|pack| pack.signer().unwrap().clone());
            assert_eq!(judged, anew, "{policy:?}: the cache must not matter");
        }
    }
    let refused = |keys: &Keyring, policy: Policy| keys.clone().with_policy(policy).accepted(signer).is_none();
    assert!(refused(&signed.key, at(after, &[])) && refused(&revoked, at(before, &[])));
    assert!(!refused(&signed.key, at(before, &[])) && !refused(&revoked, at(before, &[Weakness::RevokedKey])));
}

#[test]
fn a_changed_header_or_a_foreign_key_is_refused() {
    let Some(folder) = fixtures::folder() else { return };
    let modern = folder.join("rpms/el9-bzip2-signed/bzip2-libs-1.0.8-18.el9.x86_64.rpm");
    let Some(signed) = sign(&modern, EDDSA, "0", "20210101T000000", "SHA256") else { return };
    let path = signed.folder.path().join("signed.rpm");
    let header = rpm::parse(std::fs::File::open(&path).unwrap()).unwrap().header_offset as usize;
    let mut bytes = std::fs::read(&path).unwrap();
    // The summary's first letter: the header stays well-formed.
    let summary = rpm::parse(bytes.as_slice()).unwrap().metadata.summary;
    let at = header + bytes[header..].windows(summary.len()).position(|w| w == summary.as_bytes()).unwrap();
    bytes[at] ^= 0x20;
    std::fs::write(&path, &bytes).unwrap();
    let error = check(&path, &signed.key).unwrap_err().to_string();
    assert!(error.contains("does not match"), "{error}");
    assert!(!path.exists() && path.with_extension("rpm.rejected").exists(), "a changed file stayed under its name");
    let error = check(&modern, &signed.key).unwrap_err().to_string();
    assert!(error.contains("6c431928ef743b4c") && error.contains("not among"), "{error}");
    let unsigned = folder.join("rpms/awkward/rpm-rs/tests_assets_RPMS_v4_rpm-basic-2.3.4-5.el9.noarch.rpm");
    let error = check(&unsigned, &signed.key).unwrap_err().to_string();
    assert!(error.contains("not signed"), "{error}");
}

#[test]
fn a_package_without_sha256_of_its_contents_needs_a_signature_over_the_payload() {
    let Some(folder) = fixtures::folder() else { return };
    // Built by an rpm that knew only MD5.
    let old = folder.join("rpms/awkward/go-rpmutils/testdata_simple-1.0.1-1.i386.rpm");
    let Some(signed) = sign_with(&old, RSA, "0", "20210101T000000", "SHA256", "--rpmv3") else { return };
    let path = signed.folder.path().join("signed.rpm");
    check(&path, &signed.key).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = check(&path, &signed.key).unwrap_err().to_string();
    assert!(error.contains("does not match"), "{error}");
}

#[test]
fn a_file_of_another_digest_or_size_is_moved_aside() {
    let Some(folder) = fixtures::folder() else { return };
    let source = folder.join("rpms/awkward/rpm-rs/tests_assets_RPMS_v4_rpm-basic-2.3.4-5.el9.noarch.rpm");
    let bytes = std::fs::read(source).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("basic.rpm");
    for (digest, size, expected) in [(Digest::of(b"other"), bytes.len() as u64, "found"), (Digest::of(&bytes), 7, "expected 7 bytes")] {
        std::fs::write(&path, &bytes).unwrap();
        let error = verify(&path, &digest, size, Trust::Unsigned).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("basic.rpm"), "{error}");
        assert!(!path.exists() && scratch.path().join("basic.rpm.rejected").exists());
    }
    std::fs::write(&path, &bytes).unwrap();
    verify(&path, &Digest::of(&bytes), bytes.len() as u64, Trust::Unsigned).unwrap();
}

#[test]
fn repository_metadata_needs_the_armored_signature_of_a_key_of_the_recipe() {
    let Some(folder) = fixtures::folder() else { return };
    let package = folder.join("rpms/awkward/rpm-rs/tests_assets_RPMS_v4_rpm-basic-2.3.4-5.el9.noarch.rpm");
    let Some(signed) = sign(&package, EDDSA, "0", "20210101T000000", "SHA256") else { return };
    let home = signed.folder.path().to_str().unwrap();
    for (repository, issuer) in [("docker-engine-centos7", "f76221572c52609d"), ("kubernetes-el7", "6a030b21ba07f4fb")] {
        let repodata = folder.join("metadata").join(repository).join("repodata");
        let repomd = std::fs::read(repodata.join("repomd.xml")).unwrap();
        let foreign = std::fs::read(repodata.join("repomd.xml.asc")).unwrap();
        let error = signed.key.check_armored(&foreign, || Ok(repomd.as_slice())).unwrap_err().to_string();
        assert!(error.contains("which is not among the repository's keys") && error.contains(issuer), "{repository}: {error}");
        let plain = repodata.join("repomd.xml");
        let detach = |how: &str| {
            let plain = plain.to_str().unwrap();
            run("gpg", &["--homedir", home, "--batch", "--quiet", "--armor", how, "-u", "test", "-o", "-", "--detach-sign", plain]).unwrap()
        };
        signed.key.check_armored(&detach("--textmode"), || Ok(repomd.as_slice())).unwrap();
        let own = detach("--no-textmode");
        signed.key.check_armored(&own, || Ok(repomd.as_slice())).unwrap();
        let mut changed = repomd.clone();
        changed[100] ^= 1;
        let error = signed.key.check_armored(&own, || Ok(changed.as_slice())).unwrap_err().to_string();
        assert!(error.contains("does not match"), "{error}");
        let error = signed.key.check_armored(b"not armored", || Ok(repomd.as_slice())).unwrap_err().to_string();
        assert!(error.contains("not an armoured"), "{error}");
    }
}

#[test]
fn a_key_file_named_by_a_fingerprint_holds_that_key() {
    let Some(folder) = fixtures::folder() else { return };
    let package = folder.join("rpms/awkward/rpm-rs/tests_assets_RPMS_v4_rpm-basic-2.3.4-5.el9.noarch.rpm");
    let Some(signed) = sign(&package, EDDSA, "0", "20210101T000000", "SHA256") else { return };
    let home = signed.folder.path();
    let key = run("gpg", &["--homedir", home.to_str().unwrap(), "--batch", "--quiet", "--armor", "--export", "test"]).unwrap();
    let checked = check(&home.join("signed.rpm"), &signed.key).unwrap();
    let right = home.join(format!("{}.asc", checked.signer().unwrap().fingerprint.to_uppercase()));
    let wrong = home.join(format!("{}.asc", "0".repeat(40)));
    std::fs::write(&right, &key).unwrap();
    std::fs::write(&wrong, &key).unwrap();
    check(&home.join("signed.rpm"), &Keyring::load(&[right]).unwrap()).unwrap();
    let error = Keyring::load(&[wrong]).unwrap_err();
    assert!(error.to_string().contains("is named by a fingerprint, but holds"), "{error}");
}
