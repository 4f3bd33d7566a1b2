//! The solver's answers against known ones, and its refusals in words.

use super::*;
use crate::net::{Client, ClientOptions, Url};
use crate::repos::rpmmd::{Origin, Source, Trust, load};
use fixtures::file as fixture;
use model::Silent;
use packages::evr::{Evr, Nevra};

fn snapshot(path: &str, id: &str, priority: u32) -> Option<RepoSnapshot> {
    let cache = tempfile::tempdir().unwrap();
    let url = Url::parse(&fixture(path)?.display().to_string()).unwrap();
    let source = Source { id, origin: Origin::Url(&url), priority, visible: &[], exclude: &[], trust: Trust::Unsigned };
    let start = std::time::Instant::now();
    let loaded =
        load(&Client::new(&ClientOptions { offline: true, ..Default::default() }).unwrap(), &source, cache.path(), &Silent).unwrap();
    println!("{path}: {} packages read in {:?}", loaded.packages.len(), start.elapsed());
    Some(loaded)
}

fn stubs(names: &[&str]) -> Option<Vec<RepoSnapshot>> {
    names.iter().map(|name| snapshot(&format!("rpms/stub-repos/{name}"), name, 99)).collect()
}

fn set(install: &[&str]) -> PackageSet {
    PackageSet { install: install.iter().map(|s| s.to_string()).collect(), ..PackageSet::default() }
}

fn request(install: &[&str]) -> Request {
    set(install).into()
}

/// Sorted `nevra@repo`.
fn names(repos: &[RepoSnapshot], chosen: &[Chosen]) -> Vec<String> {
    let mut names: Vec<_> = chosen
        .iter()
        .map(|c| {
            let (repo, package) = c.of(repos).unwrap();
            format!("{}@{}", package.nevra, repo.id)
        })
        .collect();
    names.sort();
    names
}

fn package(name: &str, version: &str, requires: &[&str]) -> PackageMeta {
    PackageMeta {
        nevra: Nevra::new(name, Evr::new(0, version, "1"), "noarch"),
        location: format!("{name}-{version}.rpm"),
        requires: requires.iter().map(|r| if r.starts_with('(') { Capability::any(*r) } else { rich::parse_simple(r).unwrap() }).collect(),
        ..PackageMeta::default()
    }
}

fn repo(id: &str, priority: u32, packages: Vec<PackageMeta>) -> RepoSnapshot {
    RepoSnapshot {
        id: id.into(),
        priority,
        mirrors: crate::net::Mirrors::one(Url::parse("file:///nowhere").unwrap()),
        visible: Vec::new(),
        exclude: Vec::new(),
        packages,
        revision: String::new(),
        time: model::SourceDateEpoch(0),
        digest: model::Digest::of(b""),
        filelists: None,
        comps: None,
        modules: Default::default(),
    }
}

#[test]
fn the_closures_are_those_that_libsolv_chose_elsewhere() {
    for case in ["centos7.2-bash", "centos7.2-core-mandatory-kernel-grub2", "centos7.7-bash"] {
        let Some(path) = fixture(&format!("solver/{case}.json")) else { return };
        let known: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let list = |key: &str| known[key].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let repos: Vec<_> = known["repos"].as_array().unwrap().iter().collect();
        let repos: Vec<_> = repos.iter().map(|r| snapshot(r["path"].as_str().unwrap(), r["id"].as_str().unwrap(), 99).unwrap()).collect();
        let start = std::time::Instant::now();
        let chosen = resolve(&repos, &PackageSet { install: list("install"), ..PackageSet::default() }.into()).unwrap();
        println!("{case}: {} packages in {:?}", chosen.len(), start.elapsed());
        assert_eq!(names(&repos, &chosen), list("packages"), "{case}");
    }
}

#[test]
fn the_answer_does_not_depend_on_the_order_of_packages_in_the_metadata() {
    let Some(mut repo) = snapshot("metadata/centos-stream-9-baseos-2022-02", "c9", 99) else { return };
    let wanted = request(&["bash", "systemd", "openssh-server", "NetworkManager"]);
    let order = |repo: &RepoSnapshot| -> Vec<String> {
        let repos = [repo.clone()];
        resolve(&repos, &wanted).unwrap().iter().map(|c| c.of(&repos).unwrap().1.nevra.to_string()).collect()
    };
    let first = order(&repo);
    repo.packages.reverse();
    assert_eq!(order(&repo), first);
    let place = |name: &str| first.iter().position(|n| n.starts_with(name)).unwrap();
    assert!(place("setup-2") < place("systemd-249"), "what is needed comes first: {first:?}");
}

