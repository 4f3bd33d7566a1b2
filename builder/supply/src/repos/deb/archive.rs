//! Loads an archive: InRelease by signature, then the indexes by digest; both stay in the cache under their digests.

use super::in_release::Release;
use super::packages::Packages;
use crate::net::{Client, Pinned, Url};
use crate::repos::{PackageMeta, cached};
use model::{AtomicFile, Digest, Error, Result, ResultExt, Silent, SourceDateEpoch};
use packages::deb::control::Stanza;
use std::path::Path;

/// Bytes of an InRelease; Debian's are 150 to 300 KB.
const MAX_RELEASE: u64 = 8 << 20;
/// Bytes of a compressed index; that of Debian's main is 10 MB.
const MAX_INDEX: u64 = 512 << 20;

/// What the recipe and the machine say about one archive.
#[derive(Debug, Clone)]
pub struct DebSource<'a> {
    /// URL above `dists/`.
    pub mirror: &'a Url,
    pub suite: &'a str,
    /// For example `main`.
    pub components: &'a [String],
    /// dpkg's name.
    pub arch: &'a str,
    /// Armored public keys.
    pub keys: &'a [Vec<u8>],
    pub allow_expired: bool,
    /// Against which Valid-Until and the keys' expiry are checked.
    pub now: SourceDateEpoch,
    /// The InRelease that a lockfile names: taken from the cache without asking the mirror, and refused if the mirror has another.
    pub pinned: Option<Digest>,
}

/// A verified archive's packages.
pub struct DebArchive {
    pub release: Release,
    /// In the order of the indexes.
    pub packages: Vec<PackageMeta>,
    /// Each index with the number of its first package.
    indexes: Vec<(usize, Packages)>,
}

impl DebArchive {
    /// The Debian stanza behind `packages[index]`.
    pub fn stanza(&self, index: usize) -> Result<Stanza<'_>> {
        let at = self.indexes.partition_point(|(start, _)| *start <= index);
        let (start, packages) = at
            .checked_sub(1)
            .and_then(|at| self.indexes.get(at))
            .ok_or_else(|| Error::internal(format!("no package {index} in the archive")))?;
        packages.stanza(index - start)
    }

    /// Checks that dpkg and rpm agree on every comparison that the chosen packages (by index) rest on.
    pub fn check_order(&self, chosen: &[usize]) -> Result<()> {
        super::check_order(&chosen.iter().map(|&index| self.stanza(index)).collect::<Result<Vec<_>>>()?)
    }
}

/// Brings and verifies InRelease and the `Packages` of every component. `cache` is this machine's cache folder.
pub fn load(client: &Client, cache: &Path, source: &DebSource<'_>) -> Result<DebArchive> {
    let folder = cache.join("deb");
    let dists = source.mirror.below(&format!("dists/{}", source.suite))?;
    let latest = folder.join(format!("{}.latest.InRelease", Digest::of(dists.canonical().as_bytes())));
    let bytes = in_release(client, &folder, &dists, &latest, source.pinned)?;
    let release = Release::verify(&bytes, source.keys, source.now, source.allow_expired).context(|| {
        let cached = if client.is_offline() { format!(", {}", latest.display()) } else { String::new() };
        format!("suite {}{cached}", source.suite)
    })?;
    if release.suite != source.suite && release.codename != source.suite {
        return Err(Error::integrity(format!(
            "expected the suite {:?}, found an InRelease of {:?} ({:?})",
            source.suite, release.codename, release.suite
        )));
    }
    AtomicFile::write(&folder.join(format!("{}.InRelease", release.digest)), &bytes)?;
    if source.pinned.is_none() {
        AtomicFile::write(&latest, &bytes)?;
    }
    let mut archive = DebArchive { release, packages: Vec::new(), indexes: Vec::new() };
    for component in source.components {
        let stem = format!("{component}/binary-{}", source.arch);
        let name = format!("{stem}/Packages.xz");
        let (digest, size) = archive.release.file(&name).ok_or_else(|| {
            Error::integrity(format!("suite {}: InRelease lists no {name}", source.suite))
                .hint("check `components` and `arch` of the [[repo]]")
        })?;
        let path = folder.join(format!("{digest}.Packages.xz"));
        if size > MAX_INDEX {
            return Err(Error::integrity(format!("{name}: expected at most {MAX_INDEX} bytes, found {size}")));
        }
        let held = cached::examine(&path, Some(size), &digest)?;
        if held != cached::Cached::Intact {
            // By digest first: the plain name changes under a reader's feet while a mirror is updated.
            let by_hash = dists.below(&format!("{stem}/by-hash/SHA256/{digest}"))?;
            if client.download(&by_hash, &Pinned { to: &path, size, digest: &digest }, &Silent).is_err() {
                held.explain(&path, client.download(&dists.below(&name)?, &Pinned { to: &path, size, digest: &digest }, &Silent))?;
            }
        }
        let compressed = cached::read(&path, size)?;
        if Digest::of(&compressed) != digest {
            return Err(Error::integrity(format!("{}: expected sha256 {digest}, found {}", path.display(), Digest::of(&compressed))));
        }
        let plain = archive.release.file(&format!("{stem}/Packages")).map(|(_, size)| size);
        let (index, packages) = Packages::parse(&name, &compressed, plain)?;
        archive.indexes.push((archive.packages.len(), index));
        archive.packages.extend(packages);
    }
    Ok(archive)
}

/// The InRelease that is pinned, or the mirror's; offline, the latest that was good. Whoever asks verifies it.
fn in_release(client: &Client, folder: &Path, dists: &Url, latest: &Path, pinned: Option<Digest>) -> Result<Vec<u8>> {
    if let Some(digest) = pinned {
        let path = folder.join(format!("{digest}.InRelease"));
        if cached::examine(&path, None, &digest)? == cached::Cached::Intact {
            return cached::read(&path, MAX_RELEASE);
        }
    } else if client.is_offline() && !dists.is_file() && latest.exists() {
        return cached::read(latest, MAX_RELEASE);
    }
    let bytes = client.get(&dists.below("InRelease")?, MAX_RELEASE)?;
    match pinned {
        Some(digest) if Digest::of(&bytes) != digest => {
            Err(Error::integrity(format!("InRelease: expected sha256 {digest}, found {}", Digest::of(&bytes)))
                .hint("the archive has moved on since the lock; `lock` reads it anew"))
        }
        _ => Ok(bytes),
    }
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
