//! Units, digests, paths, errors and byte sources that every layer speaks in.

mod atomic_file;
mod blob;
mod digest;
mod epoch;
mod error;
mod image_path;
mod progress;
mod scratch;
mod seed;
mod segments;
mod units;

pub use atomic_file::{AtomicFile, create_locked, sweep};
pub use blob::Blob;
pub use digest::{Digest, Hasher};
pub use epoch::SourceDateEpoch;
pub use error::{Error, Kind, Result, ResultExt};
pub use image_path::ImagePath;
pub use progress::{Progress, Silent};
pub use scratch::{ScratchDirectory, sweep_scratch};
pub use seed::ImageSeed;
pub use segments::{Segment, Segments};
pub use units::{ByteSize, Lba};
