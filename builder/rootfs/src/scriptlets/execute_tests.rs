use super::*;
use crate::scriptlets::{Scriptlet, decide};
use model::Silent;
use model::tree::{Attributes, Edit, Inode};
use recipe::DefaultPolicy;

/// A tree whose shell is the host's static busybox; `None` where there is none.
fn tree() -> Option<FileTree> {
    let Ok(bytes) = std::fs::read("/bin/busybox") else {
        fixtures::missing("no static busybox on this machine");
        return None;
    };
    let mut tree = FileTree::new();
    let mut put = |path: &str, inode: Inode| tree.insert(&ImagePath::parse(path).unwrap(), inode, Edit::Create).map(drop).unwrap();
    put("/bin/busybox", Inode::file(bytes, Attributes::root(0o755)));
    for name in ["sh", "rm", "mv", "ln", "chmod", "mkdir", "rmdir", "cat", "touch", "echo"] {
        put(&format!("/bin/{name}"), Inode::symlink("busybox"));
    }
    put("/etc/owned", Inode::file(b"old\n".as_slice(), Attributes { uid: 5, gid: 6, mtime: 3, ..Attributes::root(0o4755) }));
    put("/etc/kept", Inode::file(b"kept\n".as_slice(), Attributes { mtime: 3, ..Attributes::root(0o644) }));
    put("/etc/gone/x", Inode::file(b"".as_slice(), Attributes::root(0o644)));
    put("/var/empty", Inode::directory(Attributes::root(0o2750)));
    Some(tree)
}

fn script(phase: Phase, interpreter: &str, text: &str) -> Scriptlet {
    Scriptlet {
        package: "demo".into(),
        phase,
        interpreter: vec![interpreter.into()],
        text: text.into(),
        source: text.into(),
        arguments: vec!["1"],
        set_off_by: None,
        input: String::new(),
    }
}

fn execute(tree: &mut FileTree, scripts: &[Scriptlet]) -> Result<Ledger> {
    let scratch = tempfile::tempdir().unwrap();
    let cache =
        ProgramCache { outputs: scratch.path().join("outputs"), scratch: scratch.path().join("scratch"), facts: Default::default() };
    let accounts = Accounts::plan(&[], "", "", &Default::default()).unwrap();
    let (actions, mut ledger) = decide(scripts, &[], DefaultPolicy::Sandbox)?;
    let executor = Executor { accounts: &accounts, cache: &cache, epoch: SourceDateEpoch(7), progress: &Silent };
    executor.run(tree, &actions, &|_| true, &mut ledger)?;
    Ok(ledger)
}

#[test]
fn the_sandbox_brings_back_what_a_script_changed_and_nothing_else() {
    let Some(mut tree) = tree() else { return };
    let text = "echo \"$1\" > /etc/argument; echo new > /etc/owned; touch /etc/kept; echo kept > /etc/kept; rm -r /etc/gone; mkdir -m 700 /etc/made\n\
                ln -s argument /etc/made/link; ln /etc/argument /etc/twin; touch /tmp/x /run/x /var/tmp/x; chmod 600 /etc/twin";
    let ledger = execute(&mut tree, &[script(Phase::Post, "/bin/sh", text)]).unwrap();
    assert_eq!(ledger[0].paths, ["/etc/argument", "/etc/gone", "/etc/gone/x", "/etc/made", "/etc/made/link", "/etc/owned", "/etc/twin"]);
    assert_eq!((ledger[0].handler.as_str(), &ledger[0].failure), ("sandbox", &None));
    assert_eq!(tree.read("/etc/made/link").unwrap(), None);
    assert_eq!(tree.read("/etc/argument").unwrap().unwrap(), b"1\n");
    assert_eq!(tree.get(&ImagePath::parse("/etc/argument").unwrap()), tree.get(&ImagePath::parse("/etc/twin").unwrap()));
    let attributes = |path: &str| tree.at(path).unwrap().attributes.clone();
    assert_eq!(attributes("/etc/twin"), Attributes { mtime: 7, ..Attributes::root(0o600) });
    assert_eq!(attributes("/etc/made"), Attributes { mtime: 7, ..Attributes::root(0o700) });
    assert_eq!(attributes("/etc/owned"), Attributes { uid: 5, gid: 6, mtime: 7, ..Attributes::root(0o4755) });
    assert_eq!(attributes("/etc/kept").mtime, 3);
    assert_eq!(attributes("/var/empty").mode, 0o2750);
    assert!(tree.at("/tmp").is_none() && tree.at("/run").is_none() && tree.at("/.rpm-scriptlet").is_none());
}

