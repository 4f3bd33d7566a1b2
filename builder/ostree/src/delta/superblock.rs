//! A delta's superblock (libostree `ostree-repo-static-delta-private.h`), a GVariant of type `(a{sv}tayay(a{sv}aya(say)sstayay)aya(uayttay)a(yaytt))`:
//!
//! ```text
//! metadata | timestamp BE | from, or nothing | to | commit object | deltas to apply before: none | parts | fallbacks
//! part     | version 0 | SHA-256 of its file | size of its file | size of its objects | { kind, digest } … |
//! fallback | kind | digest | size of its file | size of the object |
//! ```
//!
//! Numbers of parts and fallbacks are in the order that `ostree.endianness` in the metadata says: `l` for little-endian, the only one that we write and
//! read. libostree puts the time of writing into the timestamp and does not look at it; we put the commit's, so that the same commits give the same bytes.

use super::DeltaName;
use crate::format::{CommitObject, decode_digest};
use crate::gvariant::{Shape, Value, split_array, split_tuple, split_variant, text, u32_le, u64_le};
use crate::{CommitId, ObjectKind};
use model::{Digest, Error, Result};

const ENDIANNESS: &str = "ostree.endianness";
const LITTLE_ENDIAN: u8 = b'l';
/// Ours: which rules the delta was made by, so that one of the present rules need not be made again.
const RULES: &str = "atomic-image.delta-rules";
/// Grows when other bytes are written for the same commits.
const RULES_VERSION: u64 = 1;
/// libostree's OSTREE_DELTAPART_VERSION.
const PART_VERSION: u32 = 0;
/// Bytes of an object's name in a part's list: its kind, then its digest.
const NAME: usize = 33;

/// An object that a part makes, or that is fetched by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    pub kind: ObjectKind,
    pub digest: Digest,
}

/// `(uayttay)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHeader {
    /// SHA-256 of the part's file.
    pub digest: Digest,
    /// Bytes of the part's file.
    pub size: u64,
    /// Bytes of the objects that it makes.
    pub unpacked: u64,
    /// In the order in which it makes them.
    pub objects: Vec<ObjectName>,
}

/// `(yaytt)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallback {
    pub object: ObjectName,
    /// Bytes of the object's file in the repository.
    pub size: u64,
    pub unpacked: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    pub name: DeltaName,
    /// Seconds since 1970 UTC.
    pub timestamp: u64,
    /// The bytes of the commit object.
    pub commit: Vec<u8>,
    /// The commit's detached metadata, an `a{sv}`, such as its signatures.
    pub detached: Option<Vec<u8>>,
    /// Whether it was made by the rules of this version of the program.
    pub is_current: bool,
    pub parts: Vec<PartHeader>,
    pub fallbacks: Vec<Fallback>,
}

impl Superblock {
    /// The superblock of a delta that this program makes.
    pub fn new(name: DeltaName, commit: Vec<u8>, detached: Option<Vec<u8>>) -> Result<Superblock> {
        let timestamp = CommitObject::decode(&commit)?.timestamp;
        Ok(Superblock { name, timestamp, commit, detached, is_current: true, parts: Vec::new(), fallbacks: Vec::new() })
    }

    pub fn encode(&self) -> Vec<u8> {
        let entry = |key: &str, value| Value::tuple(&[Value::string(key), value]);
        let mut metadata = vec![entry(ENDIANNESS, Value::variant(Value::byte(LITTLE_ENDIAN), "y"))];
        if self.is_current {
            metadata.push(entry(RULES, Value::variant(Value::u64_le(RULES_VERSION), "t")));
        }
        if let Some(detached) = &self.detached {
            let value = Value::variant(Value::serialised(detached.clone(), Shape::VARIANT), "a{sv}");
            metadata.push(entry(&format!("{}/commitmeta", self.name.path()), value));
        }
        let from = self.name.from.map(|from| from.digest());
        Value::tuple(&[
            Value::array(Shape::VARIANT, &metadata),
            Value::u64_be(self.timestamp),
            Value::bytes(from.as_ref().map_or(&[], |from| from.as_bytes())),
            Value::bytes(self.name.to.digest().as_bytes()),
            Value::serialised(self.commit.clone(), Shape::VARIANT),
            Value::bytes(&[]),
            Value::array(Shape::VARIANT, &self.parts.iter().map(PartHeader::encode).collect::<Vec<_>>()),
            Value::array(Shape::VARIANT, &self.fallbacks.iter().map(Fallback::encode).collect::<Vec<_>>()),
        ])
        .into_bytes()
    }

