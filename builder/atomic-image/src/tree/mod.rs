//! The tree store as a product: its history, what changes between two commits, releases, and a server for it.

mod diff;
mod named;
mod release;
mod serve;
mod signed_json;

pub use diff::{KernelChange, TreeDiff, diff};
pub use named::named;
pub use release::{RELEASE_PLAN, Release, ReleasePlan, Wave, read_plan, write_plan};
pub use serve::{Answered, serve};
pub use signed_json::SignedJson;
