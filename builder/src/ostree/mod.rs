//! The tree as OSTree commits, an archive repository that hosts pull from, and a sysroot with two deployments. Nothing here needs libostree.

#[cfg(test)]
mod against_libostree;
mod bare;
mod bootcsum;
mod commit;
mod deploy;
mod known;
mod object_stamps;
mod objects;
mod store;
mod store_read;

pub use bootcsum::Kernel;
pub use commit::{Commit, CommitMeta, ContentIds, commit, commit_of, content_ids};
pub use deploy::{Deployment, Remote, Sysroot, SysrootRequest, sysroot};
pub use known::KnownContents;
pub use objects::{CommitId, ContentId, DirmetaId, DirtreeId, ObjectKind};
pub use store::Store;
pub use store_read::{Listed, LogEntry};

pub use crate::formats::ostree::{CommitObject, MetadataValue};
