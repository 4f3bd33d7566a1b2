//! Converts .debs to .rpms on disk, once each: the cache names the .deb's digest and the converter's version.

use crate::base::{AtomicFile, Digest, Error, Progress, Result, ResultExt, Silent};
use crate::formats::deb::Deb;
use crate::formats::deb::control::Stanza;
use crate::net::{Client, Url};
use crate::repos::PackageMeta;
use crate::repos::cached as cache_entry;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

use super::{metadata, rpm_file};

/// Raised whenever the same .deb would give other bytes.
pub const CONVERTER_VERSION: u32 = 1;

/// A package that was repackaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvertedRpm {
    pub path: PathBuf,
    /// Of the .rpm.
    pub sha256: Digest,
    /// Bytes of the .rpm.
    pub size: u64,
}

/// What lies beside a converted package, so that nobody hashes it again to know its name.
#[derive(serde::Serialize, serde::Deserialize)]
struct Record {
    sha256: Digest,
    size: u64,
}

/// The converted package of a .deb with this digest, if `folder` has it. Its bytes are verified by who opens it.
fn cached(folder: &Path, deb: &Digest) -> Option<ConvertedRpm> {
    let path = rpm_path(folder, deb);
    let record: Record = serde_json::from_slice(&std::fs::read(path.with_extension("json")).ok()?).ok()?;
    (std::fs::metadata(&path).ok()?.len() == record.size).then_some(ConvertedRpm { path, sha256: record.sha256, size: record.size })
}

fn rpm_path(folder: &Path, deb: &Digest) -> PathBuf {
    folder.join(format!("{deb}-v{CONVERTER_VERSION}.rpm"))
}

/// Converts the .deb at `deb` into `folder`. `expected` is what the archive's index says of it: its digest and its identity must hold.
pub fn convert(deb: &Path, expected: &PackageMeta, folder: &Path) -> Result<ConvertedRpm> {
    let doing = || format!("convert {}", deb.display());
    let bytes = std::fs::read(deb).context(|| format!("read {}", deb.display()))?;
    let digest = Digest::of(&bytes);
    if let Some(wanted) = expected.source_digest
        && wanted != digest
    {
        return Err(Error::integrity(format!("{}: expected sha256 {wanted}, found {digest}", deb.display())));
    }
    if let Some(found) = cached(folder, &digest) {
        return Ok(found);
    }
    let mut package = Deb::parse(&bytes).context(doing)?;
    drop(bytes);
    let control = package.control.remove("control").ok_or_else(|| Error::integrity("no control file")).context(doing)?;
    let control =
        String::from_utf8(control).map_err(|_| Error::integrity(format!("{}: a control file that is not UTF-8", deb.display())))?;
    let stanza = Stanza::parse(&control).context(doing)?;
    let meta = metadata::meta(&stanza).context(doing)?;
    if meta.nevra() != expected.nevra() {
        return Err(Error::integrity(format!("{}: expected {}, found {}", deb.display(), expected.nevra(), meta.nevra())));
    }
    let rpm = rpm_file::build(package, &stanza, &meta, &digest).context(doing)?;
    let converted = ConvertedRpm { path: rpm_path(folder, &digest), sha256: Digest::of(&rpm), size: rpm.len() as u64 };
    write(&converted.path, &rpm)?;
    let record = serde_json::to_vec(&Record { sha256: converted.sha256, size: converted.size })
        .map_err(|e| Error::internal("encode the record").source(e))?;
    write(&converted.path.with_extension("json"), &record)?;
    Ok(converted)
}

/// Without waiting for the device: a cache entry that is verified when read.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let mut file = AtomicFile::create(path)?;
    file.file().write_all(bytes).context(|| format!("write {}", path.display()))?;
    file.commit_unsynced().map(drop)
}

/// Brings each package that `cache` does not hold converted, and converts it; on every core, results in the order of `packages`. Tells
/// `progress` of packages.
pub fn fetch_and_convert(
    client: &Client,
    mirror: &(dyn Fn() -> Result<Url> + Sync),
    packages: &[&PackageMeta],
    cache: &Path,
    progress: &dyn Progress,
) -> Result<Vec<ConvertedRpm>> {
    let folder = cache.join("converted");
    progress.begin("repackage", packages.len() as u64, "packages");
    packages
        .par_iter()
        .with_max_len(1)
        .map(|package| {
            let digest =
                package.source_digest.ok_or_else(|| Error::integrity(format!("package {}: the index gives no SHA256", package.nevra())))?;
            let converted = match cached(&folder, &digest) {
                Some(found) => found,
                None => {
                    let deb = cache.join("debs").join(format!("{digest}.deb"));
                    let held = cache_entry::examine(&deb, Some(package.size), &digest)?;
                    if held != cache_entry::Cached::Intact {
                        let url = mirror()?.below(&package.location);
                        let fetched = url.and_then(|url| client.download(&url, &deb, package.size, &digest, &Silent));
                        held.explain(&deb, fetched).context(|| format!("package {}", package.nevra()))?;
                    }
                    convert(&deb, package, &folder)?
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