#[test]
fn rich_dependencies_bring_what_their_conditions_say() {
    let Some(repos) = stubs(&["dnf-ci-rich"]) else { return };
    for (install, brings, leaves) in [
        (&["soup", "dill"][..], &["cream", "water"][..], &["milk"][..]),
        (&["soup"], &["water"], &["cream"]),
        (&["porridge", "oat"], &["milk"], &["soymilk"]),
        (&["porridge"], &[], &["milk"]),
        (&["sauce"], &["flour"], &["milk", "cream"]),
    ] {
        let Ok(chosen) = resolve(&repos, &request(install)) else { panic!("{install:?}: {:?}", resolve(&repos, &request(install))) };
        let names: Vec<_> = chosen.iter().map(|c| c.of(&repos).unwrap().1.nevra.name.as_str()).collect();
        println!("{install:?}: {names:?}");
        for name in brings {
            assert!(names.contains(name), "{install:?} brings {name}: {names:?}");
        }
        for name in leaves {
            assert!(!names.contains(name), "{install:?} leaves out {name}: {names:?}");
        }
    }
}

#[test]
fn the_repository_with_the_lower_number_wins_over_a_newer_version() {
    let low = repo("low", 10, vec![package("a", "1", &[])]);
    let high = repo("high", 90, vec![package("a", "2", &[])]);
    for (repos, expected) in [
        ([high.clone(), low.clone()], "a-1-1.noarch@low"),
        ([low.clone(), RepoSnapshot { priority: 10, ..high.clone() }], "a-2-1.noarch@high"),
    ] {
        let chosen = resolve(&repos, &request(&["a"])).unwrap();
        assert_eq!(names(&repos, &chosen), [expected]);
    }
}

#[test]
fn of_alternatives_the_first_that_exists_is_taken_unless_another_is_there_anyway() {
    let packages = |dep: &str| {
        vec![
            package("wants", "1", &[dep]),
            package("alpha", "1", &[]),
            package("beta", "1", &[]),
            package("gamma", "1", &[]),
            package("needs-alpha", "1", &["alpha"]),
        ]
    };
    for (dep, install, expected) in [
        ("(gamma or alpha or beta)", &["wants"][..], &["gamma", "wants"][..]),
        ("(beta or alpha)", &["wants"], &["beta", "wants"]),
        ("(absent or beta or alpha)", &["wants"], &["beta", "wants"]),
        ("(gamma or alpha)", &["wants", "needs-alpha"], &["alpha", "needs-alpha", "wants"]),
    ] {
        let repos = [repo("r", 99, packages(dep))];
        let mut found: Vec<_> =
            resolve(&repos, &request(install)).unwrap().iter().map(|c| c.of(&repos).unwrap().1.nevra.name.clone()).collect();
        found.sort();
        assert_eq!(found, expected, "{dep}");
    }
}

#[test]
fn versions_epochs_and_paths_bind() {
    let epoch = |mut p: PackageMeta| {
        p.nevra.evr.epoch = 1;
        p
    };
    let shell = PackageMeta { files: vec!["/bin/sh".into(), "/bin/other".into()], ..package("shell", "1", &[]) };
    let repos = [repo(
        "r",
        99,
        vec![
            epoch(package("lib", "1", &[])),
            package("lib", "9", &[]),
            package("newest", "1", &["lib"]),
            package("no-epoch", "1", &["lib = 9-1"]),
            package("with-epoch", "1", &["lib = 1:1-1"]),
            package("any-release", "1", &["lib = 9"]),
            package("script", "1", &["/bin/sh"]),
            shell,
        ],
    )];
    for (install, expected) in [
        ("newest", &["lib-1:1-1.noarch@r", "newest-1-1.noarch@r"][..]),
        ("no-epoch", &["lib-9-1.noarch@r", "no-epoch-1-1.noarch@r"]),
        ("with-epoch", &["lib-1:1-1.noarch@r", "with-epoch-1-1.noarch@r"]),
        ("any-release", &["any-release-1-1.noarch@r", "lib-9-1.noarch@r"]),
        ("script", &["script-1-1.noarch@r", "shell-1-1.noarch@r"]),
        ("/bin/other", &["shell-1-1.noarch@r"]),
        ("lib < 1:0", &["lib-9-1.noarch@r"]),
        ("(script and newest)", &["lib-1:1-1.noarch@r", "newest-1-1.noarch@r", "script-1-1.noarch@r", "shell-1-1.noarch@r"]),
    ] {
        assert_eq!(names(&repos, &resolve(&repos, &request(&[install])).unwrap()), expected, "{install}");
    }
}

