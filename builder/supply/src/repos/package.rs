//! What a repository says about one package: what the solver reads and the lockfile writes, whatever the repository's type.

use model::Digest;
use packages::capability::{Capability, Comparison};
use packages::evr::compare_versions;
use std::cmp::Ordering;

/// One package of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackageMeta {
    pub name: String,
    pub epoch: u32,
    pub version: String,
    pub release: String,
    pub arch: String,
    pub summary: String,
    pub license: String,
    /// The source package's name, and version if it has another; for the SBOM.
    pub source: String,
    pub provides: Vec<Capability>,
    /// Every requirement, those of `requires_pre` among them.
    pub requires: Vec<Capability>,
    /// Needed before this package's scriptlets run (order of installation).
    pub requires_pre: Vec<Capability>,
    pub conflicts: Vec<Capability>,
    pub obsoletes: Vec<Capability>,
    pub recommends: Vec<Capability>,
    pub suggests: Vec<Capability>,
    pub supplements: Vec<Capability>,
    pub enhances: Vec<Capability>,
    /// Absolute paths that a requirement may name; primary's short list, or everything when filelists were read, or nothing.
    pub files: Vec<String>,
    /// Below the repository's URL. For a deb: of the .deb.
    pub location: String,
    /// Bytes to download.
    pub size: u64,
    /// Bytes when installed.
    pub installed_size: u64,
    /// Of the .rpm. `None` for a deb that was not converted yet.
    pub digest: Option<Digest>,
    /// Of the .deb that the .rpm is made from.
    pub source_digest: Option<Digest>,
}

impl PackageMeta {
    /// `[epoch:]version-release`, the epoch only if it is not 0.
    pub fn evr(&self) -> String {
        match self.epoch {
            0 => format!("{}-{}", self.version, self.release),
            epoch => format!("{epoch}:{}-{}", self.version, self.release),
        }
    }

    /// The package itself as a capability: `name = evr`.
    pub fn own(&self) -> Capability {
        Capability {
            name: self.name.as_str().into(),
            compare: Some(Comparison::Equal),
            epoch: Some(self.epoch),
            version: self.version.as_str().into(),
            release: self.release.as_str().into(),
        }
    }

    /// As rpm orders versions of one name.
    pub fn compare_evr(&self, other: &Self) -> Ordering {
        let versions = || compare_versions(&self.version, &other.version).then_with(|| compare_versions(&self.release, &other.release));
        self.epoch.cmp(&other.epoch).then_with(versions)
    }

    /// `name-[epoch:]version-release.arch`.
    pub fn nevra(&self) -> String {
        format!("{}-{}.{}", self.name, self.evr(), self.arch)
    }
}
