//! Static deltas in libostree's format: what changed from one commit to another in a few files, which a host fetches in place of thousands of objects.
//!
//! A new file travels as a patch of the old file that it came of, where that is smaller; else whole. [`Store::write_delta`] decides this for every file at the
//! same time, packs the results into parts, and compresses those at the same time. The same two commits give the same bytes with any number of threads.
//!
//! `name` is where a delta lies, `superblock` and `part` are its files, `reachable`, `similar`, `patch` and `content` decide what travels how, `packing` what
//! goes together, `listing` and `cost` read what is there.

mod content;
mod cost;
mod listing;
mod name;
mod packing;
mod part;
mod patch;
mod reachable;
mod seeds;
mod similar;
mod superblock;
mod varint;
mod write;

pub use cost::{ContentCost, Cost};
pub use listing::ListedDelta;
pub use name::DeltaName;
pub use write::{DeltaOptions, DeltaReport, MadeDelta};

use part::{Packing, PartBuilder};
use reachable::Reachable;
use superblock::{Fallback, ObjectName, PartHeader, Superblock};
