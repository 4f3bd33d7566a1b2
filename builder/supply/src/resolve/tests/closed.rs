//! Every repository under the fixtures: what comes out of the solver is a closed set, and the proof of it can fail.

use super::*;

const STUBS: [&str; 21] = [
    "dnf-ci-fedora",
    "dnf-ci-fedora-modular",
    "dnf-ci-fedora-modular-hotfix",
    "dnf-ci-fedora-modular-updates",
    "dnf-ci-fedora-updates",
    "dnf-ci-fedora-updates-testing",
    "dnf-ci-fileconflicts",
    "dnf-ci-gpg",
    "dnf-ci-gpg-updates",
    "dnf-ci-install-remove",
    "dnf-ci-obsoletes",
    "dnf-ci-priority-1",
    "dnf-ci-priority-2",
    "dnf-ci-priority-3",
    "dnf-ci-pseudo-platform-modular",
    "dnf-ci-rich",
    "dnf-ci-scriptlets",
    "dnf-ci-security",
    "dnf-ci-thirdparty",
    "dnf-ci-thirdparty-modular",
    "dnf-ci-thirdparty-updates",
];

/// Asks for each name by itself. `resolve` ends with `Kind::Internal` where the checker finds a breach.
fn each_name(repos: &[RepoSnapshot], step: usize) -> (usize, usize) {
    let names: BTreeSet<&str> = repos.iter().flat_map(|repo| &repo.packages).map(|p| p.nevra.name.as_str()).collect();
    let (mut closed, mut refused) = (0, 0);
    for name in names.into_iter().step_by(step) {
        match resolve(repos, &PackageSet { weak: true, ..set(&[name]) }.into()) {
            Ok(_) => closed += 1,
            Err(error) => {
                assert_eq!(error.kind(), Kind::Unresolvable, "{name}: {error}");
                refused += 1;
            }
        }
    }
    (closed, refused)
}

#[test]
fn names_of_every_repository_resolve_to_a_closed_set_or_is_refused() {
    let Some(all) = stubs(&STUBS) else { return };
    for repo in &all {
        println!("{}: closed and refused {:?}", repo.id, each_name(std::slice::from_ref(repo), 2));
    }
    println!("all stub repositories together: {:?}", each_name(&all, 9));
    for (path, step, least) in [("metadata/centos-7.2.1511-os", 1200, 5), ("metadata/centos-stream-9-baseos-2022-02", 60, 10)] {
        let repos = [snapshot(path, "real", 99).unwrap()];
        let (closed, refused) = each_name(&repos, step);
        println!("{path}: {closed} closed, {refused} refused");
        assert!(closed >= least, "{path}: only {closed}");
    }
}

#[test]
fn a_set_that_lacks_one_of_its_packages_is_not_closed() {
    let Some(repo) = snapshot("metadata/centos-stream-9-baseos-2022-02", "s9", 99) else { return };
    let repos = [repo];
    let chosen = resolve(&repos, &request(&["bash", "openssh-server"])).unwrap();
    assert!(together(&repos, &chosen).faults(&[]).is_empty());
    let mut open = 0;
    for left_out in 0..chosen.len() {
        let rest: Vec<Chosen> = chosen.iter().enumerate().filter(|(n, _)| *n != left_out).map(|(_, c)| *c).collect();
        open += usize::from(!together(&repos, &rest).faults(&[]).is_empty());
    }
    // All but the two that were asked for are there because something needs them; bash is needed besides.
    assert_eq!(open, chosen.len() - 1);
}

/// What of a recipe's file `[packages] install` says.
fn install_of(file: &str) -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes").join(file);
    let recipe: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    recipe["packages"]["install"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_enterprise_linux_recipes_base_resolves_against_real_base_os_metadata() {
    let Some(repo) = snapshot("metadata/centos-stream-9-baseos-2022-02", "baseos", 99) else { return };
    let repos = [repo];
    let names: BTreeSet<&str> = repos[0].packages.iter().map(|p| p.nevra.name.as_str()).collect();
    let mut wanted = install_of("include/rpm-base.toml");
    wanted.extend(install_of("centos-stream-atomic-host.toml"));
    wanted.extend(install_of("include/console.toml"));
    let (here, elsewhere): (Vec<String>, Vec<String>) =
        wanted.into_iter().partition(|name| name.starts_with('/') || names.contains(name.as_str()));
    // These are in AppStream, of which there is no metadata here.
    assert_eq!(
        elsewhere,
        [
            "ostree",
            "cloud-utils-growpart",
            "cloud-init",
            "rpm-ostree",
            "podman",
            "podman-docker",
            "container-selinux",
            "containernetworking-plugins"
        ]
    );
    let chosen = resolve(&repos, &PackageSet { install: here, ..PackageSet::default() }.into()).unwrap();
    let kernels: Vec<String> =
        chosen.iter().map(|c| c.of(&repos).unwrap().1).filter(|p| p.nevra.name == "kernel-core").map(|p| p.nevra.to_string()).collect();
    assert_eq!(kernels, ["kernel-core-5.14.0-55.el9.x86_64"]);
    let archs: BTreeSet<&str> = chosen.iter().map(|c| c.of(&repos).unwrap().1.nevra.arch.as_str()).collect();
    assert_eq!(archs, BTreeSet::from(["noarch", "x86_64"]));
    println!("{} packages", chosen.len());
}
