//! Brings exactly the locked packages, verified, and imports each once into a pack.

pub mod download;
pub mod keyring;
pub mod pack;
mod pack_index;
pub mod verify;

pub use download::{deb_path, download, rpm_path};
pub use keyring::Keyring;
pub use pack::Pack;
pub use pack_index::PackEntry;
pub use verify::{Trust, VerifiedPackage, verify};
