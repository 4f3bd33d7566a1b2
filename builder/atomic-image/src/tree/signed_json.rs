//! A JSON document with signatures, as one file.
//!
//! ```text
//! {"payload": base64 of the document's bytes, "signatures": [{"key": base64, "signature": base64}]}
//! ```
//!
//! The signatures are raw Ed25519 over the payload's bytes, so that nobody has to agree on how JSON is written before checking them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{Error, Result, ResultJudged};
use serde::{Deserialize, Serialize};
use signing::{PublicKey, SigningKey};

pub struct SignedJson {
    payload: Vec<u8>,
    signatures: Vec<SignatureRow>,
}

#[derive(Serialize, Deserialize)]
struct File {
    payload: String,
    signatures: Vec<SignatureRow>,
}

#[derive(Serialize, Deserialize)]
struct SignatureRow {
    key: String,
    signature: String,
}

impl SignedJson {
    /// Signs a document with each of `keys`; without any it is unsigned.
    pub fn sign(payload: Vec<u8>, keys: &[SigningKey]) -> SignedJson {
        let row = |key: &SigningKey| SignatureRow { key: key.public().to_string(), signature: STANDARD.encode(key.sign(&payload)) };
        SignedJson { signatures: keys.iter().map(row).collect(), payload }
    }

    /// Parses a file. Its signatures are not checked.
    pub fn decode(bytes: &[u8]) -> Result<SignedJson> {
        let broken = || Error::integrity("expected a JSON object with payload and signatures");
        let file: File = serde_json::from_slice(bytes).map_err(|e| broken().source(e))?;
        let payload = STANDARD.decode(&file.payload).map_err(|e| broken().source(e))?;
        Ok(SignedJson { payload, signatures: file.signatures })
    }

    /// Returns the file's bytes.
    pub fn encode(self) -> Result<Vec<u8>> {
        let file = File { payload: STANDARD.encode(&self.payload), signatures: self.signatures };
        let mut bytes = serde_json::to_vec_pretty(&file).map_err(|e| Error::internal("encode a signed document").source(e))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether one of `keys` has signed the payload.
    pub fn is_signed_by(&self, keys: &[PublicKey]) -> bool {
        self.signatures.iter().any(|row| {
            let signature = STANDARD.decode(&row.signature).none_because("what is no base64 is no signature");
            let signature = signature.and_then(|bytes| bytes.try_into().none_because("what has another length is no signature"));
            signature.is_some_and(|signature| keys.iter().any(|key| key.verifies(&self.payload, &signature)))
        })
    }
}
