//! Why there is no answer, in sentences that name packages and what leads to them, not in the solver's words.

use crate::repos::PackageMeta;
use crate::resolve::candidates::Candidates;
use crate::resolve::libsolv::{Problem, Reason};
use crate::resolve::{Expression, parse_rich, rich};
use model::{Arch, Error, Kind, nearest_name};
use std::collections::BTreeMap;

/// Steps of "which is needed by".
const CHAIN: usize = 8;
/// More than this does not help anyone.
const SENTENCES: usize = 10;

/// A sentence if nothing has the name that the recipe asks for, or nothing in that version.
pub(super) fn unknown(candidates: &Candidates<'_>, wanted: &Expression) -> Option<String> {
    let Expression::Capability(dep) = wanted else { return None };
    let newest = candidates.newest_provider(dep);
    if matches!(newest, Some((_, true))) {
        return None;
    }
    let mut sentence = format!("nothing provides {dep}, which the recipe asks for");
    if let Some((newest, _)) = newest {
        sentence.push_str(&format!(" (the newest is {})", newest.nevra));
    } else if let Some((why, package)) = candidates.hidden(&dep.name) {
        sentence.push_str(&format!(" ({} {why})", package.nevra));
    } else if let Some(near) = nearest_name(&dep.name, candidates.names()) {
        sentence.push_str(&format!(" (did you mean {near}?)"));
    }
    Some(sentence)
}

pub(super) fn error(mut sentences: Vec<String>) -> Error {
    sentences.dedup();
    let more = sentences.len().saturating_sub(SENTENCES);
    sentences.truncate(SENTENCES);
    if more > 0 {
        sentences.push(format!("and {more} more"));
    }
    Error::new(Kind::Unresolvable, "the packages cannot be installed together:")
        .problems(sentences)
        .hint("correct the names in [packages], add the repository that has what is missing, or exclude the package that needs it")
}

pub(super) fn sentences(problems: &[Problem], candidates: &Candidates<'_>) -> Vec<String> {
    let mut sentences = Vec::new();
    for problem in problems {
        let mut own = contradictions(problem, candidates);
        if own.is_empty() {
            // Only chains: the contradiction lies between the requests themselves.
            own = problem.iter().map(|reason| chain_link(reason, candidates)).collect();
        }
        sentences.extend(own);
    }
    sentences.sort();
    sentences.dedup();
    sentences
}

/// A sentence for each contradiction. Of the same one in many versions of a package, that of the newest stands for all.
fn contradictions(problem: &Problem, candidates: &Candidates<'_>) -> Vec<String> {
    let mut newest: BTreeMap<(String, String), (&Reason, &PackageMeta, usize)> = BTreeMap::new();
    let mut sentences = Vec::new();
    for reason in problem {
        let (key, package) = match reason {
            Reason::Wanted { .. } | Reason::Requires { .. } => continue,
            Reason::NothingProvides { package, dep } => (dep.clone(), *package),
            Reason::Conflicts { package, other, dep } => {
                (format!("{dep} {}", other.and_then(|o| candidates.package(o)).map_or("", |p| p.nevra.name.as_str())), *package)
            }
            Reason::SameName { package, .. } => ("twice".to_owned(), *package),
            _ => {
                sentences.extend(sentence(reason, problem, candidates));
                continue;
            }
        };
        let Some(meta) = candidates.package(package) else { continue };
        let entry = newest.entry((meta.nevra.name.clone(), key)).or_insert((reason, meta, 0));
        entry.2 += 1;
        if entry.1.nevra.evr.cmp(&meta.nevra.evr).is_lt() {
            (entry.0, entry.1) = (reason, meta);
        }
    }
    for (reason, meta, count) in newest.into_values() {
        let others = match (reason, count) {
            (Reason::SameName { .. }, _) | (_, 1) => String::new(),
            _ => format!(" (and so in {} other versions of {})", count - 1, meta.nevra.name),
        };
        sentences.extend(sentence(reason, problem, candidates).map(|sentence| sentence + &others));
    }
    sentences
}

