//! An archive's `InRelease`: who signed it, until when it holds, and the digests of its indexes (DebianRepository/Format; OpenPGP cleartext
//! signatures, RFC 9580 section 7).
//!
//! One good signature by a trusted key is enough, as for apt. Only the signed text is read. Refused: MD5, SHA-1 and RIPEMD signatures, RSA
//! under 2048 bits, DSA, keys revoked or past their expiry, subkeys that may not sign, an expired Valid-Until.

use model::{Digest, Error, Result, ResultJudged, SourceDateEpoch};
use packages::deb::control::Stanza;
use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails, PublicParams, Tag, VerifyingKey};
use std::collections::BTreeMap;

/// A verified InRelease; only [`Release::verify`] makes one.
#[derive(Debug, Clone)]
pub struct Release {
    /// Of the whole InRelease file.
    pub digest: Digest,
    pub suite: String,
    pub codename: String,
    /// When it was made, seconds since 1970.
    pub date: u32,
    pub valid_until: Option<u32>,
    /// Fingerprint (hex) of the key or subkey whose signature was good.
    pub signer: String,
    /// Path below `dists/<suite>/` → digest and bytes.
    files: BTreeMap<String, (Digest, u64)>,
}

/// A key that may sign releases: the primary or one of its subkeys.
struct Signer<'a> {
    key: &'a dyn Verifier,
    created: u32,
    expires: Option<u32>,
}

/// Object-safe face of `VerifyingKey`.
trait Verifier {
    fn holds(&self, signature: &Signature, text: &[u8]) -> bool;
    fn fingerprint_hex(&self) -> String;
}

impl<K: VerifyingKey> Verifier for K {
    fn holds(&self, signature: &Signature, text: &[u8]) -> bool {
        signature.verify(self, text).is_ok()
    }

    fn fingerprint_hex(&self) -> String {
        hex::encode(self.fingerprint().as_bytes())
    }
}

impl Release {
    /// `keys`: armored public keys, one or more certificates in each.
    pub fn verify(bytes: &[u8], keys: &[Vec<u8>], now: SourceDateEpoch, allow_expired: bool) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| Error::integrity("InRelease: not UTF-8"))?;
        let (message, _) =
            CleartextSignedMessage::from_string(text).map_err(|e| Error::integrity("InRelease: no cleartext signed message").source(e))?;
        let certificates = read_keys(keys)?;
        let signers: Vec<Signer<'_>> = certificates.iter().flat_map(signers).collect();
        let signed = message.signed_text();
        let signer = good_signature(&message, &signed, &signers, now, allow_expired)?;
        let release = Self::parse(&signed, Digest::of(bytes), signer)?;
        match release.valid_until {
            Some(until) if until < now.0 && !allow_expired => {
                Err(Error::integrity(format!("InRelease of {}: expired at {}, and it is {now}", release.codename, SourceDateEpoch(until)))
                    .hint("an old mirror, or a replayed one; `allow-expired = true` in the recipe's [[repo]] accepts it"))
            }
            _ => Ok(release),
        }
    }

    fn parse(text: &str, digest: Digest, signer: String) -> Result<Self> {
        let stanza = Stanza::parse(text)?;
        let date = |field: &str| {
            stanza
                .get(field)
                .map(|value| parse_date(value).ok_or_else(|| Error::integrity(format!("InRelease: {field} is no date: {value:?}"))))
                .transpose()
        };
        let mut files = BTreeMap::new();
        for line in stanza.require("SHA256")?.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.split_whitespace();
            let (Some(sha256), Some(size), Some(path)) = (words.next(), words.next(), words.next()) else {
                return Err(Error::integrity(format!("InRelease: expected `sha256 size path`, found {line:?}")));
            };
            let size = size.parse().map_err(|_| Error::integrity(format!("InRelease: {path} has the size {size:?}")))?;
            files.insert(path.to_owned(), (Digest::parse(sha256)?, size));
        }
        Ok(Release {
            digest,
            suite: stanza.get("Suite").unwrap_or("").to_owned(),
            codename: stanza.get("Codename").unwrap_or("").to_owned(),
            date: date("Date")?.ok_or_else(|| Error::integrity("InRelease: no Date"))?,
            valid_until: date("Valid-Until")?,
            signer,
            files,
        })
    }

    /// Digest and bytes of an index, for example `main/binary-all/Packages.xz`.
    pub fn file(&self, path: &str) -> Option<(Digest, u64)> {
        self.files.get(path).copied()
    }
}

