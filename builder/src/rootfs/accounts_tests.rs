use super::*;

const PASSWD: &str = "root:*:0:0:root:/root:/bin/bash\n";
const GROUP: &str = "root:*:0:\nshadow:*:42:\n";

fn texts(text: &str) -> Vec<(String, String)> {
    vec![("a.conf".into(), text.into())]
}

#[test]
fn ids_are_given_then_allocated_downward() {
    let pinned = Pinned { groups: vec![PinnedGroup { name: "docker".into(), gid: 999 }], ..Pinned::default() };
    let accounts = Accounts::plan(&texts("u first - \"F\"\ng tty 5\nu later 998\nm first docker\n"), PASSWD, GROUP, &pinned).unwrap();
    assert_eq!((accounts.uid("later"), accounts.uid("first"), accounts.gid("first")), (Some(998), Some(997), Some(997)));
    assert_eq!(accounts.gid("docker"), Some(999));
    assert!(accounts.groups().iter().any(|g| g.name == "docker" && g.members == ["first"]));
}

#[test]
fn an_id_stays_when_other_accounts_come_and_go() {
    let plan = |text: &str, remembered: &Remembered| {
        Accounts::plan_all(&texts(text), &[], [PASSWD, GROUP], &Pinned::default(), remembered).unwrap()
    };
    let first = plan("u a\nu b\ng c\nm a d\n", &Remembered::default());
    let ids = |accounts: &Accounts, names: &[&str]| names.iter().map(|name| accounts.gid(name)).collect::<Vec<_>>();
    assert_eq!(ids(&first, &["a", "b", "c", "d"]), [Some(999), Some(998), Some(997), Some(996)]);
    let table = first.remembered();
    assert_eq!((table.users.len(), table.groups.len()), (2, 4));
    let again = plan("u a\nu b\ng c\nm a d\n", &table);
    assert_eq!((again.users(), again.groups(), again.remembered()), (first.users(), first.groups(), table.clone()));
    // One went, one came before it, one asks for an id that another had.
    let later = plan("u 0new\nu b\ng c\nu fixed 996\n", &table);
    assert_eq!(ids(&later, &["b", "c", "fixed", "0new"]), [Some(998), Some(997), Some(996), Some(995)]);
    assert_eq!((later.uid("b"), later.uid("0new"), later.remembered().users.get("a")), (Some(998), Some(995), Some(&999)));
}

#[test]
fn later_lines_add_accounts_and_move_none() {
    let mut accounts = Accounts::plan(&texts("u a\nu b 500\n"), PASSWD, GROUP, &Pinned::default()).unwrap();
    let before = accounts.clone();
    accounts.extend(&texts("u 0new\nu b 600\nu a\nm 0new b\n")).unwrap();
    for name in ["root", "a", "b"] {
        assert_eq!((accounts.uid(name), accounts.gid(name)), (before.uid(name), before.gid(name)), "{name}");
    }
    assert_eq!((accounts.uid("0new"), accounts.remembered().users.get("0new")), (Some(998), Some(&998)));
    assert_eq!(accounts.groups().iter().find(|g| g.name == "b").unwrap().members, ["0new"]);
}

#[test]
fn a_collision_and_an_unknown_owner_are_named() {
    let pinned = Pinned {
        groups: vec![PinnedGroup { name: "x".into(), gid: 42 }, PinnedGroup { name: "shadow".into(), gid: 43 }],
        ..Pinned::default()
    };
    let error = Accounts::plan(&[], PASSWD, GROUP, &pinned).unwrap_err().to_string();
    assert!(error.contains("42 of shadow") && error.contains("not 43"), "{error}");
    let accounts = Accounts::plan(&[], PASSWD, GROUP, &Pinned::default()).unwrap();
    let error = accounts.owner("root", "_ssh", "openssh-client", "/usr/bin/ssh-agent").unwrap_err();
    assert!(error.to_string().contains("_ssh") && error.hint_text().is_some());
}

#[test]
fn the_files_have_fixed_modes_and_no_date() {
    let accounts = Accounts::plan(&texts("u! etcd"), PASSWD, GROUP, &Pinned::default()).unwrap();
    let mut tree = FileTree::new();
    accounts.write(&mut tree).unwrap();
    let shadow = tree.at("/etc/shadow").unwrap();
    assert_eq!((shadow.attributes.mode, shadow.attributes.gid), (0o640, 42));
    let text = String::from_utf8(tree.read("/etc/shadow").unwrap().unwrap()).unwrap();
    assert_eq!(text, "root:*::0:99999:7:::\netcd:!*::0:99999:7:::\n");
}
