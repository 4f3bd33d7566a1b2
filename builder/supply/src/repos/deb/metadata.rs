//! A Debian stanza as RPM metadata: the one place where names, versions and relations are mapped.
//!
//! | Debian | RPM |
//! |---|---|
//! | `epoch:upstream-revision` | Epoch, Version, Release, split at the last `-`; no revision → `0`; `-` and `:` in upstream → `_` |
//! | `a (>= 1-2) \| b` | `(a >= 1-2 or b)`, always with the whole EVR |
//! | Pre-Depends | Requires, and Requires(pre,post) |
//! | Breaks, Conflicts | Conflicts; with Provides and Replaces of the same name: Obsoletes too |
//! | Replaces alone, Multi-Arch, `:any` | nothing |
//! | base-files | provides filesystem, setup, basesystem too, and requires nothing: it is installed first |

use crate::repos::PackageMeta;
use model::{Arch, Digest, Error, Result};
use packages::capability::{Capability, Comparison};
use packages::deb::Version;
use packages::deb::control::Stanza;
use packages::deb::relation::{self, Operator, Relation};
use packages::evr::{Evr, Nevra};

/// The paths that scripts name as interpreters, by the package that ships them under /usr/bin: /bin is a link that rpm's file list does not see.
pub(super) const INTERPRETERS: [(&str, &str); 3] = [("dash", "/bin/sh"), ("dash", "/bin/dash"), ("bash", "/bin/bash")];

/// Maps one stanza of `Packages` (or of a .deb's control file, which has no Filename, Size and SHA256).
pub fn meta(stanza: &Stanza<'_>) -> Result<PackageMeta> {
    let name = stanza.require("Package")?;
    // Debian Policy 5.6.7, but for one letter and upper case, which old archives have.
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
        return Err(Error::integrity(format!("expected a package's name of letters, digits, +, - and ., found {name:?}")));
    }
    map(stanza, name).map_err(|e| e.context(format!("package {name}")))
}