#[test]
fn what_is_recommended_comes_only_if_asked_for() {
    let a = PackageMeta { recommends: vec![Capability::any("b")], ..package("a", "1", &[]) };
    let c = PackageMeta { supplements: vec![Capability::any("a")], ..package("c", "1", &[]) };
    let repos = [repo("r", 99, vec![a, package("b", "1", &[]), c])];
    for (weak, expected) in [(false, 1), (true, 3)] {
        assert_eq!(resolve(&repos, &PackageSet { weak, ..set(&["a"]) }.into()).unwrap().len(), expected);
    }
}

#[test]
fn a_set_without_an_answer_is_explained_in_sentences() {
    let conflicting = PackageMeta { conflicts: vec![Capability::any("x")], ..package("y", "1", &[]) };
    let packages = vec![
        package("top", "1", &["middle"]),
        package("middle", "2", &["bottom"]),
        package("bottom", "3", &["libgone.so.1 >= 4"]),
        package("x", "1", &[]),
        conflicting,
        package("both", "1", &["x", "y"]),
        package("secret", "1", &[]),
        package("uses-secret", "1", &["secret"]),
    ];
    let repos = [repo("r", 99, packages)];
    for (install, parts) in [
        (
            "top",
            &[
                "nothing provides libgone.so.1 >= 4 needed by bottom-3-1.noarch, which is needed by middle-2-1.noarch, which is needed by top-1-1.noarch, which the recipe asks for",
            ][..],
        ),
        ("both", &["y-1-1.noarch", "conflicts with x", "needed by both-1-1.noarch"]),
        ("midle", &["nothing provides midle", "did you mean middle?"]),
        ("uses-secret", &["nothing provides secret needed by uses-secret-1-1.noarch (secret-1-1.noarch is excluded by the recipe)"]),
        ("secret", &["(secret-1-1.noarch is excluded by the recipe)"]),
    ] {
        let error = resolve(&repos, &PackageSet { exclude: vec!["sec*".into()], ..set(&[install]) }.into()).unwrap_err();
        assert_eq!(error.kind(), Kind::Unresolvable);
        for part in parts {
            assert!(error.to_string().contains(part), "{install}: {error}");
        }
    }
}

#[test]
fn a_filtered_repository_shows_only_the_names_it_may() {
    let tools =
        RepoSnapshot { visible: vec!["grub*".into()], ..repo("tools", 1, vec![package("grub2", "9", &[]), package("bash", "9", &[])]) };
    let repos = [repo("main", 99, vec![package("bash", "5", &[])]), tools];
    let chosen = resolve(&repos, &request(&["bash", "grub2"])).unwrap();
    assert_eq!(names(&repos, &chosen), ["bash-5-1.noarch@main", "grub2-9-1.noarch@tools"]);
}

#[test]
fn paths_that_only_complete_lists_know_are_named() {
    let repos = [repo("r", 99, vec![package("a", "1", &["/usr/share/x"]), package("unreached", "1", &["/usr/share/y"])])];
    assert_eq!(missing_files(&repos, &request(&["a"])).unwrap().into_iter().collect::<Vec<_>>(), ["/usr/share/x"]);
}

#[test]
fn an_archive_of_seventy_thousand_packages_is_answered_at_once() {
    let packages: Vec<_> = (0..70_000u32)
        .map(|i| {
            // Each needs two later ones, one of them as an alternative: the closure of the first is what counts.
            let requires = [format!("p{}", i * 2 + 1), format!("(p{} or p{})", i * 3 + 2, i + 40_000)];
            let requires: Vec<&str> = if i < 20_000 { requires.iter().map(String::as_str).collect() } else { Vec::new() };
            package(&format!("p{i}"), "1", &requires)
        })
        .collect();
    let repos = [repo("r", 99, packages)];
    let start = std::time::Instant::now();
    let chosen = resolve(&repos, &request(&["p0"])).unwrap();
    println!("{} chosen in {:?}", chosen.len(), start.elapsed());
    assert!(chosen.len() > 30 && start.elapsed().as_secs() < 10, "{} in {:?}", chosen.len(), start.elapsed());
}

mod closed;
mod filters;
mod refusals;
