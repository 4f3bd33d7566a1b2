//! The order of installation, held against that of rpm for the same packages.

use super::*;
use crate::order::{Member, sort};
use packages::rpm::{Package, parse};
use std::collections::{BTreeMap, BTreeSet};

fn parsed(paths: &[PathBuf]) -> Vec<Package> {
    paths.iter().map(|path| parse(std::io::BufReader::new(std::fs::File::open(path).unwrap())).unwrap()).collect()
}

fn sorted(packages: &[Package]) -> Vec<String> {
    let members: Vec<Member<'_>> =
        packages.iter().map(|p| Member { metadata: &p.metadata, paths: p.files.iter().map(|file| &file.path).collect() }).collect();
    sort(&members).into_iter().map(|index| packages[index].metadata.nevra.to_string()).collect()
}

/// What rpm's debugging output tells: its order, and its cycles with what each member needs there (true: for a scriptlet).
#[derive(Default)]
struct Told {
    order: Vec<String>,
    cycles: Vec<BTreeMap<String, Vec<(String, bool)>>>,
}

fn told(output: &str) -> Told {
    let mut told = Told::default();
    let mut member = String::new();
    for line in output.lines().filter_map(|line| line.strip_prefix("D: ")) {
        if line.starts_with("SCC #") {
            told.cycles.push(BTreeMap::new());
        } else if let (Some(name), Some(cycle)) = (line.strip_prefix("\t"), told.cycles.last_mut()) {
            match name.trim().split_once(' ') {
                Some((arrow, needed)) if arrow == "->" || arrow == "=>" => {
                    cycle.get_mut(&member).unwrap().push((needed.to_owned(), arrow == "=>"));
                }
                _ => {
                    member = name.trim().to_owned();
                    cycle.insert(member.clone(), Vec::new());
                }
            }
        } else if let Some((_, name)) = line.split_once('+').filter(|(head, _)| head.split_whitespace().count() == 4) {
            told.order.push(name.to_owned());
        }
    }
    told
}

/// Requirements within a cycle that an order breaks: of scriptlets, and others.
fn broken(cycle: &BTreeMap<String, Vec<(String, bool)>>, order: &[String]) -> (usize, usize) {
    let place = |name: &str| order.iter().position(|other| other == name).unwrap();
    let mut count = (0, 0);
    for (member, needs) in cycle {
        for (_, for_scriptlet) in needs.iter().filter(|(needed, _)| place(needed) > place(member)) {
            if *for_scriptlet { count.0 += 1 } else { count.1 += 1 }
        }
    }
    count
}

#[test]
fn packages_are_installed_in_an_order_that_breaks_no_more_requirements_than_rpms() {
    let Some(paths) = centos() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let Some(output) = rpm(scratch.path(), "--test -vv", &paths) else { return };
    let told = told(&output);
    let packages = parsed(&paths);
    let ours = sorted(&packages);
    assert_eq!(ours.iter().collect::<BTreeSet<_>>(), told.order.iter().collect::<BTreeSet<_>>());
    assert_eq!(told.cycles.len(), 6);
    for cycle in &told.cycles {
        let (mine, theirs) = (broken(cycle, &ours), broken(cycle, &told.order));
        println!("a cycle of {}: we break {mine:?}, rpm {theirs:?} (of scriptlets, others)", cycle.len());
        assert!(mine <= theirs, "{cycle:?}");
    }
    // Outside of rpm's cycles nothing is broken, in its order nor in ours: by each package's own requirements that only one other provides.
    let cycle_of = |name: &str| told.cycles.iter().position(|cycle| cycle.contains_key(name));
    let mut providers: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
    for package in &packages {
        for provide in &package.metadata.provides {
            let list = providers.entry(&provide.name).or_default();
            if !list.iter().any(|p| p.metadata.nevra == package.metadata.nevra) {
                list.push(package);
            }
        }
    }
    let place = |order: &[String], name: &str| order.iter().position(|other| other == name).unwrap();
    let mut checked = 0;
    for package in &packages {
        let after = package.metadata.nevra.to_string();
        for requirement in package.metadata.requires.iter().filter(|requirement| requirement.is_for_order()) {
            let Some([provider]) = providers.get(requirement.name.as_str()).map(Vec::as_slice) else { continue };
            let before = provider.metadata.nevra.to_string();
            if before == after || cycle_of(&before).is_some_and(|cycle| cycle_of(&after) == Some(cycle)) {
                continue;
            }
            checked += 1;
            for order in [&ours, &told.order] {
                assert!(place(order, &before) < place(order, &after), "{after} before {before}, which has its {}", requirement.name);
            }
        }
    }
    println!("{checked} requirements between cycles hold in both orders");
    assert!(checked > 1_500, "only {checked} requirements");
}

#[test]
fn the_order_does_not_depend_on_the_order_in_which_packages_come() {
    let Some(paths) = centos() else { return };
    let mut packages = parsed(&paths);
    let order = sorted(&packages);
    for shift in [1, 50, 117] {
        packages.rotate_left(shift);
        assert_eq!(sorted(&packages), order);
    }
    packages.reverse();
    assert_eq!(sorted(&packages), order);
}
