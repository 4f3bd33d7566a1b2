//! `[update]` and `[budget]`: where a host's updates come from, whose it takes, and what they may cost.

use model::ByteSize;
use serde::{Serialize, Serializer};
use signing::Certificate;

/// Where a host finds updates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Update {
    /// `http:`, `https:` or `file:`; without a trailing slash.
    pub url: String,
    /// Asked when the first does not answer; `http:` or `https:`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// Of the release plan.
    pub channel: String,
    /// Whose commits, summaries and release plans a host takes; never empty.
    #[serde(serialize_with = "as_public_keys")]
    pub keys: Vec<Certificate>,
    /// From how many earlier commits of the ref a static delta is written. They change no image.
    #[serde(skip)]
    pub deltas: u32,
    /// Whether a delta from nothing is written, too, for hosts that have none of those commits. It takes about as long as the rest of a build.
    #[serde(skip)]
    pub from_nothing: bool,
}

impl Update {
    /// The commits from which a delta is written, unless the recipe says otherwise.
    pub const DELTAS: u32 = 3;
    /// Each takes its time and its space.
    pub const MAX_DELTAS: u32 = 100;
}

/// Limits beyond which a build fails. They change no image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// Of the bytes that a host at the commit before downloads.
    pub update: Option<ByteSize>,
    /// Of the disk.
    pub size: Option<ByteSize>,
}

fn as_public_keys<S: Serializer>(keys: &[Certificate], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(keys.iter().map(|key| key.public().to_string()))
}
