//! The whole build: one function, one line per stage.

mod budget;
mod build;
mod cache;
mod cache_verify;
mod deferred_progress;
mod history;
mod release;
mod report;
mod settings;
mod stages;

pub use build::{build, fetch, lock, plan};
pub use cache_verify::{CacheReport, VerifiedEntries, verify_cache};
pub use history::Parent;
pub use release::UpdateCost;
pub use report::{LockReport, LockedRow, Report, StageReport};
pub use settings::Settings;
