use super::*;
use crate::{ObjectKind, Store, commit};
use model::{Kind, Silent};

#[test]
fn ostree_checks_lists_checks_out_and_pulls_what_the_store_wrote() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (tree, at) = (sample(7), folder.path());
    let made = commit(&tree, &meta()).unwrap();
    let store = Store::create(&at.join("repo")).unwrap();
    assert_eq!(store.resolve_ref(REF).unwrap(), None);
    assert!(store.write(&made, &tree, REF, Store::LEVEL, &Silent).unwrap() > 50);
    assert_eq!(store.write(&made, &tree, REF, Store::LEVEL, &Silent).unwrap(), 0);

    ok(at, "ostree fsck --repo=repo");
    assert!(ok(at, &format!("ostree ls --repo=repo {REF} /usr/bin/sudo")).contains("-04755 0 0      4 /usr/bin/sudo"));
    ok(at, &format!("ostree checkout --repo=repo {REF} out"));
    on_disk::write(&tree, &at.join("expected"));
    let without_links = |root: &str| -> Vec<(String, String)> {
        on_disk::describe(&at.join(root))
            .into_iter()
            .map(|(n, line)| (n, line.split(" | ").next().unwrap_or_default().to_owned()))
            .collect()
    };
    assert_eq!(without_links("out"), without_links("expected"));
    ok(at, "ostree init --repo=local --mode=bare && ostree pull-local --repo=local repo && ostree fsck --repo=local");
    ok(at, "ostree init --repo=mirror --mode=archive && ostree remote add --repo=mirror --no-gpg-verify r file://$PWD/repo");
    ok(at, &format!("ostree pull --repo=mirror r {REF} && ostree fsck --repo=mirror"));
}

#[test]
fn a_tree_comes_back_as_it_went_in_and_history_can_be_walked() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    let (first_tree, second_tree) = (sample(1), sample(2));
    let first = commit(&first_tree, &meta()).unwrap();
    let second = commit(&second_tree, &CommitMeta { parent: Some(first.id), ..meta() }).unwrap();
    store.write(&first, &first_tree, REF, 1, &Silent).unwrap();
    store.write(&second, &second_tree, REF, 6, &Silent).unwrap();

    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.resolve_ref(REF).unwrap(), Some(second.id));
    assert_eq!(store.parent_of(second.id).unwrap(), Some(first.id));
    assert_eq!(store.log(second.id).unwrap().iter().map(|e| e.id).collect::<Vec<_>>(), [second.id, first.id]);
    assert_eq!(store.read_commit(first.id).unwrap().metadata, meta().metadata);
    let back = store.load_tree(first.id).unwrap();
    assert_eq!(commit(&back, &meta()).unwrap().id, first.id);
    let names: Vec<String> = store.ls(first.id).unwrap().iter().map(|l| format!("{} {:o} {}", l.path, l.mode, l.size)).collect();
    assert!(names.contains(&"/usr/bin/sudo 104755 4".to_owned()) && names.len() == first_tree.walk().len());
    assert!(store.resolve_ref("../x").is_err());
}

#[test]
fn a_corrupted_object_is_refused_by_ostree_and_by_us() {
    let folder = tempfile::tempdir().unwrap();
    let (tree, at) = (sample(3), folder.path());
    let made = commit(&tree, &meta()).unwrap();
    let store = Store::create(&at.join("repo")).unwrap();
    store.write(&made, &tree, REF, 1, &Silent).unwrap();
    let id = tree.get(&path("usr/bin/sudo")).unwrap();
    let object = at.join("repo").join(ObjectKind::ArchiveFile.path(made.contents[id.index()].unwrap().digest()));
    let mut bytes = std::fs::read(&object).unwrap();
    // The low permission bit of the mode: the frame and the 64-bit size come before uid, gid and mode.
    bytes[8 + 8 + 4 + 4 + 3] ^= 1;
    std::fs::write(&object, &bytes).unwrap();
    let error = store.load_tree(made.id).unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains("corrupted")), (Kind::Integrity, true), "{error}");
    if can_run() {
        assert!(!run(at, "ostree fsck --repo=repo").status.success());
    }
    // No truncation is a panic.
    for length in 0..bytes.len() {
        std::fs::write(&object, &bytes[..length]).unwrap();
        assert!(store.load_tree(made.id).is_err(), "{length}");
    }
}
