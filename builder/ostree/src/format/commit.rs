//! A commit, `(a{sv}aya(say)sstayay)`: metadata, parent, related (unused), subject, body, timestamp, root dirtree, root dirmeta.

use super::decode_digest;
use crate::gvariant::{Shape, Value, split_array, split_tuple, split_variant, text, u64_be, u64_le};
use model::{Digest, Result};
use std::collections::BTreeMap;

/// The types of commit metadata that we write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataValue {
    Text(String),
    /// Such as `ostree.ref-binding`.
    TextList(Vec<String>),
    /// A `t` in little-endian.
    Number(u64),
    Bytes(Vec<u8>),
    Flag(bool),
    /// `a{st}`, numbers in little-endian.
    Numbers(BTreeMap<String, u64>),
}

impl From<&str> for MetadataValue {
    fn from(text: &str) -> Self {
        MetadataValue::Text(text.into())
    }
}

impl MetadataValue {
    fn encode(&self) -> Value {
        match self {
            MetadataValue::Text(text) => Value::variant(Value::string(text), "s"),
            MetadataValue::TextList(list) => {
                Value::variant(Value::array(Shape::BYTES, &list.iter().map(|t| Value::string(t)).collect::<Vec<_>>()), "as")
            }
            MetadataValue::Number(number) => Value::variant(Value::u64_le(*number), "t"),
            MetadataValue::Bytes(bytes) => Value::variant(Value::bytes(bytes), "ay"),
            MetadataValue::Flag(flag) => Value::variant(Value::boolean(*flag), "b"),
            MetadataValue::Numbers(numbers) => {
                let pairs: Vec<Value> =
                    numbers.iter().map(|(name, number)| Value::tuple(&[Value::string(name), Value::u64_le(*number)])).collect();
                Value::variant(Value::array(Shape::variable(8), &pairs), "a{st}")
            }
        }
    }

    /// `None` for a type that we do not write.
    fn decode(bytes: &[u8]) -> Result<Option<MetadataValue>> {
        let (value, signature) = split_variant(bytes)?;
        Ok(match signature {
            "s" => Some(MetadataValue::Text(text(value)?.into())),
            "as" => {
                let list = split_array(value, Shape::BYTES)?;
                Some(MetadataValue::TextList(list.into_iter().map(|t| text(t).map(str::to_owned)).collect::<Result<_>>()?))
            }
            "t" => Some(MetadataValue::Number(u64_le(value)?)),
            "ay" => Some(MetadataValue::Bytes(value.into())),
            "b" => Some(MetadataValue::Flag(value != [0])),
            "a{st}" => {
                let mut numbers = BTreeMap::new();
                for pair in split_array(value, Shape::variable(8))? {
                    let [name, number] = split_tuple(pair, [Shape::BYTES, Shape::U64])?;
                    numbers.insert(text(name)?.to_owned(), u64_le(number)?);
                }
                Some(MetadataValue::Numbers(numbers))
            }
            _ => None,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitObject {
    /// Written in byte order of the keys.
    pub metadata: BTreeMap<String, MetadataValue>,
    pub parent: Option<Digest>,
    pub subject: String,
    pub body: String,
    /// Seconds since 1970 UTC.
    pub timestamp: u64,
    pub root_tree: Digest,
    pub root_meta: Digest,
}

impl CommitObject {
    /// What the commit says of itself under `version`.
    pub fn version(&self) -> Option<&str> {
        match self.metadata.get("version") {
            Some(MetadataValue::Text(version)) => Some(version),
            _ => None,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let metadata: Vec<Value> = self.metadata.iter().map(|(key, value)| Value::tuple(&[Value::string(key), value.encode()])).collect();
        Value::tuple(&[
            Value::array(Shape::VARIANT, &metadata),
            Value::bytes(self.parent.as_ref().map_or(&[], |p| p.as_bytes())),
            Value::array(Shape::BYTES, &[]),
            Value::string(&self.subject),
            Value::string(&self.body),
            Value::u64_be(self.timestamp),
            Value::bytes(self.root_tree.as_bytes()),
            Value::bytes(self.root_meta.as_bytes()),
        ])
        .into_bytes()
    }

    /// Metadata of types that we do not write is left out: a decoded commit cannot always be encoded to the same bytes.
    pub fn decode(bytes: &[u8]) -> Result<CommitObject> {
        const B: Shape = Shape::BYTES;
        let [metadata, parent, _related, subject, body, timestamp, root_tree, root_meta] =
            split_tuple(bytes, [Shape::VARIANT, B, B, B, B, Shape::U64, B, B])?;
        let mut known = BTreeMap::new();
        for entry in split_array(metadata, Shape::VARIANT)? {
            let [key, value] = split_tuple(entry, [B, Shape::VARIANT])?;
            if let Some(value) = MetadataValue::decode(value)? {
                known.insert(text(key)?.to_owned(), value);
            }
        }
        Ok(CommitObject {
            metadata: known,
            parent: if parent.is_empty() { None } else { Some(decode_digest(parent)?) },
            subject: text(subject)?.into(),
            body: text(body)?.into(),
            timestamp: u64_be(timestamp)?,
            root_tree: decode_digest(root_tree)?,
            root_meta: decode_digest(root_meta)?,
        })
    }
}
