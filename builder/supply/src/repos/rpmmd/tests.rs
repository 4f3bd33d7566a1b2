//! Real repositories, damaged ones, and mirrors that fail.

use super::*;
use crate::net::tests::{Server, ok, quick, status};
use fixtures::file as fixture;
use model::{Kind, Silent};

fn load_fixture(path: &str, cache: &Path) -> Option<RepoSnapshot> {
    let url = Url::parse(&fixture(path)?.display().to_string()).unwrap();
    let source = Source { id: "fixture", origin: Origin::Url(&url), priority: 99, visible: &[], exclude: &[], trust: Trust::Unsigned };
    Some(load(&quick(true), &source, cache, &Silent).unwrap())
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
        assert!(snapshot.packages.iter().any(|p| p.nevra.to_string() == nevra), "{path}");
        assert!(snapshot.packages.iter().all(|p| p.size > 0), "{path}");
    }
}

#[test]
fn complete_file_lists_add_the_paths_that_primary_leaves_out() {
    let cache = tempfile::tempdir().unwrap();
    let Some(mut snapshot) = load_fixture("metadata/centos-stream-9-baseos-2022-02", cache.path()) else { return };
    let path = "/usr/lib/systemd/system/ModemManager.service".to_owned();
    let holders =
        |s: &RepoSnapshot| s.packages.iter().filter(|p| p.files.contains(&path)).map(|p| p.nevra.name.clone()).collect::<Vec<_>>();
    assert!(holders(&snapshot).is_empty());
    add_files(&quick(true), &mut snapshot, &BTreeSet::from([path.clone()]), cache.path(), &Silent).unwrap();
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
    let url = Url::parse(&folder.path().display().to_string()).unwrap();
    let refused: &SignatureCheck = &|_, _| Err(Error::integrity("not by a key of the recipe"));
    for (trust, expected) in [(Trust::Unsigned, "expected sha256 f406"), (Trust::Signed(refused), "not by a key of the recipe")] {
        let source = Source { id: "x", origin: Origin::Url(&url), priority: 99, visible: &[], exclude: &[], trust };
        let error = load(&quick(false), &source, &folder.path().join("cache"), &Silent).unwrap_err();
        assert_eq!(error.kind(), Kind::Integrity);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_location_outside_of_the_repository_is_refused() {
    for (location, inside) in [("Packages/a.rpm", true), ("../a.rpm", false), ("/etc/passwd", false), ("a/../../b", false), ("", false)] {
        assert_eq!(is_below(location), inside, "{location}");
    }
    for (base, location, expected) in [
        ("", "a.rpm", Some("a.rpm")),
        ("https://x/y/", "a.rpm", Some("https://x/y/a.rpm")),
        ("sub", "a.rpm", Some("sub/a.rpm")),
        ("..", "x/a.rpm", None),
        ("/etc", "a.rpm", None),
        ("https://x/../y", "a.rpm", None),
        ("https://x/y", "../a.rpm", None),
        ("gopher://x", "a.rpm", None),
        ("https://x/y z", "a+b.rpm", Some("https://x/y%20z/a%2Bb.rpm")),
    ] {
        assert_eq!(place(base, location).as_deref(), expected, "{base} {location}");
    }
}

/// A repository of one package, as the files below its URL.
fn tiny(version: &str) -> (Vec<u8>, Vec<u8>) {
    let primary = format!(
        r#"<metadata xmlns:rpm="r" packages="1"><package type="rpm"><name>p</name><arch>noarch</arch><version epoch="0" ver="{version}" rel="1"/>
        <checksum type="sha256" pkgid="YES">{}</checksum><size package="10" installed="10"/><location href="p-{version}.rpm"/></package></metadata>"#,
        Digest::of(version.as_bytes())
    );
    let repomd = format!(
        r#"<repomd><revision>{version}</revision><data type="primary"><checksum type="sha256">{}</checksum><location href="repodata/primary.xml"/>
        <size>{}</size></data></repomd>"#,
        Digest::of(primary.as_bytes()),
        primary.len()
    );
    (repomd.into_bytes(), primary.into_bytes())
}

/// Mirrors `old/` and `new/` of one repository, `dead/` of none; and a metalink and a list that name them, the dead one first.
fn publisher(with_new: bool, alternates: bool) -> Server {
    Server::start(move |_, path, range| {
        let (old, new) = (tiny("1"), tiny("2"));
        match path {
            "old/repodata/repomd.xml" => ok(&old.0, range),
            "old/repodata/primary.xml" => ok(&old.1, range),
            "new/repodata/repomd.xml" if with_new => ok(&new.0, range),
            "new/repodata/primary.xml" if with_new => ok(&new.1, range),
            _ if path.starts_with("metalink/") => {
                let address = path.trim_start_matches("metalink/");
                let alternate = format!(
                    "<alternates><alternate><verification><hash type=\"sha256\">{}</hash></verification></alternate></alternates>",
                    Digest::of(&old.0)
                );
                let url = |name: &str, rank: u32| {
                    format!("<url protocol=\"http\" preference=\"{rank}\">http://{address}/{name}/repodata/repomd.xml</url>")
                };
                let text = format!(
                    "<metalink><files><file name=\"repomd.xml\"><verification><hash type=\"sha256\">{}</hash></verification>{}<resources>{}{}{}</resources></file></files></metalink>",
                    Digest::of(&new.0),
                    if alternates { &alternate } else { "" },
                    url("old", 99),
                    url("new", 50),
                    url("dead", 100)
                );
                ok(text.as_bytes(), range)
            }
            _ if path.starts_with("list/") => {
                let address = path.trim_start_matches("list/");
                ok(format!("# three\nftp://x/old/\nhttp://{address}/dead/\nhttp://{address}/new\n\n").as_bytes(), range)
            }
            _ => status("404 Not Found"),
        }
    })
}

fn load_from(origin: Origin<'_>, cache: &Path, offline: bool) -> Result<RepoSnapshot> {
    let source = Source { id: "m", origin, priority: 99, visible: &[], exclude: &[], trust: Trust::Unsigned };
    load(&quick(offline), &source, cache, &Silent)
}

#[test]
fn a_metalink_decides_which_repomd_is_taken_whichever_mirror_answers_first() {
    let address = |server: &Server| server.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    for (with_new, alternates, expected) in [(true, true, Ok("2")), (false, true, Ok("1")), (false, false, Err("as the metalink says"))] {
        let server = publisher(with_new, alternates);
        let url = server.at(&format!("metalink/{}", address(&server)));
        let cache = tempfile::tempdir().unwrap();
        match (load_from(Origin::Metalink(&url), cache.path(), false), expected) {
            (Ok(snapshot), Ok(version)) => {
                assert_eq!((snapshot.revision.as_str(), snapshot.packages[0].nevra.evr.version.as_str()), (version, version));
                assert_eq!(snapshot.packages[0].location, format!("p-{version}.rpm"), "no mirror in what the lockfile takes");
                drop(server);
                assert_eq!(load_from(Origin::Metalink(&url), cache.path(), true).unwrap().digest, snapshot.digest, "again, offline");
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }
}

#[test]
fn a_mirror_list_is_a_line_a_mirror_and_the_dead_are_passed_over() {
    let server = publisher(true, false);
    let address = server.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let cache = tempfile::tempdir().unwrap();
    let url = server.at(&format!("list/{address}"));
    assert_eq!(load_from(Origin::Mirrorlist(&url), cache.path(), false).unwrap().revision, "2");
    let error = load_from(Origin::Mirrorlist(&server.at("old/repodata/primary.xml")), cache.path(), false).unwrap_err();
    assert!(error.to_string().contains("names no http or https mirror") && error.hint_text().is_some(), "{error}");
}

#[test]
fn a_mirror_whose_repomd_is_not_signed_by_the_recipes_key_is_passed_over() {
    let (old, new) = (tiny("1"), tiny("2"));
    let good = new.0.clone();
    let server = Server::start(move |_, path, range| match path {
        "bad/repodata/repomd.xml" => ok(&old.0, range),
        "good/repodata/repomd.xml" => ok(&new.0, range),
        "good/repodata/primary.xml" => ok(&new.1, range),
        _ if path.ends_with(".asc") => ok(b"signature", range),
        _ => ok(format!("http://{0}/bad\nhttp://{0}/good", path.trim_start_matches("list/")).as_bytes(), range),
    });
    let address = server.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let check: &SignatureCheck = &|bytes, _| if bytes == good { Ok(()) } else { Err(Error::integrity("not by a key of the recipe")) };
    let url = server.at(&format!("list/{address}"));
    let source =
        Source { id: "m", origin: Origin::Mirrorlist(&url), priority: 99, visible: &[], exclude: &[], trust: Trust::Signed(check) };
    let cache = tempfile::tempdir().unwrap();
    assert_eq!(load(&quick(false), &source, cache.path(), &Silent).unwrap().revision, "2");
}

#[test]
fn damaged_metadata_in_the_cache_is_set_aside_and_brought_anew() {
    let cache = tempfile::tempdir().unwrap();
    let server = publisher(true, false);
    let url = server.at("new");
    let snapshot = load_from(Origin::Url(&url), cache.path(), false).unwrap();
    let primary = cache.path().join("metadata").join(Digest::of(&tiny("2").1).to_string());
    let whole = std::fs::read(&primary).unwrap();
    // Of the same length, still well-formed, with another answer.
    let evil = String::from_utf8(whole.clone()).unwrap().replace("p-2.rpm", "p-3.rpm").into_bytes();
    let longer = [whole.as_slice(), b" "].concat();
    for damaged in [evil.as_slice(), longer.as_slice(), b""] {
        std::fs::write(&primary, damaged).unwrap();
        let error = load_from(Origin::Url(&url), cache.path(), true).unwrap_err().to_string();
        assert!(error.contains(&primary.display().to_string()) && error.contains("damaged") && error.contains("offline"), "{error}");
        let kept = std::fs::read_dir(cache.path().join("damaged")).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
        assert!(kept.collect::<Vec<_>>().contains(&damaged.to_vec()), "the damaged file is kept aside");
        std::fs::write(&primary, damaged).unwrap();
        let again = load_from(Origin::Url(&url), cache.path(), false).unwrap();
        assert_eq!(again.packages[0].location, snapshot.packages[0].location);
        assert_eq!(std::fs::read(&primary).unwrap(), whole);
        assert_eq!(load_from(Origin::Url(&url), cache.path(), true).unwrap().digest, snapshot.digest, "offline");
    }
}

#[test]
fn a_signature_counts_by_the_keys_of_now_even_offline() {
    let (repomd, primary) = tiny("1");
    let good = repomd.clone();
    let server = Server::start(move |_, path, range| match path {
        "r/repodata/repomd.xml" => ok(&repomd, range),
        "r/repodata/primary.xml" => ok(&primary, range),
        _ => ok(b"signature", range),
    });
    let cache = tempfile::tempdir().unwrap();
    let url = server.at("r");
    let valid = std::cell::Cell::new(true);
    let check: &SignatureCheck = &|bytes, signature| match valid.get() && bytes == good && signature == b"signature" {
        true => Ok(()),
        false => Err(Error::integrity("the key expired")),
    };
    let source = Source { id: "m", origin: Origin::Url(&url), priority: 99, visible: &[], exclude: &[], trust: Trust::Signed(check) };
    for (offline, is_valid) in [(false, true), (true, true), (true, false), (false, false), (true, true)] {
        valid.set(is_valid);
        let found = load(&quick(offline), &source, cache.path(), &Silent);
        assert_eq!(found.is_ok(), is_valid, "{offline}: {found:?}");
        assert!(is_valid || found.unwrap_err().to_string().contains("the key expired"));
    }
}
