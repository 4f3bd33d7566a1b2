//! The lockfile: exactly which packages an image is made of, reviewed like code.

mod lockfile;
mod repository;

pub use lockfile::{Change, LockedAccount, LockedPackage, Lockfile, lock_path};
pub use repository::{LockedRepository, check_not_older};
