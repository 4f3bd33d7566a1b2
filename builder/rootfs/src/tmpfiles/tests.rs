use super::*;
use crate::accounts::Pinned;
use model::tree::{Attributes, Edit, Inode, NodeKind};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

fn sample(conf: &str) -> (FileTree, Accounts) {
    let mut tree = FileTree::new();
    let mut put = |path: &str, inode: Inode| {
        tree.insert(&ImagePath::parse(path).unwrap(), inode, Edit::Replace).unwrap();
    };
    put("/usr/lib/tmpfiles.d/x.conf", Inode::file(conf.as_bytes(), Attributes::root(0o644)));
    put("/usr/share/factory/etc/f", Inode::file(vec![1], Attributes::root(0o600)));
    put("/var/lib/etcd", Inode::directory(Attributes { uid: 999, gid: 999, ..Attributes::root(0o700) }));
    put("/var/lib/a b", Inode::symlink("../x"));
    put("/var/lib/known", Inode::directory(Attributes::root(0o755)));
    put("/var/lib/state", Inode::file(vec![7], Attributes::root(0o640)));
    put("/var/log/old", Inode::file(vec![7], Attributes::root(0o640)));
    let accounts = Accounts::plan(&[("a".into(), "u etcd 999\n".into())], "", "", &Pinned::default()).unwrap();
    (tree, accounts)
}

#[test]
fn lines_below_the_prefixes_are_carried_out_and_others_left() {
    let (mut tree, accounts) = sample(
        "d /etc/d 0750 etcd etcd\nL /etc/l - - - - ../x\nC /etc/f\nf /etc/n 0600 - - - text\nd /run/r\nL! /etc/no - - - - x\nL? /etc/q - - - - nowhere\nd /etc/%m\n",
    );
    let changed = apply(&mut tree, &accounts, &["/etc", "/usr"]).unwrap();
    assert_eq!(changed.iter().map(ToString::to_string).collect::<Vec<_>>(), ["/etc/d", "/etc/l", "/etc/f", "/etc/n"]);
    assert_eq!(tree.at("/etc/d").unwrap().attributes, Attributes { uid: 999, gid: 999, ..Attributes::root(0o750) });
    assert_eq!(tree.read("/etc/f").unwrap().unwrap(), [1]);
    assert_eq!(tree.read("/etc/n").unwrap().unwrap(), b"text");
    let (mut tree, accounts) = sample("d /etc/d 0750 nobodyknows -\n");
    let error = apply(&mut tree, &accounts, &["/etc"]).unwrap_err().to_string();
    assert!(error.contains("x.conf line 1") && error.contains("nobodyknows"), "{error}");
    let (mut tree, accounts) = sample("d- /etc/d 0750 nobodyknows -\nd /etc/e\n");
    assert_eq!(apply(&mut tree, &accounts, &["/etc"]).unwrap().len(), 1);
}

/// Path to what is there: type, mode, and content or target.
type Listing = BTreeMap<String, String>;

/// What both sides start from: (path, `/` for a directory, `-> target` for a link, else the content, mode).
const START: [(&str, &str, u32); 13] = [
    ("/etc/old", "old text", 0o644),
    ("/etc/script", "run", 0o755),
    ("/etc/empty", "/", 0o755),
    ("/etc/full", "/", 0o755),
    ("/etc/full/a", "kept", 0o644),
    ("/etc/.hidden", "h", 0o644),
    ("/etc/link", "-> old", 0o777),
    ("/usr/share/src/a", "from src", 0o640),
    ("/usr/share/src/sub/b", "b", 0o755),
    ("/usr/lib/z/sub/f", "x", 0o644),
    ("/usr/lib/real/f", "x", 0o644),
    ("/lib", "-> usr/lib", 0o777),
    ("/usr/share/factory/etc/made", "factory", 0o600),
];

