//! The database that rpm makes of the same packages, and what rpm says of ours.

use super::*;
use crate::rpm::{Package, parse};
use std::path::{Path, PathBuf};
use std::process::Command;

fn run(program: &str, args: &[&str]) -> Option<String> {
    match Command::new(program).args(args).output() {
        Ok(output) => Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()),
        Err(_) => {
            fixtures::missing(format_args!("no {program}"));
            None
        }
    }
}

fn read(path: &Path) -> Package {
    parse(std::fs::File::open(path).map(std::io::BufReader::new).unwrap()).unwrap()
}

fn installed(packages: &[Package]) -> Vec<Installed<'_>> {
    packages.iter().map(|p| Installed { signature_header: &p.signature_header, header: &p.header }).collect()
}

const HOW: Installation = Installation { time: 1_700_000_000, color: 3 };

/// Packages with all that is looked up: triggers of each sort, weak dependencies, translations, several releases of rpm.
fn sources() -> Option<Vec<PathBuf>> {
    let folder = fixtures::folder()?.join("rpms");
    let mut paths = fixtures::packages(&folder.join("centos-7.7"));
    paths.extend(fixtures::packages(&folder.join("el9-bzip2-signed")));
    paths.extend(fixtures::packages(&folder.join("stub-repos/dnf-ci-rich")));
    paths.extend(fixtures::packages(&folder.join("stub-repos/dnf-ci-scriptlets")));
    paths.extend(fixtures::packages(&folder.join("awkward/go-rpmutils")));
    paths.extend(fixtures::packages(&folder.join("awkward/rpm-rs")).into_iter().filter(|p| !p.to_string_lossy().contains("_v6_")));
    paths.retain(|p| !p.to_string_lossy().ends_with(".src.rpm"));
    Some(paths)
}

/// rpm's own database of the packages, nothing unpacked.
fn database_of_rpm(root: &Path, packages: &[PathBuf]) -> Option<PathBuf> {
    let shown = root.to_str().unwrap();
    let options = "--map-root-user rpm --dbpath /db -i --justdb --noscripts --notriggers --nodeps --nosignature --nodigest --ignoreos \
                   --ignorearch --ignoresize --force --define";
    let mut args: Vec<&str> = options.split_whitespace().collect();
    args.extend(["_db_backend sqlite", "--root", shown]);
    args.extend(packages.iter().map(|p| p.to_str().unwrap()));
    let said = run("unshare", &args)?;
    let path = root.join("db/rpmdb.sqlite");
    assert!(path.exists(), "{said}");
    Some(path)
}

/// The time of installation is not ours to choose there.
fn without_times(blob: &str) -> String {
    let mut bytes = hex::decode(blob).unwrap();
    let word = |bytes: &[u8], at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
    let count = word(&bytes, 0);
    for at in (0..count).map(|i| 8 + i * 16) {
        if [1008, 1128].contains(&word(&bytes, at)) {
            let value = 8 + count * 16 + word(&bytes, at + 8);
            bytes[value..value + 4].fill(0);
        }
    }
    hex::encode(bytes)
}

