//! One repository at one moment, verified: what `resolve` reads and the lockfile remembers.

use crate::net::Mirrors;
use crate::repos::PackageMeta;
use model::{Digest, SourceDateEpoch};
use packages::rpmmd::Modules;

#[derive(Debug, Clone)]
pub struct RepoSnapshot {
    /// As the recipe names it.
    pub id: String,
    /// Lower wins, as dnf counts; 99 is the usual one.
    pub priority: u32,
    /// Packages' locations are relative to each.
    pub mirrors: Mirrors,
    /// Globs over names, `name.arch` and full names; empty means every package is visible.
    pub visible: Vec<String>,
    /// Globs of what is not visible all the same.
    pub exclude: Vec<String>,
    pub packages: Vec<PackageMeta>,
    /// As the repository counts its own versions; only to be shown.
    pub revision: String,
    /// When the repository says that it was made; 0 when it does not.
    pub time: SourceDateEpoch,
    /// Of the metadata's root (repomd.xml, InRelease): everything else hangs on it.
    pub digest: Digest,
    /// Where every path of every package is listed, if that is known.
    pub filelists: Option<MetadataFile>,
    /// Where groups of packages are listed, if there are any.
    pub comps: Option<MetadataFile>,
    pub modules: Modules,
}

/// A file that the metadata's root names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataFile {
    /// Below each mirror.
    pub location: String,
    pub size: Option<u64>,
    pub digest: Digest,
}
