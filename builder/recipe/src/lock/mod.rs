//! The lockfile: exactly which packages an image is made of, reviewed like code.

mod kept_ids;
mod locked_package;
mod lockfile;
mod repository;

pub use kept_ids::KeptIds;
pub use locked_package::LockedPackage;
pub use lockfile::{Change, LockedAccount, Lockfile, lock_path};
pub use repository::{LockedRepository, check_not_older};
