//! A Debian archive, repackaged as signed RPMs, so that the whole RPM path runs on real software where no RPM mirror is reachable.
//!
//! ```text
//! InRelease ── keyring ──▶ Packages ──▶ PackageMeta ──▶ (resolve, lock) ──▶ .deb ── convert ──▶ signed .rpm ──▶ rpm-md
//! ```
//!
//! Resolving needs the metadata only; a package is downloaded and converted once it is locked. The same .deb gives the same bytes of .rpm
//! everywhere, so the lockfile names the .rpm's digest too.

pub mod apt_sources;
mod archive;
mod convert;
mod elf;
mod in_release;
mod metadata;
mod order;
mod packages;
mod repository;
mod rpm_file;
mod scripts;
mod signing;

pub use archive::{DebArchive, DebSource, load};
pub use convert::{CONVERTER_VERSION, ConvertedRpm, conversion_question, convert, converted_name, fetch_and_convert};
pub use in_release::Release;
pub use metadata::meta;
pub use order::check_order;
pub use repository::write_repository;
pub use signing::{public_key, sign_detached};
