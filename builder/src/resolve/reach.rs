//! What could possibly matter: everything reachable from the request by name. The solver sees nothing else, so its time does not
//! grow with the repositories, and a choice outside of this set is impossible anyway.

use crate::base::{Error, Result};
use crate::repos::{Dep, PackageMeta, RepoSnapshot};
use crate::resolve::visible::{Visible, visible};
use crate::resolve::{Chosen, Expression, Request, expression};
use rayon::prelude::*;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

/// A package's number in this one solving: repositories in their order, packages by name and version.
pub(super) type Number = usize;

pub(super) struct Reach<'a> {
    all: Vec<(Chosen, &'a PackageMeta)>,
    /// Names and provided names, sorted.
    index: Vec<(&'a str, Number)>,
    files: OnceCell<Vec<(&'a str, Number)>>,
    /// In order; its position is the solver's number.
    selected: Vec<Number>,
    required_files: BTreeSet<String>,
    /// Excluded, filtered or of a foreign architecture.
    hidden: Vec<(Cow<'static, str>, &'a PackageMeta)>,
    first_alternatives: Vec<Dep>,
    /// For each name that is asked for and that others have obsoleted: its packages and those.
    successions: BTreeMap<String, Vec<Number>>,
}

impl<'a> Reach<'a> {
    pub(super) fn of(repos: &'a [RepoSnapshot], request: &Request, wanted: &[Expression]) -> Result<Self> {
        let Visible { packages: all, hidden } = visible(repos, request)?;
        let mut reach = Reach {
            all,
            hidden,
            index: Vec::new(),
            files: OnceCell::new(),
            selected: Vec::new(),
            required_files: BTreeSet::new(),
            first_alternatives: Vec::new(),
            successions: BTreeMap::new(),
        };
        let mut index = Vec::new();
        for (number, (_, package)) in reach.all.iter().enumerate() {
            index.push((package.name.as_str(), number));
            index.extend(package.provides.iter().filter(|d| d.name != package.name).map(|d| (d.name.as_str(), number)));
        }
        index.par_sort_unstable();
        index.dedup();
        reach.index = index;
        reach.follow(request.weak, wanted)?;
        Ok(reach)
    }

    fn follow(&mut self, weak: bool, wanted: &[Expression]) -> Result<()> {
        let mut seen = vec![false; self.all.len()];
        let mut names: BTreeSet<String> = BTreeSet::new();
        let mut alternatives: BTreeMap<String, Dep> = BTreeMap::new();
        let mut queue: Vec<Number> = Vec::new();
        let mut reached: Vec<Number> = Vec::new();
        if weak {
            // What supplements something is installed because of its own metadata: no requirement leads to it.
            let supplements = self.all.iter().enumerate().filter(|(_, (_, p))| !p.supplements.is_empty());
            reached.extend(supplements.map(|(number, _)| number));
        }
        for expression in wanted {
            self.note(expression, &mut names, &mut reached);
            if let Expression::Dep(dep) = expression
                && let Some(candidates) = self.succession(dep)
            {
                reached.extend(&candidates);
                self.successions.insert(dep.name.clone(), candidates);
            }
        }
        loop {
            for number in reached.drain(..) {
                if let Some(seen) = seen.get_mut(number).filter(|seen| !**seen) {
                    *seen = true;
                    queue.push(number);
                }
            }
            let Some((_, package)) = queue.pop().and_then(|number| self.all.get(number)) else { break };
            let recommended: &[Dep] = if weak { &package.recommends } else { &[] };
            for dep in package.requires.iter().chain(recommended) {
                if !dep.is_rich() {
                    self.note_dep(dep, &mut names, &mut reached);
                    continue;
                }
                let expression = expression(dep).map_err(|e| e.context(package.nevra()))?;
                if let Some(first) = self.first_alternative(&expression) {
                    alternatives.insert(first.to_string(), first.clone());
                }
                self.note(&expression, &mut names, &mut reached);
            }
        }
        self.required_files = names.into_iter().filter(|name| name.starts_with('/')).collect();
        self.selected = seen.iter().enumerate().filter(|(_, seen)| **seen).map(|(number, _)| number).collect();
        self.first_alternatives = alternatives.into_values().collect();
        Ok(())
    }

    fn note(&self, expression: &Expression, names: &mut BTreeSet<String>, reached: &mut Vec<Number>) {
        expression.candidates(&mut |dep| self.note_dep(dep, names, reached));
    }

    fn note_dep(&self, dep: &Dep, names: &mut BTreeSet<String>, reached: &mut Vec<Number>) {
        if !names.contains(&dep.name) {
            names.insert(dep.name.clone());
            reached.extend(self.providers(&dep.name));
        }
    }

    /// Whoever asks for a name by itself also means what the newest package of this name was replaced by. Not in a Debian archive: there a replaced
    /// package is gone, and what still stands beside its replacement (sudo and sudo-ldap) is an alternative.
    fn succession(&self, wanted: &Dep) -> Option<Vec<Number>> {
        if wanted.compare.is_some() {
            return None;
        }
        let named = |(_, (_, p)): &(Number, &(Chosen, &PackageMeta))| p.name == wanted.name;
        let newest = self.all.iter().enumerate().filter(named).max_by(|(_, (_, a)), (_, (_, b))| a.compare_evr(b))?.1.1;
        let newest = newest.own();
        let obsoletes =
            |p: &PackageMeta| p.source_digest.is_none() && p.name != wanted.name && p.obsoletes.iter().any(|dep| dep.overlaps(&newest));
        let successors: Vec<Number> = self.all.iter().enumerate().filter(|(_, (_, p))| obsoletes(p)).map(|(number, _)| number).collect();
        if successors.is_empty() {
            return None;
        }
        Some(self.all.iter().enumerate().filter(named).map(|(number, _)| number).chain(successors).collect())
    }

    /// Positions of the packages that are meant by a name of which the newest package is obsoleted.
    pub(super) fn succession_of(&self, wanted: &Expression) -> Option<Vec<usize>> {
        let Expression::Dep(dep) = wanted else { return None };
        let numbers = self.successions.get(&dep.name).filter(|_| dep.compare.is_none())?;
        Some(numbers.iter().filter_map(|number| self.selected.binary_search(number).ok()).collect())
    }

    /// The first of `(a or b …)` that any package provides by name.
    fn first_alternative<'e>(&self, expression: &'e Expression) -> Option<&'e Dep> {
        let Expression::Or(..) = expression else { return None };
        let mut first = None;
        expression.candidates(&mut |dep| {
            if first.is_none() && self.providers(&dep.name).next().is_some() {
                first = Some(dep);
            }
        });
        first
    }

    /// Every visible package with this name, capability or path, whatever its version.
    pub(super) fn providers(&self, name: &str) -> impl Iterator<Item = Number> {
        let by_name = find(&self.index, name);
        let by_path = if name.starts_with('/') { find(self.files(), name) } else { &[] };
        by_name.iter().chain(by_path).map(|(_, number)| *number)
    }

    /// The newest visible package of this name, or else that provides it, and whether any provides it in the version asked for.
    pub(super) fn newest_provider(&self, dep: &Dep) -> Option<(&'a PackageMeta, bool)> {
        let packages: Vec<&PackageMeta> = self.providers(&dep.name).filter_map(|n| self.all.get(n)).map(|(_, p)| *p).collect();
        let meets = |p: &PackageMeta| p.own().overlaps(dep) || p.provides.iter().any(|provide| provide.overlaps(dep));
        let met = dep.compare.is_none() || packages.iter().any(|p| meets(p));
        let named = |p: &PackageMeta| p.name == dep.name;
        packages.into_iter().max_by(|a, b| named(a).cmp(&named(b)).then_with(|| a.compare_evr(b))).map(|newest| (newest, met))
    }

    fn files(&self) -> &[(&'a str, Number)] {
        self.files.get_or_init(|| {
            let each = self.all.iter().enumerate();
            let mut files: Vec<_> = each.flat_map(|(number, (_, p))| p.files.iter().map(move |f| (f.as_str(), number))).collect();
            files.sort_unstable();
            files
        })
    }

    /// In the order of their numbers for the solver.
    pub(super) fn packages_of(&self, repo: usize) -> impl Iterator<Item = &'a PackageMeta> {
        self.selected.iter().filter_map(|n| self.all.get(*n)).filter(move |(chosen, _)| chosen.repo == repo).map(|(_, package)| *package)
    }

    /// The package's paths that anything reachable requires.
    pub(super) fn file_provides<'p>(&self, package: &'p PackageMeta) -> Vec<&'p str> {
        package.files.iter().filter(|file| self.required_files.contains(*file)).map(String::as_str).collect()
    }

    /// Favoured by the solver: Debian's `a | b` means the first that can be installed.
    pub(super) fn first_alternatives(&self) -> &[Dep] {
        &self.first_alternatives
    }

    pub(super) fn chosen(&self, position: usize) -> Result<Chosen> {
        let number = self.selected.get(position).and_then(|n| self.all.get(*n));
        number
            .map(|(chosen, _)| *chosen)
            .ok_or_else(|| Error::internal(format!("the solver chose package {position}, which does not exist")))
    }

    pub(super) fn package(&self, position: usize) -> Option<&'a PackageMeta> {
        self.selected.get(position).and_then(|n| self.all.get(*n)).map(|(_, package)| *package)
    }

    pub(super) fn missing_files(&self) -> BTreeSet<String> {
        self.required_files.iter().filter(|path| self.providers(path).next().is_none()).cloned().collect()
    }

    /// Visible names, sorted, for the nearest to a misspelt one.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.index.iter().map(|(name, _)| *name)
    }

    /// A package that would provide `name`, and why it was left out.
    pub(super) fn hidden(&self, name: &str) -> Option<(&str, &'a PackageMeta)> {
        let provides = |p: &PackageMeta| p.name == name || p.provides.iter().any(|d| d.name == name) || p.files.iter().any(|f| f == name);
        self.hidden.iter().find(|(_, package)| provides(package)).map(|(why, package)| (why.as_ref(), *package))
    }
}

fn find<'s, 'a>(sorted: &'s [(&'a str, Number)], name: &str) -> &'s [(&'a str, Number)] {
    let start = sorted.partition_point(|(n, _)| *n < name);
    let found = sorted.get(start..).unwrap_or_default();
    let length = found.partition_point(|(n, _)| *n == name);
    found.get(..length).unwrap_or_default()
}
