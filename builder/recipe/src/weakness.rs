//! What makes a signature or digest too weak to trust, by the names that a recipe relaxes them with.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Each is refused unless the repository's `relax` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weakness {
    /// Only the header is signed, and it knows the contents by MD5.
    Md5Digest,
    /// The same by SHA-1.
    Sha1Digest,
    /// The signature itself is over an MD5.
    Md5Signature,
    Sha1Signature,
    /// RSA under 2048 bits.
    ShortRsa,
    Dsa,
    ExpiredKey,
    RevokedKey,
    /// The signature says that it is older than its key.
    SignatureBeforeKey,
}

impl Weakness {
    pub const ALL: [Weakness; 9] = [
        Weakness::Md5Digest,
        Weakness::Sha1Digest,
        Weakness::Md5Signature,
        Weakness::Sha1Signature,
        Weakness::ShortRsa,
        Weakness::Dsa,
        Weakness::ExpiredKey,
        Weakness::RevokedKey,
        Weakness::SignatureBeforeKey,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Weakness::Md5Digest => "md5-digest",
            Weakness::Sha1Digest => "sha1-digest",
            Weakness::Md5Signature => "md5-signature",
            Weakness::Sha1Signature => "sha1-signature",
            Weakness::ShortRsa => "short-rsa",
            Weakness::Dsa => "dsa",
            Weakness::ExpiredKey => "expired-key",
            Weakness::RevokedKey => "revoked-key",
            Weakness::SignatureBeforeKey => "signature-before-key",
        }
    }

    /// Of what the signed header knows of the contents, not of the signature or its key.
    pub fn is_of_contents(self) -> bool {
        matches!(self, Weakness::Md5Digest | Weakness::Sha1Digest)
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|weakness| weakness.name() == name)
    }
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
