//! Repositories: their metadata, verified, as packages that the solver can read.

mod package;
mod snapshot;

pub use package::{Compare, Dep, PackageMeta};
pub use snapshot::{MetadataFile, RepoSnapshot};

