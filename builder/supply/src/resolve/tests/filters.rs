//! What is visible: modules, groups, multilib, excludes, kernels, and names that others have replaced.

use super::*;
use packages::rpmmd::{Comps, Environment, Group, ModuleStream, Modules, Requirement, read_comps};
use std::collections::BTreeMap;

fn found(repos: &[RepoSnapshot], request: &Request) -> Result<Vec<String>> {
    resolve(repos, request).map(|chosen| names(repos, &chosen))
}

fn stream(name: &str, stream: &str, version: u64, needs: &[(&str, &[&str])], builds: &[&str]) -> ModuleStream {
    let streams = |list: &[&str]| list.iter().map(|s| s.to_string()).collect();
    let requires: BTreeMap<String, Vec<String>> = needs.iter().map(|(module, list)| (module.to_string(), streams(list))).collect();
    ModuleStream {
        name: name.into(),
        stream: stream.into(),
        version,
        context: "c".into(),
        requires: vec![requires],
        artifacts: streams(builds),
    }
}

/// node in streams 8 (default) and 10, which needs `ssl` of some stream; ssl has none by default.
fn modular() -> [RepoSnapshot; 2] {
    let plain = repo("plain", 99, vec![package("node", "20", &[]), package("shell", "1", &[])]);
    let mut modular = repo(
        "modular",
        99,
        vec![package("node", "8", &[]), package("node", "10", &[]), package("ssl", "1", &[]), package("ssl", "3", &[])],
    );
    modular.modules = Modules {
        streams: vec![
            stream("nodejs", "8", 1, &[("platform", &["el8"])], &["node-0:8-1.noarch", "node-0:8-1.src"]),
            stream("nodejs", "10", 1, &[("openssl", &[])], &["node-0:10-1.noarch"]),
            stream("openssl", "1", 1, &[], &["ssl-0:1-1.noarch"]),
            stream("openssl", "3", 1, &[("nodejs", &["-8"])], &["ssl-0:3-1.noarch"]),
        ],
        defaults: vec![("nodejs".into(), "8".into())],
    };
    [plain, modular]
}

#[test]
fn modular_packages_are_hidden_unless_their_stream_is_the_default_or_enabled() {
    let repos = modular();
    for (modules, install, expected) in [
        (&[][..], "node", Ok("node-8-1.noarch@modular")),
        (&["nodejs:10", "openssl:1"], "node", Ok("node-10-1.noarch@modular")),
        (&["nodejs:10", "openssl:3"], "ssl", Ok("ssl-3-1.noarch@modular")),
        (&[], "shell", Ok("shell-1-1.noarch@plain")),
        (&[], "ssl", Err("belongs to the module stream openssl:1, which is not enabled")),
        (&[], "node >= 20", Err("cannot be installed together")),
        (&["nodejs:10"], "node", Err("needs the module openssl, of which no stream is the default")),
        (&["openssl:3", "nodejs:8"], "ssl", Err("needs the module nodejs in one of the streams 10, not 8")),
        (&["nodejs:9"], "node", Err("no repository has the module stream nodejs:9")),
    ] {
        let request = PackageSet { modules: modules.iter().map(|m| m.to_string()).collect(), ..set(&[install]) }.into();
        match (found(&repos, &request), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, [expected], "{modules:?}"),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{modules:?}: {error}"),
            (found, expected) => panic!("{modules:?} {install}: {found:?}, expected {expected:?}"),
        }
    }
    let error = found(&repos, &PackageSet { modules: vec!["nodejs:9".into()], ..set(&["node"]) }.into()).unwrap_err();
    assert_eq!(error.hint_text(), Some("nodejs has 10, 8"));
}

