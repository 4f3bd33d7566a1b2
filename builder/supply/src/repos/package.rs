//! What a repository says about one package: what the solver reads and the lockfile writes, whatever the repository's type.

use model::Digest;
use packages::capability::{Capability, Comparison};
use packages::evr::Nevra;

/// One package of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackageMeta {
    pub nevra: Nevra,
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
    /// The package itself as a capability: `name = evr`.
    pub fn own(&self) -> Capability {
        let Nevra { name, evr, .. } = &self.nevra;
        Capability {
            name: name.as_str().into(),
            compare: Some(Comparison::Equal),
            epoch: Some(evr.epoch),
            version: evr.version.as_str().into(),
            release: evr.release.as_str().into(),
        }
    }
}