    /// Refuses big-endian deltas, those that need others, and those whose commit is not `to`.
    pub fn decode(bytes: &[u8]) -> Result<Superblock> {
        const B: Shape = Shape::BYTES;
        const V: Shape = Shape::VARIANT;
        let [metadata, timestamp, from, to, commit, before, parts, fallbacks] = split_tuple(bytes, [V, Shape::U64, B, B, V, B, V, V])?;
        let from = if from.is_empty() { None } else { Some(CommitId::new(decode_digest(from)?)) };
        let name = DeltaName { from, to: CommitId::new(decode_digest(to)?) };
        let found = Digest::of(commit);
        if found != name.to.digest() {
            return Err(Error::integrity(format!("expected commit {} in the superblock, found {found}", name.to)));
        }
        if !before.is_empty() {
            return Err(Error::integrity(format!(
                "expected a delta that needs no other, found one that names {} bytes of them",
                before.len()
            )));
        }
        let (mut is_little_endian, mut is_current, mut detached) = (false, false, None);
        for entry in split_array(metadata, V)? {
            let [key, value] = split_tuple(entry, [B, V])?;
            let (value, signature) = split_variant(value)?;
            match (text(key)?, signature) {
                (ENDIANNESS, "y") => is_little_endian = value == [LITTLE_ENDIAN],
                (RULES, "t") => is_current = u64_le(value)? == RULES_VERSION,
                (key, "a{sv}") if key.strip_suffix("/commitmeta") == Some(&name.path()) => detached = Some(value.to_vec()),
                _ => {}
            }
        }
        if !is_little_endian {
            return Err(Error::integrity(format!(
                "expected a delta of little-endian numbers, with {ENDIANNESS} {:?}",
                LITTLE_ENDIAN as char
            )));
        }
        let mut superblock = Superblock { is_current, detached, parts: Vec::new(), ..Self::new(name, commit.to_vec(), None)? };
        superblock.timestamp = crate::gvariant::u64_be(timestamp)?;
        superblock.parts = split_array(parts, V)?.into_iter().map(PartHeader::decode).collect::<Result<_>>()?;
        superblock.fallbacks = split_array(fallbacks, V)?.into_iter().map(Fallback::decode).collect::<Result<_>>()?;
        Ok(superblock)
    }

    /// Bytes of the files that a host fetches beside the superblock.
    pub fn fetched(&self) -> Result<u64> {
        let sizes = self.parts.iter().map(|part| part.size).chain(self.fallbacks.iter().map(|fallback| fallback.size));
        sizes
            .into_iter()
            .try_fold(0u64, u64::checked_add)
            .ok_or_else(|| Error::integrity("the superblock's sizes add up to more than 2^64"))
    }
}

impl PartHeader {
    fn encode(&self) -> Value {
        let names: Vec<u8> = self.objects.iter().flat_map(|object| [&[code(object.kind)][..], object.digest.as_bytes()].concat()).collect();
        Value::tuple(&[
            Value::u32_le(PART_VERSION),
            Value::bytes(self.digest.as_bytes()),
            Value::u64_le(self.size),
            Value::u64_le(self.unpacked),
            Value::bytes(&names),
        ])
    }

    fn decode(bytes: &[u8]) -> Result<PartHeader> {
        let [version, digest, size, unpacked, names] =
            split_tuple(bytes, [Shape::U32, Shape::BYTES, Shape::U64, Shape::U64, Shape::BYTES])?;
        let version = u32_le(version)?;
        if version != PART_VERSION {
            return Err(Error::integrity(format!("expected a part of version {PART_VERSION}, found version {version}")));
        }
        let (names, rest) = names.as_chunks::<NAME>();
        if !rest.is_empty() {
            return Err(Error::integrity(format!(
                "expected names of {NAME} bytes each in a part's list of objects, found {} more",
                rest.len()
            )));
        }
        let name = |[kind, digest @ ..]: &[u8; NAME]| Ok(ObjectName { kind: kind_of(*kind)?, digest: Digest::from_bytes(*digest) });
        let objects = names.iter().map(name).collect::<Result<_>>()?;
        Ok(PartHeader { digest: decode_digest(digest)?, size: u64_le(size)?, unpacked: u64_le(unpacked)?, objects })
    }
}

