//! Debian's formats: deb822 control text, versions, relations, and the .deb itself.

pub mod ar;
pub mod control;
mod package;
pub mod relation;
mod version;

pub use package::{Deb, Entry, EntryKind, decompress};
pub use version::Version;
