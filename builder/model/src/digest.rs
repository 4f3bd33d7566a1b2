//! SHA-256, the only digest that identity rests on.

use crate::{Error, Result, ResultJudged};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;
use std::fmt;

/// A SHA-256 digest; text form is 64 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Digest(bytes)
    }

    pub fn of(bytes: &[u8]) -> Self {
        Digest(sha2::Sha256::digest(bytes).into())
    }

    pub fn parse(text: &str) -> Result<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| Error::integrity(format!("expected a sha256 of 64 hex digits, found {:?}", text.get(..80).unwrap_or(text))))?;
        Ok(Digest(bytes))
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() { s.collect_str(self) } else { self.0.serialize(s) }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if d.is_human_readable() {
            Digest::parse(&String::deserialize(d)?).map_err(serde::de::Error::custom)
        } else {
            Ok(Digest(<[u8; 32]>::deserialize(d)?))
        }
    }
}

/// Streaming SHA-256; also an `io::Write`, so that it can stand at the end of a copy.
#[derive(Clone, Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }

    /// What [`resume`](Self::resume) goes on from, after any number of bytes.
    pub fn state(&self) -> Vec<u8> {
        sha2::digest::common::hazmat::SerializableState::serialize(&self.0).to_vec()
    }

    /// `None` if `state` is not one.
    pub fn resume(state: &[u8]) -> Option<Self> {
        let state = state.try_into().none_because("a state of another length or version is not resumed from")?;
        sha2::digest::common::hazmat::SerializableState::deserialize(state)
            .none_because("a state of another length or version is not resumed from")
            .map(Hasher)
    }
}

impl std::io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_hasher_goes_on_where_it_stopped() {
        let bytes: Vec<u8> = (0..1000u32).map(|n| n as u8).collect();
        for cut in [0, 1, 63, 64, 65, 999] {
            let mut hasher = Hasher::new();
            hasher.update(&bytes[..cut]);
            let mut resumed = Hasher::resume(&hasher.state()).unwrap();
            resumed.update(&bytes[cut..]);
            assert_eq!(resumed.finish(), Digest::of(&bytes), "{cut}");
        }
        assert!(Hasher::resume(b"").is_none());
    }
}
