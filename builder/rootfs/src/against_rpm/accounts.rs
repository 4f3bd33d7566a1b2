//! Owners that only packages' own words make known: provisions as rpm 4.19 and later write them, and scriptlets.

use super::*;
use crate::install::{Environment, Installation, Rules};
use crate::order;
use crate::programs::ProgramCache;
use model::tree::FileTree;
use model::{Silent, SourceDateEpoch};
use recipe::lock::KeptIds;

fn unpack(paths: &[PathBuf], folder: &Path, kept_ids: KeptIds) -> model::Result<(FileTree, Installation)> {
    let packs = order::of(&packs(paths, &folder.join("packs")));
    let cache = ProgramCache { outputs: folder.join("outputs"), scratch: folder.join("scratch"), facts: Default::default() };
    Installation::unpack(
        &packs,
        &Rules { kept_ids, ..Rules::default() },
        Environment { cache: &cache, epoch: SourceDateEpoch(7), progress: &Silent },
    )
}

#[test]
fn provisions_and_scriptlets_make_the_accounts_that_files_belong_to() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // The lines `u etcd 985 "E s" /var/lib/etcd -`, `m etcd wheel` and `g render -`.
    let provided = "Provides: user(etcd) = dSBldGNkIDk4NSAiRSBzIiAvdmFyL2xpYi9ldGNkIC0g\nProvides: groupmember(etcd/wheel) = bSBldGNkIHdoZWVsICAg\n\
        Provides: group(render) = ZyByZW5kZXIgLSAg\nProvides: group(etcd)\n%description\nx\n%install\nmkdir -p %{buildroot}/var/lib/etcd %{buildroot}/dev-render\n\
        %files\n%attr(0750,etcd,etcd) /var/lib/etcd\n%attr(-,root,render) /dev-render\n";
    let scripted = "%description\nx\n%install\nmkdir -p %{buildroot}/srv/a\n%pre\ngetent group a-data >/dev/null || groupadd -r a-data\n\
        getent passwd a >/dev/null || useradd -r -g a-data -d /srv/a -s /sbin/nologin -c \"The A\" a\nexit 0\n%files\n%attr(-,a,a-data) /srv/a\n";
    let Some(paths) =
        [("provided", provided), ("scripted", scripted)].iter().map(|(name, text)| built(at, name, text)).collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let (tree, installation) = unpack(&paths, at, KeptIds::default()).unwrap();
    let owner = |tree: &FileTree, path: &str| tree.at(path).map(|inode| (inode.attributes.uid, inode.attributes.gid)).unwrap();
    let accounts = &installation.accounts;
    assert_eq!(owner(&tree, "/var/lib/etcd"), (985, 985));
    assert!(accounts.groups().iter().any(|group| group.name == "wheel" && group.members == ["etcd"]));
    let [a, a_data, render] = [accounts.uid("a"), accounts.gid("a-data"), accounts.gid("render")].map(Option::unwrap);
    assert_eq!((owner(&tree, "/srv/a"), owner(&tree, "/dev-render")), ((a, a_data), (0, render)));
    assert_eq!(accounts.users().iter().find(|user| user.name == "a").map(|user| user.gecos.as_str()), Some("The A"));
    let rows = accounts.kept_ids().rows();
    // What a build chose is chosen again where more would come before it.
    let first = format!("Provides: group(aaa) = {}\n{scripted}", "ZyBhYWEgLSAg");
    let Some(first) = built(at, "first", &first) else { return };
    let (tree, installation) = unpack(&[first, paths[0].clone(), paths[1].clone()], at, KeptIds::of(&rows)).unwrap();
    assert_eq!((owner(&tree, "/srv/a"), owner(&tree, "/dev-render")), ((a, a_data), (0, render)));
    assert!(installation.accounts.gid("aaa").is_some_and(|gid| ![a, a_data, render, 985].contains(&gid)));
}

#[test]
fn a_provision_that_is_no_line_of_sysusers_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (number, (value, said)) in [("cSB4IC0g", "unknown type"), ("gAAA", "base64")].into_iter().enumerate() {
        let Some(path) = built(at, &format!("bad{number}"), &format!("Provides: user(x) = {value}\n%description\nx\n%files\n")) else {
            return;
        };
        let error = unpack(&[path], at, KeptIds::default()).err().unwrap().to_string();
        assert!(error.contains(said) && error.contains("user(x)"), "{error}");
    }
}
