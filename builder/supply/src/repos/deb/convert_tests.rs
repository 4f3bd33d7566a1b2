use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

/// 2023-11-14T22:13:20Z, the time of everything in the test's package.
const TIME: u32 = 1_700_000_000;

/// A .deb with every kind of entry that the archive has, made by dpkg-deb; `None` if there is no dpkg-deb here.
fn sample(folder: &Path) -> Option<(PathBuf, PackageMeta)> {
    let root = folder.join("tree");
    let write = |path: &str, text: &str, mode: u32| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let control = "Package: sample\nVersion: 1:2.0~rc1-3+b1\nArchitecture: amd64\nMaintainer: A <a@example.com>\nDepends: libc6 (>= 2.38), a | b\nPre-Depends: c\nConflicts: mta\nProvides: mta\nReplaces: mta\nInstalled-Size: 4\nDescription: a sample\n of\n .\n a package\n";
    write("DEBIAN/control", control, 0o644);
    write("DEBIAN/conffiles", "/etc/sample.conf\nremove-on-upgrade /etc/old.conf\n", 0o644);
    write("DEBIAN/postinst", "#!/bin/sh\nset -e\n[ \"$1\" = configure ]\n", 0o755);
    write("etc/sample.conf", "key=value\n", 0o640);
    write("usr/bin/sample", "#!/bin/sh\n", 0o4755);
    write("usr/share/sample/ünï", "text\n", 0o644);
    fs::hard_link(root.join("usr/share/sample/ünï"), root.join("usr/share/sample/other")).unwrap();
    symlink("sample", root.join("usr/bin/link")).unwrap();
    fs::create_dir_all(root.join("var/lib/sample")).unwrap();
    fs::set_permissions(root.join("var/lib/sample"), fs::Permissions::from_mode(0o1777)).unwrap();
    let deb = folder.join("sample.deb");
    let built = Command::new("dpkg-deb")
        .args(["--root-owner-group", "-Zxz", "--build"])
        .arg(&root)
        .arg(&deb)
        .env("SOURCE_DATE_EPOCH", TIME.to_string())
        .output();
    let Ok(built) = built else {
        fixtures::missing("no dpkg-deb here");
        return None;
    };
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let meta = metadata::meta(&Stanza::parse(control).unwrap()).unwrap();
    let digest = Digest::of(&fs::read(&deb).unwrap());
    Some((deb, PackageMeta { source_digest: Some(digest), ..meta }))
}

/// The sample, converted; `None` without dpkg-deb, or without an rpm that could read it.
fn sample_as_rpm(folder: &Path) -> Option<ConvertedRpm> {
    let (deb, meta) = sample(folder)?;
    let converted = convert(&deb, &meta, &folder.join("out"), &Facts::none()).unwrap();
    if Command::new("rpm").arg("--version").output().is_err() {
        fixtures::missing("no rpm here");
        return None;
    }
    Some(converted)
}

