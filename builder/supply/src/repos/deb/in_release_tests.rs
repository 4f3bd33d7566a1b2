use super::*;
use std::path::Path;
use std::process::Command;

/// 2026-01-01, inside the lifetime of every key of these tests.
pub(crate) const NOW: SourceDateEpoch = SourceDateEpoch(1_767_225_600);

fn body(extra: &str) -> String {
    format!(
        "Suite: stable\nCodename: trixie\nDate: Sat, 21 Nov 2020 09:15:44 UTC\n{extra}SHA256:\n {} 12 main/binary-amd64/Packages\n",
        Digest::of(b"x")
    )
}

/// A fresh key's armored certificate and a clearsigned text, made by gpg; `None` if there is no gpg here.
pub(crate) fn signed(home: &Path, text: &str, key: &str, hash: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(home, std::fs::Permissions::from_mode(0o700)).unwrap();
    let gpg = |args: &[&str]| {
        let output = Command::new("gpg")
            .arg("--homedir")
            .arg(home)
            .args(["--batch", "--yes", "-q", "--passphrase", "", "--faked-system-time", "20250601T000000"])
            .args(args)
            .output();
        output.ok().map(|o| {
            assert!(o.status.success(), "gpg {args:?}: {}", String::from_utf8_lossy(&o.stderr));
            o.stdout
        })
    };
    let file = home.join("text");
    std::fs::write(&file, text).unwrap();
    if gpg(&["--quick-gen-key", "test", key, "sign", "2y"]).is_none() {
        fixtures::missing("no gpg here");
        return None;
    }
    let message = gpg(&["--digest-algo", hash, "--output", "-", "--clearsign", file.to_str().unwrap()])?;
    Some((gpg(&["--armor", "--export"])?, message))
}

#[test]
fn a_signed_release_is_read_and_any_change_is_refused() {
    for (key, hash) in [("ed25519", "SHA512"), ("rsa2048", "SHA256")] {
        let home = tempfile::tempdir().unwrap();
        let Some((certificate, message)) = signed(home.path(), &body(""), key, hash) else { return };
        let keys = [certificate];
        let release = Release::verify(&message, &keys, NOW, false).unwrap();
        assert_eq!((release.codename.as_str(), release.date), ("trixie", 1_605_950_144));
        assert_eq!(release.file("main/binary-amd64/Packages"), Some((Digest::of(b"x"), 12)));
        let changed = String::from_utf8(message.clone()).unwrap().replace("stable", "Stable");
        assert!(Release::verify(changed.as_bytes(), &keys, NOW, false).is_err());
        assert!(Release::verify(&message, &[], NOW, false).is_err());
        // What is not signed is not read.
        let mut longer = message.clone();
        longer.splice(0..0, *b"Suite: other\n");
        assert!(Release::verify(&longer, &keys, NOW, false).is_err());
        // Two years after the key was made it is expired.
        let late = SourceDateEpoch(NOW.0 + 2 * 365 * 86_400);
        let error = Release::verify(&message, &keys, late, false).unwrap_err().to_string();
        assert!(error.contains("expired"), "{error}");
        assert!(Release::verify(&message, &keys, late, true).is_ok());
    }
}

#[test]
fn a_weak_signature_is_refused_although_it_is_good() {
    for (key, hash, problem) in [("ed25519", "SHA1", "too weak"), ("rsa1024", "SHA256", "not a key")] {
        let home = tempfile::tempdir().unwrap();
        let Some((certificate, message)) = signed(home.path(), &body(""), key, hash) else { return };
        let error = Release::verify(&message, &[certificate], NOW, false).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn an_expired_release_is_refused_unless_it_is_waived() {
    let home = tempfile::tempdir().unwrap();
    let text = body("Valid-Until: Sat, 28 Nov 2020 09:15:44 UTC\n");
    let Some((certificate, message)) = signed(home.path(), &text, "ed25519", "SHA512") else { return };
    let keys = [certificate];
    let error = Release::verify(&message, &keys, NOW, false).unwrap_err();
    assert!(error.to_string().contains("expired at 2020-11-28T09:15:44Z"), "{error}");
    assert!(error.hint_text().unwrap().contains("allow-expired"));
    assert_eq!(Release::verify(&message, &keys, NOW, true).unwrap().valid_until, Some(1_606_554_944));
}

#[test]
fn dates_read_as_the_seconds_that_date_prints() {
    for (text, expected) in [
        ("Thu, 01 Jan 1970 00:00:00 UTC", Some(0)),
        ("Tue, 29 Feb 2000 00:00:00 UTC", Some(951_782_400)),
        ("Sat, 21 Nov 2026 09:15:44 UTC", Some(1_795_252_544)),
        ("Sat, 21 Nov 2026 09:15:44 +0100", None),
        ("Sat, 21 Foo 2026 09:15:44 UTC", None),
        ("yesterday", None),
    ] {
        assert_eq!(parse_date(text), expected, "{text}");
    }
}

#[test]
fn the_keys_that_recipes_name_are_keys() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/keys");
    for (file, fingerprints) in [
        (
            "debian-archive-trixie-automatic.asc",
            &["04b54c3cdca79751b16bc6b5225629df75b188bd", "b8e5f13176d2a7a75220028078dba3bc47ef2265"][..],
        ),
        (
            "debian-archive-bookworm-automatic.asc",
            &["b8b80b5b623eab6ad8775c45b7c5d7d6350947f8", "4cb50190207b4758a3f73a796ed0e7b82643e131"][..],
        ),
        ("debian-archive-trixie-stable.asc", &["41587f7db8c774bccf131416762f67a0b2c39de4"][..]),
    ] {
        let certificates = read_keys(&[std::fs::read(folder.join(file)).unwrap()]).unwrap();
        let found: Vec<String> = certificates.iter().flat_map(signers).map(|s| s.key.fingerprint_hex()).collect();
        assert_eq!(found, fingerprints, "{file}");
    }
}
