//! From a recipe to packs: repositories, the solver, the lockfile, downloads, signatures, and each package imported once. The only crate with
//! a network, a solver and OpenPGP.

// The lints of methods are for the product: it is also checked without its tests.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may read the clock and drop an error"))]

pub mod fetch;
pub mod locking;
pub mod net;
pub mod packs;
pub mod repos;
mod repository_keys;
pub mod resolve;
mod settings;
mod snapshots;
pub mod sources;

pub use settings::SupplySettings;
