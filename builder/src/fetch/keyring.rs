//! OpenPGP keys that a recipe trusts, and what we ask of a signature (RFC 9580): `pgp` has no policy of its own.
//!
//! Refused: MD5, SHA-1 and other hashes under 256 bits, DSA, RSA under 2048 bits, revoked keys, signatures made before their key or after
//! its expiry. There is no wall clock here, so expiry is judged at the signature's own time.

use crate::base::{Error, Result, ResultExt};
use pgp::composed::{Deserializable, DetachedSignature, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails, PublicParams, VerifyingKey};
use std::io::Read;
use std::path::PathBuf;

#[derive(Debug, Clone, Default)]
pub struct Keyring {
    /// With where each came from, for messages.
    keys: Vec<(String, SignedPublicKey)>,
}

impl Keyring {
    /// Each file holds one key or more, armoured or not.
    pub fn load(files: &[PathBuf]) -> Result<Self> {
        let mut keyring = Keyring::default();
        for file in files {
            let bytes = std::fs::read(file).context(|| format!("read the key file {}", file.display()))?;
            keyring.add(&file.display().to_string(), &bytes)?;
        }
        Ok(keyring)
    }

    /// One armoured block or binary key sequence; `name` is for messages.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self> {
        let mut keyring = Keyring::default();
        keyring.add(name, bytes)?;
        Ok(keyring)
    }

    fn add(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let before = self.keys.len();
        for block in blocks(bytes) {
            let bad = |e: pgp::errors::Error| Error::recipe(format!("read the OpenPGP keys of {name}")).source(e);
            let (keys, _) = SignedPublicKey::from_reader_many(block).map_err(bad)?;
            for key in keys {
                self.keys.push((name.to_owned(), key.map_err(bad)?));
            }
        }
        if self.keys.len() == before {
            return Err(Error::recipe(format!("{name} holds no OpenPGP public key")));
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The same for an ASCII-armoured signature, such as repomd.xml.asc.
    pub fn check_armored<R: Read>(&self, signature: &[u8], data: impl FnMut() -> Result<R>) -> Result<String> {
        let (parsed, _) = DetachedSignature::from_armor_single(signature)
            .map_err(|e| Error::integrity("the signature is not an armoured OpenPGP signature").source(e))?;
        let bytes = parsed.to_bytes().map_err(|e| Error::internal("encode a signature").source(e))?;
        self.check(&bytes, data)
    }

    /// Checks one detached signature (a binary OpenPGP packet) over what `data` yields, which may be asked for several times.
    /// Returns the signing key's fingerprint in hex.
    pub fn check<R: Read>(&self, signature: &[u8], mut data: impl FnMut() -> Result<R>) -> Result<String> {
        let signature = DetachedSignature::from_bytes(signature)
            .map_err(|e| Error::integrity("the signature is not an OpenPGP signature that we can read").source(e))?
            .signature;
        check_algorithms(&signature)?;
        let mut tried = None;
        for (name, certificate) in &self.keys {
            let primary = &certificate.primary_key;
            if is_issuer(&signature, primary) {
                let expiry = primary_expiry(certificate);
                let verdict = check_key(certificate, primary, expiry, &signature).and_then(|()| check_bytes(&signature, primary, data()?));
                match verdict {
                    Ok(()) => return Ok(hex::encode(primary.fingerprint().as_bytes())),
                    Err(e) => tried = Some(e.context(format!("key {} of {name}", primary.legacy_key_id()))),
                }
            }
            for subkey in &certificate.public_subkeys {
                if !is_issuer(&signature, &subkey.key) {
                    continue;
                }
                let verdict = check_subkey(certificate, subkey, &signature).and_then(|()| check_bytes(&signature, &subkey.key, data()?));
                match verdict {
                    Ok(()) => return Ok(hex::encode(subkey.key.fingerprint().as_bytes())),
                    Err(e) => tried = Some(e.context(format!("subkey {} of {name}", subkey.key.legacy_key_id()))),
                }
            }
        }
        Err(tried.unwrap_or_else(|| {
            let issuer = match (signature.issuer_fingerprint().first(), signature.issuer_key_id().first()) {
                (Some(fingerprint), _) => format!("key {}", hex::encode(fingerprint.as_bytes())),
                (None, Some(id)) => format!("key {id}"),
                (None, None) => "a key that it does not name".into(),
            };
            Error::integrity(format!("the signature is by {issuer}, which is not among the repository's keys"))
                .hint("add its key file to the repository's `keys`")
        }))
    }
}

/// The armoured blocks of a file, or the whole file if it is binary: distributions concatenate their keys.
fn blocks(bytes: &[u8]) -> Vec<&[u8]> {
    const BEGIN: &[u8] = b"-----BEGIN PGP PUBLIC KEY BLOCK-----";
    let starts: Vec<usize> = bytes.windows(BEGIN.len()).enumerate().filter(|(_, w)| *w == BEGIN).map(|(at, _)| at).collect();
    if starts.is_empty() {
        return vec![bytes];
    }
    starts.iter().enumerate().map(|(i, &start)| &bytes[start..starts.get(i + 1).copied().unwrap_or(bytes.len())]).collect()
}

fn check_algorithms(signature: &Signature) -> Result<()> {
    match signature.hash_alg() {
        Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512 | HashAlgorithm::Sha3_256 | HashAlgorithm::Sha3_512) => {
        }
        Some(weak) => return Err(Error::integrity(format!("the signature rests on {weak}, expected SHA-256 or stronger"))),
        None => return Err(Error::integrity("the signature is of an unknown version")),
    }
    if signature.typ() != Some(SignatureType::Binary) {
        return Err(Error::integrity(format!("expected a signature over binary data, found {:?}", signature.typ())));
    }
    Ok(())
}