impl Fallback {
    fn encode(&self) -> Value {
        Value::tuple(&[
            Value::byte(code(self.object.kind)),
            Value::bytes(self.object.digest.as_bytes()),
            Value::u64_le(self.size),
            Value::u64_le(self.unpacked),
        ])
    }

    fn decode(bytes: &[u8]) -> Result<Fallback> {
        let [kind, digest, size, unpacked] = split_tuple(bytes, [Shape::BYTE, Shape::BYTES, Shape::U64, Shape::U64])?;
        let [kind] = kind else { return Err(Error::integrity("expected one byte as an object's kind")) };
        let object = ObjectName { kind: kind_of(*kind)?, digest: decode_digest(digest)? };
        Ok(Fallback { object, size: u64_le(size)?, unpacked: u64_le(unpacked)? })
    }
}

/// libostree's OstreeObjectType.
fn code(kind: ObjectKind) -> u8 {
    match kind {
        ObjectKind::File | ObjectKind::ArchiveFile => 1,
        ObjectKind::DirTree => 2,
        ObjectKind::DirMeta => 3,
        ObjectKind::Commit => 4,
    }
}

/// Content is named as it is in the repository that the delta lies in.
fn kind_of(code: u8) -> Result<ObjectKind> {
    match code {
        1 => Ok(ObjectKind::ArchiveFile),
        2 => Ok(ObjectKind::DirTree),
        3 => Ok(ObjectKind::DirMeta),
        4 => Ok(ObjectKind::Commit),
        code => Err(Error::integrity(format!("expected an object's kind from 1 to 4, found {code}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn sample(parts: usize) -> Superblock {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let commit = CommitObject {
            metadata: BTreeMap::from([("version".to_owned(), "1".into())]),
            parent: Some(a),
            subject: "a subject".into(),
            body: String::new(),
            timestamp: 1_700_000_000,
            root_tree: a,
            root_meta: b,
        };
        let commit = commit.encode();
        let name = DeltaName { from: Some(CommitId::new(a)), to: CommitId::new(Digest::of(&commit)) };
        let mut superblock = Superblock::new(name, commit, Some(b"\0".to_vec())).unwrap();
        let objects = vec![ObjectName { kind: ObjectKind::DirTree, digest: a }, ObjectName { kind: ObjectKind::ArchiveFile, digest: b }];
        superblock.parts = vec![PartHeader { digest: a, size: 5, unpacked: 7, objects: objects.clone() }; parts];
        superblock.fallbacks = vec![Fallback { object: objects[1], size: 11, unpacked: 13 }];
        superblock
    }

    #[test]
    fn what_was_written_is_read_again() {
        for parts in [0, 1, 2, 1000] {
            let superblock = sample(parts);
            assert_eq!(Superblock::decode(&superblock.encode()).unwrap(), superblock);
            assert_eq!(superblock.fetched().unwrap(), 5 * parts as u64 + 11);
        }
        let mut endless = sample(2);
        endless.parts[0].size = u64::MAX;
        assert!(endless.fetched().is_err());
    }

    #[test]
    fn no_damage_is_a_panic_and_none_of_the_commit_is_believed() {
        let good = sample(3).encode();
        for length in 0..good.len() {
            drop(Superblock::decode(&good[..length]));
        }
        for at in 0..good.len() {
            for mask in [1, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] ^= mask;
                if let Ok(read) = Superblock::decode(&bad) {
                    assert_eq!(Digest::of(&read.commit), read.name.to.digest(), "{at}");
                    drop(read.fetched());
                }
            }
        }
        let text = |superblock: &Superblock| Superblock::decode(&superblock.encode()).unwrap_err().to_string();
        let mut other = sample(1);
        other.name.to = CommitId::new(Digest::of(b"c"));
        assert!(text(&other).contains("expected commit"), "{}", text(&other));
    }
}
