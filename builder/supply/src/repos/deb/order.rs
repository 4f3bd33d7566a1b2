//! The converter's check of itself: dpkg and rpm order some versions differently (a digit run against a letter run, separators), so every
//! comparison that a chosen set rests on is made both ways, and a difference is an error that names the pair.

use super::metadata::evr;
use model::{Error, Result};
use packages::deb::Version;
use packages::deb::control::Stanza;
use packages::deb::relation::{self, Relation};
use packages::evr::compare_versions;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Relation fields that compare versions when packages are resolved or installed.
const FIELDS: [&str; 6] = ["Depends", "Pre-Depends", "Conflicts", "Breaks", "Replaces", "Recommends"];

/// Checks each versioned relation of `chosen` against each chosen package that has or provides its name, and versions of one name against each other.
pub fn check_order(chosen: &[Stanza<'_>]) -> Result<()> {
    let mut versions: BTreeMap<&str, Vec<Version<'_>>> = BTreeMap::new();
    for stanza in chosen {
        let version = Version::parse(stanza.require("Version")?)?;
        versions.entry(stanza.require("Package")?).or_default().push(version);
        for provide in relation::parse(stanza.get("Provides").unwrap_or(""))?.into_iter().flatten() {
            versions.entry(provide.name).or_default().push(provide.version.map_or(version, |(_, version)| version));
        }
    }
    let mut differences = BTreeSet::new();
    let mut check = |what: &dyn Fn() -> String, a: &Version<'_>, b: &Version<'_>| {
        let (debian, rpm) = (a.cmp(b), rpm_order(a, b));
        if debian != rpm {
            differences.insert(format!("{}: {a} against {b} is {debian:?} for dpkg and {rpm:?} for rpm", what()));
        }
    };
    for (name, same) in &versions {
        for (i, a) in same.iter().enumerate() {
            for b in &same[i + 1..] {
                check(&|| (*name).to_owned(), a, b);
            }
        }
    }
    for stanza in chosen {
        for field in FIELDS {
            for Relation { name, version } in relation::parse(stanza.get(field).unwrap_or(""))?.into_iter().flatten() {
                let Some((_, wanted)) = version else { continue };
                for have in versions.get(name).into_iter().flatten() {
                    check(&|| format!("{} {field} {name}", stanza.get("Package").unwrap_or("")), have, &wanted);
                }
            }
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    let list: Vec<&str> = differences.iter().take(10).map(String::as_str).collect();
    Err(Error::integrity(format!("dpkg and rpm order {} version pairs of this set differently: {}", differences.len(), list.join("; ")))
        .hint("leave one of the named packages out, or take it from another repository"))
}

fn rpm_order(a: &Version<'_>, b: &Version<'_>) -> Ordering {
    let ((a_epoch, a_version, a_release), (b_epoch, b_version, b_release)) = (evr(a), evr(b));
    a_epoch.cmp(&b_epoch).then_with(|| compare_versions(&a_version, &b_version)).then_with(|| compare_versions(&a_release, &b_release))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanzas(texts: &[&str]) -> Result<()> {
        let parsed: Vec<Stanza<'_>> = texts.iter().map(|t| Stanza::parse(t).unwrap()).collect();
        check_order(&parsed)
    }

    #[test]
    fn a_pair_that_is_ordered_differently_is_named() {
        let agree = stanzas(&["Package: a\nVersion: 1\nDepends: b (>= 1.0)\n", "Package: b\nVersion: 1.0-2\n"]);
        assert!(agree.is_ok());
        // Separators differ for dpkg; for rpm they only separate.
        let error = stanzas(&["Package: a\nVersion: 1\nDepends: b (>= 1.0.b)\n", "Package: b\nVersion: 1.0+b\n"]).unwrap_err().to_string();
        assert!(error.contains("a Depends b") && error.contains("1.0+b") && error.contains("1.0.b"), "{error}");
    }
}
