//! The store of commits as people and scripts use it: every report as text and as JSON, signatures, the release plan, copies, and the server.

mod program;

use model::tree::{Attributes, Edit, FileTree, Inode};
use model::{ImagePath, Silent, SourceDateEpoch};
use ostree::{CommitId, CommitMeta, MetadataValue, Store, commit};
use program::{answer, run, snapshot};
use signing::SigningKey;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

const REF: &str = "demo/x86_64/stable";

/// Commits a tree of these files.
fn add(store: &Store, version: &str, parent: Option<CommitId>, files: &[(&str, &str)]) -> CommitId {
    let mut tree = FileTree::new();
    for (path, text) in files {
        let inode = Inode::file(text.as_bytes().to_vec(), Attributes::root(0o644));
        tree.insert(&ImagePath::parse(path).unwrap(), inode, Edit::Create).unwrap();
    }
    tree.insert(&ImagePath::parse("/usr/bin/sh").unwrap(), Inode::symlink("bash"), Edit::Create).unwrap();
    let metadata = BTreeMap::from([
        ("version".to_owned(), MetadataValue::Text(version.into())),
        ("ostree.linux".to_owned(), MetadataValue::Text("6.12".into())),
        ("atomic-image.bootloader".to_owned(), MetadataValue::Text("loader".into())),
    ]);
    let epoch = SourceDateEpoch(if parent.is_some() { 1_700_086_400 } else { 1_700_000_000 });
    let meta = CommitMeta { subject: format!("Demo {version}"), body: String::new(), parent, epoch, metadata };
    let made = commit(&tree, &meta).unwrap();
    store.write(&made, &tree, REF, 1, &Silent).unwrap();
    made.id
}

/// A folder with a store of two commits, signed by the test's own key.
fn project() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(&folder.path().join("repo")).unwrap();
    let kernel = [("/usr/lib/modules/6.12/vmlinuz", "kernel"), ("/usr/lib/modules/6.12/initramfs.img", "initramfs")];
    let sums = ["a".repeat(64), "b".repeat(64)];
    let packages = [
        format!("bash-5-1.x86_64 {}\ngone-1-1.noarch {}\n", sums[0], sums[0]),
        format!("bash-6-1.x86_64 {}\nnew-1-1.noarch {}\n", sums[1], sums[0]),
    ];
    let list = |index: usize| ("/usr/share/atomic-image/packages", packages[index].as_str());
    let arguments = "/usr/lib/bootc/kargs.d/00-atomic-image.toml";
    let first =
        [&kernel[..], &[list(0), (arguments, "kargs = [\"rw\", \"quiet\"]\n"), ("/usr/etc/motd", "one"), ("/usr/bin/gone", "x")]].concat();
    let second =
        [&kernel[..], &[list(1), (arguments, "kargs = [\"rw\", \"debug\"]\n"), ("/usr/etc/motd", "two"), ("/usr/bin/new", "y")]].concat();
    let old = add(&store, "1.0", None, &first);
    let new = add(&store, "1.1", Some(old), &second);
    let key = SigningKey::from_seed(&[3; 32]);
    for (name, text) in [("demo.key", key.to_text()), ("demo.pub", key.certificate().unwrap().to_armor().unwrap())] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let stranger = SigningKey::from_seed(&[4; 32]);
    fs::write(folder.path().join("stranger.pub"), stranger.certificate().unwrap().to_armor().unwrap()).unwrap();
    fs::write(folder.path().join("stranger.key"), stranger.to_text()).unwrap();
    store.sign_commit(new, std::slice::from_ref(&key)).unwrap();
    store.write_summary(std::slice::from_ref(&key)).unwrap();
    (folder, store)
}

