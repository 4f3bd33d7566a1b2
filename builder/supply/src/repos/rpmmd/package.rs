//! From primary's record to what the solver reads.

use super::{outside, place};
use crate::repos::PackageMeta;
use model::{Digest, Result};
use packages::capability::Capability;
use packages::evr::{Evr, Nevra};
use packages::rpmmd::{Package, Relation};

pub(super) fn package_meta(package: Package) -> Result<PackageMeta> {
    let nevra = Nevra::new(package.name, Evr::new(package.epoch, package.version, package.release), package.arch);
    let location = place(&package.base, &package.location)
        .ok_or_else(|| outside(&nevra.to_string(), &format!("{}{}", package.base, package.location)))?;
    // Only what is trusted as identity; a package without is refused when it is locked.
    let checksum = Some(package.checksum.hex.trim()).filter(|_| package.checksum.kind == "sha256");
    let digest = checksum.map(Digest::parse).transpose().map_err(|e| e.context(&nevra))?;
    let deps = |relations: Vec<Relation>| -> Vec<Capability> { relations.into_iter().map(|relation| relation.capability).collect() };
    // The same requirement stands once with `pre` and once without: installation order needs to know, the solver does not.
    let requires_pre = package.requires.iter().filter(|relation| relation.pre).map(|relation| relation.capability.clone()).collect();
    let mut requires = deps(package.requires);
    requires.sort_unstable();
    requires.dedup();
    Ok(PackageMeta {
        provides: deps(package.provides),
        conflicts: deps(package.conflicts),
        obsoletes: deps(package.obsoletes),
        recommends: deps(package.recommends),
        suggests: deps(package.suggests),
        supplements: deps(package.supplements),
        enhances: deps(package.enhances),
        requires,
        requires_pre,
        nevra,
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
