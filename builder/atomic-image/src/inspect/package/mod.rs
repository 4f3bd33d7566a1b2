//! One RPM file as it is: what its header says, its paths with the digests of their contents, and whether its signature holds.

mod dump;
mod show;
#[cfg(test)]
mod tests;

pub use dump::{PathRow, dump};
pub use show::{DependencyRow, DigestRow, PackageReport, ScriptletRow, SignatureRow, show};

use model::{Digest, Result, ResultExt};
use packages::rpm::read_contents;
use recipe::Weakness;
use serde::Serialize;
use std::path::Path;
use supply::fetch::{self, Keyring};

/// A package that is whole and signed.
#[derive(Debug, Clone, Serialize)]
pub struct VerifiedReport {
    pub nevra: String,
    /// Of the file.
    pub sha256: Digest,
    pub signer: ReportedSigner,
    /// Whose contents were read and have the digests that the signed header gives.
    pub files: usize,
}

/// Who signed, and what had to be relaxed to accept it.
#[derive(Debug, Clone, Serialize)]
pub struct ReportedSigner {
    /// Of the key or subkey, in hex.
    pub fingerprint: String,
    /// Sorted.
    pub relaxed: Vec<Weakness>,
}

/// Signature first, then every digest of every file in the payload.
pub fn verify(path: &Path, keys: &Keyring) -> Result<VerifiedReport> {
    let verified = fetch::verify_signature(path, keys)?;
    let contents = read_contents(verified.package(), verified.payload()?).context(|| path.display())?;
    Ok(VerifiedReport {
        nevra: verified.package().metadata.nevra.to_string(),
        sha256: *verified.digest(),
        signer: ReportedSigner {
            fingerprint: verified.signer().map_or_else(String::new, |signer| signer.fingerprint.clone()),
            relaxed: verified.signer().map_or_else(Vec::new, |signer| signer.relaxed.clone()),
        },
        files: contents.iter().flatten().count(),
    })
}

/// What is not UTF-8 as `\xNN`.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}
