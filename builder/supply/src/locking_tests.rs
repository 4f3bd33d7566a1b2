//! A repository that goes back in time, and one that names files elsewhere.

use super::*;
use crate::packs;
use model::{Kind, Silent};
use std::path::Path;

/// 1 January 2026.
const NOW: SourceDateEpoch = SourceDateEpoch(1_767_225_600);

const RECIPE: &str = r#"schema = 1
name = "t"
ref = "t/x86_64/stable"
epoch = 1700000000
[[repo]]
id = "r"
type = "rpm-md"
url = "../repo"
keys = "unsigned"
[packages]
install = ["p"]
[overlay]
folders = []
"#;

/// One package, of metadata made at `time`.
fn publish(folder: &Path, time: u32, location: &str) {
    let (base, name) = location.rsplit_once('|').unwrap_or(("", location));
    let primary = format!(
        r#"<metadata xmlns:rpm="r" packages="1"><package type="rpm"><name>p</name><arch>noarch</arch><version epoch="0" ver="{time}" rel="1"/>
        <checksum type="sha256" pkgid="YES">{}</checksum><size package="4" installed="4"/><location xml:base="{base}" href="{name}"/></package></metadata>"#,
        Digest::of(b"pack")
    );
    let repomd = format!(
        r#"<repomd><revision>{time}</revision><data type="primary"><checksum type="sha256">{}</checksum><location href="repodata/primary.xml"/>
        <timestamp>{time}</timestamp><size>{}</size></data></repomd>"#,
        Digest::of(primary.as_bytes()),
        primary.len()
    );
    std::fs::create_dir_all(folder.join("repo/repodata")).unwrap();
    std::fs::write(folder.join("repo/repodata/primary.xml"), primary).unwrap();
    std::fs::write(folder.join("repo/repodata/repomd.xml"), repomd).unwrap();
    std::fs::write(folder.join("repo/p.rpm"), b"pack").unwrap();
}

fn fetch(recipe: &Recipe, settings: &SupplySettings) -> Result<()> {
    let lock = ensure(recipe, settings, &Silent)?;
    packs::bring(recipe, &lock.packages, &lock.repositories, settings, &Silent).map(drop)
}

fn project() -> (tempfile::TempDir, Recipe) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipes/t.toml");
    std::fs::create_dir(folder.path().join("recipes")).unwrap();
    std::fs::write(&path, RECIPE).unwrap();
    publish(folder.path(), 1000, "p.rpm");
    let recipe = recipe::load(&path).unwrap();
    (folder, recipe)
}

#[test]
fn metadata_older_than_the_lockfile_is_refused_unless_asked_for() {
    let (folder, recipe) = project();
    let settings = SupplySettings::in_folder(folder.path(), NOW);
    let lock = |settings: &SupplySettings| lock(&recipe, &Update::Everything, settings, &Silent);
    let first = lock(&settings).unwrap();
    assert_eq!(first.repositories, [LockedRepository::new("r", "1000", SourceDateEpoch(1000), None)]);
    publish(folder.path(), 2000, "p.rpm");
    assert_eq!(lock(&settings).unwrap().packages[0].nevra.evr.version, "2000");
    let before = std::fs::read(recipe.lockfile()).unwrap();
    publish(folder.path(), 1000, "p.rpm");
    let error = lock(&settings).unwrap_err();
    assert_eq!(error.kind(), Kind::Integrity);
    let text = error.to_string();
    assert!(text.starts_with("repository r: ") && text.contains("00:16:40Z") && text.contains("00:33:20Z"), "{text}");
    assert_eq!(std::fs::read(recipe.lockfile()).unwrap(), before, "a refusal leaves the lockfile alone");
    let allowed = lock(&SupplySettings { allow_older: true, ..settings }).unwrap();
    assert_eq!((allowed.packages[0].nevra.evr.version.as_str(), allowed.repositories[0].time.0), ("1000", 1000));
}

#[test]
fn a_package_on_another_host_is_neither_locked_nor_taken_from_the_cache() {
    let (folder, recipe) = project();
    let settings = SupplySettings::in_folder(folder.path(), NOW);
    fetch(&recipe, &settings).unwrap();
    let lockfile = std::fs::read_to_string(recipe.lockfile()).unwrap();
    let own = format!("file://{}/repo/p.rpm", folder.path().display());
    for (location, good) in [("http://other.example/p.rpm", false), ("file:///etc/passwd", false), (own.as_str(), true)] {
        std::fs::write(recipe.lockfile(), lockfile.replace("location = \"p.rpm\"", &format!("location = \"{location}\""))).unwrap();
        // All is in the cache: nobody would be asked.
        let found = fetch(&recipe, &SupplySettings { locked: true, offline: true, ..settings.clone() });
        assert_eq!(found.is_ok(), good, "{location}: {found:?}");
        assert!(good || found.unwrap_err().to_string().contains("own host"), "{location}");
    }
    for (base, good) in [("http://other.example/x", false), (own.trim_end_matches("/p.rpm"), true)] {
        publish(folder.path(), 3000, &format!("{base}|p.rpm"));
        let found = lock(&recipe, &Update::Everything, &settings, &Silent);
        assert_eq!(found.is_ok(), good, "{base}: {found:?}");
    }
}

#[test]
fn a_lockfile_is_fetched_from_a_snapshot_when_the_mirror_has_newer_packages_alone() {
    let (folder, recipe) = project();
    let settings = SupplySettings::in_folder(folder.path(), NOW);
    lock(&recipe, &Update::Everything, &settings, &Silent).unwrap();
    let lockfile = std::fs::read_to_string(recipe.lockfile()).unwrap();
    let locked = SupplySettings { locked: true, ..settings };
    std::fs::rename(folder.path().join("repo"), folder.path().join("kept")).unwrap();
    publish(folder.path(), 2000, "p.rpm");
    std::fs::remove_file(folder.path().join("repo/p.rpm")).unwrap();
    assert_eq!(fetch(&recipe, &locked).unwrap_err().kind(), Kind::Network);
    // Where an archive is does not belong to the intent: the lockfile stays good.
    let text = RECIPE.replace("[packages]", "snapshots = [\"../absent/{time}\", \"../kept\"]\n[packages]");
    std::fs::write(&recipe.path, text).unwrap();
    let recipe = recipe::load(&recipe.path).unwrap();
    fetch(&recipe, &locked).unwrap();
    assert_eq!(std::fs::read_to_string(recipe.lockfile()).unwrap(), lockfile);
    let found = std::fs::read(crate::fetch::rpm_path(&locked.cache, &Digest::of(b"pack"))).unwrap();
    assert_eq!(found, b"pack");
}