fn ours(conf: &str) -> Listing {
    let mut tree = FileTree::new();
    for (path, what, mode) in START {
        let attributes = Attributes::root(mode as u16);
        let inode = match (what, what.strip_prefix("-> ")) {
            ("/", _) => Inode::directory(attributes),
            (_, Some(target)) => Inode::symlink(target),
            (content, None) => Inode::file(content.as_bytes(), attributes),
        };
        tree.insert(&ImagePath::parse(path).unwrap(), inode, Edit::Replace).unwrap();
    }
    tree.insert(
        &ImagePath::parse("/usr/lib/tmpfiles.d/x.conf").unwrap(),
        Inode::file(conf.as_bytes(), Attributes::root(0o644)),
        Edit::Create,
    )
    .unwrap();
    let accounts = Accounts::plan(&[], "", "", &Pinned::default()).unwrap();
    apply(&mut tree, &accounts, &["/etc", "/usr"]).unwrap();
    let row = |inode: &Inode| match &inode.kind {
        NodeKind::Directory(_) => format!("d {:04o}", inode.attributes.mode),
        NodeKind::Symlink(target) => format!("l {}", String::from_utf8_lossy(target)),
        NodeKind::File(content) => format!("f {:04o} {:?}", inode.attributes.mode, String::from_utf8_lossy(&content.to_vec().unwrap())),
        other => other.name().to_owned(),
    };
    tree.walk().into_iter().map(|entry| (entry.path.to_string(), row(tree.inode(entry.id)))).filter(|(path, _)| path != "/").collect()
}

/// `None` without systemd-tmpfiles.
fn theirs(conf: &str) -> Option<Listing> {
    let root = tempfile::tempdir().unwrap();
    for (path, what, mode) in START {
        let at = root.path().join(&path[1..]);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        match (what, what.strip_prefix("-> ")) {
            ("/", _) => std::fs::create_dir_all(&at).unwrap(),
            (_, Some(target)) => {
                symlink(target, &at).unwrap();
                continue;
            }
            (content, None) => std::fs::write(&at, content).unwrap(),
        }
        std::fs::set_permissions(&at, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let folder = root.path().join("usr/lib/tmpfiles.d");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("x.conf"), conf).unwrap();
    // Its exit status is not zero for lines that it passes over.
    Command::new("systemd-tmpfiles").arg("--create").arg(format!("--root={}", root.path().display())).output().ok()?;
    fn walk(root: &Path, at: &Path, out: &mut Listing) {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let mode = meta.permissions().mode() & 0o7777;
            let row = if meta.is_dir() {
                walk(root, &path, out);
                format!("d {mode:04o}")
            } else if meta.is_symlink() {
                format!("l {}", std::fs::read_link(&path).unwrap().display())
            } else {
                format!("f {mode:04o} {:?}", String::from_utf8_lossy(&std::fs::read(&path).unwrap()))
            };
            // It puts the root in front of what it expands.
            let row = row.replace(&root.display().to_string(), "");
            out.insert(format!("/{}", path.strip_prefix(root).unwrap().display()), row);
        }
    }
    let mut out = Listing::new();
    walk(root.path(), root.path(), &mut out);
    Some(out)
}