fn is_issuer(signature: &Signature, key: &impl KeyDetails) -> bool {
    let (ids, fingerprints) = (signature.issuer_key_id(), signature.issuer_fingerprint());
    ids.iter().any(|&id| *id == key.legacy_key_id()) || fingerprints.iter().any(|&f| *f == key.fingerprint())
}

/// Seconds that the primary key lives, by its latest self-signature. Those are not verified here: the key file itself is trusted, and older
/// ones rest on SHA-1.
fn primary_expiry(certificate: &SignedPublicKey) -> Option<u32> {
    let details = &certificate.details;
    let own = details.users.iter().flat_map(|user| &user.signatures).chain(&details.direct_signatures);
    own.filter(|s| is_issuer(s, &certificate.primary_key))
        .max_by_key(|s| s.created().map_or(0, |t| t.as_secs()))
        .and_then(|s| s.key_expiration_time())
        .map(|d| d.as_secs())
}

fn check_subkey(certificate: &SignedPublicKey, subkey: &pgp::composed::SignedPublicSubKey, signature: &Signature) -> Result<()> {
    subkey.verify_bindings(&certificate.primary_key).map_err(|e| Error::integrity("it is not bound to its primary key").source(e))?;
    let latest = subkey.signatures.iter().max_by_key(|s| s.created().map_or(0, |t| t.as_secs()));
    if subkey.signatures.iter().any(|s| s.typ() == Some(SignatureType::SubkeyRevocation)) {
        return Err(Error::integrity("it is revoked"));
    }
    if !latest.is_some_and(|s| s.key_flags().sign()) {
        return Err(Error::integrity("it is not a signing key"));
    }
    check_key(certificate, &certificate.primary_key, primary_expiry(certificate), signature)?;
    check_key(certificate, &subkey.key, latest.and_then(|s| s.key_expiration_time()).map(|d| d.as_secs()), signature)
}

fn check_key(certificate: &SignedPublicKey, key: &impl KeyDetails, expiry: Option<u32>, signature: &Signature) -> Result<()> {
    if !certificate.details.revocation_signatures.is_empty() {
        return Err(Error::integrity("it is revoked"));
    }
    match key.public_params() {
        PublicParams::RSA(params) => {
            // Serialised, the modulus comes first, and first of it its length in bits.
            let bytes = params.to_bytes().map_err(|e| Error::integrity("its modulus cannot be read").source(e))?;
            let bits = bytes.first_chunk().map_or(0, |&length| u16::from_be_bytes(length));
            if bits < 2048 {
                return Err(Error::integrity(format!("it is an RSA key of {bits} bits, expected 2048 or more")));
            }
        }
        PublicParams::EdDSALegacy(_) | PublicParams::Ed25519(_) | PublicParams::Ed448(_) | PublicParams::ECDSA(_) => {}
        _ => return Err(Error::integrity(format!("its algorithm is {:?}, expected RSA, EdDSA or ECDSA", algorithm(key)))),
    }
    let made = signature.created().ok_or_else(|| Error::integrity("the signature does not say when it was made"))?.as_secs();
    let created = key.created_at().as_secs();
    if made < created {
        return Err(Error::integrity(format!("the signature was made at {made}, before the key, created at {created}")));
    }
    if let Some(end) = expiry.filter(|&seconds| seconds > 0).map(|seconds| created.saturating_add(seconds))
        && made >= end
    {
        return Err(Error::integrity(format!("the key expired at {end}, before the signature was made at {made}")));
    }
    Ok(())
}

fn algorithm(key: &impl KeyDetails) -> PublicKeyAlgorithm {
    key.algorithm()
}

fn check_bytes(signature: &Signature, key: &impl VerifyingKey, data: impl Read) -> Result<()> {
    signature.verify(key, data).map_err(|e| Error::integrity("the signature does not match").source(e))
}
