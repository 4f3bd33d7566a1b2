//! An image boots one kernel. Distributions install every variant and version beside the others, so a second one slips in unseen.

use crate::repos::PackageMeta;
use model::wildcard_matches;
use model::{Error, Kind, Result};
use std::collections::BTreeMap;

/// What every part of a kernel provides, in the version that `uname -r` says (EL 7 on, Fedora).
const MARK: &str = "kernel-uname-r";

/// Refuses a second kernel unless `installonly` names its packages.
pub(super) fn at_most_one<'a>(chosen: impl Iterator<Item = &'a PackageMeta>, installonly: &[String]) -> Result<()> {
    let mut kernels: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in chosen.filter(|p| !installonly.iter().any(|glob| wildcard_matches(glob, &p.nevra.name))) {
        for mark in package.provides.iter().filter(|provide| provide.name == MARK) {
            kernels.entry(mark.evr()).or_default().push(package.nevra.to_string());
        }
    }
    if kernels.len() <= 1 {
        return Ok(());
    }
    let list: Vec<String> = kernels.values_mut().map(|packages| std::mem::take(packages).join(" with ")).collect();
    Err(Error::new(Kind::Unresolvable, format!("the packages bring {} kernels: {}", list.len(), list.join("; ")))
        .hint("exclude the variants that are not wanted, or name them in `installonly`"))
}