#[test]
fn every_table_and_header_is_as_rpm_itself_writes_it() {
    let Some(mut paths) = sources() else { return };
    // Which they are told apart by.
    paths.retain(|path| read(path).signature_header.has(tags::signature::SHA1));
    let folder = tempfile::tempdir().unwrap();
    let Some(theirs) = database_of_rpm(folder.path(), &paths) else { return };
    let query = |file: &Path, sql: &str| run("sqlite3", &[file.to_str().unwrap(), sql]);
    // In rpm's order of installation.
    let Some(order) = query(&theirs, "select key from Sha1header order by hnum") else { return };
    let mut packages: Vec<Package> = paths.iter().map(|p| read(p)).collect();
    let sha1 = |p: &Package| p.signature_header.text(tags::signature::SHA1).unwrap().unwrap_or_default();
    packages.retain(|p| order.lines().any(|line| line == sha1(p)));
    packages.sort_by_key(|p| order.lines().position(|line| line == sha1(p)));
    packages.dedup_by_key(|p| sha1(p));
    assert!(packages.len() > 230, "{}", packages.len());
    let ours = folder.path().join("ours.sqlite");
    std::fs::write(&ours, encode(&installed(&packages), &HOW).unwrap()).unwrap();

    assert_eq!(query(&ours, "pragma integrity_check").unwrap(), "ok\n");
    let schema = "select type, name, tbl_name, sql from sqlite_master where name <> 'sqlite_stat1'";
    assert_eq!(query(&ours, schema), query(&theirs, schema));
    for lookup in LOOKUPS.iter().filter(|lookup| lookup.tag != installed::INSTALL_TID) {
        let sql = format!("select quote(key), typeof(key), hnum, idx from '{}' order by hnum, idx, key", lookup.name);
        let (ours, theirs) = (query(&ours, &sql).unwrap(), query(&theirs, &sql).unwrap());
        let first = ours.lines().zip(theirs.lines()).find(|(a, b)| a != b);
        assert!(ours == theirs, "{}: {} rows and {}, first {first:?}", lookup.name, ours.lines().count(), theirs.lines().count());
    }
    let sql = "select hex(blob) from Packages order by hnum";
    let (ours, theirs) = (query(&ours, sql).unwrap(), query(&theirs, sql).unwrap());
    assert_eq!(ours.lines().count(), theirs.lines().count());
    for ((ours, theirs), package) in ours.lines().zip(theirs.lines()).zip(&packages) {
        assert!(without_times(ours) == without_times(theirs), "{}", package.metadata.nevra);
    }
}

#[test]
fn rpm_lists_and_finds_the_packages_and_verifies_their_files() {
    let Some(paths) = sources() else { return };
    let packages: Vec<Package> = paths.iter().filter(|p| p.to_string_lossy().contains("centos-7.7")).map(|p| read(p)).collect();
    let root = tempfile::tempdir().unwrap();
    let database = root.path().join("usr/lib/sysimage/rpm");
    std::fs::create_dir_all(&database).unwrap();
    std::fs::write(database.join("rpmdb.sqlite"), encode(&installed(&packages), &HOW).unwrap()).unwrap();
    let inside = |args: &[&str]| {
        let fixed = ["--map-root-user", "rpm", "--dbpath", "/usr/lib/sysimage/rpm", "--root", root.path().to_str().unwrap()];
        run("unshare", &[fixed.as_slice(), args].concat())
    };
    let Some(list) = inside(&["-qa", "--qf", "%{NAME}-%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}.%{ARCH} %{INSTALLTIME}\n"]) else { return };
    let mut found: Vec<&str> = list.lines().collect();
    found.sort();
    let mut expected: Vec<String> = packages.iter().map(|p| format!("{} 1700000000", p.metadata.nevra)).collect();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(inside(&["-q", "--whatprovides", "/bin/sh", "--qf", "%{NAME}"]).unwrap(), "bash");
    assert_eq!(inside(&["-qf", "/bin/sed", "--qf", "%{NAME}"]).unwrap(), "sed");
    assert_eq!(
        inside(&["-q", "--whatrequires", "libselinux.so.1()(64bit)", "--qf", "%{NAME}\n"]).unwrap().lines().filter(|n| *n == "sed").count(),
        1
    );

    let unpack = format!("rpm2cpio \"$1\" | (cd {} && cpio -idm --quiet)", root.path().display());
    let sed = paths.iter().find(|p| p.to_string_lossy().contains("/sed-4")).unwrap();
    run("sh", &["-c", &unpack, "sh", sed.to_str().unwrap()]).unwrap();
    assert_eq!(inside(&["-V", "--nodeps", "sed"]).unwrap(), "");
    std::fs::write(root.path().join("bin/sed"), "changed").unwrap();
    let said = inside(&["-V", "--nodeps", "sed"]).unwrap();
    assert!(said.contains("S.5") && said.contains("/bin/sed"), "rpm did not notice a changed file: {said:?}");
}
