//! What every part of the builder speaks in: units, digests, paths, errors, byte sources, files that are checked when they are read, and the file
//! tree ([`tree`]) which everything before it produces and everything after it consumes.

// The lints of methods are for the product: it is also checked without its tests.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may read the clock and drop an error"))]

mod arch;
mod atomic_file;
mod base64_text;
mod blob;
mod cache_entry;
mod checked_file;
mod digest;
mod epoch;
mod error;
mod facts;
mod folder_lock;
mod glob;
mod image_path;
mod input_file;
mod judged;
mod lock_reach;
mod nearest_name;
mod progress;
mod scratch;
mod seed;
mod segments;
pub mod tree;
mod turn;
mod units;
mod usr_merge;

pub use arch::Arch;
pub use atomic_file::{AtomicFile, create_locked, random_name, sweep, sync_folder};
pub use base64_text::decode_base64;
pub use blob::{Blob, Content, Identity};
pub use cache_entry::{Entry, set_aside};
pub use checked_file::{Alarm, BLOCK, BlockSums, CheckedFile};
pub use digest::{Digest, Hasher};
pub use epoch::SourceDateEpoch;
pub use error::{Error, InputExt, Kind, Result, ResultExt};
pub use facts::{Facts, FileStamp, question};
pub use folder_lock::FolderLock;
pub use glob::{glob_matches, wildcard_matches};
pub use image_path::ImagePath;
pub use input_file::{open_disk, open_regular, read_input, read_input_text, read_regular, read_regular_text};
pub use judged::{OptionJudged, ResultJudged};
pub use nearest_name::nearest_name;
pub use progress::{Progress, Silent};
pub use scratch::{ScratchDirectory, sweep_scratch};
pub use seed::ImageSeed;
pub use segments::{Segment, Segments};
pub use turn::Turn;
pub use units::{ByteSize, Lba};
pub use usr_merge::{before_usr_merge, usr_merged};
