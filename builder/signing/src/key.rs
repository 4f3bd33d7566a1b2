//! A raw Ed25519 key pair.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer;
use model::{Error, Result, ResultJudged};
use std::fmt;

/// A private key. It is never shown and never serialised but by [`SigningKey::to_text`].
pub struct SigningKey(ed25519_dalek::SigningKey);

/// Whom a signature is accepted from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

pub type Signature = [u8; 64];

impl SigningKey {
    /// The key of a seed, which must come from a source of cryptographic randomness.
    pub fn from_seed(seed: &[u8; 32]) -> SigningKey {
        SigningKey(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Parses a key file's text. The error does not quote it.
    pub fn parse(text: &str) -> Result<SigningKey> {
        let bytes = STANDARD.decode(text.trim()).none_because("the sentence below says what is expected");
        let pair: Option<[u8; 64]> =
            bytes.and_then(|bytes| <[u8; 64]>::try_from(bytes).none_because("the sentence below says what is expected"));
        let key = pair
            .and_then(|pair| ed25519_dalek::SigningKey::from_keypair_bytes(&pair).none_because("the sentence below says what is expected"));
        key.map(SigningKey).ok_or_else(|| {
            Error::recipe("expected an ed25519 private key: base64 of 64 bytes, of which the second half is the public key of the first")
                .hint("`atomic-image keygen NAME` makes NAME.key and NAME.pub")
        })
    }

    /// The text of a key file, without a line feed.
    pub fn to_text(&self) -> String {
        STANDARD.encode(self.0.to_keypair_bytes())
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// The seed, for the OpenPGP form of the key.
    pub(crate) fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    pub fn sign(&self, bytes: &[u8]) -> Signature {
        self.0.sign(bytes).to_bytes()
    }
}

/// Shows whose key it is, and nothing of the secret.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public()).finish()
    }
}

impl PublicKey {
    pub(crate) fn new(bytes: [u8; 32]) -> PublicKey {
        PublicKey(bytes)
    }

    pub fn parse(text: &str) -> Result<PublicKey> {
        let bytes = STANDARD.decode(text.trim()).none_because("the sentence below says what is expected");
        let key: Option<[u8; 32]> =
            bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).none_because("the sentence below says what is expected"));
        let valid = key.filter(|key| ed25519_dalek::VerifyingKey::from_bytes(key).is_ok_and(|key| !key.is_weak()));
        valid.map(PublicKey).ok_or_else(|| {
            Error::recipe(format!(
                "expected an ed25519 public key (base64 of 32 bytes), found {:?}",
                text.chars().take(80).collect::<String>()
            ))
        })
    }

    pub fn verifies(&self, bytes: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        ed25519_dalek::VerifyingKey::from_bytes(&self.0).is_ok_and(|key| key.verify_strict(bytes, &signature).is_ok())
    }
}

/// In base64, as in a key file.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Kind;

    #[test]
    fn keys_and_signatures_are_those_of_the_standard_s_first_example() {
        // RFC 8032 §7.1, TEST 1: the empty message.
        let seed = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let key = SigningKey::from_seed(&seed.try_into().unwrap());
        assert_eq!(hex::encode(key.public().0), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let signature = key.sign(b"");
        assert!(hex::encode(signature).starts_with("e5564300c360ac729086e2cc806e828a"), "{}", hex::encode(signature));
        assert!(key.public().verifies(b"", &signature) && !key.public().verifies(b"x", &signature));
        let again = SigningKey::parse(&format!("{}\n", key.to_text())).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(PublicKey::parse(&key.public().to_string()).unwrap(), key.public());
    }

    #[test]
    fn what_is_no_key_is_refused_and_a_private_key_is_not_quoted() {
        let key = SigningKey::from_seed(&[7; 32]);
        let mut halves = STANDARD.decode(key.to_text()).unwrap();
        halves[40] ^= 1;
        for text in ["", "x", "aGVsbG8=", &STANDARD.encode([1; 63]), &STANDARD.encode(halves)] {
            let error = SigningKey::parse(text).err().unwrap();
            assert_eq!(error.kind(), Kind::Recipe);
            assert!(text.len() < 9 || !error.to_string().contains(text));
        }
        for text in ["", "aGVsbG8=", &STANDARD.encode([0; 32])] {
            assert!(PublicKey::parse(text).is_err(), "{text}");
        }
    }
}
