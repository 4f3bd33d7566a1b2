//! The OpenPGP form of a key (RFC 9580, version 4, EdDSA over Ed25519): a certificate with one user ID, and signatures over bytes.
//!
//! All of it follows from the raw key: the time of the key is fixed, and a signature's time is given. So the same key and bytes give the same packets.

use crate::{PublicKey, SigningKey};
use model::{Error, Result, SourceDateEpoch};
use pgp::composed::{ArmorOptions, Deserializable, SignedKeyDetails, SignedPublicKey};
use pgp::crypto::ed25519::{self, Mode};
use pgp::crypto::eddsa_legacy;
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{KeyFlags, PacketTrait, PubKeyInner, SecretKey, SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId};
use pgp::ser::Serialize;
use pgp::types::{
    EddsaLegacyPublicParams, KeyDetails, KeyVersion, PacketHeaderVersion, Password, PlainSecretParams, PublicParams, SecretParams,
    SignedUser, Timestamp,
};
use std::fmt;

/// 2000-01-01, in seconds since 1970 UTC: before every signature, also where a host's clock is wrong.
const CREATED: u32 = 946_684_800;
/// What gpg shows as the key's owner.
const USER_ID: &str = "atomic-image release key";

/// A public key as an OpenPGP certificate, whose binding is verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    public: PublicKey,
    packets: Vec<u8>,
}

impl Certificate {
    /// Parses the armored text that [`Certificate::to_armor`] writes, or what `gpg --export --armor` writes of such a key.
    pub fn parse(text: &str) -> Result<Certificate> {
        let expected = |why: &dyn fmt::Display| {
            Error::recipe(format!("expected an armored OpenPGP certificate of an Ed25519 key: {why}"))
                .hint("`atomic-image keygen NAME` makes NAME.key and NAME.pub")
        };
        let (key, _) = SignedPublicKey::from_string(text).map_err(|e| expected(&e))?;
        key.verify_bindings().map_err(|e| expected(&e))?;
        let PublicParams::EdDSALegacy(EddsaLegacyPublicParams::Ed25519 { key: raw }) = key.primary_key.public_params() else {
            return Err(expected(&format!("its algorithm is {:?}", key.primary_key.algorithm())));
        };
        let public = PublicKey::new(raw.to_bytes());
        let packets = key.to_bytes().map_err(|e| expected(&e))?;
        Ok(Certificate { public, packets })
    }

    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The packets, as they stand in a keyring.
    pub fn packets(&self) -> &[u8] {
        &self.packets
    }

    /// The text of a public key file.
    pub fn to_armor(&self) -> Result<String> {
        let key = SignedPublicKey::from_bytes(self.packets.as_slice()).map_err(|e| failed("read a certificate", &e))?;
        key.to_armored_string(ArmorOptions::default()).map_err(|e| failed("write a certificate", &e))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificate").field(&self.public).finish()
    }
}

impl SigningKey {
    /// The certificate of the key.
    pub fn certificate(&self) -> Result<Certificate> {
        let failed = |e: pgp::errors::Error| failed("make a certificate", &e);
        let key = self.packet()?;
        let user = UserId::from_str(PacketHeaderVersion::New, USER_ID).map_err(failed)?;
        let mut flags = KeyFlags::default();
        flags.set_certify(true);
        flags.set_sign(true);
        let mut config = config(SignatureType::CertPositive, &key, CREATED)?;
        config.hashed_subpackets.push(Subpacket::regular(SubpacketData::KeyFlags(flags)).map_err(failed)?);
        let binding = config.sign_certification(&key, key.public_key(), &Password::empty(), user.tag(), &user).map_err(failed)?;
        let details = SignedKeyDetails::new(Vec::new(), Vec::new(), vec![SignedUser::new(user, vec![binding])], Vec::new());
        let packets = SignedPublicKey::new(key.public_key().clone(), details, Vec::new()).to_bytes().map_err(failed)?;
        Ok(Certificate { public: self.public(), packets })
    }

    /// A detached signature over `bytes` as an OpenPGP packet, made at `time`.
    pub fn sign_openpgp(&self, bytes: &[u8], time: SourceDateEpoch) -> Result<Vec<u8>> {
        let failed = |e: pgp::errors::Error| failed("sign", &e);
        let key = self.packet()?;
        let signature = config(SignatureType::Binary, &key, time.0.max(CREATED))?.sign(&key, &Password::empty(), bytes).map_err(failed)?;
        let mut packet = Vec::new();
        signature.to_writer_with_header(&mut packet).map_err(failed)?;
        Ok(packet)
    }