fn rpm(database: &Path, args: &[&str], file: &Path) -> (bool, String) {
    let output = Command::new("rpm").arg("--dbpath").arg(database).args(args).arg(file).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

#[test]
fn rpm_verifies_a_converted_package_and_refuses_a_changed_one() {
    let folder = tempfile::tempdir().unwrap();
    let Some(converted) = sample_as_rpm(folder.path()) else { return };
    let (key, database) = (folder.path().join("key.asc"), folder.path().join("db"));
    fs::write(&key, super::super::public_key().unwrap()).unwrap();
    assert!(!rpm(&database, &["-K"], &converted.path).1.contains("signatures OK"), "without the key there is nothing to verify with");
    let (imported, text) = rpm(&database, &["--import"], &key);
    assert!(imported, "{text}");
    let (good, text) = rpm(&database, &["-K"], &converted.path);
    assert!(good && text.contains("signatures OK"), "{text}");
    let mut bytes = fs::read(&converted.path).unwrap();
    let last = bytes.len() - 10;
    bytes[last] ^= 1;
    let changed = folder.path().join("changed.rpm");
    fs::write(&changed, bytes).unwrap();
    assert!(!rpm(&database, &["-K"], &changed).0);
}

#[test]
fn a_converted_package_has_the_deb_s_files_dependencies_and_times() {
    let folder = tempfile::tempdir().unwrap();
    let Some(converted) = sample_as_rpm(folder.path()) else { return };
    let database = folder.path().join("db");
    let query = |format: &str| {
        let (good, text) = rpm(&database, &["-qp", "--nosignature", "--qf", format], &converted.path);
        assert!(good, "{text}");
        text
    };
    assert_eq!(
        query("%{NEVRA} %{BUILDTIME} %{BUILDHOST} %{PAYLOADCOMPRESSOR}"),
        format!("sample-1:2.0~rc1-3+b1.x86_64 {TIME} (none) zstd")
    );
    let files = query(
        "[%{FILENAMES} %{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILEFLAGS:fflags} %{FILELINKTOS} %{FILENLINKS} %{FILEMTIMES}\n]",
    );
    for expected in [
        "/etc/sample.conf -rw-r----- root:root cn  1",
        "/usr/bin/sample -rwsr-xr-x root:root   1",
        "/usr/bin/link lrwxrwxrwx root:root  sample 1",
        "/usr/share/sample/ünï -rw-r--r-- root:root   2",
        "/usr/share/sample/other -rw-r--r-- root:root   2",
        "/var/lib/sample drwxrwxrwt root:root   1",
    ] {
        assert!(files.contains(&format!("{expected} {TIME}\n")), "expected {expected}, found:\n{files}");
    }
    let requires = query("[%{REQUIRENEVRS} %{REQUIREFLAGS:deptype}\n]");
    for expected in ["libc6 >= 2.38-0 manual", "(a or b) manual", "c pre,post", "/bin/sh post,interp"] {
        assert!(requires.lines().any(|line| line == expected), "expected {expected}, found:\n{requires}");
    }
    assert_eq!(query("[%{CONFLICTNEVRS}\n][%{OBSOLETENEVRS}\n]"), "mta\nmta\n");
    assert!(query("%{POSTIN}").starts_with("#!/bin/sh\nexport DPKG_MAINTSCRIPT_NAME='postinst'"));
    assert_eq!(query("%{POSTINPROG}"), "/bin/sh");
}

#[test]
fn the_same_deb_gives_the_same_bytes_in_every_folder_and_thread() {
    let folder = tempfile::tempdir().unwrap();
    let Some((deb, meta)) = sample(folder.path()) else { return };
    let outputs: Vec<Vec<u8>> = (0..4)
        .into_par_iter()
        .map(|i| {
            let converted = convert(&deb, &meta, &folder.path().join(format!("out{i}")), &Facts::none()).unwrap();
            let bytes = fs::read(&converted.path).unwrap();
            assert_eq!((converted.sha256, converted.size), (Digest::of(&bytes), bytes.len() as u64));
            // A second call takes the cached one.
            assert_eq!(convert(&deb, &meta, &folder.path().join(format!("out{i}")), &Facts::none()).unwrap(), converted);
            bytes
        })
        .collect();
    assert!(outputs.iter().all(|bytes| *bytes == outputs[0]));
}

#[test]
fn a_deb_that_is_not_the_locked_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let Some((deb, meta)) = sample(folder.path()) else { return };
    let out = folder.path().join("out");
    let other_digest = PackageMeta { source_digest: Some(Digest::of(b"other")), ..meta.clone() };
    assert!(convert(&deb, &other_digest, &out, &Facts::none()).unwrap_err().to_string().contains("expected sha256"));
    let mut other_version = meta.clone();
    other_version.nevra.evr.version = "3".into();
    assert!(convert(&deb, &other_version, &out, &Facts::none()).unwrap_err().to_string().contains("expected sample-1:3-3+b1"));
    let bytes = fs::read(&deb).unwrap();
    for cut in [0, 7, 60, 100, bytes.len() / 2, bytes.len() - 1] {
        let path = folder.path().join("cut.deb");
        fs::write(&path, &bytes[..cut]).unwrap();
        let error = convert(&path, &PackageMeta { source_digest: None, ..meta.clone() }, &out, &Facts::none()).unwrap_err();
        assert_eq!(error.kind(), model::Kind::Integrity, "{error}");
    }
}

#[test]
fn a_deb_that_the_mirror_has_forgotten_is_converted_from_its_snapshot() {
    use crate::net::tests::{Server, ok, quick, status};
    let folder = tempfile::tempdir().unwrap();
    let Some((deb, meta)) = sample(folder.path()) else { return };
    let bytes = fs::read(&deb).unwrap();
    let meta = PackageMeta { location: "pool/s/sample.deb".into(), size: bytes.len() as u64, ..meta };
    let mirror = Server::start(|_, _, _| status("404 Not Found"));
    let archive = Server::start(move |_, _, range| ok(&bytes, range));
    let cache = folder.path().join("cache");
    let client = quick(false);
    let mirrors = || Ok(Mirrors::one(mirror.at("debian")).with_snapshots(vec![archive.at("archive/debian/20231115T221320Z")]));
    let made = fetch_and_convert(&client, &mirrors, &[&meta], &cache, &Facts::none(), &Silent).unwrap();
    assert_eq!(made[0].sha256, convert(&deb, &meta, &folder.path().join("out"), &Facts::none()).unwrap().sha256);
    assert_eq!(archive.seen.lock().unwrap()[0].0, "archive/debian/20231115T221320Z/pool/s/sample.deb");
}