#[test]
fn the_reports_on_a_store_are_the_committed_ones() {
    let (folder, _) = project();
    let lines = [
        "tree log",
        "tree log --json",
        "tree ls demo/x86_64/stable",
        "tree ls 1.0 /usr/bin --json",
        "tree cat 1.1 /usr/etc/motd",
        "tree cat 1.1 /usr/bin/sh",
        "tree cat 1.1 /absent",
        "tree diff 1.0 1.1",
        "tree diff 1.0 1.1 --json",
        "tree cost 1.0 1.1",
        "tree check --quiet",
        "tree check --json --quiet",
        "tree verify --key demo.pub",
        "tree verify --key demo.pub --json",
        "tree verify --key stranger.pub",
        "tree verify 1.0 --key demo.pub",
        "tree sign 1.0",
        "tree sign 1.0 --sign-key demo.key",
        "tree verify 1.0 --key demo.pub",
        "tree release demo/x86_64/stable 1.0 --at 1700000000 --sign-key demo.key",
        "tree release demo/x86_64/stable 1.1 --at 1700100000 --wave 10%/6h --wave 50%/1d --barrier --sign-key demo.key --json",
        "tree release demo/x86_64/stable 1.1 --pause --sign-key stranger.key",
        "tree release demo/x86_64/stable 9 --sign-key demo.key",
        "tree copy mirror --quiet",
        "tree copy mirror --quiet --json",
        "tree check --repo mirror --quiet",
        "tree verify --repo mirror --key demo.pub",
        "tree prune --keep 1 --dry-run",
        "tree prune --keep 1 --json",
        "tree prune --keep 1 --json --sign-key demo.key",
        "tree verify --key demo.pub",
        "tree check --quiet",
        "tree log",
        "tree log demo/x86_64/stabel",
        "tree log --repo absent",
    ];
    let said: String = lines.iter().map(|line| answer(folder.path(), line)).collect();
    snapshot("tree.txt", &said);
}

#[test]
fn a_pruned_commit_takes_its_deltas_along_and_a_copy_brings_those_that_stay() {
    if Command::new("ostree").arg("--version").output().is_err() {
        fixtures::missing("no ostree");
        return;
    }
    let (folder, store) = project();
    let sh = |script: &str| {
        let out = Command::new("sh").arg("-c").arg(script).current_dir(folder.path()).output().unwrap();
        assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).lines().count()
    };
    sh("ostree static-delta generate --repo=repo --from=demo/x86_64/stable^ --to=demo/x86_64/stable");
    sh("ostree static-delta generate --repo=repo --empty --to=demo/x86_64/stable");
    assert_eq!(sh("ostree static-delta list --repo=repo"), 2);
    assert!(run(folder.path(), &["tree", "copy", "mirror", "--quiet"], &[]).status.success());
    assert_eq!(sh("ostree static-delta list --repo=mirror"), 2);
    let prune = |more: &[&str]| run(folder.path(), &[&["tree", "prune", "--keep", "1"], more].concat(), &[]).status.code();
    assert_eq!((prune(&[]), sh("ostree static-delta list --repo=repo")), (Some(3), 2), "the summary would name a delta that is gone");
    assert_eq!((prune(&["--sign-key", "demo.key"]), sh("ostree static-delta list --repo=repo")), (Some(0), 1));
    assert_eq!(store.summary().unwrap().unwrap().0.deltas.len(), 1);
    sh("ostree fsck --repo=repo");
}

#[test]
fn a_damaged_object_is_told_and_not_copied() {
    let (folder, store) = project();
    let objects = store.path().join("objects");
    let victim = walk(&objects).into_iter().find(|path| path.extension().is_some_and(|extension| extension == "filez")).unwrap();
    let mut bytes = fs::read(&victim).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&victim, bytes).unwrap();
    for line in ["tree check --quiet", "tree copy mirror --quiet"] {
        let out = run(folder.path(), &line.split(' ').collect::<Vec<_>>(), &[]);
        assert_eq!(out.status.code(), Some(5), "{line}: {}", String::from_utf8_lossy(&out.stderr));
    }
    assert!(!folder.path().join("mirror/refs/heads").join(REF).exists(), "a ref without its objects was copied");
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn keygen_makes_a_pair_that_nobody_else_reads_and_replaces_nothing() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let keygen = || run(folder.path(), &["keygen", "release"], &[]);
    assert!(keygen().status.success());
    let private = folder.path().join("release.key");
    assert_eq!(fs::metadata(&private).unwrap().mode() & 0o777, 0o600);
    let key = SigningKey::parse(&fs::read_to_string(&private).unwrap()).unwrap();
    let public = signing::Certificate::parse(&fs::read_to_string(folder.path().join("release.pub")).unwrap()).unwrap();
    assert_eq!(public.public(), key.public());
    let again = keygen();
    assert_eq!((again.status.code(), String::from_utf8_lossy(&again.stderr).contains("is there already")), (Some(3), true));
    assert_eq!(SigningKey::parse(&fs::read_to_string(&private).unwrap()).unwrap().public(), key.public());
}