fn read_keys(keys: &[Vec<u8>]) -> Result<Vec<SignedPublicKey>> {
    let mut certificates = Vec::new();
    for armored in keys {
        let bad = |e: pgp::errors::Error| Error::recipe("a key of the repository is no armored OpenPGP public key").source(e);
        let (found, _) = SignedPublicKey::from_armor_many(armored.as_slice()).map_err(bad)?;
        for certificate in found {
            certificates.push(certificate.map_err(bad)?);
        }
    }
    Ok(certificates)
}

/// The newest of the self-signatures that hold decides when a key expires.
fn newest<'a>(signatures: impl Iterator<Item = &'a Signature>) -> Option<&'a Signature> {
    signatures.max_by_key(|s| s.created().map(|t| t.as_secs()))
}

fn expiry(created: u32, signature: &Signature) -> Option<u32> {
    signature.key_expiration_time().map(|d| d.as_secs()).filter(|&seconds| seconds > 0).map(|seconds| created.saturating_add(seconds))
}

/// The primary key and its signing subkeys, unless the certificate is revoked or too weak.
fn signers(certificate: &SignedPublicKey) -> Vec<Signer<'_>> {
    let primary = &certificate.primary_key;
    if certificate.details.revocation_signatures.iter().any(|s| s.verify_key(primary).is_ok()) {
        return Vec::new();
    }
    let certifications = certificate.details.users.iter().flat_map(|user| {
        user.signatures.iter().filter(|s| {
            matches!(
                s.typ(),
                Some(SignatureType::CertGeneric | SignatureType::CertPersona | SignatureType::CertCasual | SignatureType::CertPositive)
            ) && s.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        })
    });
    let Some(own) = newest(certifications.chain(certificate.details.direct_signatures.iter().filter(|s| s.verify_key(primary).is_ok())))
    else {
        return Vec::new();
    };
    let created = primary.created_at().as_secs();
    let expires = expiry(created, own);
    let mut signers = Vec::new();
    if strong(primary.public_params()) {
        signers.push(Signer { key: primary, created, expires });
    }
    for subkey in &certificate.public_subkeys {
        let revoked = subkey
            .signatures
            .iter()
            .any(|s| s.typ() == Some(SignatureType::SubkeyRevocation) && s.verify_subkey_binding(primary, &subkey.key).is_ok());
        let bindings = subkey.signatures.iter().filter(|s| {
            s.typ() == Some(SignatureType::SubkeyBinding)
                && s.verify_subkey_binding(primary, &subkey.key).is_ok()
                && s.key_flags().sign()
                && s.embedded_signature().is_some_and(|back| back.verify_primary_key_binding(&subkey.key, primary).is_ok())
        });
        if let Some(binding) = newest(bindings)
            && !revoked
            && strong(subkey.key.public_params())
        {
            let created = subkey.key.created_at().as_secs();
            let own = expiry(created, binding);
            // A subkey does not outlive its primary.
            signers.push(Signer { key: &subkey.key, created, expires: [own, expires].into_iter().flatten().min() });
        }
    }
    signers
}