/// The sentence for a reason that is a contradiction in itself; links of a chain have none.
fn sentence(reason: &Reason, problem: &Problem, candidates: &Candidates<'_>) -> Option<String> {
    let name = |number: usize| candidates.package(number).map_or_else(|| format!("package {number}"), |p| p.nevra.to_string());
    let clause = |number: usize| match because(number, problem, candidates) {
        empty if empty.is_empty() => name(number),
        because => format!("{}{because},", name(number)),
    };
    let against = |other: &Option<usize>| match other {
        Some(other) => format!(", which is {}{}", name(*other), because(*other, problem, candidates)),
        None => String::new(),
    };
    Some(match reason {
        Reason::Wanted { .. } | Reason::Requires { .. } => return None,
        Reason::NothingProvides { package, dep } => {
            let mut text = format!("nothing provides {dep} needed by {}", name(*package));
            if let Some((why, other)) = names(dep).iter().find_map(|n| candidates.hidden(n)) {
                text.push_str(&format!(" ({} {why})", other.nevra));
            }
            text + &because(*package, problem, candidates)
        }
        Reason::Conflicts { package, other, dep } => format!("{} conflicts with {dep}{}", clause(*package), against(other)),
        Reason::Obsoletes { package, other, dep } => format!("{} obsoletes {dep}{}", clause(*package), against(other)),
        Reason::SameName { package, other } => {
            let same = candidates.package(*package).filter(|p| candidates.package(*other).is_some_and(|o| o.nevra.name == p.nevra.name));
            match same.map(|p| (p, demands(&p.nevra.name, problem, candidates))) {
                Some((p, demands)) if demands.len() > 1 => {
                    format!("{} can be installed in one version only: {}", p.nevra.name, demands.join(", "))
                }
                _ => format!("{} and {} cannot both be installed", clause(*package), clause(*other)),
            }
        }
        Reason::NotInstallable { package } => {
            format!("{} cannot be installed on {}{}", name(*package), Arch::TARGET.rpm(), because(*package, problem, candidates))
        }
        Reason::InferiorArch { package } => format!("{} is of a lesser architecture than another of its name", name(*package)),
        Reason::Other(text) => text.clone(),
    })
}

/// Who asks for which version of a name: the recipe, and of each other package the newest.
fn demands(name: &str, problem: &Problem, candidates: &Candidates<'_>) -> Vec<String> {
    let mut demands = Vec::new();
    let mut needing: BTreeMap<&str, (&PackageMeta, &str)> = BTreeMap::new();
    for reason in problem {
        match reason {
            Reason::Wanted { dep } if names(dep).iter().any(|n| n == name) => demands.push(format!("the recipe asks for {dep}")),
            Reason::Requires { package, dep } if names(dep).iter().any(|n| n == name) => {
                let Some(meta) = candidates.package(*package) else { continue };
                let newest = needing.entry(&meta.nevra.name).or_insert((meta, dep));
                if newest.0.nevra.evr.cmp(&meta.nevra.evr).is_lt() {
                    *newest = (meta, dep);
                }
            }
            _ => {}
        }
    }
    demands.extend(needing.values().map(|(meta, dep)| format!("{} needs {dep}", meta.nevra)));
    demands
}

fn chain_link(reason: &Reason, candidates: &Candidates<'_>) -> String {
    match reason {
        Reason::Wanted { dep } => format!("the recipe asks for {dep}"),
        Reason::Requires { package, dep } => {
            format!("{} needs {dep}", candidates.package(*package).map_or_else(String::new, |p| p.nevra.to_string()))
        }
        other => format!("{other:?}"),
    }
}

/// ", which is needed by B-2-1, which the recipe asks for", as far as this problem's own rules tell.
fn because(package: usize, problem: &Problem, candidates: &Candidates<'_>) -> String {
    let mut text = String::new();
    let mut seen = vec![package];
    let mut current = package;
    while let Some(meta) = candidates.package(current) {
        if problem.iter().any(|r| matches!(r, Reason::Wanted { dep } if provides(meta, dep))) {
            text.push_str(", which the recipe asks for");
            break;
        }
        let needing = problem.iter().find_map(|reason| match reason {
            Reason::Requires { package, dep } if !seen.contains(package) && provides(meta, dep) => Some(*package),
            _ => None,
        });
        let Some(needing) = needing.filter(|_| seen.len() <= CHAIN) else { break };
        text.push_str(&format!(", which is needed by {}", candidates.package(needing).map_or_else(String::new, |p| p.nevra.to_string())));
        seen.push(needing);
        current = needing;
    }
    text
}

/// By name only: the solver compared the versions already.
fn provides(package: &PackageMeta, dep: &str) -> bool {
    names(dep).iter().any(|name| {
        package.nevra.name == *name || package.provides.iter().any(|d| d.name == *name) || package.files.iter().any(|file| file == name)
    })
}

/// Every name in a dependency as text.
fn names(dep: &str) -> Vec<String> {
    let expression = if dep.starts_with('(') { parse_rich(dep) } else { rich::parse_simple(dep).map(Expression::Capability) };
    let mut names = Vec::new();
    match &expression {
        Ok(expression) => expression.candidates(&mut |d| names.push(d.name.to_string())),
        // libsolv writes a chain without its parentheses.
        Err(_) => names.extend(dep.split([' ', '(', ')', '|', '&']).filter(|n| !n.is_empty()).map(str::to_owned)),
    }
    names
}
