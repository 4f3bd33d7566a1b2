//! Signatures made by gpg and rpmsign, good and bad in every way that we refuse.

use super::*;
use crate::formats::rpm::fixtures;
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
            println!("skipped: no {program}");
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

#[test]
fn signatures_of_rpmsign_are_accepted_and_weak_ones_refused_with_a_reason() {
    let Some(folder) = fixtures::folder() else { return };
    let modern = folder.join("rpms/el9-bzip2-signed/bzip2-libs-1.0.8-18.el9.x86_64.rpm");
    for (kind, expiry, signed_on, hash, expected) in [
        (RSA, "0", "20210101T000000", "SHA256", None),
        (EDDSA, "0", "20210101T000000", "SHA512", None),
        (RSA, "2y", "20210101T000000", "SHA256", None),
        (RSA, "0", "20210101T000000", "SHA1", Some("rests on SHA1")),
        ("Key-Type: RSA\nKey-Length: 1024\nKey-Usage: sign", "0", "20210101T000000", "SHA256", Some("RSA key of 1024 bits")),
        ("Key-Type: DSA\nKey-Length: 2048\nKey-Usage: sign", "0", "20210101T000000", "SHA256", Some("expected RSA, EdDSA or ECDSA")),
    ] {
        let Some(signed) = sign(&modern, kind, expiry, signed_on, hash) else { return };
        let path = signed.folder.path().join("signed.rpm");
        let outcome = check(&path, &signed.key);
        match (outcome, expected) {
            (Ok(package), None) => assert!(package.signer().is_some()),
            (Err(e), Some(reason)) => assert!(e.to_string().contains(reason), "{e}"),
            (outcome, expected) => {
                panic!("{kind} {hash}: expected {expected:?}, found {:?}", outcome.map(|p| p.signer).map_err(|e| e.to_string()))
            }
        }
    }
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
