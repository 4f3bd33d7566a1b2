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
mod detached;
mod format;
mod gvariant;
mod known;
mod needs;
mod object_stamps;
mod objects;
mod store;
mod store_check;
mod store_copy;
mod store_deltas;
mod store_prune;
mod store_read;
mod summary;

pub use bootcsum::Kernel;
pub use commit::{Commit, CommitMeta, ContentIds, TreeObjects, commit, content_ids, tree_objects};
pub use delta::{ContentCost, Cost, DeltaName, DeltaOptions, DeltaReport, ListedDelta, MadeDelta};
pub use deploy::{Deployment, Sysroot, SysrootRequest, sysroot};
pub use detached::Detached;
pub use known::KnownContents;
pub use needs::{Ancestor, NEW_SINCE, needs};
pub use objects::{CommitId, ContentId, DirmetaId, DirtreeId, ObjectKind};
pub use store::Store;
pub use store_check::CheckReport;
pub use store_copy::CopyReport;
pub use store_prune::PruneReport;
pub use store_read::{Listed, LogEntry};

pub use format::{CommitObject, MetadataValue, Summary, SummaryRef};
