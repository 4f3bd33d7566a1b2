//! The solver's answer, proven without the solver: every requirement is met, nothing conflicts, nothing is obsoleted, no name stands twice.
//! Shares with the solver only the metadata and the reading of rich dependencies; the rules are rpm's (rpmds, boolean dependencies).

use crate::repos::PackageMeta;
use crate::resolve::{Expression, expression};
use model::wildcard_matches;
use packages::capability::Capability;
use std::collections::{BTreeMap, BTreeSet};

type Number = usize;

/// An index over a set of packages that are to be installed together.
pub(super) struct InstallSet<'a> {
    packages: Vec<&'a PackageMeta>,
    /// Who provides a name or path, and in which version; `None`: in no version in particular. By name.
    provides: Vec<(&'a str, Number, Option<&'a Capability>)>,
    own: BTreeMap<&'a str, Vec<(Number, Capability)>>,
}

impl<'a> InstallSet<'a> {
    pub(super) fn new(packages: Vec<&'a PackageMeta>) -> Self {
        let mut provides: Vec<(&str, Number, Option<&Capability>)> = Vec::new();
        let mut own: BTreeMap<&str, Vec<(Number, Capability)>> = BTreeMap::new();
        for (number, package) in packages.iter().enumerate() {
            provides.extend(package.provides.iter().map(|dep| (dep.name.as_str(), number, dep.compare.map(|_| dep))));
            provides.extend(package.files.iter().map(|file| (file.as_str(), number, None)));
            own.entry(&package.nevra.name).or_default().push((number, package.own()));
        }
        provides.sort_unstable_by_key(|(name, ..)| *name);
        InstallSet { packages, provides, own }
    }

    /// Every breach, in the order of the packages.
    pub(super) fn faults(&self, installonly: &[String]) -> Vec<String> {
        let mut faults = Vec::new();
        for (number, package) in self.packages.iter().enumerate() {
            let mut say = |what: String| faults.push(format!("{} {what}", package.nevra));
            for dep in package.requires.iter().chain(&package.requires_pre) {
                match expression(dep) {
                    Ok(expression) if self.holds(&expression, None) => {}
                    Ok(_) if dep.name.starts_with("rpmlib(") => {}
                    Ok(_) => say(format!("requires {dep}, which nothing here provides")),
                    Err(error) => say(format!("requires what cannot be read: {error:#}")),
                }
            }
            for dep in &package.conflicts {
                if expression(dep).is_ok_and(|expression| self.holds(&expression, Some(number))) {
                    say(format!("conflicts with {dep}, which is here"));
                }
            }
            for dep in &package.obsoletes {
                for (other, version) in self.own.get(dep.name.as_str()).into_iter().flatten() {
                    if *other != number && dep.overlaps(version) {
                        say(format!("obsoletes {dep}, which is here"));
                    }
                }
            }
        }
        for (name, all) in &self.own {
            let exempt = installonly.iter().any(|glob| wildcard_matches(glob, name));
            let archs: BTreeSet<&str> = all.iter().filter_map(|(n, _)| self.packages.get(*n)).map(|p| p.nevra.arch.as_str()).collect();
            let versions: BTreeSet<String> =
                all.iter().filter_map(|(n, _)| self.packages.get(*n)).map(|p| p.nevra.evr.to_string()).collect();
            if !exempt && (archs.len() < all.len() || versions.len() > 1) {
                faults.push(format!("{name} is here {} times", all.len()));
            }
        }
        faults.sort();
        faults
    }

    /// Whether the packages, but for `except`, meet the expression.
    fn holds(&self, expression: &Expression, except: Option<Number>) -> bool {
        let holds = |e: &Expression| self.holds(e, except);
        match expression {
            Expression::Capability(_) | Expression::With(..) | Expression::Without(..) => !self.meeting(expression, except).is_empty(),
            Expression::And(a, b) => holds(a) && holds(b),
            Expression::Or(a, b) => holds(a) || holds(b),
            Expression::If(what, condition, other) => match holds(condition) {
                true => holds(what),
                false => other.as_ref().is_none_or(|other| holds(other)),
            },
            Expression::Unless(what, condition, other) => match holds(condition) {
                true => other.as_ref().is_some_and(|other| holds(other)),
                false => holds(what),
            },
        }
    }

    /// The packages each of which meets the expression by itself, as `with` and `without` ask for.
    fn meeting(&self, expression: &Expression, except: Option<Number>) -> BTreeSet<Number> {
        let meeting = |e: &Expression| self.meeting(e, except);
        match expression {
            Expression::Capability(dep) => self.providers(dep).filter(|number| Some(*number) != except).collect(),
            Expression::With(a, b) | Expression::And(a, b) => meeting(a).intersection(&meeting(b)).copied().collect(),
            Expression::Without(a, b) => meeting(a).difference(&meeting(b)).copied().collect(),
            Expression::Or(a, b) => meeting(a).union(&meeting(b)).copied().collect(),
            Expression::If(what, ..) | Expression::Unless(what, ..) => meeting(what),
        }
    }

