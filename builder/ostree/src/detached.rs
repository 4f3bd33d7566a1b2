//! Metadata that stands beside a commit (`.commitmeta`) or the summary (`summary.sig`): a dictionary `a{sv}` with the signatures over them.
//!
//! `ostree.gpgsigs` is `aay`, an OpenPGP packet each; `ostree.sign.ed25519` is `aay`, 64 bytes each. Both are written with the same key.

use crate::gvariant::{Shape, Value, split_array, split_tuple, split_variant, text};
use model::{Error, Result, SourceDateEpoch};
use signing::{PublicKey, SigningKey};

const ED25519: &str = "ostree.sign.ed25519";
const OPENPGP: &str = "ostree.gpgsigs";

/// What others wrote there is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detached {
    ed25519: Vec<signing::Signature>,
    openpgp: Vec<Vec<u8>>,
    /// Other keys with their variants as they were read.
    others: Vec<(String, Vec<u8>)>,
}

impl Detached {
    /// Parses the dictionary.
    pub fn decode(bytes: &[u8]) -> Result<Detached> {
        let mut detached = Detached::default();
        for entry in split_array(bytes, Shape::VARIANT)? {
            let [key, variant] = split_tuple(entry, [Shape::BYTES, Shape::VARIANT])?;
            let (key, (value, signature)) = (text(key)?, split_variant(variant)?);
            match (key, signature) {
                (ED25519, "aay") => {
                    for one in split_array(value, Shape::BYTES)? {
                        let wrong = |_| Error::integrity(format!("expected a signature of 64 bytes, found {}", one.len()));
                        detached.ed25519.push(one.try_into().map_err(wrong)?);
                    }
                }
                (OPENPGP, "aay") => detached.openpgp.extend(split_array(value, Shape::BYTES)?.into_iter().map(<[u8]>::to_vec)),
                (ED25519 | OPENPGP, other) => {
                    return Err(Error::integrity(format!("expected signatures of the type aay under {key}, found {other:?}")));
                }
                _ => detached.others.push((key.to_owned(), variant.to_vec())),
            }
        }
        Ok(detached)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut entries: Vec<(&str, Value)> =
            self.others.iter().map(|(key, variant)| (key.as_str(), Value::serialised(variant.clone(), Shape::VARIANT))).collect();
        let ed25519: Vec<Value> = self.ed25519.iter().map(|signature| Value::bytes(signature)).collect();
        let openpgp: Vec<Value> = self.openpgp.iter().map(|packet| Value::bytes(packet)).collect();
        for (key, list) in [(ED25519, ed25519), (OPENPGP, openpgp)] {
            if !list.is_empty() {
                entries.push((key, Value::variant(Value::array(Shape::BYTES, &list), "aay")));
            }
        }
        entries.sort_by_key(|(key, _)| *key);
        let entries: Vec<Value> = entries.into_iter().map(|(key, value)| Value::tuple(&[Value::string(key), value])).collect();
        Value::array(Shape::VARIANT, &entries).into_bytes()
    }

    /// Adds the signatures of `key` over `bytes`, unless they are there: the same bytes are signed the same way each time. `time` is what the OpenPGP
    /// signature says of itself.
    pub fn sign(&mut self, bytes: &[u8], key: &SigningKey, time: SourceDateEpoch) -> Result<()> {
        let (raw, packet) = (key.sign(bytes), key.sign_openpgp(bytes, time)?);
        if !self.ed25519.contains(&raw) {
            self.ed25519.push(raw);
        }
        if !self.openpgp.contains(&packet) {
            self.openpgp.push(packet);
        }
        Ok(())
    }

    /// Whether anybody has signed.
    pub fn is_signed(&self) -> bool {
        !self.ed25519.is_empty() || !self.openpgp.is_empty()
    }

    /// Those of `keys` that have signed `bytes`.
    pub fn signers(&self, bytes: &[u8], keys: &[PublicKey]) -> Vec<PublicKey> {
        keys.iter().filter(|key| self.ed25519.iter().any(|signature| key.verifies(bytes, signature))).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detached_metadata_keeps_what_others_wrote_and_each_signature_once() {
        let (a, b) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let time = SourceDateEpoch(1_700_000_000);
        let mut detached =
            Detached { others: vec![("x.other".into(), Value::variant(Value::string("kept"), "s").into_bytes())], ..Detached::default() };
        detached.sign(b"commit", &a, time).unwrap();
        detached.sign(b"commit", &a, time).unwrap();
        detached.sign(b"commit", &b, time).unwrap();
        let back = Detached::decode(&detached.encode()).unwrap();
        assert_eq!((back.ed25519.len(), back.openpgp.len(), &back), (2, 2, &detached));
        assert_eq!(back.signers(b"commit", &[b.public(), a.public()]), [b.public(), a.public()]);
        assert_eq!(back.signers(b"other", &[a.public()]), []);
        assert_eq!(Detached::decode(&[]).unwrap(), Detached::default());
        for length in 0..detached.encode().len() {
            drop(Detached::decode(&detached.encode()[..length]));
        }
    }
}
