//! Real repositories, damaged ones, and mirrors that fail.

use super::*;
use crate::base::{Kind, Silent};
use crate::repos::fixture::fixture;

fn load_fixture(path: &str, cache: &Path) -> Option<RepoSnapshot> {
    let url = format!("file://{}", fixture(path)?.display());
    let source = Source { id: "fixture", origin: Origin::Url(&url), priority: 99, visible: &[], exclude: &[], trust: Trust::Unsigned };
    Some(load(&Client::new(true), &source, cache, &Silent).unwrap())
}

#[test]
fn real_repositories_of_four_publishers_are_read_whole() {
    let cache = tempfile::tempdir().unwrap();
    for (path, count, nevra) in [
        ("metadata/centos-7.2.1511-os", 9007, "bash-4.2.46-19.el7.x86_64"),
        ("metadata/centos-stream-9-baseos-2022-02", 1125, "ModemManager-1.18.2-3.el9.x86_64"),
        ("metadata/docker-engine-centos7", 110, "docker-engine-1.7.0-1.el7.centos.x86_64"),
        ("metadata/kubernetes-el7", 460, "kubectl-1.17.2-0.x86_64"),
    ] {
        let Some(snapshot) = load_fixture(path, cache.path()) else { return };
        assert_eq!(snapshot.packages.len(), count, "{path}");
        assert!(snapshot.packages.iter().any(|p| p.nevra() == nevra), "{path}");
        assert!(snapshot.packages.iter().all(|p| p.size > 0), "{path}");
    }
}

#[test]
fn complete_file_lists_add_the_paths_that_primary_leaves_out() {
    let cache = tempfile::tempdir().unwrap();
    let Some(mut snapshot) = load_fixture("metadata/centos-stream-9-baseos-2022-02", cache.path()) else { return };
    let path = "/usr/lib/systemd/system/ModemManager.service".to_owned();
    let holders = |s: &RepoSnapshot| s.packages.iter().filter(|p| p.files.contains(&path)).map(|p| p.name.clone()).collect::<Vec<_>>();
    assert!(holders(&snapshot).is_empty());
    add_files(&Client::new(true), &mut snapshot, &BTreeSet::from([path.clone()]), cache.path(), &Silent).unwrap();
    assert_eq!(holders(&snapshot), ["ModemManager"]);
}

#[test]
fn metadata_that_is_not_what_repomd_names_is_refused() {
    let Some(origin) = fixture("metadata/docker-engine-centos7") else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("repodata")).unwrap();
    for entry in std::fs::read_dir(origin.join("repodata")).unwrap() {
        let entry = entry.unwrap();
        let mut bytes = std::fs::read(entry.path()).unwrap();
        if entry.file_name().to_string_lossy().contains("primary") {
            bytes[40] ^= 1;
        }
        std::fs::write(folder.path().join("repodata").join(entry.file_name()), bytes).unwrap();
    }
    let url = format!("file://{}", folder.path().display());
    let refused: &SignatureCheck = &|_, _| Err(Error::integrity("not by a key of the recipe"));
    for (trust, expected) in [(Trust::Unsigned, "expected sha256 f406"), (Trust::Signed(refused), "not by a key of the recipe")] {
        let source = Source { id: "x", origin: Origin::Url(&url), priority: 99, visible: &[], exclude: &[], trust };
        let error = load(&Client::new(false), &source, &folder.path().join("cache"), &Silent).unwrap_err();
        assert_eq!(error.kind(), Kind::Integrity);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_location_outside_of_the_repository_is_refused() {
    for (location, inside) in [("Packages/a.rpm", true), ("../a.rpm", false), ("/etc/passwd", false), ("a/../../b", false), ("", false)] {
        assert_eq!(contained(location).is_some(), inside, "{location}");
    }
}
