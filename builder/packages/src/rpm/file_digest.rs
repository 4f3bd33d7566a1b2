//! Digests of files' contents as headers give them: SHA-256 today, MD5 until 2009, others where someone asked for them.

use model::{Digest, Error, ImagePath, Result};
use sha2::Digest as _;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileDigest {
    Sha256(Digest),
    /// `algorithm` is OpenPGP's number: 1 MD5, 2 SHA-1, 9 SHA-384, 10 SHA-512, 11 SHA-224.
    Other {
        algorithm: u32,
        hex: String,
    },
}

/// Hashes contents once with SHA-256, which identifies them here, and once more where the header has another digest.
pub struct ContentHasher {
    sha256: sha2::Sha256,
    other: Other,
}

enum Other {
    None,
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha224(sha2::Sha224),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
}

impl ContentHasher {
    /// For contents that should have this digest; of an algorithm that we do not know nothing is checked.
    pub fn new(expected: Option<&FileDigest>) -> Self {
        let other = match expected {
            Some(FileDigest::Other { algorithm, .. }) => match algorithm {
                1 => Other::Md5(Default::default()),
                2 => Other::Sha1(Default::default()),
                9 => Other::Sha384(Default::default()),
                10 => Other::Sha512(Default::default()),
                11 => Other::Sha224(Default::default()),
                _ => Other::None,
            },
            _ => Other::None,
        };
        ContentHasher { sha256: Default::default(), other }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        match &mut self.other {
            Other::None => {}
            Other::Md5(hasher) => hasher.update(bytes),
            Other::Sha1(hasher) => hasher.update(bytes),
            Other::Sha224(hasher) => hasher.update(bytes),
            Other::Sha384(hasher) => hasher.update(bytes),
            Other::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// The SHA-256, if `expected` holds too.
    pub fn finish(self, expected: Option<&FileDigest>, path: &ImagePath) -> Result<Digest> {
        let found = Digest::from_bytes(self.sha256.finalize().into());
        let bad = |name: &str, expected: &str, found: &str| {
            Err(Error::integrity(format!("{path}: expected contents with {name} {expected}, found {found}")))
        };
        let (name, other) = match self.other {
            Other::None => ("", String::new()),
            Other::Md5(hasher) => ("md5", hex::encode(hasher.finalize())),
            Other::Sha1(hasher) => ("sha1", hex::encode(hasher.finalize())),
            Other::Sha224(hasher) => ("sha224", hex::encode(hasher.finalize())),
            Other::Sha384(hasher) => ("sha384", hex::encode(hasher.finalize())),
            Other::Sha512(hasher) => ("sha512", hex::encode(hasher.finalize())),
        };
        match expected {
            Some(FileDigest::Sha256(expected)) if *expected != found => bad("sha256", &expected.to_string(), &found.to_string()),
            Some(FileDigest::Other { hex, .. }) if !name.is_empty() && *hex != other => bad(name, hex, &other),
            _ => Ok(found),
        }
    }
}