#[test]
fn a_group_is_its_mandatory_and_default_packages_and_conditional_ones_where_they_apply() {
    let comps = Comps {
        groups: vec![Group { id: "core".into(), packages: Vec::new() }],
        environments: vec![Environment { id: "server".into(), groups: vec!["core".into(), "tools".into()] }],
    };
    let other = read_comps(
        r#"<comps><group><id>core</id><packagelist><packagereq type="mandatory">a</packagereq><packagereq type="default">b</packagereq>
        <packagereq type="optional">c</packagereq><packagereq type="conditional" requires="x">d</packagereq>
        <packagereq type="mandatory">gone</packagereq></packagelist></group>
        <group><id>tools</id><packagelist><packagereq type="mandatory">c</packagereq></packagelist></group></comps>"#
            .as_bytes(),
    )
    .unwrap();
    assert_eq!(other.groups[0].packages[3].requirement, Requirement::Conditional("x".into()));
    let comps = [comps, other];
    let repos = [repo("r", 99, ["a", "b", "c", "d", "x"].map(|n| package(n, "1", &[])).to_vec())];
    for (install, expected) in
        [(&["@core"][..], "a b"), (&["@core", "x"], "a b d x"), (&["@server"], "a b c"), (&["@^server", "x"], "a b c d x")]
    {
        let install: Vec<String> = install.iter().map(|i| i.to_string()).collect();
        let expanded = expand_groups(&install, &comps, &repos).unwrap();
        assert_eq!(expanded.absent, ["core: gone"]);
        let chosen = resolve(&repos, &PackageSet { install: expanded.install, ..PackageSet::default() }.into()).unwrap();
        let mut names: Vec<_> = chosen.iter().map(|c| c.of(&repos).unwrap().1.nevra.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names.join(" "), expected, "{install:?}");
    }
    let error = expand_groups(&["@coer".into()], &comps, &repos).unwrap_err();
    assert_eq!((error.kind(), error.hint_text()), (Kind::Unresolvable, Some("did you mean @core?")));
}

#[test]
fn thirty_two_bit_packages_stay_out_unless_asked_for() {
    let lib = |arch: &str, provides: &str| PackageMeta {
        nevra: Nevra::new("lib", Evr::new(0, "1", "1"), arch),
        provides: vec![Capability::any(provides)],
        ..package("lib", "1", &[])
    };
    let repos = [repo("r", 99, vec![lib("x86_64", "lib.so()(64bit)"), lib("i686", "lib.so"), package("old", "1", &["lib.so"])])];
    let error = found(&repos, &request(&["old"])).unwrap_err().to_string();
    assert!(error.contains("(lib-1-1.i686 is a 32-bit package, which `multilib = true` would show)"), "{error}");
    let multilib = |install: &[&str]| Request::from(PackageSet { multilib: true, ..set(install) });
    assert_eq!(found(&repos, &multilib(&["lib"])).unwrap(), ["lib-1-1.x86_64@r"]);
    assert_eq!(found(&repos, &multilib(&["old"])).unwrap(), ["lib-1-1.i686@r", "old-1-1.noarch@r"]);
    assert_eq!(found(&repos, &multilib(&["old", "lib.so()(64bit)"])).unwrap(), ["lib-1-1.i686@r", "lib-1-1.x86_64@r", "old-1-1.noarch@r"]);
}

#[test]
fn a_second_kernel_is_refused_unless_named() {
    let kernel = |name: &str, version: &str, release: &str| PackageMeta {
        provides: vec![rich::parse_simple(&format!("kernel-uname-r = {version}-{release}")).unwrap()],
        ..package(name, version, &[])
    };
    let repos = [repo(
        "r",
        99,
        vec![kernel("kernel-core", "5", "1"), kernel("kernel-core", "6", "1"), kernel("kernel-debug-core", "6", "1+debug")],
    )];
    assert_eq!(found(&repos, &request(&["kernel-core"])).unwrap(), ["kernel-core-6-1.noarch@r"], "the newest alone");
    let error = found(&repos, &request(&["kernel-core", "kernel-debug-core"])).unwrap_err();
    assert_eq!(error.kind(), Kind::Unresolvable);
    assert!(error.to_string().contains("2 kernels: kernel-core-6-1.noarch; kernel-debug-core-6-1.noarch"), "{error}");
    let two = ["kernel-core = 5", "kernel-core = 6"];
    assert_eq!(found(&repos, &request(&two)).unwrap_err().kind(), Kind::Unresolvable);
    let several = PackageSet { installonly: vec!["kernel*".into()], ..set(&two) }.into();
    assert_eq!(found(&repos, &several).unwrap(), ["kernel-core-5-1.noarch@r", "kernel-core-6-1.noarch@r"]);
}

