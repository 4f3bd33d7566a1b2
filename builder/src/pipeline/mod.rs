//! The whole build: one function, one line per stage.

mod behind;
mod build;
mod disk_of;
mod locking;
mod manifest;
mod packs;
mod report;
mod settings;
mod sources;
mod stages;

pub use build::{build, fetch, lock};
pub use locking::Update;
pub use report::{Artifact, LockReport, LockedRow, Report, StageReport};
pub use settings::Settings;