#[test]
fn a_line_has_the_effect_that_systemd_tmpfiles_gives_it() {
    let (mut skipped, mut differences) = (false, Vec::new());
    for conf in [
        "f /etc/x 0644 - - - hello\\nworld\\x21",
        "f /etc/x - - - - 100%% sure %t",
        "f \"/etc/t 3\" - - - - \"quoted  text\"  ",
        "f /etc/x - - - -   a  \\x20",
        "f~ /etc/x - - - - aGVsbG8=",
        "f /etc/x",
        "f /etc/old 0600 - - - new",
        "f /etc/old :0600",
        "f /etc/x :0600",
        "f /etc/link 0600 - - - new",
        "f+ /etc/old - - - - new",
        "f+ /etc/link - - - - new",
        "F /etc/old 0600 - - - new",
        "f /etc/x ~4777",
        "f /etc/a/b/c\nd /etc/a 0700",
        "f /etc/x - - - - first\nf /etc/x - - - - second",
        "f /etc/x\nz /etc/x 0600",
        "w /etc/old - - - - X",
        "w+ /etc/old - - - - X",
        "w /etc/link - - - - X",
        "w /etc/absent - - - - X",
        "w /etc/o* - - - - a longer text than the old",
        "w+ /etc/old - - - - 1\nw+ /etc/old - - - - 2",
        "d /etc/new 02770",
        "d /etc/new ~02777",
        "d /etc/old 0700",
        "d= /etc/old 0700",
        "d /etc/empty 0700",
        "d /etc/empty :0700",
        "d /etc/link 0700",
        "D /etc/D\nv /etc/v 0700\nq /etc/q\nQ /etc/Q",
        "e /etc/* 0700",
        "e /etc/absent 0700",
        "L /etc/l - - - - /usr/share/100%%",
        "L /etc/l - - - - \"a b\"",
        "L /etc/made",
        "L /etc/old - - - - x",
        "L+ /etc/old - - - - x",
        "L+ /etc/full - - - - x",
        "L /etc/link - - - - x",
        "L+ /etc/link - - - - x",
        "L= /etc/old - - - - x",
        "C /etc/made",
        "C /etc/c 0700 - - - /usr/share/src",
        "C /etc/empty - - - - /usr/share/src",
        "C /etc/full 0700 - - - /usr/share/src",
        "C /etc/old - - - - /usr/share/src/a",
        "C /etc/c - - - - /usr/share/nowhere",
        "C /etc/c 0444 - - - /usr/share/src/a",
        "Z /usr/lib/z 0700",
        "Z /etc ~0770",
        "Z /etc/link 0600",
        "z /etc/link 0600",
        "z /etc/old ~0777",
        "z /etc/script ~0777",
        "z /etc/script ~6777",
        "z /etc/{old,scr*} 0600",
        "z /etc/*/a 0600",
        "z /etc/[!o]* 0700",
        "z /etc/.h* 0600",
        "z /etc/?ld 0600",
        "m /etc/old 0600",
        "z /etc/old 0600\nz /etc/old 0640",
        "f /lib/real/new",
        "f /etc/old/below",
        "x /etc/old\nr /etc/old\nR /etc/full",
        "d /etc/x/../y",
        "z /etc/new 0700\nd /etc/new 0755",
        "d /etc//dd/./e/ 0700",
    ] {
        let mine = ours(conf);
        match theirs(conf) {
            None => skipped = true,
            Some(reference) => {
                let keys: std::collections::BTreeSet<&String> = mine.keys().chain(reference.keys()).collect();
                for path in keys.into_iter().filter(|path| mine.get(*path) != reference.get(*path)) {
                    differences.push(format!("{conf}\n  {path} ours {:?} theirs {:?}", mine.get(path), reference.get(path)));
                }
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    if skipped {
        fixtures::missing("no systemd-tmpfiles");
    }
}

#[test]
fn a_line_has_its_effect_on_a_machine_without_systemd_tmpfiles() {
    for (conf, expected) in [
        // The argument.
        ("f /etc/x 0644 root root - hello\\nworld\\x21", &[("/etc/x", "f 0644 \"hello\\nworld!\"")][..]),
        ("f /etc/x 0644 root root - 100%% sure", &[("/etc/x", "f 0644 \"100% sure\"")]),
        ("f \"/etc/t 3\" 0644 root root - \"quoted text\"", &[("/etc/t 3", "f 0644 \"\\\"quoted text\\\"\"")]),
        ("L /etc/l - - - - /usr/share/100%%", &[("/etc/l", "l /usr/share/100%")]),
        // What the types do to what is there.
        ("Z /usr/lib/z 0700", &[("/usr/lib/z", "d 0700"), ("/usr/lib/z/sub", "d 0700"), ("/usr/lib/z/sub/f", "f 0700 \"x\"")]),
        ("z /etc/old ~0777", &[("/etc/old", "f 0666 \"old text\"")]),
        ("z /etc/script ~0777", &[("/etc/script", "f 0777 \"run\"")]),
        ("f /etc/old 0600 - - - new", &[("/etc/old", "f 0600 \"old text\"")]),
        (
            "C /etc/empty - - - - /usr/share/src",
            &[("/etc/empty/a", "f 0640 \"from src\""), ("/etc/empty/sub", "d 0755"), ("/etc/empty/sub/b", "f 0755 \"b\"")],
        ),
        ("C /etc/full - - - - /usr/share/src", &[("/etc/full/a", "f 0644 \"kept\"")]),
    ] {
        let mine = ours(conf);
        for (path, row) in expected {
            assert_eq!(mine.get(*path).map(String::as_str), Some(*row), "{conf}: {path}");
        }
    }
    assert_eq!(ours("C /etc/full - - - - /usr/share/src").get("/etc/full/sub"), None);
}

#[test]
fn what_the_host_must_do_is_left_and_keeps_its_path() {
    let start = ours("");
    for conf in [
        "f /etc/x - - - - host %H",
        "f /etc/x - - - - host %H\nf /etc/x - - - - other",
        "f! /etc/x - - - - boot\nf /etc/x - - - - other",
        "f^ /etc/x - - - - credential",
        "d /etc/%m",
        "p /etc/p\nc /etc/c - - - - 1:3\nt /etc/old - - - - user.a=b\na /etc/old - - - - u:root:r\nh /etc/old - - - - +i",
        "d /run/x\nd /var/lib/x",
    ] {
        let mut left = ours(conf);
        let file = left.insert("/usr/lib/tmpfiles.d/x.conf".into(), start["/usr/lib/tmpfiles.d/x.conf"].clone());
        assert!(file.unwrap().starts_with("f 0644") && left == start, "{conf}: {left:?}");
    }
}

#[test]
fn a_directory_that_is_copied_with_plus_is_merged() {
    let merged = ours("C+ /etc/full - - - - /usr/share/src");
    assert_eq!((merged["/etc/full/a"].as_str(), merged["/etc/full/sub/b"].as_str()), ("f 0644 \"kept\"", "f 0755 \"b\""));
}

#[test]
fn an_emptied_var_comes_back_through_systemd_tmpfiles() {
    let (mut tree, accounts) = sample("d /var/lib/known 0755 - -\n");
    let put = |tree: &mut FileTree, path: &str, inode: Inode| {
        tree.insert(&ImagePath::parse(path).unwrap(), inode, Edit::Create).map(drop).unwrap()
    };
    put(&mut tree, "/var/lib/odd 100%", Inode::file(vec![8], Attributes::root(0o640)));
    put(&mut tree, "/var/lib/to", Inode::symlink("a\\b \"c\" %H "));
    let text = var_lines(&tree, &accounts).unwrap();
    assert_eq!(
        text.lines().skip(1).collect::<Vec<_>>(),
        [
            "d /var/lib 0755 root root - -",
            "L \"/var/lib/a b\" - - - - ../x",
            "d /var/lib/etcd 0700 etcd etcd - -",
            "C \"/var/lib/odd 100%%\" 0640 root root - /usr/share/factory/var/lib/odd 100%%",
            "C /var/lib/state 0640 root root - /usr/share/factory/var/lib/state",
            "L /var/lib/to - - - - a\\\\b \"c\" %%H\\x20",
            "d /var/log 0755 root root - -",
        ]
    );
    empty_var(&mut tree, &accounts).unwrap();
    assert_eq!(tree.children(tree.get(&ImagePath::parse("/var").unwrap()).unwrap()).len(), 0);
    assert_eq!(tree.read("/usr/share/factory/var/lib/state").unwrap().unwrap(), [7]);
    let host = tempfile::tempdir().unwrap();
    let conf = host.path().join("usr/lib/tmpfiles.d");
    std::fs::create_dir_all(&conf).unwrap();
    // Owners need root and an account database: the paths and modes are what is proved here.
    std::fs::write(conf.join("x.conf"), text.replace("etcd etcd - -", "- - - -").replace("root root", "- -")).unwrap();
    std::fs::create_dir_all(host.path().join("usr/share/factory/var/lib")).unwrap();
    std::fs::write(host.path().join("usr/share/factory/var/lib/state"), [7]).unwrap();
    std::fs::write(host.path().join("usr/share/factory/var/lib/odd 100%"), [8]).unwrap();
    match Command::new("systemd-tmpfiles").arg("--create").arg(format!("--root={}", host.path().display())).output() {
        Err(_) => fixtures::missing("no systemd-tmpfiles"),
        Ok(out) => {
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            assert_eq!(std::fs::read_link(host.path().join("var/lib/a b")).unwrap().to_str(), Some("../x"));
            assert_eq!(std::fs::read_link(host.path().join("var/lib/to")).unwrap().to_str(), Some("a\\b \"c\" %H "));
            assert_eq!(std::fs::read(host.path().join("var/lib/state")).unwrap(), [7]);
            assert_eq!(std::fs::read(host.path().join("var/lib/odd 100%")).unwrap(), [8]);
            assert!(host.path().join("var/lib/etcd").is_dir());
        }
    }
}
