//! Which packages: dnf's own solver over what is reachable from the request, and sentences when there is no answer.
//!
//! ```text
//! snapshots ─ visible ─ reach (what could matter at all) ─> libsolv (the choice, in installation order) ─ checker ─> Vec<Chosen>
//!                                                                └─ explain (why there is none)
//! ```

mod candidates;
mod checker;
mod explain;
mod groups;
mod kernels;
mod libsolv;
mod modules;
mod rich;
mod visible;

pub use groups::{Expanded, expand_groups};
pub use rich::{Expression, parse_rich};

use crate::repos::{PackageMeta, RepoSnapshot};
use candidates::Candidates;
use checker::InstallSet;
use libsolv::Wanted;
use model::{Arch, Error, Kind, Result};
use packages::capability::Capability;
use recipe::PackageSet;
use std::collections::{BTreeMap, BTreeSet};

/// What is to be resolved.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// What the recipe asks for, its groups expanded: `install` has names, capabilities, absolute paths, `name >= 1.2`, or rich dependencies. Which
    /// repositories serve it is decided already.
    pub set: PackageSet,
    /// Names of which only these full names exist.
    pub keep: BTreeMap<String, Vec<String>>,
}

impl From<PackageSet> for Request {
    fn from(set: PackageSet) -> Self {
        Request { set, keep: BTreeMap::new() }
    }
}

/// A package by its place in the snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chosen {
    pub repo: usize,
    pub package: usize,
}

impl Chosen {
    /// The snapshot and the package, of the snapshots that were resolved.
    pub fn of<'a>(&self, repos: &'a [RepoSnapshot]) -> Option<(&'a RepoSnapshot, &'a PackageMeta)> {
        let repo = repos.get(self.repo)?;
        Some((repo, repo.packages.get(self.package)?))
    }
}

/// The packages to install, each after what it needs where there is no cycle; or `Kind::Unresolvable` with the reasons.
///
/// The answer depends on the content of the snapshots and on the order of the repositories, not on the order of packages. Where a
/// requirement reads `(a or b)`, the first that exists is favoured, as Debian means it.
pub fn resolve(repos: &[RepoSnapshot], request: &Request) -> Result<Vec<Chosen>> {
    let wanted = wanted(request)?;
    choose(repos, request, &wanted, &Candidates::of(repos, request, &wanted)?)
}

/// What became of resolving with the lists of files that are loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    Resolved(Vec<Chosen>),
    /// What [`missing_files`] says: an answer without complete lists of files could be a wrong one.
    MissingFiles(BTreeSet<String>),
}

/// Resolves as [`resolve`] does, unless [`missing_files`] has something to say.
pub fn resolve_or_missing_files(repos: &[RepoSnapshot], request: &Request) -> Result<Attempt> {
    let wanted = wanted(request)?;
    let candidates = Candidates::of(repos, request, &wanted)?;
    let missing = candidates.missing_files();
    if missing.is_empty() {
        choose(repos, request, &wanted, &candidates).map(Attempt::Resolved)
    } else {
        Ok(Attempt::MissingFiles(missing))
    }
}

fn wanted(request: &Request) -> Result<Vec<Expression>> {
    request.set.install.iter().map(|text| parse_wanted(text)).collect()
}

fn choose(repos: &[RepoSnapshot], request: &Request, wanted: &[Expression], candidates: &Candidates<'_>) -> Result<Vec<Chosen>> {
    let unknown: Vec<String> = wanted.iter().filter_map(|expression| explain::unknown(candidates, expression)).collect();
    if !unknown.is_empty() {
        return Err(explain::error(unknown));
    }
    let mut pool = libsolv::Pool::new(Arch::TARGET.rpm());
    for (repo, snapshot) in repos.iter().enumerate() {
        let handle = pool.add_repo(&snapshot.id, snapshot.priority);
        for package in candidates.packages_of(repo) {
            pool.add(handle, package, &candidates.file_provides(package))?;
        }
    }
    if request.set.multilib {
        pool.allow_multilib();
    }
    for glob in &request.set.installonly {
        let names = candidates.selected_names();
        names.into_iter().filter(|name| model::wildcard_matches(glob, name)).for_each(|name| pool.allow_several(name));
    }
    let jobs: Vec<Wanted<'_>> = wanted
        .iter()
        .map(|expression| candidates.succession_of(expression).map_or(Wanted::Expression(expression), Wanted::OneOf))
        .collect();
    match pool.solve(&jobs, candidates.first_alternatives(), request.set.weak) {
        Ok(ids) => {
            let chosen = ids.into_iter().map(|id| candidates.chosen(id)).collect::<Result<Vec<_>>>()?;
            kernels::at_most_one(chosen.iter().filter_map(|chosen| Some(chosen.of(repos)?.1)), &request.set.installonly)?;
            let faults = together(repos, &chosen).faults(&request.set.installonly);
            if faults.is_empty() { Ok(chosen) } else { Err(Error::internal("the solver's answer does not hold:").problems(faults)) }
        }
        Err(problems) => Err(explain::error(explain::sentences(&problems, candidates))),
    }
}

fn together<'a>(repos: &'a [RepoSnapshot], chosen: &[Chosen]) -> InstallSet<'a> {
    InstallSet::new(chosen.iter().filter_map(|chosen| Some(chosen.of(repos)?.1)).collect())
}

/// Names of the packages among `chosen` that those of `names` need, directly or not, and these themselves.
pub fn needed_by(repos: &[RepoSnapshot], chosen: &[Chosen], names: &[String]) -> BTreeSet<String> {
    together(repos, chosen).needed_by(names).into_iter().map(str::to_owned).collect()
}

/// Absolute paths that something reachable requires and no loaded list has: worth reading complete file lists for.
pub fn missing_files(repos: &[RepoSnapshot], request: &Request) -> Result<BTreeSet<String>> {
    Ok(Candidates::of(repos, request, &wanted(request)?)?.missing_files())
}

/// `name`, `name >= 1`, or `(a or b)`.
fn parse_wanted(text: &str) -> Result<Expression> {
    let text = text.trim();
    let wrong = |e: Error| Error::new(Kind::Recipe, format!("install {text:?}")).source(e);
    if text.starts_with('(') {
        parse_rich(text).map_err(wrong)
    } else {
        rich::parse_simple(text).map(Expression::Capability).map_err(wrong)
    }
}

fn expression(dep: &Capability) -> Result<Expression> {
    if dep.is_rich() { parse_rich(&dep.name) } else { Ok(Expression::Capability(dep.clone())) }
}

#[cfg(test)]
mod tests;
