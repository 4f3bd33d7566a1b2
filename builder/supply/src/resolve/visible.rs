//! Which packages exist for this request at all, and for the others why not.

use crate::repos::{PackageMeta, RepoSnapshot};
use crate::resolve::modules::ModuleFilter;
use crate::resolve::{Chosen, Request};
use model::{Arch, Result, wildcard_matches};
use std::borrow::Cow;

pub(super) struct Visible<'a> {
    /// Repositories in their order, packages as their metadata lists them.
    pub packages: Vec<(Chosen, &'a PackageMeta)>,
    pub hidden: Vec<(Cow<'static, str>, &'a PackageMeta)>,
}

pub(super) fn visible<'a>(repos: &'a [RepoSnapshot], request: &Request) -> Result<Visible<'a>> {
    let modules = ModuleFilter::new(repos, &request.set.modules)?;
    let mut visible = Visible { packages: Vec::new(), hidden: Vec::new() };
    for (repo, snapshot) in repos.iter().enumerate() {
        for (number, package) in snapshot.packages.iter().enumerate() {
            match why_not(snapshot, package, request, &modules) {
                None => visible.packages.push((Chosen { repo, package: number }, package)),
                Some(why) => visible.hidden.push((why, package)),
            }
        }
    }
    Ok(visible)
}

fn why_not(snapshot: &RepoSnapshot, package: &PackageMeta, request: &Request, modules: &ModuleFilter<'_>) -> Option<Cow<'static, str>> {
    let arch = package.nevra.arch.as_str();
    let any = |globs: &[String]| globs.iter().any(|glob| matches_package(glob, package));
    let multilib = Arch::TARGET.rpm_multilib().contains(&arch);
    if multilib && !request.set.multilib {
        Some("is a 32-bit package, which `multilib = true` would show".into())
    } else if !multilib && ![Arch::TARGET.rpm(), "noarch"].contains(&arch) {
        // Source packages among them.
        Some("is for another architecture".into())
    } else if !snapshot.visible.is_empty() && !any(&snapshot.visible) {
        Some("is not among the `packages` that its repository may show".into())
    } else if any(&snapshot.exclude) {
        Some("is excluded from its repository".into())
    } else if any(&request.set.exclude) {
        Some("is excluded by the recipe".into())
    } else if let Some(pinned) = request.keep.get(&package.nevra.name).filter(|pinned| !pinned.contains(&package.nevra.to_string())) {
        Some(format!("is held at {}", pinned.join(", ")).into())
    } else {
        modules.hides(package).map(Cow::Owned)
    }
}

/// Against the name, `name.arch` or the full name.
fn matches_package(glob: &str, package: &PackageMeta) -> bool {
    if wildcard_matches(glob, &package.nevra.name) {
        return true;
    }
    // Few patterns mean more than a name: do not build the longer texts for the others.
    let plain = !glob.contains(['.', '-', '*', '?']);
    !plain
        && (wildcard_matches(glob, format!("{}.{}", package.nevra.name, package.nevra.arch))
            || wildcard_matches(glob, package.nevra.to_string()))
}
