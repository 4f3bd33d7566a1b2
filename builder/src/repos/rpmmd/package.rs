//! From primary's record to what the solver reads.

use super::{outside, place};
use crate::base::{Error, Result};
use crate::formats::rpmmd::{Package, Relation};
use crate::repos::{Compare, Dep, PackageMeta};

pub(super) fn package_meta(package: Package) -> Result<PackageMeta> {
    let nevra = format!("{}-{}-{}.{}", package.name, package.version, package.release, package.arch);
    let location =
        place(&package.base, &package.location).ok_or_else(|| outside(&nevra, &format!("{}{}", package.base, package.location)))?;
    let deps =
        |relations: Vec<Relation>| relations.into_iter().map(|r| dep(r).map_err(|e| e.context(&nevra))).collect::<Result<Vec<Dep>>>();
    // The same requirement stands once with `pre` and once without: installation order needs to know, the solver does not.
    let mut requires_pre = Vec::new();
    let mut requires: Vec<Dep> = Vec::with_capacity(package.requires.len());
    for relation in package.requires {
        let pre = relation.pre;
        let dep = dep(relation).map_err(|e| e.context(&nevra))?;
        if pre {
            requires_pre.push(dep.clone());
        }
        requires.push(dep);
    }
    requires.sort_unstable();
    requires.dedup();
    // Only what is trusted as identity; a package without is refused when it is locked.
    let digest = if package.checksum.kind == "sha256" { Some(package.checksum.sha256(&nevra)?) } else { None };
    Ok(PackageMeta {
        provides: deps(package.provides)?,
        conflicts: deps(package.conflicts)?,
        obsoletes: deps(package.obsoletes)?,
        recommends: deps(package.recommends)?,
        suggests: deps(package.suggests)?,
        supplements: deps(package.supplements)?,
        enhances: deps(package.enhances)?,
        requires,
        requires_pre,
        name: package.name,
        epoch: package.epoch,
        version: package.version,
        release: package.release,
        arch: package.arch,
        summary: package.summary,
        license: package.license,
        source: package.source_rpm,
        files: package.files,
        location,
        size: package.size,
        installed_size: package.installed_size,
        digest,
        source_digest: None,
    })
}

fn dep(relation: Relation) -> Result<Dep> {
    if relation.flags.is_empty() {
        return Ok(Dep::any(relation.name));
    }
    let compare = Compare::from_rpmmd(relation.flags).ok_or_else(|| {
        Error::integrity(format!("dependency {}: expected EQ, LT, LE, GT or GE, found {:?}", relation.name, relation.flags))
    })?;
    Ok(Dep { name: relation.name, compare: Some(compare), epoch: relation.epoch, version: relation.version, release: relation.release })
}
