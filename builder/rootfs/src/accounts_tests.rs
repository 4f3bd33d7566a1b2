use super::*;

fn name(text: &str) -> AccountName {
    AccountName::parse(text).unwrap()
}

fn id(id: u32) -> AccountId {
    AccountId::new(id).unwrap()
}

const PASSWD: &str = "root:*:0:0:root:/root:/bin/bash\n";
const GROUP: &str = "root:*:0:\nshadow:*:42:\n";

fn texts(text: &str) -> Vec<(String, String)> {
    vec![("a.conf".into(), text.into())]
}

#[test]
fn ids_are_given_then_allocated_downward() {
    let pinned = Pinned { groups: vec![PinnedGroup { name: name("docker"), gid: id(999) }], ..Pinned::default() };
    let accounts = Accounts::plan(&texts("u first - \"F\"\ng tty 5\nu later 998\nm first docker\n"), PASSWD, GROUP, &pinned).unwrap();
    assert_eq!((accounts.uid("later"), accounts.uid("first"), accounts.gid("first")), (Some(998), Some(997), Some(997)));
    assert_eq!(accounts.gid("docker"), Some(999));
    assert!(accounts.groups().iter().any(|g| g.name == "docker" && g.members == ["first"]));
}

#[test]
fn an_id_stays_when_other_accounts_come_and_go() {
    let plan =
        |text: &str, kept_ids: &KeptIds| Accounts::plan_all(&texts(text), &[], [PASSWD, GROUP], &Pinned::default(), kept_ids).unwrap();
    let first = plan("u a\nu b\ng c\nm a d\n", &KeptIds::default());
    let ids = |accounts: &Accounts, names: &[&str]| names.iter().map(|name| accounts.gid(name)).collect::<Vec<_>>();
    assert_eq!(ids(&first, &["a", "b", "c", "d"]), [Some(999), Some(998), Some(997), Some(996)]);
    let table = first.kept_ids();
    assert_eq!((table.users.len(), table.groups.len()), (2, 4));
    let again = plan("u a\nu b\ng c\nm a d\n", &table);
    assert_eq!((again.users(), again.groups(), again.kept_ids()), (first.users(), first.groups(), table.clone()));
    // One went, one came before it, one asks for an id that another had.
    let later = plan("u _new\nu b\ng c\nu fixed 996\n", &table);
    assert_eq!(ids(&later, &["b", "c", "fixed", "_new"]), [Some(998), Some(997), Some(996), Some(995)]);
    assert_eq!((later.uid("b"), later.uid("_new"), later.kept_ids().users.get("a")), (Some(998), Some(995), Some(&999)));
}

#[test]
fn later_lines_add_accounts_and_move_none() {
    let mut accounts = Accounts::plan(&texts("u a\nu b 500\n"), PASSWD, GROUP, &Pinned::default()).unwrap();
    let before = accounts.clone();
    accounts.extend(&texts("u _new\nu b 600\nu a\nm _new b\n")).unwrap();
    for name in ["root", "a", "b"] {
        assert_eq!((accounts.uid(name), accounts.gid(name)), (before.uid(name), before.gid(name)), "{name}");
    }
    assert_eq!((accounts.uid("_new"), accounts.kept_ids().users.get("_new")), (Some(998), Some(&998)));
    assert_eq!(accounts.groups().iter().find(|g| g.name == "b").unwrap().members, ["_new"]);
}

#[test]
fn a_collision_and_an_unknown_owner_are_named() {
    let pinned = Pinned {
        groups: vec![PinnedGroup { name: name("x"), gid: id(42) }, PinnedGroup { name: name("shadow"), gid: id(43) }],
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

#[test]
fn a_pinned_user_gets_a_group_of_its_own_and_a_missing_one_is_named_plainly() {
    let user = |name_of_group: Option<&str>| PinnedUser {
        name: name("kiosk"),
        uid: id(800),
        gid: None,
        group: name_of_group.map(name),
        home: None,
        shell: None,
        gecos: None,
    };
    let plan = |user| Accounts::plan(&[], PASSWD, GROUP, &Pinned { users: vec![user], groups: vec![] });
    for group in [None, Some("kiosk")] {
        let accounts = plan(user(group)).unwrap();
        assert_eq!((accounts.uid("kiosk"), accounts.gid("kiosk")), (Some(800), Some(800)));
    }
    let error = plan(user(Some("none"))).unwrap_err().to_string();
    assert!(error.contains("user kiosk wants the unknown group none") && !error.contains("Some"), "{error}");
}

#[test]
fn a_member_that_nobody_makes_is_made_by_sysusers_and_passed_over_in_a_scriptlet() {
    let accounts = Accounts::plan(&texts("m a b\n"), PASSWD, GROUP, &Pinned::default()).unwrap();
    assert_eq!((accounts.gid("b"), accounts.uid("a"), accounts.gid("a")), (Some(999), Some(998), Some(998)));
    let line = Line::Member { user: name("a"), group: name("b"), creates: false };
    let accounts = Accounts::plan_all(&[], &[line], [PASSWD, GROUP], &Pinned::default(), &KeptIds::default()).unwrap();
    assert_eq!((accounts.gid("b"), accounts.uid("a")), (None, None));
}

#[test]
fn a_name_that_a_package_has_twice_is_not_written() {
    for (passwd, group) in
        [(format!("{PASSWD}a:x:5:5::/:\na:x:6:6::/:\n"), GROUP.to_owned()), (PASSWD.into(), format!("{GROUP}a:x:5:\na:x:6:\n"))]
    {
        let accounts = Accounts::plan(&[], &passwd, &group, &Pinned::default()).unwrap();
        let error = accounts.write(&mut FileTree::new()).unwrap_err().to_string();
        assert!(error.ends_with("name: a"), "{error}");
    }
}