#[test]
fn the_key_may_come_from_the_environment_and_is_never_shown() {
    let (folder, _) = project();
    let secret = fs::read_to_string(folder.path().join("demo.key")).unwrap();
    let sign = |value: &str| run(folder.path(), &["tree", "sign"], &[("ATOMIC_IMAGE_SIGN_KEY", value)]);
    assert!(sign(&secret).status.success() && sign("demo.key").status.success());
    let broken = format!("{}x", &secret[..80]);
    let refused = sign(&broken);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(!said.contains(&secret[..20]), "{said}");
}

/// One request, and the whole answer.
fn get(address: &str, request: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("{request}\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    (String::from_utf8_lossy(&answer[..at]).to_lowercase(), answer[at + 4..].to_vec())
}

#[test]
fn the_server_gives_ranges_and_says_what_may_be_kept_and_ostree_pulls_from_it() {
    let (folder, store) = project();
    let mut server = Command::new(env!("CARGO_BIN_EXE_atomic-image"))
        .args(["tree", "serve", "--listen", "127.0.0.1:0"])
        .current_dir(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut lines = BufReader::new(server.stderr.take().unwrap());
    lines.read_line(&mut line).unwrap();
    // Else the server would wait until somebody reads what it logs.
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    let address = line.trim().rsplit("http://").next().unwrap().trim_end_matches('/').to_owned();

    let summary = fs::read(store.path().join("summary")).unwrap();
    let (head, body) = get(&address, "GET /summary HTTP/1.1");
    assert!(head.starts_with("http/1.1 200") && head.contains("cache-control: no-cache"), "{head}");
    assert_eq!(body, summary);
    let (head, body) = get(&address, "GET /summary HTTP/1.1\r\nRange: bytes=4-7");
    assert!(head.starts_with("http/1.1 206") && head.contains(&format!("content-range: bytes 4-7/{}", summary.len())), "{head}");
    assert_eq!(body, summary[4..8]);
    let object = walk(&store.path().join("objects")).into_iter().find(|path| path.extension().is_some_and(|e| e == "filez")).unwrap();
    let name = object.strip_prefix(store.path()).unwrap().display().to_string();
    let (head, body) = get(&address, &format!("GET /{name} HTTP/1.1"));
    assert!(head.contains("immutable"), "{head}");
    assert_eq!(body, fs::read(&object).unwrap());
    let (head, body) = get(&address, &format!("HEAD /{name} HTTP/1.1"));
    assert!(head.contains(&format!("content-length: {}", fs::metadata(&object).unwrap().len())) && body.is_empty(), "{head}");
    for (request, code) in [
        ("GET /summary HTTP/1.1\r\nRange: bytes=999999-", "416"),
        ("GET /absent HTTP/1.1", "404"),
        ("GET /../demo.key HTTP/1.1", "404"),
        ("GET /objects/../../demo.key HTTP/1.1", "404"),
        ("POST /summary HTTP/1.1\r\nContent-Length: 0", "405"),
    ] {
        let (head, _) = get(&address, request);
        assert!(head.starts_with(&format!("http/1.1 {code}")), "{request}: {head}");
    }
    if Command::new("ostree").arg("--version").output().is_ok() {
        let script = format!(
            "ostree init --repo=m --mode=archive && ostree remote add --repo=m --no-gpg-verify r http://{address} \
             && ostree pull --repo=m r {REF} && ostree fsck --repo=m"
        );
        let out = Command::new("sh").arg("-c").arg(script).current_dir(folder.path()).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    } else {
        fixtures::missing("no ostree");
    }
    server.kill().unwrap();
    server.wait().unwrap();
}
