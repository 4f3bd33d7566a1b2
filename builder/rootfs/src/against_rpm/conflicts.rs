//! Paths that several packages name: the same conflicts as rpm's, and its preference for 64 bits.

use super::*;
use crate::payloads;
use model::tree::FileTree;
use model::{ImagePath, Silent};
use recipe::ConflictRule;
use std::collections::BTreeSet;

fn laid(paths: &[PathBuf], rules: &[ConflictRule]) -> model::Result<FileTree> {
    let folder = tempfile::tempdir().unwrap();
    let mut tree = FileTree::new();
    payloads::lay(&mut tree, &packs(paths, folder.path()), rules, &Silent)?;
    Ok(tree)
}

/// The paths of `file PATH conflicts between …` and `file PATH from install of …`.
fn conflicts_of_rpm(output: &str) -> BTreeSet<String> {
    let named = |line: &str| {
        let rest = line.trim().strip_prefix("file ")?;
        rest.split_once(" conflicts between").or_else(|| rest.split_once(" from install of")).map(|(path, _)| path.to_owned())
    };
    output.lines().filter_map(named).collect()
}

fn ours(error: &str) -> BTreeSet<String> {
    error.lines().filter_map(|line| line.strip_prefix("  /")).map(|line| format!("/{}", line.split_once(": ").unwrap().0)).collect()
}

#[test]
fn two_releases_of_one_package_conflict_where_rpm_says_so() {
    let Some(paths) = centos() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let Some(output) = rpm(scratch.path(), "--test", &paths) else { return };
    let theirs = conflicts_of_rpm(&output);
    let error = laid(&paths, &[]).unwrap_err();
    assert_eq!(ours(&error.to_string()), theirs);
    assert_eq!(theirs.len(), 6);
    assert!(error.to_string().contains("epel-release-7-11.noarch and epel-release-7-12.noarch (different contents)"), "{error}");
    assert!(error.hint_text().unwrap().contains("[[conflict]]\npath = \"/etc/"), "{error:?}");
    assert!(laid(&centos_of_one_release().unwrap(), &[]).is_ok());
}

/// A package of the files of `body`, a line each as in a spec file's %files, over `install`.
fn built(folder: &Path, name: &str, install: &str, files: &str) -> Option<PathBuf> {
    super::built(folder, name, &format!("%install\n{install}\n%files\n%defattr(-,root,root)\n{files}\n"))
}

#[test]
fn files_are_shared_or_conflict_as_in_rpm() {
    let folder = tempfile::tempdir().unwrap();
    // Of each pair: what the two packages have at /x.
    let mode = |mode: &str| format!("mkdir -p %{{buildroot}}; echo same > %{{buildroot}}/x; chmod {mode} %{{buildroot}}/x");
    let text = |text: &str| format!("mkdir -p %{{buildroot}}; echo {text} > %{{buildroot}}/x");
    let link = |target: &str| format!("mkdir -p %{{buildroot}}; ln -s {target} %{{buildroot}}/x");
    let directory = |mode: &str| format!("mkdir -p %{{buildroot}}/x; chmod {mode} %{{buildroot}}/x");
    let cases: Vec<[(String, &str); 2]> = vec![
        [(text("a"), "/x"), (text("a"), "/x")],
        [(text("a"), "/x"), (text("b"), "/x")],
        [(mode("644"), "/x"), (mode("755"), "/x")],
        [(text("a"), "%attr(-,bin,root) /x"), (text("a"), "/x")],
        [(text("a"), "%ghost /x"), (text("b"), "/x")],
        [(text("a"), "%config /x"), (text("a"), "/x")],
        [(link("a"), "/x"), (link("a"), "/x")],
        [(link("a"), "/x"), (link("b"), "/x")],
        [(link("a"), "/x"), (text("b"), "/x")],
        [(directory("755"), "%dir /x"), (directory("755"), "%dir /x")],
        [(directory("755"), "%dir /x"), (directory("700"), "%dir /x")],
        [(directory("755"), "%dir /x"), (link("a"), "/x")],
        [(directory("755"), "%dir /x"), (text("a"), "/x")],
    ];
    let mut differing = 0;
    for (number, pair) in cases.iter().enumerate() {
        let built: Option<Vec<PathBuf>> = pair
            .iter()
            .zip(["a", "b"])
            .map(|((install, files), name)| built(folder.path(), &format!("{name}{number}"), install, files))
            .collect();
        let Some(paths) = built else { return };
        let Some(output) = rpm(&folder.path().join("root"), "--test", &paths) else { return };
        let ours = laid(&paths, &[]);
        let theirs = conflicts_of_rpm(&output);
        assert_eq!(ours.is_err(), !theirs.is_empty(), "{pair:?}: rpm says {output:?}, we {:?}", ours.err());
        differing += usize::from(!theirs.is_empty());
    }
    assert_eq!(differing, 8);
}

