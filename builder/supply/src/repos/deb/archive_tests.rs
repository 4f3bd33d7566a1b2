//! An archive signed by gpg on a server of our own: brought, used again offline, damaged in the cache, expired.

use super::super::in_release::tests::{NOW, signed};
use super::*;
use crate::net::tests::{Server, ok, quick, status};

const PACKAGES: &str = "Package: a\nVersion: 1-1\nArchitecture: amd64\nFilename: pool/a_1-1_amd64.deb\nSize: 7\n\
                        SHA256: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae\nDescription: a\n\n";

fn xz(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_the_cache_holds_of_an_archive_is_proven_at_each_use() {
    let home = tempfile::tempdir().unwrap();
    let index = xz(PACKAGES.as_bytes());
    let text = format!(
        "Suite: stable\nCodename: trixie\nDate: Sat, 21 Nov 2020 09:15:44 UTC\nSHA256:\n {} {} main/binary-amd64/Packages.xz\n",
        Digest::of(&index),
        index.len()
    );
    let Some((certificate, message)) = signed(home.path(), &text, "ed25519", "SHA512") else { return };
    let (release, body) = (message.clone(), index.clone());
    let server = Server::start(move |_, path, range| match path {
        "debian/dists/stable/InRelease" => ok(&release, range),
        "debian/dists/stable/main/binary-amd64/Packages.xz" => ok(&body, range),
        _ => status("404 Not Found"),
    });
    let cache = tempfile::tempdir().unwrap();
    let (mirror, keys, components) = (server.at("debian"), [certificate], ["main".to_owned()]);
    let load_at = |offline: bool, now: SourceDateEpoch| {
        let source = DebSource {
            mirror: &mirror,
            suite: "stable",
            components: &components,
            arch: "amd64",
            keys: &keys,
            allow_expired: false,
            now,
            pinned: None,
        };
        load(&quick(offline), cache.path(), &source)
    };
    let failed = |offline: bool, now: SourceDateEpoch| load_at(offline, now).err().unwrap().to_string();
    assert!(failed(true, NOW).contains("offline"), "an empty cache");
    assert_eq!(load_at(false, NOW).unwrap().packages[0].nevra.name, "a");
    assert_eq!(load_at(true, NOW).unwrap().packages[0].nevra.name, "a", "offline");
    // The key lives for two years.
    let late = SourceDateEpoch(NOW.0 + 2 * 365 * 86_400);
    assert!(failed(true, late).contains("expired") && failed(false, late).contains("expired"));
    let packages = cache.path().join("deb").join(format!("{}.Packages.xz", Digest::of(&index)));
    let mut damaged = index.clone();
    damaged[20] ^= 1;
    std::fs::write(&packages, &damaged).unwrap();
    let error = failed(true, NOW);
    assert!(error.contains(&packages.display().to_string()) && error.contains("damaged"), "{error}");
    std::fs::write(&packages, &damaged).unwrap();
    load_at(false, NOW).unwrap();
    assert_eq!(std::fs::read(&packages).unwrap(), index);
    let latest = std::fs::read_dir(cache.path().join("deb")).unwrap().map(|entry| entry.unwrap().path());
    let latest = latest.into_iter().find(|path| path.to_string_lossy().ends_with(".latest.InRelease")).unwrap();
    std::fs::write(&latest, String::from_utf8(message).unwrap().replace("stable", "stabbe")).unwrap();
    let error = failed(true, NOW);
    assert!(error.contains(&latest.display().to_string()), "{error}");
    load_at(false, NOW).unwrap();
    load_at(true, NOW).unwrap();
}
