//! The candidates: packages that are reachable by name from the request. The solver sees nothing else, so its time does not grow with the
//! repositories; it could not choose a package outside this set.

use crate::repos::{PackageMeta, RepoSnapshot};
use crate::resolve::visible::{Visible, visible};
use crate::resolve::{Chosen, Expression, Request, expression};
use model::{Error, Result};
use packages::capability::Capability;
use packages::evr::Nevra;
use smol_str::SmolStr;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

/// A package's number in this one solving: repositories in their order, packages as their metadata lists them.
type Number = usize;

pub(super) struct Candidates<'a> {
    all: Vec<(Chosen, &'a PackageMeta)>,
    /// Names and provided names.
    index: Index<'a>,
    files: OnceCell<Index<'a>>,
    /// Repositories in their order, packages by name and version, so that nothing depends on how metadata is sorted; its position is the solver's number.
    selected: Vec<Number>,
    required_files: BTreeSet<String>,
    /// Excluded, filtered or of a foreign architecture.
    hidden: Vec<(Cow<'static, str>, &'a PackageMeta)>,
    first_alternatives: Vec<Capability>,
    /// For each name that is asked for and that others have obsoleted: its packages and those.
    successions: BTreeMap<SmolStr, Vec<Number>>,
}

impl<'a> Candidates<'a> {
    pub(super) fn of(repos: &'a [RepoSnapshot], request: &Request, wanted: &[Expression]) -> Result<Self> {
        let Visible { packages: all, hidden } = visible(repos, request)?;
        let names = all.iter().enumerate().flat_map(|(number, (_, package))| {
            let provided = package.provides.iter().map(|dep| dep.name.as_str());
            std::iter::once(package.nevra.name.as_str()).chain(provided).map(move |name| (name, number))
        });
        let mut candidates = Candidates {
            index: Index::new(names, all.iter().map(|(_, package)| 1 + package.provides.len()).sum()),
            all,
            hidden,
            files: OnceCell::new(),
            selected: Vec::new(),
            required_files: BTreeSet::new(),
            first_alternatives: Vec::new(),
            successions: BTreeMap::new(),
        };
        candidates.follow(request.set.weak, wanted)?;
        Ok(candidates)
    }

    fn follow(&mut self, weak: bool, wanted: &[Expression]) -> Result<()> {
        let mut seen = vec![false; self.all.len()];
        let mut names: BTreeSet<SmolStr> = BTreeSet::new();
        let mut alternatives: BTreeMap<String, Capability> = BTreeMap::new();
        let mut queue: Vec<Number> = Vec::new();
        let mut reached: Vec<Number> = Vec::new();
        if weak {
            // What supplements something is installed because of its own metadata: no requirement leads to it.
            let supplements = self.all.iter().enumerate().filter(|(_, (_, p))| !p.supplements.is_empty());
            reached.extend(supplements.map(|(number, _)| number));
        }
        for expression in wanted {
            self.note(expression, &mut names, &mut reached);
            if let Expression::Capability(dep) = expression
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
            let recommended: &[Capability] = if weak { &package.recommends } else { &[] };
            for dep in package.requires.iter().chain(recommended) {
                if !dep.is_rich() {
                    self.note_dep(dep, &mut names, &mut reached);
                    continue;
                }
                let expression = expression(dep).map_err(|e| e.context(&package.nevra))?;
                if let Some(first) = self.first_alternative(&expression) {
                    alternatives.insert(first.to_string(), first.clone());
                }
                self.note(&expression, &mut names, &mut reached);
            }
        }
        self.required_files = names.into_iter().filter(|name| name.starts_with('/')).map(String::from).collect();
        self.selected = seen.iter().enumerate().filter(|(_, seen)| **seen).map(|(number, _)| number).collect();
        let all = &self.all;
        let key = |number: &Number| {
            all.get(*number).map(|(chosen, p)| {
                let Nevra { name, evr, arch } = &p.nevra;
                (chosen.repo, name, evr.epoch, &evr.version, &evr.release, arch, &p.location)
            })
        };
        self.selected.sort_by(|a, b| key(a).cmp(&key(b)));
        self.first_alternatives = alternatives.into_values().collect();
        Ok(())
    }

    fn note(&self, expression: &Expression, names: &mut BTreeSet<SmolStr>, reached: &mut Vec<Number>) {
        expression.candidates(&mut |dep| self.note_dep(dep, names, reached));
    }

    fn note_dep(&self, dep: &Capability, names: &mut BTreeSet<SmolStr>, reached: &mut Vec<Number>) {
        if !names.contains(dep.name.as_str()) {
            names.insert(dep.name.clone());
            reached.extend(self.providers(&dep.name));
        }
    }

    /// Whoever asks for a name by itself also means what the newest package of this name was replaced by. Not in a Debian archive: there a replaced
    /// package is gone, and what still stands beside its replacement (sudo and sudo-ldap) is an alternative.
    fn succession(&self, wanted: &Capability) -> Option<Vec<Number>> {
        if wanted.compare.is_some() {
            return None;
        }
        let named = |(_, (_, p)): &(Number, &(Chosen, &PackageMeta))| p.nevra.name == wanted.name;
        let newest = self.all.iter().enumerate().filter(named).max_by(|(_, (_, a)), (_, (_, b))| a.nevra.evr.cmp(&b.nevra.evr))?.1.1;
        let newest = newest.own();
        let obsoletes = |p: &PackageMeta| {
            p.source_digest.is_none() && p.nevra.name != wanted.name && p.obsoletes.iter().any(|dep| dep.overlaps(&newest))
        };
        let successors: Vec<Number> = self.all.iter().enumerate().filter(|(_, (_, p))| obsoletes(p)).map(|(number, _)| number).collect();
        if successors.is_empty() {
            return None;
        }
        Some(self.all.iter().enumerate().filter(named).map(|(number, _)| number).chain(successors).collect())
    }