#[test]
fn the_recipe_says_whose_a_file_is() {
    let folder = tempfile::tempdir().unwrap();
    let install = |text: &str| format!("mkdir -p %{{buildroot}}/etc; echo {text} > %{{buildroot}}/etc/x");
    let Some(paths) = ["a", "b"].iter().map(|name| built(folder.path(), name, &install(name), "/etc/x")).collect::<Option<Vec<_>>>() else {
        return;
    };
    for (package, path, expected) in [("a", "/etc/x", "a\n"), ("b", "/etc/*", "b\n")] {
        let rule = ConflictRule { path: path.into(), package: package.into(), reason: "why".into() };
        let tree = laid(&paths, &[rule]).unwrap();
        assert_eq!(tree.read("/etc/x").unwrap().unwrap(), expected.as_bytes());
    }
    let rule = |package: &str, path: &str| ConflictRule { path: path.into(), package: package.into(), reason: "why".into() };
    assert!(laid(&paths, &[rule("c", "/etc/x"), rule("a", "/etc/y")]).is_err());
}

#[test]
fn files_behind_links_come_to_lie_where_the_links_lead() {
    let folder = tempfile::tempdir().unwrap();
    let packages = [
        ("links", "mkdir -p %{buildroot}/var %{buildroot}/run; ln -s ../run %{buildroot}/var/run", "/var/run\n/run"),
        ("aaa", "mkdir -p %{buildroot}/var/run/a; echo a > %{buildroot}/var/run/a/x", "/var/run/a"),
    ];
    let Some(paths) = packages.iter().map(|(name, install, files)| built(folder.path(), name, install, files)).collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let tree = laid(&paths, &[]).unwrap();
    assert_eq!(tree.read("/run/a/x").unwrap().unwrap(), b"a\n");
    assert_eq!(tree.get(&ImagePath::parse("/var/run/a/x").unwrap()), None);
    let packages = [
        ("evil", "mkdir -p %{buildroot}/var; ln -s ../etc %{buildroot}/var/mine", "%attr(-,bin,bin) /var/mine"),
        ("bbb", "mkdir -p %{buildroot}/var/mine; echo a > %{buildroot}/var/mine/passwd", "/var/mine/passwd"),
        ("loop", "mkdir -p %{buildroot}; ln -s pool %{buildroot}/loop", "/loop"),
        ("pool", "mkdir -p %{buildroot}; ln -s loop %{buildroot}/pool", "/pool"),
        ("ccc", "mkdir -p %{buildroot}/loop; echo a > %{buildroot}/loop/x", "/loop/x"),
        ("up", "mkdir -p %{buildroot}; ln -s ../../../../.. %{buildroot}/up", "/up"),
        ("ddd", "mkdir -p %{buildroot}/up/tmp; echo a > %{buildroot}/up/tmp/escaped", "/up/tmp/escaped"),
    ];
    let Some(paths) = packages.iter().map(|(name, install, files)| built(folder.path(), name, install, files)).collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let message = |pair: &[PathBuf]| laid(pair, &[]).unwrap_err().to_string();
    assert!(message(&paths[..2]).contains("behind the link /var/mine of the user bin"), "{}", message(&paths[..2]));
    assert!(message(&paths[2..5]).contains("more than 40 links"), "{}", message(&paths[2..5]));
    assert_eq!(laid(&paths[5..], &[]).unwrap().read("/tmp/escaped").unwrap().unwrap(), b"a\n");
}
