//! The lockfile: exactly which packages an image is made of, reviewed like code.

mod kept_ids;
mod lockfile;
mod repository;

pub use kept_ids::KeptIds;
pub use lockfile::{Change, LockedAccount, LockedPackage, Lockfile, lock_path};
pub use repository::{LockedRepository, check_not_older};
