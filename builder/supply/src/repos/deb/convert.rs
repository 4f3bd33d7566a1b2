//! Converts .debs to .rpms on disk, once each: [`Facts`] keep what the converter made of a .deb, the cache keeps the bytes.

use super::{metadata, rpm_file};
use crate::net::{Client, Mirrors, Pinned};
use crate::repos::PackageMeta;
use model::{AtomicFile, Digest, Entry, Error, Facts, Hasher, Progress, Result, ResultExt, ResultJudged, Silent, question, set_aside};
use packages::deb::Deb;
use packages::deb::control::Stanza;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Raised whenever the same .deb would give other bytes.
pub const CONVERTER_VERSION: u32 = 1;

/// In bytes: far beyond the biggest package of the Debian archive, 1.9 GB.
const LARGEST_DEB: u64 = 8 << 30;

/// A package that was repackaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvertedRpm {
    pub path: PathBuf,
    /// Of the .rpm.
    pub sha256: Digest,
    /// Bytes of the .rpm.
    pub size: u64,
}

/// What this converter makes of a .deb: the digest of the .rpm.
pub fn conversion_question(deb: &Digest) -> Digest {
    question("converted", &[&CONVERTER_VERSION.to_le_bytes(), deb.as_bytes()])
}

/// The converted package of a .deb with this digest, if it was made before and is there. Its bytes are verified by who opens it.
fn cached(folder: &Path, deb: &Digest, facts: &Facts) -> Result<Option<ConvertedRpm>> {
    let path = rpm_path(folder, deb);
    let Some(sha256) = facts.get(conversion_question(deb)) else { return Ok(None) };
    let Entry::Open(_, metadata) = Entry::open(&path)? else { return Ok(None) };
    Ok(Some(ConvertedRpm { path, sha256, size: metadata.len() }))
}

/// The file in the cache of the package that is made of a .deb.
pub fn converted_name(deb: &Digest) -> String {
    format!("{deb}-v{CONVERTER_VERSION}.rpm")
}

fn rpm_path(folder: &Path, deb: &Digest) -> PathBuf {
    folder.join(converted_name(deb))
}

/// Converts the .deb at `deb` into `folder`. `expected` is what the archive's index says of it: its digest and its identity must hold.
pub fn convert(deb: &Path, expected: &PackageMeta, folder: &Path, facts: &Facts) -> Result<ConvertedRpm> {
    let doing = || format!("convert {}", deb.display());
    let bytes = Entry::read(deb, LARGEST_DEB)?.ok_or_else(|| Error::integrity(format!("{} cannot be read", deb.display())))?;
    let digest = Digest::of(&bytes);
    if let Some(wanted) = expected.source_digest
        && wanted != digest
    {
        return Err(Error::integrity(format!("{}: expected sha256 {wanted}, found {digest}", deb.display())));
    }
    let mut package = Deb::parse(&bytes).context(doing)?;
    drop(bytes);
    let control = package.control.remove("control").ok_or_else(|| Error::integrity("no control file")).context(doing)?;
    let control =
        String::from_utf8(control).map_err(|_| Error::integrity(format!("{}: a control file that is not UTF-8", deb.display())))?;
    let stanza = Stanza::parse(&control).context(doing)?;
    let meta = metadata::meta(&stanza).context(doing)?;
    if meta.nevra != expected.nevra {
        return Err(Error::integrity(format!("{}: expected {}, found {}", deb.display(), expected.nevra, meta.nevra)));
    }
    let rpm = rpm_file::build(package, &stanza, &meta, &digest).context(doing)?;
    let converted = ConvertedRpm { path: rpm_path(folder, &digest), sha256: Digest::of(&rpm), size: rpm.len() as u64 };
    AtomicFile::write_unsynced(&converted.path, &rpm)?;
    facts.add(conversion_question(&digest), converted.sha256);
    Ok(converted)
}

/// Of a file of the cache; `None` if it cannot be read.
fn file_digest(path: &Path) -> Result<Option<Digest>> {
    let Entry::Open(file, _) = Entry::open(path)? else { return Ok(None) };
    let mut hasher = Hasher::new();
    // A read error of the disk is damage like any other.
    Ok(std::io::copy(&mut std::io::BufReader::with_capacity(1 << 20, file), &mut hasher)
        .none_because("a file that cannot be read is damaged")
        .map(|_| hasher.finish()))
}

/// Brings each package that `cache` does not hold converted, and converts it; on every core, results in the order of `packages`. Tells
/// `progress` of packages.
pub fn fetch_and_convert(
    client: &Client,
    mirrors: &(dyn Fn() -> Result<Mirrors> + Sync),
    packages: &[&PackageMeta],
    cache: &Path,
    facts: &Facts,
    progress: &dyn Progress,
) -> Result<Vec<ConvertedRpm>> {
    let folder = cache.join("converted");
    progress.begin("repackage", packages.len() as u64, "packages");
    packages
        .par_iter()
        .with_max_len(1)
        .map(|package| {
            let digest =
                package.source_digest.ok_or_else(|| Error::integrity(format!("package {}: the index gives no SHA256", package.nevra)))?;
            let converted = match cached(&folder, &digest, facts)? {
                Some(found) => found,
                None => {
                    let deb = cache.join("debs").join(format!("{digest}.deb"));
                    let mirrors = mirrors()?;
                    let download = || {
                        let found =
                            mirrors.download(client, &package.location, &Pinned { to: &deb, size: package.size, digest: &digest }, &Silent);
                        found.context(|| format!("package {}", package.nevra))
                    };
                    download()?;
                    if file_digest(&deb)? != Some(digest) {
                        let aside = set_aside(&deb)?;
                        progress.warn(&format!("{} is damaged: kept as {}, downloaded again", deb.display(), aside.display()));
                        download()?;
                    }
                    convert(&deb, package, &folder, facts)?
                }
            };
            progress.advance(1);
            Ok(converted)
        })
        .collect()
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
