//! The whole build: one function, one line per stage.

mod build;
mod report;
mod settings;

pub use build::{build, fetch, lock};
pub use report::{Artifact, LockReport, LockedRow, Report, StageReport};
pub use settings::Settings;
