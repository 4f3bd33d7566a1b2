//! `@group` in a request: its mandatory and default packages, and conditional ones where their condition is installed.

use crate::repos::RepoSnapshot;
use model::{Error, Kind, Result, nearest_name};
use packages::rpmmd::{Comps, Requirement};
use std::collections::BTreeSet;

/// A request without groups.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    pub install: Vec<String>,
    /// Packages that a group names and no repository has, as `group: name`; dnf passes over them, too.
    pub absent: Vec<String>,
}

/// Replaces every `@id` (a group or an environment; `@^id` an environment) by what it stands for, over all of `comps` together.
pub fn expand_groups(install: &[String], comps: &[Comps], repos: &[RepoSnapshot]) -> Result<Expanded> {
    let mut expanded = Expanded::default();
    if install.iter().all(|wanted| !wanted.starts_with('@')) {
        expanded.install = install.to_vec();
        return Ok(expanded);
    }
    let names: BTreeSet<&str> = repos.iter().flat_map(|repo| &repo.packages).map(|package| package.nevra.name.as_str()).collect();
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    let mut absent: BTreeSet<String> = BTreeSet::new();
    for word in install {
        let Some(id) = word.strip_prefix('@') else {
            wanted.insert(word.clone());
            continue;
        };
        for group in groups_of(id, comps)? {
            for package in comps.iter().flat_map(|c| &c.groups).filter(|g| g.id == group).flat_map(|g| &g.packages) {
                if matches!(package.requirement, Requirement::Optional) {
                    continue;
                }
                if !names.contains(package.name.as_str()) {
                    absent.insert(format!("{group}: {}", package.name));
                    continue;
                }
                match &package.requirement {
                    Requirement::Conditional(condition) if !condition.is_empty() => {
                        wanted.insert(format!("({} if {condition})", package.name))
                    }
                    _ => wanted.insert(package.name.clone()),
                };
            }
        }
    }
    expanded.install = wanted.into_iter().collect();
    expanded.absent = absent.into_iter().collect();
    Ok(expanded)
}

fn groups_of<'a>(id: &'a str, comps: &'a [Comps]) -> Result<BTreeSet<&'a str>> {
    let bare = id.strip_prefix('^').unwrap_or(id);
    let environments = comps.iter().flat_map(|c| &c.environments);
    let of_environment: BTreeSet<&str> =
        environments.clone().filter(|e| e.id == bare).flat_map(|e| e.groups.iter().map(String::as_str)).collect();
    if !of_environment.is_empty() {
        return Ok(of_environment);
    }
    let groups = comps.iter().flat_map(|c| &c.groups);
    if !id.starts_with('^') && groups.clone().any(|g| g.id == id) {
        return Ok(BTreeSet::from([id]));
    }
    let error = Error::new(Kind::Unresolvable, format!("no repository has a group {id:?}, which the recipe asks for as @{id}"));
    let known = groups.map(|g| g.id.as_str()).chain(environments.map(|e| e.id.as_str()));
    Err(match nearest_name(bare, known) {
        Some(near) => error.hint(format!("did you mean @{near}?")),
        None => error.hint("groups come from a repository's comps.xml"),
    })
}
