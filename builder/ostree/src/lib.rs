//! The tree as OSTree commits, an archive repository that hosts pull from, and a sysroot with two deployments. Nothing here needs libostree.

// The lints of methods are for the product: it is also checked without its tests.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may read the clock and drop an error"))]

#[cfg(test)]
mod against_libostree;
mod bare;
mod bootcsum;
mod commit;
mod delta;
mod deploy;
mod format;
mod gvariant;
mod known;
mod object_stamps;
mod objects;
mod store;
mod store_read;

pub use bootcsum::Kernel;
pub use commit::{Commit, CommitMeta, ContentIds, commit, commit_of, content_ids};
pub use delta::{ContentCost, Cost, DeltaName, DeltaOptions, DeltaReport, ListedDelta, MadeDelta};
pub use deploy::{Deployment, Remote, Sysroot, SysrootRequest, sysroot};
pub use known::KnownContents;
pub use objects::{CommitId, ContentId, DirmetaId, DirtreeId, ObjectKind};
pub use store::Store;
pub use store_read::{Listed, LogEntry};

pub use format::{CommitObject, MetadataValue};
