//! Stand-ins for a mirror that has forgotten a package, and for the archive that has not.

use super::*;
use crate::SupplySettings;
use crate::net::Pinned;
use crate::net::tests::{Server, ok, quick, status};
use crate::sources::package_mirrors;
use model::{Digest, Silent};
use recipe::lock::LockedRepository;

/// 14 November 2023, 22:13:20 UTC.
const LOCKED: SourceDateEpoch = SourceDateEpoch(1_700_000_000);

/// The one repository of a recipe in `folder`, whose lines of address are `lines`.
fn repository(folder: &std::path::Path, lines: &str) -> Repo {
    let (kind, keys) = match lines.contains("suite") {
        true => ("deb", "[\"k.asc\"]"),
        false => ("rpm-md", "\"unsigned\""),
    };
    let recipe = format!(
        "schema = 1\nname = \"t\"\nref = \"t/x86_64/stable\"\nepoch = 1700000000\n[[repo]]\nid = \"r\"\ntype = \"{kind}\"\n{lines}\nkeys = {keys}\n\
         [packages]\ninstall = [\"p\"]\n[overlay]\nfolders = []\n"
    );
    std::fs::create_dir_all(folder.join("recipes")).unwrap();
    std::fs::write(folder.join("recipes/k.asc"), "key").unwrap();
    std::fs::write(folder.join("recipes/t.toml"), recipe).unwrap();
    recipe::load(&folder.join("recipes/t.toml")).unwrap().repos.remove(0)
}

#[test]
fn a_template_gives_the_folders_of_the_locked_time_and_of_a_day_later() {
    let check = |lines: &str, time: u32, expected: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let found = urls(&repository(folder.path(), lines), Some(SourceDateEpoch(time))).unwrap();
        let here = format!("file://{}", folder.path().display());
        let found: Vec<String> = found.iter().map(|url| url.to_string().replace(&here, "HERE")).collect();
        assert_eq!(found, expected, "{lines} at {time}");
    };
    let deb = "url = \"http://m/debian\"\nsuite = \"trixie\"\n";
    let day = ["https://s/debian/20231115T221320Z", "https://s/debian/20231114T221320Z"];
    check(&format!("{deb}snapshots = \"https://s/debian\""), LOCKED.0, &day);
    check(&format!("{deb}snapshots = [\"https://s/debian/\"]"), LOCKED.0, &day);
    check(
        &format!("{deb}snapshots = \"https://s/{{time}}/x\""),
        LOCKED.0,
        &["https://s/20231115T221320Z/x", "https://s/20231114T221320Z/x"],
    );
    check(&format!("{deb}snapshots = \"https://s/debian\""), 0, &[]);
    check(deb, LOCKED.0, &[]);
    check("url = \"http://m\"\nsnapshots = [\"https://b/x\", \"https://a/y\"]", LOCKED.0, &["https://b/x", "https://a/y"]);
    check("url = \"http://m\"\nsnapshots = [\"https://b/x\", \"https://a/{time}\"]", 0, &["https://b/x"]);
    check("url = \"http://m\"\nsnapshots = \"https://a/{time}\"", 951_782_400, &["https://a/20000229T000000Z"]);
    check("url = \"http://m\"\nsnapshots = \"../old/{time}\"", 951_782_400, &["HERE/old/20000229T000000Z"]);
}

#[test]
fn a_package_that_the_mirror_has_forgotten_comes_from_the_snapshot_of_its_time() {
    let check = |lines: &dyn Fn(&Server, &Server) -> String, location: &str, asked: &[&str]| {
        let mirror = Server::start(|_, _, _| status("404 Not Found"));
        let archive = Server::start(|_, path, range| match path {
            path if path.contains("20231115T") => status("410 Gone"),
            _ => ok(b"good", range),
        });
        let folder = tempfile::tempdir().unwrap();
        let repo = repository(folder.path(), &lines(&mirror, &archive));
        let locked = [LockedRepository::new("r", "1", LOCKED, None)];
        let client = quick(false);
        let settings = SupplySettings { locked: true, ..SupplySettings::in_folder(folder.path(), LOCKED) };
        let mirrors = package_mirrors(&repo, &locked, &settings, &client).unwrap();
        let to = folder.path().join("package");
        mirrors.download(&client, location, &Pinned { to: &to, size: 4, digest: &Digest::of(b"good") }, &Silent).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"good");
        let paths: Vec<String> = archive.seen.lock().unwrap().iter().map(|(path, _)| path.clone()).collect();
        assert_eq!(paths, asked);
        assert_eq!(mirror.seen.lock().unwrap().last().unwrap().0.split('/').next(), Some("m"), "the mirror is asked first");
    };
    check(
        &|mirror, archive| format!("url = \"{}\"\nsuite = \"trixie\"\nsnapshots = \"{}\"", mirror.url("m"), archive.url("archive/debian")),
        "pool/main/p/p_1+b1_all.deb",
        &["archive/debian/20231115T221320Z/pool/main/p/p_1%2Bb1_all.deb", "archive/debian/20231114T221320Z/pool/main/p/p_1%2Bb1_all.deb"],
    );
    check(
        &|mirror, archive| format!("url = \"{}\"\nsnapshots = [\"{}\"]", mirror.url("m"), archive.url("vault")),
        "Packages/p.rpm",
        &["vault/Packages/p.rpm"],
    );
    // The list of mirrors of a release that has ended is gone, too.
    check(
        &|mirror, archive| format!("mirrorlist = \"{}\"\nsnapshots = [\"{}\"]", mirror.url("m"), archive.url("vault")),
        "Packages/p.rpm",
        &["vault/Packages/p.rpm"],
    );
}
