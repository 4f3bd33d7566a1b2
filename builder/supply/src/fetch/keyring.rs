//! OpenPGP keys that a recipe trusts (RFC 9580), and the signatures that they made. What is too weak is [`Policy`]'s matter.

use super::Policy;
use model::{Error, OptionJudged, Result, ResultExt, read_input};
use pgp::composed::{Deserializable, DetachedSignature, SignedPublicKey, SignedPublicSubKey};
use pgp::packet::{Signature, SignatureType};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails, VerifyingKey};
use recipe::{KeyFile, Weakness};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::PathBuf;

#[derive(Debug, Clone, Default)]
pub struct Keyring {
    /// With where each came from, for messages.
    keys: Vec<(String, SignedPublicKey)>,
    policy: Policy,
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    /// Of the key or subkey, in hex.
    pub fingerprint: String,
    /// What had to be relaxed to accept the signature; sorted.
    pub relaxed: Vec<Weakness>,
    /// The signature itself, an OpenPGP packet: whether it is acceptable is judged anew whenever it counts, by the key file and the time of
    /// then. Only that it holds for the bytes is remembered.
    pub packet: Vec<u8>,
}

/// Why a signature does not count.
#[derive(Debug)]
pub enum Refusal {
    /// The bytes are not those that were signed, or the signature cannot be read.
    Bad(Error),
    /// By another key, or too weak: another recipe might accept it.
    Unaccepted(Error),
}

impl Refusal {
    pub fn into_error(self) -> Error {
        match self {
            Refusal::Bad(e) | Refusal::Unaccepted(e) => e,
        }
    }

    fn context(self, doing: impl std::fmt::Display) -> Self {
        match self {
            Refusal::Bad(e) => Refusal::Bad(e.context(doing)),
            Refusal::Unaccepted(e) => Refusal::Unaccepted(e.context(doing)),
        }
    }
}

/// What a signature says of itself; nothing of it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureFacts {
    /// Such as `RSA` or `EdDSALegacy`.
    pub algorithm: String,
    pub hash: String,
    /// Fingerprint or, for old ones, id of the key, in hex.
    pub key: Option<String>,
    /// Seconds since 1970 UTC.
    pub made: Option<u32>,
}

impl Keyring {
    /// Each file holds one key or more, armoured or not. A file that is named by a fingerprint must hold that key.
    pub fn load(files: &[PathBuf]) -> Result<Self> {
        let mut keyring = Keyring::default();
        for file in files {
            let bytes = read_input(file, KeyFile::MAX).context(|| "key file")?;
            let before = keyring.keys.len();
            keyring.add(&file.display().to_string(), &bytes)?;
            let stem = file
                .file_stem()
                .map(|stem| stem.to_string_lossy().to_ascii_lowercase())
                .default_because("a file without a name has no stem to compare");
            let is_fingerprint = matches!(stem.len(), 40 | 64) && stem.bytes().all(|b| b.is_ascii_hexdigit());
            let found = keyring.fingerprints().split_off(before);
            if is_fingerprint && !found.contains(&stem) {
                return Err(Error::recipe(format!("{} is named by a fingerprint, but holds {}", file.display(), found.join(", ")))
                    .hint("name the file by its key's fingerprint, or get the right key"));
            }
        }
        Ok(keyring)
    }

