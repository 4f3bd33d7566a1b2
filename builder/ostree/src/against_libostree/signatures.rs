use super::*;
use crate::{Store, commit};
use model::Silent;
use signing::{PublicKey, SigningKey};

/// A store with one signed commit and a signed summary, and the key.
fn signed(at: &Path) -> (Store, crate::CommitId, SigningKey) {
    let tree = sample(4);
    let made = commit(&tree, &meta()).unwrap();
    let store = Store::create(&at.join("repo")).unwrap();
    store.write(&made, &tree, REF, 1, &Silent).unwrap();
    let key = SigningKey::from_seed(&[5; 32]);
    store.sign_commit(made.id, std::slice::from_ref(&key)).unwrap();
    store.write_summary(std::slice::from_ref(&key)).unwrap();
    (store, made.id, key)
}

/// Adds a remote that accepts the keys of one keyring, and pulls from it.
fn pull(at: &Path, name: &str, keys: &SigningKey) -> std::process::Output {
    std::fs::write(at.join(format!("{name}.gpg")), keys.certificate().unwrap().packets()).unwrap();
    ok(at, &format!("ostree init --repo={name} --mode=archive"));
    let url = format!("file://{}", at.join("repo").display());
    let keyring = at.join(format!("{name}.gpg"));
    let remote = format!("[remote \"r\"]\nurl={url}\ngpg-verify=true\ngpg-verify-summary=true\ngpgkeypath={}\n", keyring.display());
    let path = at.join(name).join("config");
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + &remote).unwrap();
    run(at, &format!("ostree pull --repo={name} r {REF}"))
}

/// gpg keeps its state below HOME and is part of every libostree that verifies.
fn can_verify() -> bool {
    if Command::new("gpg").arg("--version").output().is_err() {
        fixtures::missing("no gpg");
        return false;
    }
    can_run()
}

#[test]
fn ostree_pulls_with_our_signatures_and_refuses_others() {
    if !can_verify() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (store, id, key) = signed(at);
    let stranger = SigningKey::from_seed(&[6; 32]);
    let pulled = pull(at, "accepted", &key);
    assert!(pulled.status.success(), "{}", String::from_utf8_lossy(&pulled.stderr));
    let refused = pull(at, "refused", &stranger);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("public key not found"), "{}", String::from_utf8_lossy(&refused.stderr));

    // Rotation: a second key beside the first.
    store.sign_commit(id, std::slice::from_ref(&stranger)).unwrap();
    store.write_summary(&[SigningKey::from_seed(&[5; 32]), SigningKey::from_seed(&[6; 32])]).unwrap();
    assert!(pull(at, "second", &stranger).status.success());
    assert!(pull(at, "first", &key).status.success());

    // A changed byte of the summary, a commit without signature, a summary without one.
    let path = at.join("repo/summary");
    let good = std::fs::read(&path).unwrap();
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(&path, changed).unwrap();
    assert!(!pull(at, "changed", &key).status.success());
    std::fs::write(&path, good).unwrap();
    std::fs::remove_file(store.detached_path(id)).unwrap();
    assert!(String::from_utf8_lossy(&pull(at, "stripped", &key).stderr).contains("no signatures found"));
    store.sign_commit(id, std::slice::from_ref(&key)).unwrap();
    store.write_summary(&[]).unwrap();
    assert!(!pull(at, "unsigned", &key).status.success());
}

#[test]
fn ostree_reads_our_summary_and_we_read_what_ostree_wrote() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (store, id, key) = signed(at);
    let shown = ok(at, "ostree summary --repo=repo --view");
    assert!(shown.contains(REF) && shown.contains(&id.to_string()), "{shown}");
    let ours = store.summary().unwrap().unwrap().0;
    assert_eq!(store.commit_signers(id, &[key.public()]).unwrap(), [key.public()]);
    assert_eq!(store.commit_signers(id, &[SigningKey::from_seed(&[9; 32]).public()]).unwrap(), Vec::<PublicKey>::new());
    ok(at, "ostree summary --repo=repo --update");
    let (theirs, _, _) = store.summary().unwrap().unwrap();
    // This libostree may be too old to tell a commit's version and time.
    let names = |summary: &crate::Summary| summary.refs.iter().map(|(name, one)| (name.clone(), one.commit, one.size)).collect::<Vec<_>>();
    assert_eq!(names(&theirs), names(&ours));
    assert!(theirs.last_modified > ours.last_modified);
}

#[test]
fn a_summary_s_time_grows_with_each_change_and_not_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let (store, id, key) = signed(folder.path());
    let keys = std::slice::from_ref(&key);
    let first = store.write_summary(keys).unwrap();
    assert_eq!((first.last_modified, store.write_summary(keys).unwrap()), (u64::from(meta().epoch.0), first.clone()));
    std::fs::create_dir_all(folder.path().join("repo/refs/heads/other")).unwrap();
    std::fs::write(folder.path().join("repo/refs/heads/other/ref"), format!("{id}\n")).unwrap();
    let second = store.write_summary(keys).unwrap();
    assert_eq!((second.last_modified, second.refs.len()), (first.last_modified + 1, 2));
    std::fs::remove_file(folder.path().join("repo/refs/heads/other/ref")).unwrap();
    assert_eq!(store.write_summary(keys).unwrap().last_modified, second.last_modified + 1, "what was withdrawn is a change, too");
}
