//! Brings exactly the locked packages, verified, and imports each once into a pack.

pub mod download;
pub mod keyring;
pub mod pack;
mod pack_index;
mod policy;
#[cfg(test)]
mod project_keys_tests;
pub mod signatures;
pub mod verify;

pub use download::{deb_path, download, rpm_path};
pub use keyring::{Keyring, Signer};
pub use pack::{FoundPack, Pack};
pub use pack_index::PackEntry;
pub use policy::Policy;
pub use verify::{Trust, VerifiedPackage, open_package, payload_of, verify, verify_signature};