    /// One armoured block or binary key sequence; `name` is for messages.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self> {
        let mut keyring = Keyring::default();
        keyring.add(name, bytes)?;
        Ok(keyring)
    }

    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
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

    /// Returns the fingerprints of the primary keys, in hex, in the order of the files.
    pub fn fingerprints(&self) -> Vec<String> {
        self.keys.iter().map(|(_, key)| hex::encode(key.fingerprint().as_bytes())).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Judges a signature that held once, perhaps for another recipe or long ago, by this keyring and now: it is acceptable if it is by one of the
    /// keys, which is neither expired nor revoked, and has no weakness that is not relaxed. Returns the signer that a package which comes anew
    /// would have: what had to be relaxed when it was recorded does not matter, but for what the signed header itself lacks.
    pub fn accepted(&self, signer: &Signer) -> Option<Signer> {
        let Ok(signature) = parse(&signer.packet) else { return None };
        let types = &[SignatureType::Binary];
        let of_contents: Vec<Weakness> = signer.relaxed.iter().copied().filter(|weakness| weakness.is_of_contents()).collect();
        if !of_contents.iter().all(|weakness| self.policy.relax.contains(weakness)) {
            return None;
        }
        let judged = |mut relaxed: Vec<Weakness>| {
            relaxed.extend(of_contents.iter().copied());
            relaxed.sort();
            Some(Signer { relaxed, ..signer.clone() })
        };
        for (_, certificate) in &self.keys {
            if fingerprint(&certificate.primary_key) == signer.fingerprint
                && let Ok(relaxed) = self.judge_primary(certificate, &signature, types)
            {
                return judged(relaxed);
            }
            for subkey in certificate.public_subkeys.iter().filter(|subkey| fingerprint(&subkey.key) == signer.fingerprint) {
                if let Ok(relaxed) = self.judge_subkey(certificate, subkey, &signature, types) {
                    return judged(relaxed);
                }
            }
        }
        None
    }

    /// An ASCII-armoured signature, such as repomd.xml.asc.
    pub fn check_armored<R: Read>(&self, signature: &[u8], data: impl FnMut() -> Result<R>) -> Result<Signer> {
        let (parsed, _) = DetachedSignature::from_armor_single(signature)
            .map_err(|e| Error::integrity("the signature is not an armoured OpenPGP signature").source(e))?;
        // Some publishers sign metadata as text: what differs in line ends alone is then the same.
        self.check_parsed(&parsed.signature, &[SignatureType::Binary, SignatureType::Text], data).map_err(Refusal::into_error)
    }

    /// Checks one detached signature (a binary OpenPGP packet) over what `data` yields, which may be asked for several times.
    pub fn check<R: Read>(&self, signature: &[u8], data: impl FnMut() -> Result<R>) -> Result<Signer, Refusal> {
        self.check_parsed(&parse(signature).map_err(Refusal::Bad)?, &[SignatureType::Binary], data)
    }

    fn check_parsed<R: Read>(
        &self,
        signature: &Signature,
        types: &[SignatureType],
        mut data: impl FnMut() -> Result<R>,
    ) -> Result<Signer, Refusal> {
        let mut tried = None;
        for (name, certificate) in &self.keys {
            let primary = &certificate.primary_key;
            if is_issuer(signature, primary) {
                match self.by_primary(certificate, signature, types, &mut data) {
                    Ok(signer) => return Ok(signer),
                    Err(e) => tried = Some(e.context(format!("key {} of {name}", primary.legacy_key_id()))),
                }
            }
            for subkey in certificate.public_subkeys.iter().filter(|subkey| is_issuer(signature, &subkey.key)) {
                match self.by_subkey(certificate, subkey, signature, types, &mut data) {
                    Ok(signer) => return Ok(signer),
                    Err(e) => tried = Some(e.context(format!("subkey {} of {name}", subkey.key.legacy_key_id()))),
                }
            }
        }
        Err(tried.unwrap_or_else(|| {
            let issuer = issuer(signature).map_or("a key that it does not name".into(), |key| format!("key {key}"));
            Refusal::Unaccepted(
                Error::integrity(format!("the signature is by {issuer}, which is not among the repository's keys"))
                    .hint("add its key file to the repository's `keys`"),
            )
        }))
    }

    fn by_primary<R: Read>(
        &self,
        certificate: &SignedPublicKey,
        signature: &Signature,
        types: &[SignatureType],
        data: &mut impl FnMut() -> Result<R>,
    ) -> Result<Signer, Refusal> {
        let relaxed = self.judge_primary(certificate, signature, types).map_err(Refusal::Unaccepted)?;
        check_bytes(signature, &certificate.primary_key, data)?;
        signer(&certificate.primary_key, relaxed, signature)
    }

    fn by_subkey<R: Read>(
        &self,
        certificate: &SignedPublicKey,
        subkey: &SignedPublicSubKey,
        signature: &Signature,
        types: &[SignatureType],
        data: &mut impl FnMut() -> Result<R>,
    ) -> Result<Signer, Refusal> {
        let relaxed = self.judge_subkey(certificate, subkey, signature, types).map_err(Refusal::Unaccepted)?;
        check_bytes(signature, &subkey.key, data)?;
        signer(&subkey.key, relaxed, signature)
    }

    /// Judges all but whether the signature holds for the bytes; returns what had to be relaxed, sorted.
    fn judge_primary(&self, certificate: &SignedPublicKey, signature: &Signature, types: &[SignatureType]) -> Result<Vec<Weakness>> {
        let mut judge = self.policy.judge();
        judge.signature(signature, types)?;
        judge.key(&certificate.primary_key, primary_lives(certificate), is_revoked(certificate), signature)?;
        judge.relaxed.sort();
        Ok(judge.relaxed)
    }

    /// As [`judge_primary`](Self::judge_primary): a subkey counts no longer than its primary key.
    fn judge_subkey(
        &self,
        certificate: &SignedPublicKey,
        subkey: &SignedPublicSubKey,
        signature: &Signature,
        types: &[SignatureType],
    ) -> Result<Vec<Weakness>> {
        let mut judge = self.policy.judge();
        subkey.verify_bindings(&certificate.primary_key).map_err(|e| Error::integrity("it is not bound to its primary key").source(e))?;
        let latest = subkey.signatures.iter().max_by_key(|s| s.created().map_or(0, |t| t.as_secs()));
        if !latest.is_some_and(|s| s.key_flags().sign()) {
            return Err(Error::integrity("it is not a signing key"));
        }
        let revoked = subkey.signatures.iter().any(|s| s.typ() == Some(SignatureType::SubkeyRevocation));
        judge.signature(signature, types)?;
        judge.key(&certificate.primary_key, primary_lives(certificate), is_revoked(certificate), signature)?;
        judge.key(&subkey.key, latest.and_then(|s| s.key_expiration_time()).map(|d| d.as_secs()), revoked, signature)?;
        judge.relaxed.sort();
        Ok(judge.relaxed)
    }
}

