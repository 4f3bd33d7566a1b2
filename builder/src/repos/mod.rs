//! Repositories: their metadata, verified, as packages that the solver can read.

mod package;

pub use package::{Compare, Dep, PackageMeta};
