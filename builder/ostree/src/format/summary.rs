//! The summary, `(a(s(taya{sv}))a{sv})`: every ref with the size, checksum, time and version of its commit, then what holds for the repository.
//! libostree writes the numbers of `a{sv}` in network order, and the size in that of the machine.

use super::decode_digest;
use crate::CommitId;
use crate::gvariant::{Shape, Value, split_array, split_tuple, split_variant, text, u64_be, u64_le};
use model::{Digest, Result};
use std::collections::BTreeMap;

const TIMESTAMP: &str = "ostree.commit.timestamp";
const VERSION: &str = "ostree.commit.version";
const DELTAS: &str = "ostree.static-deltas";
const LAST_MODIFIED: &str = "ostree.summary.last-modified";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// By name.
    pub refs: BTreeMap<String, SummaryRef>,
    /// The names of static deltas (`TO`, or `FROM-TO`, in hex) with the digests of their superblocks.
    pub deltas: BTreeMap<String, Digest>,
    /// Seconds since 1970 UTC; grows with each change.
    pub last_modified: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryRef {
    pub commit: CommitId,
    /// Bytes of the commit object.
    pub size: u64,
    /// Of the commit, in seconds since 1970 UTC.
    pub timestamp: u64,
    pub version: Option<String>,
}

impl Summary {
    pub fn encode(&self) -> Vec<u8> {
        let refs: Vec<Value> = self.refs.iter().map(|(name, one)| Value::tuple(&[Value::string(name), one.encode()])).collect();
        let deltas = self.deltas.iter().map(|(name, digest)| (name.as_str(), Value::bytes(digest.as_bytes()), "ay"));
        let mut metadata = Vec::new();
        if !self.deltas.is_empty() {
            metadata.push((DELTAS, dictionary(deltas), "a{sv}"));
        }
        metadata.extend([
            ("ostree.summary.indexed-deltas", Value::boolean(false), "b"),
            (LAST_MODIFIED, Value::u64_be(self.last_modified), "t"),
            ("ostree.summary.mode", Value::string("archive-z2"), "s"),
            ("ostree.summary.tombstone-commits", Value::boolean(false), "b"),
        ]);
        Value::tuple(&[Value::array(Shape::variable(8), &refs), dictionary(metadata.into_iter())]).into_bytes()
    }

    /// Parses what libostree or this writes; metadata that says nothing of what is kept here is passed over.
    pub fn decode(bytes: &[u8]) -> Result<Summary> {
        let [refs, metadata] = split_tuple(bytes, [Shape::variable(8), Shape::variable(8)])?;
        let mut summary = Summary { refs: BTreeMap::new(), deltas: BTreeMap::new(), last_modified: 0 };
        for entry in split_array(refs, Shape::variable(8))? {
            let [name, one] = split_tuple(entry, [Shape::BYTES, Shape::variable(8)])?;
            summary.refs.insert(text(name)?.to_owned(), SummaryRef::decode(one)?);
        }
        for (key, value, signature) in entries(metadata)? {
            match (key, signature) {
                (LAST_MODIFIED, "t") => summary.last_modified = u64_be(value)?,
                (DELTAS, "a{sv}") => {
                    for (name, digest, _) in entries(value)? {
                        summary.deltas.insert(name.to_owned(), decode_digest(digest)?);
                    }
                }
                _ => {}
            }
        }
        Ok(summary)
    }
}

impl SummaryRef {
    fn encode(&self) -> Value {
        let version = self.version.iter().map(|version| (VERSION, Value::string(version), "s"));
        let metadata = std::iter::once((TIMESTAMP, Value::u64_be(self.timestamp), "t")).chain(version);
        Value::tuple(&[Value::u64_le(self.size), Value::bytes(self.commit.digest().as_bytes()), dictionary(metadata)])
    }

    fn decode(bytes: &[u8]) -> Result<SummaryRef> {
        let [size, commit, metadata] = split_tuple(bytes, [Shape::U64, Shape::BYTES, Shape::variable(8)])?;
        let mut one = SummaryRef { commit: CommitId::new(decode_digest(commit)?), size: u64_le(size)?, timestamp: 0, version: None };
        for (key, value, signature) in entries(metadata)? {
            match (key, signature) {
                (TIMESTAMP, "t") => one.timestamp = u64_be(value)?,
                (VERSION, "s") => one.version = Some(text(value)?.to_owned()),
                _ => {}
            }
        }
        Ok(one)
    }
}

/// `a{sv}` of (key, value, type), which must be sorted.
fn dictionary<'a>(entries: impl Iterator<Item = (&'a str, Value, &'a str)>) -> Value {
    let entries: Vec<Value> =
        entries.map(|(key, value, signature)| Value::tuple(&[Value::string(key), Value::variant(value, signature)])).collect();
    Value::array(Shape::VARIANT, &entries)
}

/// The (key, value, type) of each entry of `a{sv}`.
fn entries(bytes: &[u8]) -> Result<Vec<(&str, &[u8], &str)>> {
    let mut out = Vec::new();
    for entry in split_array(bytes, Shape::VARIANT)? {
        let [key, variant] = split_tuple(entry, [Shape::BYTES, Shape::VARIANT])?;
        let (value, signature) = split_variant(variant)?;
        out.push((text(key)?, value, signature));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_comes_back_as_it_was_and_no_cut_of_it_is_a_panic() {
        let one = |text: &[u8], version: Option<&str>| SummaryRef {
            commit: CommitId::new(Digest::of(text)),
            size: 300,
            timestamp: 1_700_000_000,
            version: version.map(str::to_owned),
        };
        for deltas in [BTreeMap::new(), BTreeMap::from([("ab".to_owned(), Digest::of(b"superblock"))])] {
            let refs = BTreeMap::from([("a/b".to_owned(), one(b"1", Some("1.0"))), ("c".to_owned(), one(b"2", None))]);
            let summary = Summary { refs, deltas, last_modified: 1_700_000_001 };
            let bytes = summary.encode();
            assert_eq!(Summary::decode(&bytes).unwrap(), summary);
            for length in 0..bytes.len() {
                drop(Summary::decode(&bytes[..length]));
            }
        }
    }
}