#[test]
fn scripts_follow_each_other_in_one_sandbox_and_lua_between_them_is_seen() {
    let Some(mut tree) = tree() else { return };
    let scripts = [
        script(Phase::Pre, "/bin/sh", "echo one > /etc/log"),
        script(Phase::Post, "/bin/sh", "echo two >> /etc/log"),
        script(Phase::Post, "<lua>", "local f = io.open('/etc/log', 'a') f:write('three\\n')"),
        script(Phase::Posttrans, "/bin/sh", "cat /etc/log > /etc/copy; mv /etc/copy /etc/moved"),
    ];
    let ledger = execute(&mut tree, &scripts).unwrap();
    assert_eq!(tree.read("/etc/moved").unwrap().unwrap(), b"one\ntwo\nthree\n");
    assert_eq!(ledger.iter().map(|row| row.paths.join(" ")).collect::<Vec<_>>(), ["/etc/log", "/etc/log", "/etc/log", "/etc/moved"]);
}

#[test]
fn a_failing_pre_stops_the_build_and_a_failing_post_is_noted() {
    let Some(mut tree) = tree() else { return };
    for (phase, interpreter, text, said) in [
        (Phase::Pre, "/bin/sh", "echo why; exit 3", "%pre of demo failed: exit status 3: why"),
        (Phase::Pretrans, "<lua>", "error('no', 0)", "%pretrans of demo failed: no"),
        (Phase::Pre, "/bin/none", "x", "/bin/none or its interpreter is not in the tree"),
    ] {
        let error = execute(&mut tree, &[script(phase, interpreter, text)]).unwrap_err();
        assert!(error.to_string().contains(said) && error.hint_text().is_some(), "{error}");
    }
    for (phase, interpreter, text, said) in [
        (Phase::Post, "/bin/sh", "echo x > /etc/x; echo why >&2; exit 4", "exit status 4: why"),
        (Phase::Posttrans, "<lua>", "error('no', 0)", "no"),
        (Phase::Post, "/bin/none", "x", "exit status 127: /bin/none"),
    ] {
        let ledger = execute(&mut tree, &[script(phase, interpreter, text)]).unwrap();
        assert!(ledger[0].failure.as_ref().is_some_and(|failure| failure.starts_with(said)), "{:?}", ledger[0]);
    }
    assert_eq!(tree.read("/etc/x").unwrap().unwrap(), b"x\n");
}

#[test]
fn a_link_that_a_script_leaves_leads_nobody_out_of_the_sandbox() {
    let Some(mut tree) = tree() else { return };
    let outside = tempfile::tempdir().unwrap();
    let planted = outside.path().display();
    let text = format!(
        "rm -rf /var; ln -s {planted} /var; ln -s {planted}/script /.rpm-next; rm -f /.rpm-scriptlet; ln -s {planted}/script /.rpm-scriptlet"
    );
    let ledger = execute(&mut tree, &[script(Phase::Post, "/bin/sh", &text), script(Phase::Post, "/bin/sh", "touch /etc/second")]).unwrap();
    assert!(ledger.iter().all(|row| row.failure.is_none()), "{ledger:?}");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(tree.at("/etc/second").is_some() && matches!(tree.at("/var").unwrap().kind, NodeKind::Symlink(_)));
}
