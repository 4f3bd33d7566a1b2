//! The order in which packages are installed: what a package requires comes before it (rpm, `lib/order.c`).
//!
//! Requirements that only hold in a cycle cannot all be kept. Of a cycle's packages the one goes first that misses least: first of what its
//! scriptlets need (`Requires(pre)`, `Requires(post)`), then of the rest; the name decides between equals. Nothing depends on the order given.

mod cycles;

use model::{ImagePath, usr_merged};
use packages::rpm::{Dependency, Metadata};
use packages::rpmdb::rich;
use std::collections::{BTreeMap, BTreeSet};
use supply::fetch::Pack;

/// What the order follows from.
pub(super) struct Member<'a> {
    pub metadata: &'a Metadata,
    pub paths: Vec<&'a ImagePath>,
}

/// Who must come before whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    before: usize,
    after: usize,
    /// A scriptlet of the second needs the first.
    for_scriptlets: bool,
}

/// The packs in the order of their installation.
pub(super) fn of(packs: &[Pack]) -> Vec<Pack> {
    let members: Vec<Member<'_>> = packs
        .iter()
        .map(|pack| Member { metadata: pack.metadata(), paths: pack.entries().iter().map(|entry| &entry.path).collect() })
        .collect();
    sort(&members).into_iter().filter_map(|index| packs.get(index).cloned()).collect()
}

/// Indexes into `members`, each once.
pub(super) fn sort(members: &[Member<'_>]) -> Vec<usize> {
    let mut by_name: Vec<usize> = (0..members.len()).collect();
    by_name.sort_by_key(|&index| &members[index].metadata.nevra);
    // From here on a package is its place among the names, so that the smaller number is the smaller name.
    let named: Vec<&Member<'_>> = by_name.iter().map(|&index| &members[index]).collect();
    cycles::order(named.len(), &edges(&named)).into_iter().map(|place| by_name[place]).collect()
}

fn edges(members: &[&Member<'_>]) -> Vec<Edge> {
    let providers = Providers::of(members);
    let mut strength: BTreeMap<(usize, usize), bool> = BTreeMap::new();
    for (after, member) in members.iter().enumerate() {
        for (requirement, for_scriptlets) in member
            .metadata
            .requires
            .iter()
            .map(|requirement| (requirement, requirement.is_before_scriptlets()))
            .chain(member.metadata.order.iter().map(|hint| (hint, false)))
        {
            for wanted in simple(requirement) {
                if let Some(before) = providers.find(&wanted, after, members) {
                    *strength.entry((before, after)).or_default() |= for_scriptlets;
                }
            }
        }
    }
    strength.into_iter().map(|((before, after), for_scriptlets)| Edge { before, after, for_scriptlets }).collect()
}

/// The plain requirements of one that may be rich; of a condition nothing follows for the order.
fn simple(requirement: &Dependency) -> Vec<Dependency> {
    if !requirement.is_for_order() {
        return Vec::new();
    }
    if !requirement.name.starts_with('(') {
        return vec![requirement.clone()];
    }
    let names = rich::names(requirement.name.as_bytes());
    let plain = names.into_iter().filter(|name| !name.starts_with(b"!"));
    plain.map(|name| Dependency { name: String::from_utf8_lossy(&name).into_owned(), flags: 0, version: String::new() }).collect()
}

/// Who has what.
struct Providers<'a> {
    by_name: BTreeMap<&'a str, Vec<(usize, &'a Dependency)>>,
    by_path: BTreeMap<Vec<u8>, Vec<usize>>,
}

impl<'a> Providers<'a> {
    fn of(members: &[&'a Member<'_>]) -> Self {
        let mut by_name: BTreeMap<&str, Vec<(usize, &Dependency)>> = BTreeMap::new();
        for (index, member) in members.iter().enumerate() {
            for provide in &member.metadata.provides {
                by_name.entry(&provide.name).or_default().push((index, provide));
            }
        }
        let wanted: BTreeSet<Vec<u8>> = members
            .iter()
            .flat_map(|member| member.metadata.requires.iter().chain(&member.metadata.order))
            .flat_map(simple)
            .filter(|wanted| wanted.name.starts_with('/'))
            .map(|wanted| usr_merged(wanted.name.as_bytes()).into_owned())
            .collect();
        let mut by_path: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
        for (index, member) in members.iter().enumerate() {
            for path in &member.paths {
                let path = usr_merged(path.as_bytes());
                if wanted.contains(path.as_ref()) {
                    by_path.entry(path.into_owned()).or_default().push(index);
                }
            }
        }
        Providers { by_name, by_path }
    }

    /// One of those that have it, the first of the same architecture if there is one; `None` if it is the asker itself or nobody.
    fn find(&self, wanted: &Dependency, asker: usize, members: &[&Member<'_>]) -> Option<usize> {
        let named = self.by_name.get(wanted.name.as_str()).into_iter().flatten().filter(|(_, has)| has.overlaps(wanted)).map(|(i, _)| *i);
        let mut found: Vec<usize> = named.collect();
        if wanted.name.starts_with('/') {
            found.extend(self.by_path.get(usr_merged(wanted.name.as_bytes()).as_ref()).into_iter().flatten());
        }
        if found.contains(&asker) {
            return None;
        }
        let arch = |index: usize| &members[index].metadata.nevra.arch;
        found.into_iter().min_by_key(|&index| (arch(index) != arch(asker), index))
    }
}
