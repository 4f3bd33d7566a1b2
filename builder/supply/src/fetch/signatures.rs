//! What a package's signature header holds: OpenPGP signatures over the header or over header and payload, and digests of the same.

use super::keyring::{Keyring, Refusal, Signer};
use md5::Digest as _;
use model::{Digest, Error, OptionJudged, Result, ResultExt, decode_base64};
use packages::rpm::tags::{self, signature};
use packages::rpm::{FileDigest, FileKind, Package};
use recipe::Weakness;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    Header,
    /// rpm 3 and 4's.
    HeaderAndPayload,
}

/// One signature as found: the tag's name in rpm, what it is over, and the OpenPGP packet.
pub struct Claim {
    pub tag: &'static str,
    pub coverage: Coverage,
    pub packet: Vec<u8>,
}

/// All of a package, those over the header first.
pub fn claims(package: &Package) -> Result<Vec<Claim>> {
    let header = &package.signature_header;
    let mut claims = Vec::new();
    for text in header.strings(signature::OPENPGP)?.default_because("a header without the tag has no OpenPGP signature in it") {
        let packet = decode_base64(text).ok_or_else(|| Error::integrity("a signature that is not base64"))?;
        claims.push(Claim { tag: "OPENPGP", coverage: Coverage::Header, packet });
    }
    for (tag, number, coverage) in [
        ("RSA", signature::RSA_HEADER, Coverage::Header),
        ("DSA", signature::DSA_HEADER, Coverage::Header),
        ("PGP", signature::PGP, Coverage::HeaderAndPayload),
        ("GPG", signature::GPG, Coverage::HeaderAndPayload),
    ] {
        claims.extend(header.bin(number)?.map(|packet| Claim { tag, coverage, packet: packet.to_vec() }));
    }
    Ok(claims)
}

impl Claim {
    pub fn check(&self, package: &Package, file: &File, path: &Path, keys: &Keyring) -> Result<Signer, Refusal> {
        match self.coverage {
            Coverage::Header => {
                let weakness = contents_weakness(package).map_err(Refusal::Unaccepted)?;
                let mut signer = keys.check(&self.packet, || Ok(package.header.bytes()))?;
                if let Some(weakness) = weakness {
                    let mut judge = keys.policy().judge();
                    let reason = format!("only the header is signed, and it knows the contents by {weakness} alone");
                    judge.weak(weakness, reason).map_err(Refusal::Unaccepted)?;
                    signer.relaxed.push(weakness);
                    signer.relaxed.sort();
                }
                Ok(signer)
            }
            Coverage::HeaderAndPayload => {
                keys.check(&self.packet, || Ok(BufReader::with_capacity(1 << 20, reader_at(file, path, package.header_offset)?)))
            }
        }
    }
}

/// Any one signature will do. The one with the fewest weaknesses is taken, and of these the first, so that a recipe that relaxes a weakness
/// without need gets the same as one that does not. With none, the last one's fault is told, but one over changed bytes before all.
pub(super) fn least_weak(package: &Package, file: &File, path: &Path, keys: &Keyring) -> Result<Signer, Refusal> {
    let mut fault = None;
    let mut weak: Option<Signer> = None;
    for claim in claims(package).map_err(Refusal::Bad)? {
        match claim.check(package, file, path, keys) {
            Ok(signer) if signer.relaxed.is_empty() => return Ok(signer),
            Ok(signer) => weak = weak.filter(|before| before.relaxed.len() <= signer.relaxed.len()).or(Some(signer)),
            Err(refusal) if matches!(fault, Some(Refusal::Bad(_))) => drop(refusal),
            Err(refusal) => fault = Some(refusal),
        }
    }
    weak.ok_or_else(|| {
        fault.unwrap_or_else(|| {
            Refusal::Unaccepted(
                Error::integrity("the package is not signed").hint("sign it, or say keys = \"unsigned\" for its repository"),
            )
        })
    })
}

/// How weak the header's knowledge of the contents is: of the payload as a whole, or of each file. [`Pack`](super::Pack) checks either.
fn contents_weakness(package: &Package) -> Result<Option<Weakness>> {
    if package.payload_sha256.is_some() {
        return Ok(None);
    }
    let has_contents = |f: &&packages::rpm::FileEntry| f.kind == FileKind::File && f.size > 0 && !f.flags.is_ghost();
    let mut weakness = None;
    for file in package.files.iter().filter(has_contents) {
        match &file.digest {
            Some(FileDigest::Sha256(_)) => {}
            // SHA-384 and SHA-512.
            Some(FileDigest::Other { algorithm: 9 | 10, .. }) => {}
            Some(FileDigest::Other { algorithm: 1, .. }) => weakness = Some(Weakness::Md5Digest),
            Some(FileDigest::Other { algorithm: 2, .. }) => weakness = weakness.or(Some(Weakness::Sha1Digest)),
            _ => {
                return Err(Error::integrity(format!(
                    "only the header is signed, and it has neither the payload's SHA-256 nor a digest of {}",
                    file.path
                )));
            }
        }
    }
    Ok(weakness)
}

/// A digest that the package carries, and what we computed.
pub struct DigestCheck {
    pub name: &'static str,
    pub coverage: Coverage,
    pub good: bool,
}

/// The digests of the signature header, recomputed. They prove that a package is whole, not whose it is.
pub fn digests(package: &Package, file: &File, path: &Path) -> Result<Vec<DigestCheck>> {
    let header = &package.signature_header;
    let mut checks = Vec::new();
    if let Some(expected) = header.text(signature::SHA256)? {
        let good = expected == Digest::of(package.header.bytes()).to_string();
        checks.push(DigestCheck { name: "SHA256", coverage: Coverage::Header, good });
    }
    if let Some(expected) = header.text(signature::SHA1)? {
        let good = expected == hex::encode(sha1::Sha1::digest(package.header.bytes()));
        checks.push(DigestCheck { name: "SHA1", coverage: Coverage::Header, good });
    }
    if let Some(expected) = header.bin(tags::signature::MD5)? {
        let mut hasher = md5::Md5::new();
        let mut source = reader_at(file, path, package.header_offset)?;
        std::io::copy(&mut source, &mut Md5Writer(&mut hasher)).context(|| format!("read {}", path.display()))?;
        checks.push(DigestCheck { name: "MD5", coverage: Coverage::HeaderAndPayload, good: expected == hasher.finalize().as_slice() });
    }
    Ok(checks)
}

struct Md5Writer<'a>(&'a mut md5::Md5);

impl std::io::Write for Md5Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The open file anew, whatever its name points to by now, at `offset`.
pub(super) fn reader_at(file: &File, path: &Path, offset: u64) -> Result<impl Read + Send + use<>> {
    let mut file = file.try_clone().context(|| format!("reopen {}", path.display()))?;
    file.seek(SeekFrom::Start(offset)).context(|| format!("seek in {}", path.display()))?;
    Ok(file)
}