    fn packet(&self) -> Result<SecretKey> {
        let failed = |e: pgp::errors::Error| failed("make an OpenPGP key", &e);
        let secret = eddsa_legacy::SecretKey::Ed25519(ed25519::SecretKey::try_from_bytes(self.seed(), Mode::EdDSALegacy).map_err(failed)?);
        let public = PublicParams::EdDSALegacy((&secret).try_into().map_err(failed)?);
        let inner = PubKeyInner::new(KeyVersion::V4, PublicKeyAlgorithm::EdDSALegacy, Timestamp::from_secs(CREATED), None, public);
        let public = pgp::packet::PublicKey::from_inner(inner.map_err(failed)?).map_err(failed)?;
        SecretKey::new(public, SecretParams::Plain(PlainSecretParams::EdDSALegacy(secret))).map_err(failed)
    }
}

/// A version 4 signature that names its key and its time, in seconds since 1970 UTC.
fn config(kind: SignatureType, key: &SecretKey, time: u32) -> Result<SignatureConfig> {
    let failed = |e: pgp::errors::Error| failed("sign", &e);
    let mut config = SignatureConfig::v4(kind, PublicKeyAlgorithm::EdDSALegacy, HashAlgorithm::Sha512);
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::from_secs(time))).map_err(failed)?,
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint())).map_err(failed)?,
    ];
    config.unhashed_subpackets = vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id())).map_err(failed)?];
    Ok(config)
}

fn failed(what: &str, why: &dyn fmt::Display) -> Error {
    Error::internal(format!("{what}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::{Command, Output};

    fn gpg(home: &Path, arguments: &[&str]) -> Output {
        Command::new("gpg").arg("--homedir").arg(home).arg("--batch").args(arguments).current_dir(home).output().unwrap()
    }

    #[test]
    fn gpg_imports_the_certificate_and_accepts_the_signature_and_no_other() {
        if Command::new("gpg").arg("--version").output().is_err() {
            fixtures::missing("no gpg");
            return;
        }
        let folder = tempfile::Builder::new().permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700)).tempdir().unwrap();
        let home = folder.path();
        let key = SigningKey::from_seed(&[7; 32]);
        let certificate = key.certificate().unwrap();
        std::fs::write(home.join("key.pub"), certificate.to_armor().unwrap()).unwrap();
        let imported = gpg(home, &["--import", "key.pub"]);
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
        let listed = gpg(home, &["--list-keys", "--with-colons"]);
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert!(listed.contains(":22:") && listed.contains(USER_ID), "{listed}");

        std::fs::write(home.join("data"), b"commit").unwrap();
        std::fs::write(home.join("data.sig"), key.sign_openpgp(b"commit", SourceDateEpoch(1_700_000_000)).unwrap()).unwrap();
        let verified = gpg(home, &["--status-fd", "1", "--verify", "data.sig", "data"]);
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
        assert!(String::from_utf8_lossy(&verified.stdout).contains("VALIDSIG"));
        std::fs::write(home.join("data"), b"c0mmit").unwrap();
        assert!(!gpg(home, &["--verify", "data.sig", "data"]).status.success());

        let exported = gpg(home, &["--export", "--armor"]);
        assert_eq!(Certificate::parse(&String::from_utf8_lossy(&exported.stdout)).unwrap().public(), key.public());
    }

    #[test]
    fn a_certificate_comes_back_as_it_was_and_a_changed_one_is_refused() {
        let key = SigningKey::from_seed(&[9; 32]);
        let certificate = key.certificate().unwrap();
        let armor = certificate.to_armor().unwrap();
        assert_eq!(Certificate::parse(&armor).unwrap(), certificate);
        assert_eq!(
            (certificate.public(), armor.as_str()),
            (key.public(), SigningKey::from_seed(&[9; 32]).certificate().unwrap().to_armor().unwrap().as_str())
        );
        // The certificate of another key with the binding of this one.
        let mut twin = certificate.packets().to_vec();
        let at = twin.windows(USER_ID.len()).position(|part| part == USER_ID.as_bytes()).unwrap();
        twin[at] ^= 1;
        let changed = SignedPublicKey::from_bytes(twin.as_slice()).unwrap().to_armored_string(ArmorOptions::default()).unwrap();
        let error = Certificate::parse(&changed).unwrap_err();
        assert!(error.to_string().contains("expected an armored OpenPGP certificate"), "{error}");
        for text in ["", "x", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxxxx\n-----END PGP PUBLIC KEY BLOCK-----\n"] {
            assert!(Certificate::parse(text).is_err(), "{text}");
        }
    }
}
