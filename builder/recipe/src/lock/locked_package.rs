//! A package as the lockfile names it, and its line there.

use model::Digest;
use packages::evr::{Evr, Nevra};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// One package of a lockfile. Ordered, and compared, by the texts of its line: `1.0` and `1.00` are two versions here.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct LockedPackage {
    pub nevra: Nevra,
    pub repo: String,
    /// Of the .rpm; only a deb that was not converted yet has none.
    pub sha256: Option<Digest>,
    /// Bytes of the .rpm; 0 with no `sha256`.
    pub size: u64,
    /// Of the .rpm, below the repository; empty when it is made here.
    pub location: String,
    /// The .deb in its pool.
    pub source_sha256: Option<Digest>,
    pub source_size: Option<u64>,
    pub source_location: Option<String>,
}

impl LockedPackage {
    /// Returns a package of the repository `repo` of which nothing more is known yet.
    pub fn new(nevra: Nevra, repo: impl Into<String>) -> Self {
        LockedPackage {
            nevra,
            repo: repo.into(),
            sha256: None,
            size: 0,
            location: String::new(),
            source_sha256: None,
            source_size: None,
            source_location: None,
        }
    }

    fn key(&self) -> impl Ord {
        let Nevra { name, evr, arch } = &self.nevra;
        let rpm = (&self.repo, self.sha256, self.size, &self.location);
        (name, evr.epoch, &evr.version, &evr.release, arch, rpm, self.source_sha256, self.source_size, &self.source_location)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let rpm = self.sha256.is_some();
        let deb = self.source_sha256.is_some() && self.source_size.is_some() && self.source_location.is_some();
        if !rpm && !deb {
            return Err(format!("package {}: expected sha256, or source_sha256, source_size and source_location", self.nevra));
        }
        if !deb && (self.location.is_empty() || self.size == 0) {
            return Err(format!("package {}: expected a location and a size", self.nevra));
        }
        // Whether a whole URL is on the repository's host is known when it is fetched; a .deb is always below its archive.
        let is_whole = |location: &String| location.contains("://");
        if let Some(location) = self.source_location.as_ref().filter(|location| is_whole(location)) {
            return Err(format!("package {}: expected a source_location below the archive, found {location:?}", self.nevra));
        }
        for location in [Some(&self.location), self.source_location.as_ref()].into_iter().flatten() {
            let leads_out = location.split('/').any(|part| part == "..");
            if location.starts_with('/') || leads_out || location.chars().any(char::is_control) {
                return Err(format!("package {}: expected a location below the repository, found {location:?}", self.nevra));
            }
        }
        Ok(())
    }
}

impl Ord for LockedPackage {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for LockedPackage {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for LockedPackage {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for LockedPackage {}

/// The package's line in the lockfile.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    epoch: u32,
    version: String,
    release: String,
    arch: String,
    repo: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Digest>,
    #[serde(default, skip_serializing_if = "is_zero")]
    size: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    location: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_sha256: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_location: Option<String>,
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl From<Row> for LockedPackage {
    fn from(row: Row) -> Self {
        let Row { name, epoch, version, release, arch, repo, sha256, size, location, source_sha256, source_size, source_location } = row;
        let nevra = Nevra::new(name, Evr::new(epoch, version, release), arch);
        LockedPackage { nevra, repo, sha256, size, location, source_sha256, source_size, source_location }
    }
}

impl From<LockedPackage> for Row {
    fn from(package: LockedPackage) -> Self {
        let LockedPackage { nevra, repo, sha256, size, location, source_sha256, source_size, source_location } = package;
        let Nevra { name, evr: Evr { epoch, version, release }, arch } = nevra;
        Row { name, epoch, version, release, arch, repo, sha256, size, location, source_sha256, source_size, source_location }
    }
}

/// What a reviewer looks for stands first.
pub(super) const FIELDS: [&str; 12] = [
    "name",
    "epoch",
    "version",
    "release",
    "arch",
    "repo",
    "sha256",
    "size",
    "location",
    "source_sha256",
    "source_size",
    "source_location",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_ordered_by_their_texts_as_lockfiles_always_were() {
        let package =
            |name: &str, epoch: u32, version: &str| LockedPackage::new(Nevra::new(name, Evr::new(epoch, version, "1"), "noarch"), "r");
        for (less, greater) in [
            (package("a", 0, "2"), package("b", 0, "1")),
            (package("a", 0, "2"), package("a", 1, "1")),
            // For rpm these two are equal, and 9 comes before 10.
            (package("a", 0, "1.0"), package("a", 0, "1.00")),
            (package("a", 0, "10"), package("a", 0, "9")),
        ] {
            assert_eq!((less.cmp(&greater), less == greater), (Ordering::Less, false), "{} and {}", less.nevra, greater.nevra);
        }
    }
}