    /// Positions of the packages that are meant by a name of which the newest package is obsoleted.
    pub(super) fn succession_of(&self, wanted: &Expression) -> Option<Vec<usize>> {
        let Expression::Capability(dep) = wanted else { return None };
        let numbers = self.successions.get(&dep.name).filter(|_| dep.compare.is_none())?;
        Some(self.selected.iter().enumerate().filter(|(_, number)| numbers.contains(number)).map(|(position, _)| position).collect())
    }

    /// The first of `(a or b …)` that any package provides by name.
    fn first_alternative<'e>(&self, expression: &'e Expression) -> Option<&'e Capability> {
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
        let by_path = name.starts_with('/').then(|| self.files().find(name));
        self.index.find(name).chain(by_path.into_iter().flatten())
    }

    /// The newest visible package of this name, or else that provides it, and whether any provides it in the version asked for.
    pub(super) fn newest_provider(&self, dep: &Capability) -> Option<(&'a PackageMeta, bool)> {
        let packages: Vec<&PackageMeta> = self.providers(&dep.name).filter_map(|n| self.all.get(n)).map(|(_, p)| *p).collect();
        let meets = |p: &PackageMeta| p.own().overlaps(dep) || p.provides.iter().any(|provide| provide.overlaps(dep));
        let met = dep.compare.is_none() || packages.iter().any(|p| meets(p));
        let named = |p: &PackageMeta| p.nevra.name == dep.name;
        let newest = packages.into_iter().max_by(|a, b| {
            let by_version = named(a).cmp(&named(b)).then_with(|| a.nevra.evr.cmp(&b.nevra.evr));
            by_version.then_with(|| (&a.nevra.name, &a.nevra.arch, &a.location).cmp(&(&b.nevra.name, &b.nevra.arch, &b.location)))
        });
        newest.map(|newest| (newest, met))
    }

    fn files(&self) -> &Index<'a> {
        self.files.get_or_init(|| {
            let each = self.all.iter().enumerate();
            let files = each.flat_map(|(number, (_, p))| p.files.iter().map(move |file| (file.as_str(), number)));
            Index::new(files, self.all.iter().map(|(_, p)| p.files.len()).sum())
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
    pub(super) fn first_alternatives(&self) -> &[Capability] {
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

    /// Visible names and provided names, for the nearest to a misspelt one.
    pub(super) fn names(&self) -> BTreeSet<&'a str> {
        self.all
            .iter()
            .flat_map(|(_, p)| std::iter::once(p.nevra.name.as_str()).chain(p.provides.iter().map(|dep| dep.name.as_str())))
            .collect()
    }

    /// Names of the packages that matter.
    pub(super) fn selected_names(&self) -> BTreeSet<&'a str> {
        self.selected.iter().filter_map(|number| self.all.get(*number)).map(|(_, package)| package.nevra.name.as_str()).collect()
    }

    /// A package that would provide `name`, and why it was left out.
    pub(super) fn hidden(&self, name: &str) -> Option<(&str, &'a PackageMeta)> {
        let provides =
            |p: &PackageMeta| p.nevra.name == name || p.provides.iter().any(|d| d.name == name) || p.files.iter().any(|f| f == name);
        self.hidden.iter().find(|(_, package)| provides(package)).map(|(why, package)| (why.as_ref(), *package))
    }
}

/// Who has a name. Hundreds of thousands of names are looked up by hash: sorting them would take a third of all of solving.
#[expect(clippy::disallowed_types, reason = "only looked up in, never walked, so that its order cannot show")]
struct Index<'a> {
    /// Position of the first entry.
    first: std::collections::HashMap<&'a str, u32, foldhash::fast::RandomState>,
    /// A package, and the position of the next entry of the same name.
    entries: Vec<(u32, u32)>,
}

impl<'a> Index<'a> {
    const END: u32 = u32::MAX;

    #[expect(clippy::disallowed_types, reason = "see the type")]
    fn new(names: impl Iterator<Item = (&'a str, Number)>, count: usize) -> Self {
        let first = std::collections::HashMap::with_capacity_and_hasher(count, foldhash::fast::RandomState::default());
        let mut index = Index { first, entries: Vec::with_capacity(count) };
        for (name, number) in names {
            let (number, position) = (number as u32, index.entries.len() as u32);
            let first = index.first.entry(name).or_insert(Self::END);
            // A package may provide a name in several versions.
            if index.entries.get(*first as usize).is_none_or(|(known, _)| *known != number) {
                index.entries.push((number, *first));
                *first = position;
            }
        }
        index
    }

    fn find(&self, name: &str) -> impl Iterator<Item = Number> {
        let mut at = self.first.get(name).copied().unwrap_or(Self::END);
        std::iter::from_fn(move || {
            let (number, next) = *self.entries.get(at as usize)?;
            at = next;
            Some(number as Number)
        })
    }
}
