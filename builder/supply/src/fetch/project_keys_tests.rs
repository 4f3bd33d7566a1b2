//! The keys that the project's recipes trust, and real packages that one of them signed.

use super::*;
use model::SourceDateEpoch;
use std::path::{Path, PathBuf};

const CENTOS_7: &str = "6341ab2753d78a78a7c27bb124c6a8a7f4a80eb5";
const CENTOS: &str = "99db70fae1d7ce227fb6488205b555b38483c65d";
const FEDORA_44: &str = "36f612dcf27f7d1a48a835e4dbfcf71c6d9f90a6";
const KUBERNETES: &str = "de15b14486cd377b9e876e1a234654da9a296436";

fn recipes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes")
}

/// The committed key of a fingerprint. Loading compares the key with the file's name.
fn key(fingerprint: &str) -> Keyring {
    let file = recipes().join(format!("keys/{}.asc", fingerprint.to_ascii_uppercase()));
    // 1 January 2026.
    let policy = Policy { relax: Vec::new(), now: Some(SourceDateEpoch(1_767_225_600)) };
    Keyring::load(&[file]).unwrap().with_policy(policy)
}

#[test]
fn each_key_that_a_recipe_names_is_committed_and_has_the_fingerprint_that_it_names() {
    let check = |recipe: &str, expected: &[(&str, &str)]| {
        let recipe = recipe::load(&recipes().join(format!("{recipe}.toml"))).unwrap();
        let mut found = Vec::new();
        for repo in recipe.repos.iter().filter(|repo| matches!(repo.kind, recipe::RepoKind::RpmMd)) {
            let recipe::Trust::Keys(files) = &repo.trust else { panic!("{} is unsigned", repo.id) };
            let files: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
            for fingerprint in Keyring::load(&files).unwrap().fingerprints() {
                found.push((repo.id.clone(), fingerprint));
            }
        }
        let expected: Vec<(String, String)> = expected.iter().map(|(id, key)| ((*id).into(), (*key).into())).collect();
        assert_eq!(found, expected);
    };
    check("fedora-atomic-host", &[("fedora", FEDORA_44), ("updates", FEDORA_44)]);
    check("centos-stream-atomic-host", &[("baseos", CENTOS), ("appstream", CENTOS), ("kubernetes", KUBERNETES)]);
    assert_eq!(key(CENTOS_7).fingerprints(), [CENTOS_7]);
}

#[test]
fn real_packages_that_centos_signed_are_accepted_with_its_key_and_refused_with_another() {
    let Some(folder) = fixtures::file("rpms/centos-7.7/Packages") else { return };
    let packages = fixtures::packages(&folder);
    assert!(packages.len() > 200, "{} packages", packages.len());
    let (right, wrong) = (key(CENTOS_7), key(CENTOS));
    let mut refused = Vec::new();
    for path in &packages {
        // Unlike `verify`, this never sets a file aside: the fixtures are not ours.
        match verify_signature(path, &right) {
            Ok(package) => {
                let signer = package.signer().unwrap();
                assert_eq!((signer.fingerprint.as_str(), signer.relaxed.as_slice()), (CENTOS_7, [].as_slice()));
            }
            Err(_) => refused.push(package_name(path)),
        }
        let error = verify_signature(path, &wrong).map(drop).unwrap_err();
        assert_eq!(error.kind(), model::Kind::Integrity, "{error}");
    }
    // Rebuilt packages without a signature, and one that the EPEL project signed.
    let others = ["centos-release", "centos-release", "cockpit-bridge", "cockpit-storaged", "epel-release"];
    assert_eq!(refused, others);
}

/// The name of a package, of a file called `NAME-VERSION-RELEASE.ARCH.rpm`.
fn package_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
    stem.rsplitn(3, '-').last().unwrap().to_owned()
}
