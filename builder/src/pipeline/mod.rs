//! The whole build: one function, one line per stage.

mod behind;
mod build;
mod cache;
mod disk_of;
mod locking;
mod manifest;
mod packs;
mod provenance;
mod report;
mod room;
mod settings;
mod sources;
mod stages;

pub use build::{build, fetch, lock, plan};
pub use locking::Update;
pub use manifest::{ManifestInputs, lockfile_digest, read_inputs};
pub use provenance::{Provenance, provenance};
pub use report::{Artifact, LockReport, LockedRow, Report, StageReport};
pub use settings::Settings;