fn map(stanza: &Stanza<'_>, name: &str) -> Result<PackageMeta> {
    let version = Version::parse(stanza.require("Version")?)?;
    let (epoch, rpm_version, release) = evr(&version);
    let arch = match stanza.require("Architecture")? {
        "all" => "noarch",
        name => match Arch::from_deb(name) {
            Some(arch) => arch.rpm(),
            None => return Err(Error::integrity(format!("architecture {name:?}: expected {} or all", Arch::TARGET.deb()))),
        },
    };
    let field =
        |field: &str| -> Result<Vec<Vec<Relation<'_>>>> { relation::parse(stanza.get(field).unwrap_or("")).map_err(|e| e.context(field)) };
    let dependencies = |groups: &[Vec<Relation<'_>>]| -> Vec<Capability> { groups.iter().map(|group| any_of(group)).collect() };
    let number = |field: &str| -> Result<u64> {
        stanza
            .get(field)
            .map_or(Ok(0), |text| text.parse().map_err(|_| Error::integrity(format!("{field}: expected a number, found {text:?}"))))
    };

    let mut provides = vec![Capability {
        name: name.into(),
        compare: Some(Comparison::Equal),
        epoch: Some(epoch),
        version: rpm_version.as_str().into(),
        release: release.as_str().into(),
    }];
    let provided = field("Provides")?;
    provides.extend(dependencies(&provided));
    provides.extend(INTERPRETERS.iter().filter(|(package, _)| *package == name).map(|(_, path)| Capability::any(*path)));

    let mut requires_pre = dependencies(&field("Pre-Depends")?);
    let mut requires = requires_pre.clone();
    requires.extend(dependencies(&field("Depends")?));
    if name == "base-files" {
        provides.extend(["filesystem", "setup", "basesystem"].map(Capability::any));
        requires.clear();
        requires_pre.clear();
    }

    let against: Vec<Relation<'_>> = [field("Conflicts")?, field("Breaks")?].into_iter().flatten().flatten().collect();
    let replaced: Vec<Relation<'_>> = field("Replaces")?.into_iter().flatten().collect();
    let mut obsoletes = Vec::new();
    for relation in &against {
        let also_provided = provided.iter().flatten().any(|p| p.name == relation.name);
        if let Some(replaces) = replaced.iter().find(|r| r.name == relation.name)
            && also_provided
        {
            obsoletes.push(one(if replaces.version.is_some() { replaces } else { relation }));
        }
    }
    let distinct = |mut deps: Vec<Capability>| {
        deps.sort();
        deps.dedup();
        deps
    };
    Ok(PackageMeta {
        nevra: Nevra::new(name, Evr::new(epoch, rpm_version, release), arch),
        summary: stanza.get("Description").unwrap_or("").lines().next().unwrap_or("").trim().to_owned(),
        license: format!("see /usr/share/doc/{name}/copyright"),
        source: stanza.get("Source").unwrap_or(name).to_owned(),
        provides: distinct(provides),
        requires: distinct(requires),
        requires_pre: distinct(requires_pre),
        conflicts: distinct(against.iter().map(one).collect()),
        obsoletes: distinct(obsoletes),
        recommends: distinct(dependencies(&field("Recommends")?)),
        suggests: distinct(dependencies(&field("Suggests")?)),
        supplements: Vec::new(),
        enhances: distinct(dependencies(&field("Enhances")?)),
        files: Vec::new(),
        location: stanza.get("Filename").unwrap_or("").to_owned(),
        size: number("Size")?,
        // Debian counts in KiB.
        installed_size: number("Installed-Size")?.saturating_mul(1024),
        digest: None,
        source_digest: stanza.get("SHA256").map(Digest::parse).transpose()?,
    })
}

/// Epoch, version and release of RPM.
pub(super) fn evr(version: &Version<'_>) -> (u32, String, String) {
    let release = if version.revision.is_empty() { "0" } else { version.revision };
    (version.epoch, version.upstream.replace(['-', ':'], "_"), release.to_owned())
}

pub(super) fn compare(operator: Operator) -> Comparison {
    match operator {
        Operator::Earlier => Comparison::Less,
        Operator::EarlierOrEqual => Comparison::LessEqual,
        Operator::Equal => Comparison::Equal,
        Operator::LaterOrEqual => Comparison::GreaterEqual,
        Operator::Later => Comparison::Greater,
    }
}

fn one(relation: &Relation<'_>) -> Capability {
    match &relation.version {
        None => Capability::any(relation.name),
        Some((operator, version)) => {
            let (epoch, version, release) = evr(version);
            Capability {
                name: relation.name.into(),
                compare: Some(compare(*operator)),
                epoch: Some(epoch),
                version: version.into(),
                release: release.into(),
            }
        }
    }
}

/// Alternatives become one rich dependency.
fn any_of(group: &[Relation<'_>]) -> Capability {
    match group {
        [relation] => one(relation),
        _ => Capability::any(format!("({})", group.iter().map(|relation| text(&one(relation))).collect::<Vec<_>>().join(" or "))),
    }
}

/// As rpm writes a dependency; an epoch of 0 is left out, as rpm takes its absence for 0.
pub(super) fn text(dep: &Capability) -> String {
    match dep.compare {
        None => dep.name.to_string(),
        Some(compare) => format!("{} {} {}", dep.name, compare.symbol(), evr_text(dep)),
    }
}

pub(super) fn evr_text(dep: &Capability) -> String {
    Capability { epoch: dep.epoch.filter(|&epoch| epoch != 0), ..dep.clone() }.evr()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> PackageMeta {
        meta(&Stanza::parse(&format!("Package: x\nVersion: 1\nArchitecture: amd64\n{text}")).unwrap()).unwrap()
    }

    fn shown(deps: &[Capability]) -> Vec<String> {
        deps.iter().map(text).collect()
    }

    #[test]
    fn versions_split_into_epoch_version_and_release() {
        for (debian, expected) in
            [("2:1.0-3+b1", "2:1.0-3+b1"), ("1.0", "1.0-0"), ("1-2-3", "1_2-3"), ("257.13-1~deb13u1", "257.13-1~deb13u1")]
        {
            let meta = meta(&Stanza::parse(&format!("Package: x\nVersion: {debian}\nArchitecture: all\n")).unwrap()).unwrap();
            assert_eq!(meta.nevra.evr.to_string(), expected);
            assert_eq!(meta.nevra.to_string(), format!("x-{expected}.noarch"));
        }
    }

    #[test]
    fn relations_map_as_the_table_says() {
        let meta = of(
            "Depends: b (>= 1.2) | c, d:any (<< 2:3-1)\nPre-Depends: e (>> 1-1)\nConflicts: mta\nBreaks: old (<< 3)\nReplaces: mta, old (<< 4), alone\nProvides: mta, old (= 3)\n",
        );
        assert_eq!(shown(&meta.requires), ["(b >= 1.2-0 or c)", "d < 2:3-1", "e > 1-1"]);
        assert_eq!(shown(&meta.requires_pre), ["e > 1-1"]);
        assert_eq!(shown(&meta.conflicts), ["mta", "old < 3-0"]);
        assert_eq!(shown(&meta.obsoletes), ["mta", "old < 4-0"]);
        assert_eq!(shown(&meta.provides), ["mta", "old = 3-0", "x = 1-0"]);
    }

    #[test]
    fn base_files_stands_for_fedora_s_base_and_requires_nothing() {
        let text = "Package: base-files\nVersion: 13.8\nArchitecture: amd64\nPre-Depends: awk\nDepends: libc6\n";
        let meta = meta(&Stanza::parse(text).unwrap()).unwrap();
        assert_eq!(shown(&meta.provides), ["base-files = 13.8-0", "basesystem", "filesystem", "setup"]);
        assert!(meta.requires.is_empty() && meta.requires_pre.is_empty());
    }

    #[test]
    fn a_stanza_of_another_architecture_is_refused_by_name() {
        let error = meta(&Stanza::parse("Package: x\nVersion: 1\nArchitecture: arm64\n").unwrap()).unwrap_err();
        assert!(error.to_string().contains("package x") && error.to_string().contains("arm64"));
    }
}
