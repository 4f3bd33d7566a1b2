//! RPM packages, read: lead, signature header, main header, payload (rpm 4's format, "v3" to "v6" as far as rpm 4.18 reads them).
//!
//! ```text
//! lead 96 bytes · signature header, padded to 8 · main header · payload: a cpio archive, compressed
//! ```
//!
//! Only reading: nothing here judges whether a package is to be trusted; `fetch::verify` does.

mod capabilities;
mod contents;
mod dependency;
mod file_digest;
mod files;
mod header;
mod lead;
#[cfg(test)]
mod oracle_tests;
mod package;
mod payload;
mod scriptlets;
pub mod tags;
mod triggers;

pub use contents::{HashedPayload, read_contents};
pub use dependency::Dependency;
pub use file_digest::{ContentHasher, FileDigest};
pub use files::{FileEntry, FileFlags, FileKind};
pub(crate) use header::{EntryInfo, kind};
pub use header::{Header, HeaderKind};
pub use package::{Metadata, Package, parse};
pub use payload::{PayloadFile, read_payload};
pub use scriptlets::{Phase, Scriptlet};
pub use triggers::{Trigger, TriggerKind};
