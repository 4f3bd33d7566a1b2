//! The only maker of [`VerifiedPackage`]: the file's digest is the locked one, and the package is signed by a key of its repository.
//!
//! A signature over the main header alone is enough when the header says the payload's SHA-256, or that of every file: [`Pack`](super::Pack)
//! checks those while it imports. Without either, header and payload must be signed together.

use super::Keyring;
use crate::base::{Digest, Error, Hasher, Result, ResultExt};
use crate::formats::rpm::{self, FileDigest, FileKind, Package, tags::signature};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Whose word a repository's packages need.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    Keys(&'a Keyring),
    /// The recipe says so: the locked digest alone.
    Unsigned,
}

/// A package file that may be unpacked.
#[derive(Debug)]
pub struct VerifiedPackage {
    path: PathBuf,
    file: File,
    digest: Digest,
    package: Package,
    signer: Option<String>,
}

impl VerifiedPackage {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of the whole file.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    pub fn package(&self) -> &Package {
        &self.package
    }

    /// Fingerprint in hex of the key that signed; `None` if no signature was asked for.
    pub fn signer(&self) -> Option<&str> {
        self.signer.as_deref()
    }

    /// The very file that was verified, whatever its name points to by now, at the start of the payload.
    pub(super) fn payload(&self) -> Result<File> {
        reader_at(&self.file, &self.path, self.package.payload_offset)
    }
}

fn reader_at(file: &File, path: &Path, offset: u64) -> Result<File> {
    let mut file = file.try_clone().context(|| format!("reopen {}", path.display()))?;
    file.seek(SeekFrom::Start(offset)).context(|| format!("seek in {}", path.display()))?;
    Ok(file)
}

/// Size, then digest, then signature. A file of the wrong size or digest is moved aside to `<name>.rejected`.
pub fn verify(path: &Path, expected: &Digest, expected_size: u64, trust: Trust<'_>) -> Result<VerifiedPackage> {
    let shown = path.display();
    let file = File::open(path).context(|| format!("open the package {shown}"))?;
    let size = file.metadata().context(|| format!("read the size of {shown}"))?.len();
    if size != expected_size {
        return Err(reject(path, format!("package {shown}: expected {expected_size} bytes, found {size}")));
    }
    let digest = digest_of(&file).context(|| format!("read the package {shown}"))?;
    if digest != *expected {
        return Err(reject(path, format!("package {shown}: expected sha256 {expected}, found {digest}")));
    }
    let package = rpm::parse(BufReader::new(reader_at(&file, path, 0)?)).context(|| format!("package {shown}"))?;
    let signer = match trust {
        Trust::Unsigned => None,
        Trust::Keys(keys) => {
            Some(check_signatures(&package, &file, path, keys).context(|| format!("package {} in {shown}", package.metadata.nevra))?)
        }
    };
    Ok(VerifiedPackage { path: path.to_path_buf(), file, digest, package, signer })
}

fn reject(path: &Path, message: String) -> Error {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".rejected");
    let hint = match std::fs::rename(path, &aside) {
        Ok(()) => format!("the file is kept as {}; try again, or lock again if the repository has changed", Path::new(&aside).display()),
        Err(e) => format!("the file could not be moved aside: {e}"),
    };
    Error::integrity(message).hint(hint)
}

fn digest_of(mut file: &File) -> std::io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

fn check_signatures(package: &Package, file: &File, path: &Path, keys: &Keyring) -> Result<String> {
    let header = &package.signature_header;
    let mut over_header: Vec<Vec<u8>> = Vec::new();
    for text in header.strings(signature::OPENPGP)?.unwrap_or_default() {
        over_header.push(decode_base64(text).ok_or_else(|| Error::integrity("a signature that is not base64"))?);
    }
    for tag in [signature::RSA_HEADER, signature::DSA_HEADER] {
        over_header.extend(header.bin(tag)?.map(<[u8]>::to_vec));
    }
    let mut over_all: Vec<&[u8]> = Vec::new();
    for tag in [signature::PGP, signature::GPG] {
        over_all.extend(header.bin(tag)?);
    }
    let covers_contents = package.payload_sha256.is_some() || every_file_has_sha256(package);
    if !over_header.is_empty() && covers_contents {
        return first_good(over_header.iter().map(|s| keys.check(s, || Ok(package.header.bytes()))));
    }
    if !over_all.is_empty() {
        return first_good(
            over_all.iter().map(|s| keys.check(s, || Ok(BufReader::with_capacity(1 << 20, reader_at(file, path, package.header_offset)?)))),
        );
    }
    Err(match over_header.is_empty() {
        true => Error::integrity("the package is not signed").hint("sign it, or say keys = \"unsigned\" for its repository"),
        false => Error::integrity("only the header is signed, and it has neither the payload's SHA-256 nor that of every file"),
    })
}

/// Any one signature will do; with none, the first one's fault is told.
fn first_good(verdicts: impl Iterator<Item = Result<String>>) -> Result<String> {
    let mut fault = None;
    for verdict in verdicts {
        match verdict {
            Ok(signer) => return Ok(signer),
            Err(e) => fault = fault.or(Some(e)),
        }
    }
    Err(fault.unwrap_or_else(|| Error::integrity("the package is not signed")))
}

fn every_file_has_sha256(package: &Package) -> bool {
    let has_contents = |f: &&rpm::FileEntry| f.kind == FileKind::File && f.size > 0 && !f.flags.is_ghost();
    package.files.iter().filter(has_contents).all(|f| matches!(f.digest, Some(FileDigest::Sha256(_))))
}

/// RFC 4648 §4, ignoring line ends.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0);
    for &c in text.iter().filter(|c| !c.is_ascii_whitespace() && **c != b'=') {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
