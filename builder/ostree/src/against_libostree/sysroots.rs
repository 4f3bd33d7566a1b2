use super::*;
use crate::{Commit, Deployment, Detached, Sysroot, SysrootRequest, commit, sysroot};
use signing::SigningKey;

fn build(trees: &[(&Commit, &FileTree, u32)]) -> Sysroot {
    signed(trees, None)
}

/// With this detached metadata of each commit.
fn signed(trees: &[(&Commit, &FileTree, u32)], signatures: Option<&[u8]>) -> Sysroot {
    let deployments = trees
        .iter()
        .map(|&(commit, tree, serial)| Deployment {
            commit,
            tree,
            signatures,
            serial,
            kargs: vec!["root=LABEL=root".into(), "rw".into()],
            title: "Test OS".into(),
            version: Some("1".into()),
        })
        .collect();
    sysroot(&SysrootRequest { os: "atomic".into(), ref_name: REF.into(), remote: "atomic-host".into(), deployments, epoch: meta().epoch })
        .unwrap()
}

#[test]
fn libostree_finds_the_signature_of_a_deployed_commit() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (at, tree) = (folder.path(), sample(5));
    let commit = commit(&tree, &meta()).unwrap();
    let key = SigningKey::from_seed(&[7; 32]);
    let mut signatures = Detached::default();
    signatures.sign(&commit.bytes, &key, meta().epoch).unwrap();
    std::fs::write(at.join("key.asc"), key.certificate().unwrap().to_armor().unwrap()).unwrap();
    write(&signed(&[(&commit, &tree, 0)], Some(&signatures.encode())), &at.join("signed"));
    write(&build(&[(&commit, &tree, 0)]), &at.join("unsigned"));
    let remote = "remote add --gpg-import=key.asc atomic-host http://localhost/repo";
    ok(at, &format!("for s in signed unsigned; do ostree --repo=$s/ostree/repo {remote}; done"));
    let show = format!("ostree show --gpg-verify-remote=atomic-host {}", commit.id);
    ok(at, &format!("{show} --repo=signed/ostree/repo | grep -q 'Good signature'"));
    ok(at, &format!("! {show} --repo=unsigned/ostree/repo 2>&1 | grep -q 'Good signature'"));
}

fn write(made: &Sysroot, to: &Path) {
    on_disk::write(&made.root, to);
    on_disk::write(&made.boot, &to.join("boot"));
}

#[test]
fn a_sysroot_is_file_for_file_what_ostree_admin_makes() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (at, tree) = (folder.path(), sample(5));
    on_disk::write(&tree, &at.join("tree"));
    ok(at, "ostree init --repo=repo --mode=archive");
    ok(at, COMMIT);
    ok(
        at,
        "umask 022
        mkdir theirs && ostree admin init-fs --modern theirs && ostree admin os-init --sysroot=theirs atomic
        S='ostree --repo=theirs/ostree/repo'
        $S config set sysroot.bootloader none && $S config set sysroot.readonly true
        $S pull-local --remote=atomic-host repo test/x86_64/stable
        for i in 1 2; do ostree admin deploy --sysroot=theirs --os=atomic atomic-host:test/x86_64/stable --karg=root=LABEL=root --karg=rw; done",
    );
    let made = commit(&tree, &meta()).unwrap();
    // The second deployment that ostree made is the default and has the serial 1.
    write(&build(&[(&made, &tree, 1), (&made, &tree, 0)]), &at.join("ours"));
    let immutable = ok(at, "for d in theirs/ostree/deploy/atomic/deploy/*.?; do lsattr -d $d; chattr -i $d; done");
    assert_eq!(immutable.lines().filter(|l| l.starts_with("----i")).count(), 2, "{immutable}");

    let mut theirs = on_disk::describe(&at.join("theirs"));
    // Left-overs of how it came about: a lock, and the folder of the first deployment's links.
    for name in ["ostree/repo/.lock", "ostree/repo/refs/heads/ostree/1", "ostree/repo/refs/heads/ostree/1/1"] {
        theirs.remove(name).unwrap();
    }
    // Named like this since libostree 2023.8.
    for number in [1, 2] {
        let entry = theirs.remove(&format!("boot/loader.0/entries/ostree-{number}-atomic.conf")).unwrap();
        theirs.insert(format!("boot/loader.0/entries/ostree-{number}.conf"), entry);
    }
    let ours = on_disk::describe(&at.join("ours"));
    for (name, line) in &theirs {
        assert_eq!(ours.get(name), Some(line), "{name}");
    }
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
}

#[test]
fn ostree_admin_lists_two_deployments_of_two_commits_and_finds_no_fault() {
    let (new_tree, old_tree) = (sample(2), sample(1));
    let old = commit(&old_tree, &meta()).unwrap();
    let new = commit(&new_tree, &CommitMeta { parent: Some(old.id), ..meta() }).unwrap();
    let made = build(&[(&new, &new_tree, 0), (&old, &old_tree, 0)]);
    let at = |id| format!("/ostree/deploy/atomic/deploy/{id}.0");
    for id in [new.id, old.id] {
        assert!(made.root.at(&at(id)).unwrap().attributes.immutable);
    }
    assert_eq!(made.root.walk().iter().filter(|e| made.root.inode(e.id).attributes.immutable).count(), 2);
    let default = made.boot.read("/loader/entries/ostree-2.conf").unwrap().unwrap();
    assert!(
        String::from_utf8(default)
            .unwrap()
            .starts_with("title Test OS 1 (ostree:0)\nversion 2\noptions root=LABEL=root rw ostree=/ostree/boot.0/atomic/")
    );
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    write(&made, folder.path());
    let status = ok(folder.path(), "ostree admin --sysroot=. status");
    let listed: Vec<&str> = status.lines().filter(|l| l.starts_with("  atomic ")).collect();
    assert_eq!(listed, [format!("  atomic {}.0", new.id), format!("  atomic {}.0", old.id)]);
    assert_eq!(status.matches("origin refspec: atomic-host:test/x86_64/stable").count(), 2);
    ok(folder.path(), "ostree fsck --repo=ostree/repo");
    // ostree would have complained about a changed file.
    std::fs::write(folder.path().join(&at(old.id)[1..]).join("usr/bin/sudo"), "evil").unwrap();
    assert!(!run(folder.path(), "ostree fsck --repo=ostree/repo").status.success());
}
