//! Packages and repositories as bytes: RPM files ([`rpm`]) and their database ([`rpmdb`], in [`sqlite`]), rpm-md metadata ([`rpmmd`]), versions as rpm
//! compares them ([`evr`]), ranges of them ([`capability`]), and Debian packages ([`deb`]).
//!
#![doc = include_str!("../README.md")]
// The lints of methods are for the product: it is also checked without its tests.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may read the clock and drop an error"))]

pub mod capability;
pub mod deb;
pub mod evr;
pub mod rpm;
pub mod rpmdb;
pub mod rpmmd;
pub mod sqlite;

// Trees, paths, segments and errors: whoever takes this crate needs them.
pub use model;
