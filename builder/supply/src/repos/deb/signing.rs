//! The key that signs converted packages and their metadata.
//!
//! **It is no secret**: it is derived from a constant, so anyone can sign with it, and its signature proves nothing about where a package
//! came from. Trust comes from the archive's InRelease and from the digests in the lockfile. The signature exists so that the path of a
//! signed RPM (import the key, verify, refuse) runs on every build, and the key is a constant so that every byte is equal for everybody.

use model::{Digest, Error, Result};
use pgp::composed::{ArmorOptions, DetachedSignature, SignedKeyDetails, SignedPublicKey};
use pgp::crypto::ed25519::{Mode, SecretKey as Ed25519};
use pgp::crypto::eddsa_legacy;
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{KeyFlags, PubKeyInner, PublicKey, SecretKey, SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId};
use pgp::types::{
    KeyDetails, KeyVersion, PacketHeaderVersion, Password, PlainSecretParams, PublicParams, SecretParams, SignedUser, Tag, Timestamp,
};

const LABEL: &str = "atomic-image converted debian packages, signing key 1";
const USER: &str = "atomic-image converted packages (public constant, no secret)";
/// 2020-01-01: older than every signature, since a signature older than its key is bad.
const CREATED: u32 = 1_577_836_800;
/// One day after the key: the least time of a signature.
const EARLIEST: u32 = CREATED + 86_400;

fn failed(error: pgp::errors::Error) -> Error {
    Error::internal("the signing key of converted packages").source(error)
}

fn subpacket(data: SubpacketData) -> Result<Subpacket> {
    Subpacket::regular(data).map_err(failed)
}

/// When something whose newest part is `newest` (seconds since 1970) is signed.
pub(super) fn signature_time(newest: u32) -> u32 {
    newest.max(EARLIEST)
}

/// An EdDSA key of version 4, which every rpm since 4.16 reads.
pub(super) fn secret_key() -> Result<SecretKey> {
    let secret = Ed25519::try_from_bytes(*Digest::of(LABEL.as_bytes()).as_bytes(), Mode::EdDSALegacy).map_err(failed)?;
    let public = PublicParams::EdDSALegacy((&secret).into());
    let inner =
        PubKeyInner::new(KeyVersion::V4, PublicKeyAlgorithm::EdDSALegacy, Timestamp::from_secs(CREATED), None, public).map_err(failed)?;
    let params = SecretParams::Plain(PlainSecretParams::EdDSALegacy(eddsa_legacy::SecretKey::Ed25519(secret)));
    SecretKey::new(PublicKey::from_inner(inner).map_err(failed)?, params).map_err(failed)
}

fn config(kind: SignatureType, key: &SecretKey, time: u32) -> Result<SignatureConfig> {
    let mut config = SignatureConfig::v4(kind, key.algorithm(), HashAlgorithm::Sha256);
    config.hashed_subpackets = vec![
        subpacket(SubpacketData::SignatureCreationTime(Timestamp::from_secs(time)))?,
        subpacket(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
    ];
    config.unhashed_subpackets = vec![subpacket(SubpacketData::IssuerKeyId(key.legacy_key_id()))?];
    Ok(config)
}

/// The armored certificate that `rpm --import` takes; the same bytes every time.
pub fn public_key() -> Result<String> {
    let secret = secret_key()?;
    let user = UserId::from_str(PacketHeaderVersion::Old, USER).map_err(failed)?;
    let mut config = config(SignatureType::CertPositive, &secret, CREATED)?;
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(true);
    config.hashed_subpackets.push(subpacket(SubpacketData::KeyFlags(flags))?);
    config.hashed_subpackets.push(subpacket(SubpacketData::IsPrimary(true))?);
    let signature = config.sign_certification(&secret, secret.public_key(), &Password::empty(), Tag::UserId, &user).map_err(failed)?;
    let details = SignedKeyDetails::new(Vec::new(), Vec::new(), vec![SignedUser::new(user, vec![signature])], Vec::new());
    SignedPublicKey::new(secret.public_key().clone(), details, Vec::new()).to_armored_string(ArmorOptions::default()).map_err(failed)
}

/// An armored detached signature, as `repomd.xml.asc` is one.
pub fn sign_detached(bytes: &[u8], newest: u32) -> Result<String> {
    let secret = secret_key()?;
    let signature =
        config(SignatureType::Binary, &secret, signature_time(newest))?.sign(&secret, &Password::empty(), bytes).map_err(failed)?;
    DetachedSignature::new(signature).to_armored_string(ArmorOptions::default()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn gpg_accepts_the_key_and_its_signature_and_refuses_changed_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("key.asc"), public_key().unwrap()).unwrap();
        std::fs::write(path("data"), b"data").unwrap();
        std::fs::write(path("data.asc"), sign_detached(b"data", 0).unwrap()).unwrap();
        assert_eq!(public_key().unwrap(), public_key().unwrap());
        let gpg = |args: &[&str]| {
            Command::new("gpg").arg("--homedir").arg(folder.path()).args(["--batch", "-q"]).args(args).current_dir(folder.path()).output()
        };
        let Ok(import) = gpg(&["--import", "key.asc"]) else {
            fixtures::missing("no gpg here");
            return;
        };
        assert!(import.status.success(), "{}", String::from_utf8_lossy(&import.stderr));
        assert!(gpg(&["--verify", "data.asc", "data"]).unwrap().status.success());
        std::fs::write(path("data"), b"Data").unwrap();
        assert!(!gpg(&["--verify", "data.asc", "data"]).unwrap().status.success());
    }
}
