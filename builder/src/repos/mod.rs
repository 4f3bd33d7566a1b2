//! Repositories: their metadata, verified, as packages that the solver can read.

pub mod deb;
mod package;

pub use package::{Compare, Dep, PackageMeta};
