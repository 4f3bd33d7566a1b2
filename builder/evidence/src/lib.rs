//! What an image says of itself: the manifest of everything that went in and came out, and where a file comes from.

// The lints of methods are for the product: it is also checked without its tests.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may read the clock and drop an error"))]

mod manifest;
mod provenance;

pub use manifest::{Build, ManifestInputs, Signatures, lockfile_digest, read_inputs, write};
pub use provenance::{Provenance, provenance};
