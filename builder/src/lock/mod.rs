//! The lockfile: exactly which packages an image is made of, reviewed like code.

mod lockfile;

pub use lockfile::{Change, LockedAccount, LockedPackage, Lockfile, lock_path};