    fn providers(&self, dep: &Capability) -> impl Iterator<Item = Number> {
        let named = self.own.get(dep.name.as_str()).into_iter().flatten().filter(|(_, own)| dep.overlaps(own)).map(|(n, _)| *n);
        let first = self.provides.partition_point(|(name, ..)| *name < dep.name.as_str());
        let provided = self.provides.iter().skip(first).take_while(|(name, ..)| *name == dep.name);
        // An unversioned provide meets any version, as in rpm.
        named.chain(provided.filter(|(.., version)| version.is_none_or(|version| dep.overlaps(version))).map(|(_, n, _)| *n))
    }

    /// Names of those that the packages of these names need, and those in turn.
    pub(super) fn needed_by(&self, names: &[String]) -> BTreeSet<&'a str> {
        let mut seen: BTreeSet<Number> = BTreeSet::new();
        let mut queue: Vec<Number> = names.iter().filter_map(|name| self.own.get(name.as_str())).flatten().map(|(n, _)| *n).collect();
        while let Some(number) = queue.pop() {
            let Some(package) = self.packages.get(number).filter(|_| seen.insert(number)) else { continue };
            for dep in &package.requires {
                if let Ok(expression) = expression(dep) {
                    expression.candidates(&mut |dep| queue.extend(self.providers(dep)));
                }
            }
        }
        seen.into_iter().filter_map(|number| self.packages.get(number)).map(|package| package.nevra.name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::rich::parse_simple;
    use packages::evr::{Evr, Nevra};

    fn package(name: &str, requires: &[&str]) -> PackageMeta {
        let dep = |r: &&str| if r.starts_with('(') { Capability::any(*r) } else { parse_simple(r).unwrap() };
        PackageMeta {
            nevra: Nevra::new(name, Evr::new(0, "1", "1"), "noarch"),
            requires: requires.iter().map(dep).collect(),
            ..PackageMeta::default()
        }
    }

    fn faults(packages: &[PackageMeta]) -> Vec<String> {
        InstallSet::new(packages.iter().collect()).faults(&[])
    }

    #[test]
    fn each_operator_of_a_rich_dependency_holds_exactly_when_rpm_says() {
        for (dep, present, expected) in [
            ("(a and b)", "a b", true),
            ("(a and b)", "a", false),
            ("(a or b)", "b", true),
            ("(a or b)", "", false),
            ("(a if b)", "", true),
            ("(a if b)", "b", false),
            ("(a if b)", "a b", true),
            ("(a if b else c)", "c", true),
            ("(a if b else c)", "", false),
            ("(a if b else c)", "b c", false),
            ("(a unless b)", "a", true),
            ("(a unless b)", "a b", false),
            ("(a unless b)", "", false),
            ("(a unless b else c)", "b c", true),
            ("(x with y)", "xy", true),
            ("(x with y)", "onlyx onlyy", false),
            ("(x without y)", "onlyx", true),
            ("(x without y)", "xy", false),
            ("(a or (b and c))", "b c", true),
        ] {
            let mut packages = vec![package("wants", &[dep])];
            for name in present.split_whitespace() {
                let provides: &[&str] = match name {
                    "xy" => &["x", "y"],
                    "onlyx" => &["x"],
                    "onlyy" => &["y"],
                    _ => &[],
                };
                packages.push(PackageMeta { provides: provides.iter().map(|p| Capability::any(*p)).collect(), ..package(name, &[]) });
            }
            assert_eq!(faults(&packages).is_empty(), expected, "{dep} with {present:?}");
        }
    }

    #[test]
    fn every_breach_is_told() {
        let conflicting = PackageMeta {
            conflicts: vec![Capability::any("self"), Capability::any("b")],
            provides: vec![Capability::any("self")],
            ..package("a", &["gone"])
        };
        let obsoleting = PackageMeta { obsoletes: vec![parse_simple("b < 2").unwrap(), Capability::any("virtual")], ..package("c", &[]) };
        let second = PackageMeta { nevra: Nevra::new("d", Evr::new(0, "2", "1"), "noarch"), ..package("d", &[]) };
        let packages = [conflicting, package("b", &[]), obsoleting, package("d", &[]), second];
        assert_eq!(
            faults(&packages),
            [
                "a-1-1.noarch conflicts with b, which is here",
                "a-1-1.noarch requires gone, which nothing here provides",
                "c-1-1.noarch obsoletes b < 2, which is here",
                "d is here 2 times",
            ]
        );
    }
}