/// RSA from 2048 bits on, and elliptic curves.
fn strong(params: &PublicParams) -> bool {
    match params {
        PublicParams::RSA(rsa) => {
            // Serialised, the modulus comes first, as an OpenPGP integer: its length in bits in two bytes.
            let mut bytes = Vec::new();
            rsa.to_writer(&mut bytes).is_ok() && bytes.get(..2).is_some_and(|b| u16::from_be_bytes([b[0], b[1]]) >= 2048)
        }
        PublicParams::ECDSA(_) | PublicParams::EdDSALegacy(_) | PublicParams::Ed25519(_) | PublicParams::Ed448(_) => true,
        _ => false,
    }
}

fn good_signature(
    message: &CleartextSignedMessage,
    signed: &str,
    signers: &[Signer<'_>],
    now: SourceDateEpoch,
    allow_expired: bool,
) -> Result<String> {
    let mut problems = Vec::new();
    for signature in message.signatures() {
        let by = signature.issuer_fingerprint().first().map_or_else(|| "an unnamed key".to_owned(), |f| hex::encode(f.as_bytes()));
        if signature.typ() != Some(SignatureType::Text) && signature.typ() != Some(SignatureType::Binary) {
            problems.push(format!("{by}: not a document signature"));
            continue;
        }
        if !matches!(
            signature.hash_alg(),
            Some(
                HashAlgorithm::Sha224
                    | HashAlgorithm::Sha256
                    | HashAlgorithm::Sha384
                    | HashAlgorithm::Sha512
                    | HashAlgorithm::Sha3_256
                    | HashAlgorithm::Sha3_512
            )
        ) {
            problems.push(format!("{by}: hash algorithm too weak"));
            continue;
        }
        let Some(signer) = signers.iter().find(|signer| signer.key.holds(signature, signed.as_bytes())) else {
            problems.push(format!("{by}: not a key of this repository, or a bad signature"));
            continue;
        };
        let made = signature.created().map_or(0, |t| t.as_secs());
        let ends = signature.signature_expiration_time().map(|d| d.as_secs()).filter(|&s| s > 0).map(|s| made.saturating_add(s));
        if made < signer.created || signer.expires.is_some_and(|end| made >= end) {
            problems.push(format!("{by}: made outside the key's lifetime"));
        } else if [signer.expires, ends].into_iter().flatten().any(|end| end <= now.0) && !allow_expired {
            problems.push(format!("{by}: the key or the signature is expired"));
        } else {
            return Ok(signer.key.fingerprint_hex());
        }
    }
    if problems.is_empty() {
        problems.push("no signature at all".into());
    }
    Err(Error::integrity(format!("InRelease: expected a good signature by a key of this repository, found {}", problems.join("; ")))
        .hint("the repository's `keys` in the recipe name the files of the keys that are trusted"))
}

/// `Sat, 21 Nov 2026 09:15:44 UTC` (RFC 5322 with a zone that is always UTC) as seconds since 1970.
fn parse_date(text: &str) -> Option<u32> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, time, "UTC" | "GMT" | "+0000"] = words[..] else { return None };
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|m| *m == month)? as i64 + 1;
    let (day, year): (i64, i64) = (
        day.parse().none_because("the caller's sentence says what a date is")?,
        year.parse().none_because("the caller's sentence says what a date is")?,
    );
    if !(1..=31).contains(&day) || !(1970..=2105).contains(&year) {
        return None;
    }
    let clock: Vec<i64> =
        time.split(':').map(|n| n.parse().none_because("the caller's sentence says what a date is")).collect::<Option<_>>()?;
    let [hour @ 0..24, minute @ 0..60, second @ 0..61] = clock[..] else { return None };
    // Days from the civil date, in years that begin in March.
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = shifted_year / 400;
    let year_of_era = shifted_year % 400;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + (153 * shifted_month + 2) / 5 + day - 1;
    let days = era * 146_097 + day_of_era - 719_468;
    u32::try_from(days * 86_400 + hour * 3_600 + minute * 60 + second).none_because("the caller's sentence says what a date is")
}

#[cfg(test)]
#[path = "in_release_tests.rs"]
pub(crate) mod tests;