#[test]
fn excludes_of_a_repository_and_of_the_recipe_match_names_architectures_and_versions() {
    let both = || repo("r", 99, vec![package("a", "1", &[]), package("a", "2", &[])]);
    for (glob, expected) in [("a-2-*", Some("a-1-1.noarch@r")), ("a.noarch", None), ("b*", Some("a-2-1.noarch@r")), ("a", None)] {
        for in_repository in [true, false] {
            let mut repos = [both()];
            let mut request = request(&["a"]);
            if in_repository {
                repos[0].exclude = vec![glob.into()];
            } else {
                request.set.exclude = vec![glob.into()];
            }
            assert_eq!(found(&repos, &request).ok().map(|found| found.join(" ")).as_deref(), expected, "{glob}");
        }
    }
}

#[test]
fn who_asks_for_a_replaced_name_gets_what_replaced_it() {
    let successor = |range: &str| PackageMeta { obsoletes: vec![rich::parse_simple(range).unwrap()], ..package("new", "1", &[]) };
    for (range, install, expected) in [
        ("old < 3", "old", "new-1-1.noarch@r"),
        ("old < 2", "old", "old-2-1.noarch@r"),
        ("old < 3", "old = 2", "old-2-1.noarch@r"),
        ("old <= 2-0", "old", "old-2-1.noarch@r"),
        ("old", "old", "new-1-1.noarch@r"),
    ] {
        let repos = [repo("r", 99, vec![package("old", "1", &[]), package("old", "2", &[]), successor(range)])];
        assert_eq!(found(&repos, &request(&[install])).unwrap(), [expected], "{range}, {install}");
    }
}

#[test]
fn what_is_kept_stays_at_its_version() {
    let repos = [repo("r", 99, vec![package("a", "1", &[]), package("a", "2", &[]), package("b", "2", &["a = 2"])])];
    let keep = BTreeMap::from([("a".to_owned(), vec!["a-1-1.noarch".to_owned()])]);
    assert_eq!(found(&repos, &Request { keep: keep.clone(), ..request(&["a"]) }).unwrap(), ["a-1-1.noarch@r"]);
    let error = found(&repos, &Request { keep, ..request(&["a", "b"]) }).unwrap_err().to_string();
    assert!(error.contains("nothing provides a = 2 needed by b-2-1.noarch (a-2-1.noarch is held at a-1-1.noarch)"), "{error}");
    let chosen = resolve(&repos, &request(&["b"])).unwrap();
    assert_eq!(needed_by(&repos, &chosen, &["b".into()]), BTreeSet::from(["a".to_owned(), "b".to_owned()]));
}

#[test]
fn an_alternative_of_a_debian_archive_does_not_take_the_place_of_the_name_asked_for() {
    let deb = |package: PackageMeta| PackageMeta { source_digest: Some(model::Digest::of(b"deb")), ..package };
    let alternative =
        PackageMeta { obsoletes: vec![Capability::any("sudo")], provides: vec![Capability::any("sudo")], ..package("sudo-ldap", "2", &[]) };
    let repos = [repo("r", 99, vec![deb(package("sudo", "1", &[])), deb(alternative)])];
    let chosen = resolve(&repos, &request(&["sudo"])).unwrap();
    assert_eq!(names(&repos, &chosen), ["sudo-1-1.noarch@r"]);
}
