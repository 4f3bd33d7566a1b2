//! The keys that releases are signed with.
//!
//! One Ed25519 key (RFC 8032) makes two forms of signature. The raw one is what `ostree sign --sign-type=ed25519`, openssl and the release plan use. The
//! OpenPGP one is what libostree checks where it was built without Ed25519, as Debian's is. A private key file is one line of base64, as `ostree sign`
//! takes it; the public key is an OpenPGP certificate, which holds the raw public key, too.

// The lints of methods are for the product: it is also checked without its tests.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may read the clock and drop an error"))]

mod certificate;
mod key;

pub use certificate::Certificate;
pub use key::{PublicKey, Signature, SigningKey};
