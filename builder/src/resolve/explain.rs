//! Why there is no answer, in sentences that name packages and what leads to them, not in the solver's words.

use crate::base::{Error, Kind};
use crate::repos::PackageMeta;
use crate::resolve::libsolv::{Problem, Reason};
use crate::resolve::reach::Reach;
use crate::resolve::{Expression, parse_rich, rich};

/// Steps of "which is needed by".
const CHAIN: usize = 8;
/// More than this does not help anyone.
const SENTENCES: usize = 10;

/// A sentence if nothing at all has the name that the recipe asks for.
pub(super) fn unknown(reach: &Reach<'_>, wanted: &Expression) -> Option<String> {
    let Expression::Dep(dep) = wanted else { return None };
    if reach.providers(&dep.name).next().is_some() {
        return None;
    }
    let mut sentence = format!("nothing provides {dep}, which the recipe asks for");
    if let Some((why, package)) = reach.hidden(&dep.name) {
        sentence.push_str(&format!(" ({} {why})", package.nevra()));
    } else if let Some(near) = nearest(reach, &dep.name) {
        sentence.push_str(&format!(" (did you mean {near}?)"));
    }
    Some(sentence)
}

fn nearest<'a>(reach: &Reach<'a>, name: &str) -> Option<&'a str> {
    nearest_of(reach.names(), name)
}

/// The most alike, if any is alike.
pub(super) fn nearest_of<'a>(names: impl Iterator<Item = &'a str>, name: &str) -> Option<&'a str> {
    let near = names.map(|n| (strsim::normalized_damerau_levenshtein(n, name), n)).filter(|(score, _)| *score > 0.7);
    near.max_by(|(a, x), (b, y)| a.total_cmp(b).then(y.cmp(x))).map(|(_, n)| n)
}

pub(super) fn error(mut sentences: Vec<String>) -> Error {
    sentences.dedup();
    let more = sentences.len().saturating_sub(SENTENCES);
    sentences.truncate(SENTENCES);
    let mut message = format!("the packages cannot be installed together: {}", sentences.join("; "));
    if more > 0 {
        message.push_str(&format!("; and {more} more"));
    }
    Error::new(Kind::Unresolvable, message)
        .hint("correct the names in [packages], add the repository that has what is missing, or exclude the package that needs it")
}

pub(super) fn sentences(problems: &[Problem], reach: &Reach<'_>) -> Vec<String> {
    let mut sentences = Vec::new();
    for problem in problems {
        let mut own: Vec<String> = problem.iter().filter_map(|reason| sentence(reason, problem, reach)).collect();
        if own.is_empty() {
            // Only chains: the contradiction lies between the requests themselves.
            own = problem.iter().map(|reason| chain_link(reason, reach)).collect();
        }
        sentences.extend(own);
    }
    sentences.sort();
    sentences.dedup();
    sentences
}

/// The sentence for a reason that is a contradiction in itself; links of a chain have none.
fn sentence(reason: &Reason, problem: &Problem, reach: &Reach<'_>) -> Option<String> {
    let name = |number: usize| reach.package(number).map_or_else(|| format!("package {number}"), PackageMeta::nevra);
    Some(match reason {
        Reason::Wanted { .. } | Reason::Requires { .. } => return None,
        Reason::NothingProvides { package, dep } => {
            let mut text = format!("nothing provides {dep} needed by {}", name(*package));
            if let Some((why, other)) = names(dep).iter().find_map(|n| reach.hidden(n)) {
                text.push_str(&format!(" ({} {why})", other.nevra()));
            }
            text + &because(*package, problem, reach)
        }
        Reason::Conflicts { package, other, dep } => {
            let mut text = format!("{}{} conflicts with {dep}", name(*package), because(*package, problem, reach));
            if let Some(other) = other {
                text.push_str(&format!(", which is {}{}", name(*other), because(*other, problem, reach)));
            }
            text
        }
        Reason::Obsoletes { package, other, dep } => {
            let mut text = format!("{}{} obsoletes {dep}", name(*package), because(*package, problem, reach));
            if let Some(other) = other {
                text.push_str(&format!(", which is {}{}", name(*other), because(*other, problem, reach)));
            }
            text
        }
        Reason::SameName { package, other } => format!(
            "{}{} and {}{} cannot both be installed",
            name(*package),
            because(*package, problem, reach),
            name(*other),
            because(*other, problem, reach)
        ),
        Reason::NotInstallable { package } => {
            format!("{} cannot be installed on x86_64{}", name(*package), because(*package, problem, reach))
        }
        Reason::InferiorArch { package } => format!("{} is of a lesser architecture than another of its name", name(*package)),
        Reason::Other(text) => text.clone(),
    })
}

fn chain_link(reason: &Reason, reach: &Reach<'_>) -> String {
    match reason {
        Reason::Wanted { dep } => format!("the recipe asks for {dep}"),
        Reason::Requires { package, dep } => {
            format!("{} needs {dep}", reach.package(*package).map_or_else(String::new, PackageMeta::nevra))
        }
        other => format!("{other:?}"),
    }
}

/// ", which is needed by B-2-1, which the recipe asks for", as far as this problem's own rules tell.
fn because(package: usize, problem: &Problem, reach: &Reach<'_>) -> String {
    let mut text = String::new();
    let mut seen = vec![package];
    let mut current = package;
    while let Some(meta) = reach.package(current) {
        if problem.iter().any(|r| matches!(r, Reason::Wanted { dep } if provides(meta, dep))) {
            text.push_str(", which the recipe asks for");
            break;
        }
        let needing = problem.iter().find_map(|reason| match reason {
            Reason::Requires { package, dep } if !seen.contains(package) && provides(meta, dep) => Some(*package),
            _ => None,
        });
        let Some(needing) = needing.filter(|_| seen.len() <= CHAIN) else { break };
        text.push_str(&format!(", which is needed by {}", reach.package(needing).map_or_else(String::new, PackageMeta::nevra)));
        seen.push(needing);
        current = needing;
    }
    text
}

/// By name only: the solver compared the versions already.
fn provides(package: &PackageMeta, dep: &str) -> bool {
    names(dep).iter().any(|name| {
        package.name == *name || package.provides.iter().any(|d| d.name == *name) || package.files.iter().any(|file| file == name)
    })
}

/// Every name in a dependency as text.
fn names(dep: &str) -> Vec<String> {
    let expression = if dep.starts_with('(') { parse_rich(dep) } else { rich::parse_simple(dep).map(Expression::Dep) };
    let mut names = Vec::new();
    match &expression {
        Ok(expression) => expression.candidates(&mut |d| names.push(d.name.clone())),
        // libsolv writes a chain without its parentheses.
        Err(_) => names.extend(dep.split([' ', '(', ')', '|', '&']).filter(|n| !n.is_empty()).map(str::to_owned)),
    }
    names
}