fn fingerprint(key: &impl KeyDetails) -> String {
    hex::encode(key.fingerprint().as_bytes())
}

fn signer(key: &impl KeyDetails, relaxed: Vec<Weakness>, signature: &Signature) -> Result<Signer, Refusal> {
    let encoded = DetachedSignature::new(signature.clone()).to_bytes();
    let packet = encoded.map_err(|e| Refusal::Bad(Error::integrity("the signature cannot be written down").source(e)))?;
    Ok(Signer { fingerprint: fingerprint(key), relaxed, packet })
}

fn parse(signature: &[u8]) -> Result<Signature> {
    DetachedSignature::from_bytes(signature)
        .map(|detached| detached.signature)
        .map_err(|e| Error::integrity("the signature is not an OpenPGP signature that we can read").source(e))
}

/// What a binary signature packet says of itself.
pub fn describe(signature: &[u8]) -> Result<SignatureFacts> {
    let signature = parse(signature)?;
    Ok(SignatureFacts {
        algorithm: signature.config().map_or("unknown".into(), |config| format!("{:?}", config.pub_alg)),
        hash: signature.hash_alg().map_or("unknown".into(), |hash| hash.to_string()),
        key: issuer(&signature),
        made: signature.created().map(|time| time.as_secs()),
    })
}

fn issuer(signature: &Signature) -> Option<String> {
    match (signature.issuer_fingerprint().first(), signature.issuer_key_id().first()) {
        (Some(fingerprint), _) => Some(hex::encode(fingerprint.as_bytes())),
        (None, id) => id.map(|id| id.to_string()),
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

fn is_issuer(signature: &Signature, key: &impl KeyDetails) -> bool {
    let (ids, fingerprints) = (signature.issuer_key_id(), signature.issuer_fingerprint());
    ids.iter().any(|&id| *id == key.legacy_key_id()) || fingerprints.iter().any(|&f| *f == key.fingerprint())
}

/// Revocations are not verified: the key file itself is trusted.
fn is_revoked(certificate: &SignedPublicKey) -> bool {
    !certificate.details.revocation_signatures.is_empty()
}

/// Seconds that the primary key lives, by its latest self-signature. Those are not verified here: the key file itself is trusted, and older
/// ones rest on SHA-1.
fn primary_lives(certificate: &SignedPublicKey) -> Option<u32> {
    let details = &certificate.details;
    let own = details.users.iter().flat_map(|user| &user.signatures).chain(&details.direct_signatures);
    own.filter(|s| is_issuer(s, &certificate.primary_key))
        .max_by_key(|s| s.created().map_or(0, |t| t.as_secs()))
        .and_then(|s| s.key_expiration_time())
        .map(|d| d.as_secs())
}

fn check_bytes<R: Read>(signature: &Signature, key: &impl VerifyingKey, data: &mut impl FnMut() -> Result<R>) -> Result<(), Refusal> {
    let data = data().map_err(Refusal::Unaccepted)?;
    signature.verify(key, data).map_err(|e| Refusal::Bad(Error::integrity("the signature does not match").source(e)))
}
