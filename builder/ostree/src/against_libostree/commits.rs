use super::*;
use crate::commit;
use model::tree::NodeKind;

#[test]
fn a_commit_has_the_name_that_ostree_commit_gives_the_same_tree() {
    if !can_run() {
        return;
    }
    for seed in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let tree = sample(seed);
        on_disk::write(&tree, &folder.path().join("tree"));
        ok(folder.path(), "ostree init --repo=repo --mode=archive");
        let first = ok(folder.path(), COMMIT);
        let ours = commit(&tree, &meta()).unwrap();
        assert_eq!(ours.id.to_string(), first, "seed {seed}");

        let second = ok(folder.path(), &format!("{COMMIT} --body='a body'"));
        let with_parent = CommitMeta { parent: Some(ours.id), body: "a body".into(), ..meta() };
        assert_eq!(commit(&tree, &with_parent).unwrap().id.to_string(), second, "seed {seed}");

        // Once, that this comparison can fail: one permission bit.
        let mut other = tree.clone();
        let id = other.get(&path("usr/bin/sudo")).unwrap();
        other.inode_mut(id).attributes.mode = 0o755;
        assert_ne!(commit(&other, &meta()).unwrap().id.to_string(), first);
    }
}

#[test]
fn what_a_commit_cannot_hold_is_an_error_that_names_the_path() {
    let fifo = Inode { kind: NodeKind::Fifo, attributes: Attributes::root(0o644) };
    let device = Inode { kind: NodeKind::CharDevice { major: 1, minor: 3 }, attributes: Attributes::root(0o644) };
    for (name, inode) in [("/a/fifo", fifo), ("/a/null", device), ("/a/link", Inode::symlink(b"\xff"))] {
        let mut tree = FileTree::new();
        tree.insert(&path(name), inode, Edit::Create).unwrap();
        let error = commit(&tree, &meta()).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    let mut tree = FileTree::new();
    tree.insert(&ImagePath::parse(b"/a/\xff").unwrap(), Inode::file(vec![], Attributes::root(0o644)), Edit::Create).unwrap();
    assert!(commit(&tree, &meta()).unwrap_err().to_string().contains("/a/"));
}
