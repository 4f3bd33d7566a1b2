//! The only randomness that may reach an artifact: everything "random" is derived from one seed by label.

use crate::Digest;
use std::fmt;

/// Same recipe and lockfile, same seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageSeed(Digest);

impl ImageSeed {
    pub fn new(digest: Digest) -> Self {
        ImageSeed(digest)
    }

    /// 32 bytes that belong to `label` alone, such as "esp-volume-id".
    pub fn derive(self, label: &str) -> [u8; 32] {
        let mut input = self.0.as_bytes().to_vec();
        input.extend_from_slice(label.as_bytes());
        *Digest::of(&input).as_bytes()
    }

    /// A version 8 (custom) UUID per RFC 9562, in network byte order.
    pub fn uuid(self, label: &str) -> [u8; 16] {
        let mut uuid: [u8; 16] = std::array::from_fn(|i| self.derive(label)[i]);
        uuid[6] = 0x80 | (uuid[6] & 0x0f);
        uuid[8] = 0x80 | (uuid[8] & 0x3f);
        uuid
    }
}

impl fmt::Display for ImageSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
