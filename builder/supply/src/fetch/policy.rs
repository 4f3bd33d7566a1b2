//! What we ask of a signature and of its key (`pgp` has no policy of its own), and what a recipe relaxed.
//!
//! Refused: MD5, SHA-1 and other hashes under 256 bits, DSA, RSA under 2048 bits, keys that are revoked or past their expiry, signatures
//! made before their key. All but odd hashes and algorithms can be relaxed by name.

use model::{Error, Result, SourceDateEpoch};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails, PublicParams};
use recipe::Weakness;

#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Accepted although weak.
    pub relax: Vec<Weakness>,
    /// A key past its expiry at this time is refused. `None`: only one that was when it signed.
    pub now: Option<SourceDateEpoch>,
}

/// The weaknesses met so far, all of them relaxed.
pub(super) struct Judge<'a> {
    policy: &'a Policy,
    pub(super) relaxed: Vec<Weakness>,
}

impl Policy {
    pub(super) fn judge(&self) -> Judge<'_> {
        Judge { policy: self, relaxed: Vec::new() }
    }
}

impl Judge<'_> {
    /// Passes what the recipe relaxed, and notes it.
    pub(super) fn weak(&mut self, weakness: Weakness, reason: impl Into<String>) -> Result<()> {
        if !self.policy.relax.contains(&weakness) {
            return Err(
                Error::integrity(reason).hint(format!("where this must be accepted, say relax = [\"{weakness}\"] for the repository"))
            );
        }
        if !self.relaxed.contains(&weakness) {
            self.relaxed.push(weakness);
        }
        Ok(())
    }

    /// `types`: what the signature may say that it is over.
    pub(super) fn signature(&mut self, signature: &Signature, types: &[SignatureType]) -> Result<()> {
        let rests = |hash: HashAlgorithm| format!("the signature rests on {hash}, expected SHA-256 or stronger");
        match signature.hash_alg() {
            Some(
                HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512 | HashAlgorithm::Sha3_256 | HashAlgorithm::Sha3_512,
            ) => {}
            Some(hash @ HashAlgorithm::Md5) => self.weak(Weakness::Md5Signature, rests(hash))?,
            Some(hash @ HashAlgorithm::Sha1) => self.weak(Weakness::Sha1Signature, rests(hash))?,
            Some(hash) => return Err(Error::integrity(rests(hash))),
            None => return Err(Error::integrity("the signature is of an unknown version")),
        }
        if !signature.typ().is_some_and(|found| types.contains(&found)) {
            return Err(Error::integrity(format!("expected a signature of type {types:?}, found {:?}", signature.typ())));
        }
        Ok(())
    }

    /// `lives`: seconds from the key's creation to its end.
    pub(super) fn key(&mut self, key: &impl KeyDetails, lives: Option<u32>, revoked: bool, signature: &Signature) -> Result<()> {
        if revoked {
            self.weak(Weakness::RevokedKey, "it is revoked")?;
        }
        match key.public_params() {
            PublicParams::RSA(params) => {
                // Serialised, the modulus comes first, and first of it its length in bits.
                let bytes = params.to_bytes().map_err(|e| Error::integrity("its modulus cannot be read").source(e))?;
                let bits = bytes.first_chunk().map_or(0, |&length| u16::from_be_bytes(length));
                if bits < 2048 {
                    self.weak(Weakness::ShortRsa, format!("it is an RSA key of {bits} bits, expected 2048 or more"))?;
                }
            }
            PublicParams::DSA(_) => self.weak(Weakness::Dsa, "its algorithm is DSA, expected RSA, EdDSA or ECDSA")?,
            PublicParams::EdDSALegacy(_) | PublicParams::Ed25519(_) | PublicParams::Ed448(_) | PublicParams::ECDSA(_) => {}
            _ => return Err(Error::integrity(format!("its algorithm is {:?}, expected RSA, EdDSA or ECDSA", key.algorithm()))),
        }
        let made = signature.created().ok_or_else(|| Error::integrity("the signature does not say when it was made"))?.as_secs();
        let created = key.created_at().as_secs();
        if made < created {
            self.weak(Weakness::SignatureBeforeKey, format!("the signature was made at {made}, before the key, created at {created}"))?;
        }
        if let Some(end) = lives.filter(|&seconds| seconds > 0).map(|seconds| created.saturating_add(seconds)) {
            if made >= end {
                self.weak(Weakness::ExpiredKey, format!("the key expired at {end}, before the signature was made at {made}"))?;
            } else if let Some(now) = self.policy.now.filter(|now| now.0 >= end) {
                self.weak(Weakness::ExpiredKey, format!("the key expired at {end}, and it is {now} now", now = now.0))?;
            }
        }
        if let Some(lives) = signature.signature_expiration_time().map(|d| d.as_secs()).filter(|&seconds| seconds > 0) {
            let end = made.saturating_add(lives);
            if self.policy.now.is_some_and(|now| now.0 >= end) {
                self.weak(Weakness::ExpiredKey, format!("the signature itself expired at {end}"))?;
            }
        }
        Ok(())
    }
}
