//! Repositories: their metadata, verified, as packages that the solver can read.

mod cached;
pub mod deb;
mod package;
pub mod rpmmd;
mod snapshot;

pub use package::PackageMeta;
pub use snapshot::{MetadataFile, RepoSnapshot};
