//! manifest.json: every input and output digest of a build, and what the builder did to the tree beside unpacking. Same inputs, same bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use disks::export::Artifact;
use model::{AtomicFile, Digest, Error, ImageSeed, OptionJudged, Result, read_input};
use ostree::CommitId;
use recipe::lock::Lockfile;
use recipe::{Recipe, RepoKind, Trust, Weakness};
use rootfs::{Ledger, LedgerRow};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use supply::fetch::Pack;

#[derive(Serialize)]
struct Manifest<'a> {
    schema: u32,
    name: &'a str,
    #[serde(rename = "ref")]
    reference: &'a str,
    version: &'a str,
    commit: String,
    /// The commit that it follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<CommitId>,
    /// The detached metadata of the image's commits in base64: their signatures, which a rebuild cannot make without the private key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    signatures: BTreeMap<CommitId, String>,
    /// Seconds since 1970 UTC.
    epoch: u32,
    recipe: Digest,
    /// Of its packages: a build adds ids of accounts, which show in the image themselves.
    lockfile: Digest,
    seed: String,
    packages: Vec<Package>,
    tools: Vec<Package>,
    ledger: &'a [LedgerRow],
    artifacts: Vec<Output<'a>>,
}

#[derive(Serialize)]
struct Package {
    nevra: String,
    sha256: Option<Digest>,
    source_sha256: Option<Digest>,
    /// Fingerprint of the key: the package's own, or for what was repackaged from a Debian archive the one of the InRelease whose digests led to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<String>,
    /// The weaknesses that the recipe had to relax for this one: those that its signature has by the recipe's keys, whatever was in the cache.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    relaxed: Vec<Weakness>,
}

#[derive(Serialize)]
struct Output<'a> {
    format: &'a str,
    file: String,
    size: u64,
    sha256: Digest,
}

/// The detached metadata of commits, which holds their signatures.
pub type Signatures = BTreeMap<CommitId, Vec<u8>>;

/// A finished build, of which the manifest tells.
pub struct Build<'a> {
    pub recipe: &'a Recipe,
    pub lock: &'a Lockfile,
    /// In the order of the lockfile's packages.
    pub packages: &'a [Pack],
    /// In the order of the lockfile's tools.
    pub tools: &'a [Pack],
    pub seed: &'a ImageSeed,
    pub commit: CommitId,
    pub parent: Option<CommitId>,
    pub signatures: &'a Signatures,
    pub version: &'a str,
    pub ledger: &'a Ledger,
    pub artifacts: &'a [Artifact],
}

/// Writes the manifest of `build` to `path`, on the device when this returns.
pub fn write(path: &Path, build: &Build) -> Result<()> {
    let Build { recipe, lock, packages: packs, tools, seed, commit, parent, signatures, version, ledger, artifacts } = *build;
    let unsigned: Vec<&str> = recipe.repos.iter().filter(|repo| repo.trust == Trust::Unsigned).map(|repo| repo.id.as_str()).collect();
    let archives: Vec<&str> =
        recipe.repos.iter().filter(|repo| matches!(repo.kind, RepoKind::Deb { .. })).map(|repo| repo.id.as_str()).collect();
    let archive_key = |id: &str| lock.repositories.iter().find(|repository| repository.repo == id).and_then(|r| r.signed_by.clone());
    let packages = |list: &[recipe::lock::LockedPackage], packs: &[Pack]| {
        let row = |p: &recipe::lock::LockedPackage, pack: &Pack| {
            // Of an unsigned repository no signature counts, even where another recipe asked for one.
            let signer = pack.signer().filter(|_| !unsigned.contains(&p.repo.as_str()));
            Package {
                nevra: p.nevra.to_string(),
                sha256: p.sha256,
                source_sha256: p.source_sha256,
                // The repackager's key is public: its signature proves nothing to a reader.
                signed_by: match archives.contains(&p.repo.as_str()) {
                    true => archive_key(&p.repo),
                    false => signer.map(|signer| signer.fingerprint.clone()),
                },
                relaxed: signer.map(|signer| signer.relaxed.clone()).default_because("a package without a signer had nothing relaxed"),
            }
        };
        list.iter().zip(packs).map(|(p, pack)| row(p, pack)).collect()
    };
    let manifest = Manifest {
        schema: 1,
        name: &recipe.name,
        reference: &recipe.reference,
        version,
        commit: commit.to_string(),
        parent,
        signatures: signatures.iter().map(|(commit, bytes)| (*commit, STANDARD.encode(bytes))).collect(),
        epoch: lock.epoch.0,
        recipe: recipe.digest(),
        lockfile: lock.digest_of_packages()?,
        seed: seed.to_string(),
        packages: packages(&lock.packages, packs),
        tools: packages(&lock.tools, tools),
        ledger,
        artifacts: artifacts
            .iter()
            .map(|a| Output {
                format: a.format,
                file: a.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
                size: a.size,
                sha256: a.sha256,
            })
            .collect(),
    };
    let mut bytes = serde_json::to_vec_pretty(&manifest).map_err(|e| Error::internal("encode the manifest").source(e))?;
    bytes.push(b'\n');
    AtomicFile::write(path, &bytes)
}

/// What a manifest says that an image was built from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct ManifestInputs {
    /// Of the recipe.
    pub name: String,
    /// Digests in hex: of the recipe's meaning, and of the lockfile's packages.
    pub recipe: String,
    pub lockfile: String,
    /// The commit that the image's one follows.
    #[serde(default)]
    pub parent: Option<CommitId>,
    /// The detached metadata of the image's commits.
    #[serde(default, deserialize_with = "decoded")]
    pub signatures: Signatures,
}

fn decoded<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Signatures, D::Error> {
    let texts = BTreeMap::<CommitId, String>::deserialize(deserializer)?;
    texts.into_iter().map(|(commit, text)| Ok((commit, STANDARD.decode(text).map_err(D::Error::custom)?))).collect()
}

/// Of a manifest, in bytes; one of 700 packages has 400 KB.
const MAX_MANIFEST: u64 = 64 << 20;

/// Reads the inputs from a manifest.
pub fn read_inputs(path: &Path) -> Result<ManifestInputs> {
    let text = read_input(path, MAX_MANIFEST)?;
    serde_json::from_slice(&text).map_err(|e| Error::integrity(format!("{} is no manifest of a build", path.display())).source(e))
}

/// What [`ManifestInputs::lockfile`] is of this lockfile.
pub fn lockfile_digest(path: &Path) -> Result<Digest> {
    Lockfile::read(path)?.digest_of_packages()
}
