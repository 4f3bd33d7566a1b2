//! repomd.xml: from one URL, or from the mirrors of a list or a metalink, with its digest and signature checked. Offline, the last good one.

use super::{Origin, Source, Trust};
use crate::net::{Client, Mirrors, Url};
use crate::repos::cached;
use model::{AtomicFile, Digest, Error, Result, ResultExt};
use packages::rpmmd::{self, Metalink};
use std::path::{Path, PathBuf};

/// Bytes. The largest repositories of 2026 have a repomd.xml of 20 KB; Fedora's metalinks are 40 KB.
const REPOMD_LIMIT: u64 = 4 << 20;
const SIGNATURE_LIMIT: u64 = 256 << 10;
const LIST_LIMIT: u64 = 4 << 20;
const REPOMD: &str = "repodata/repomd.xml";

impl<'a> Origin<'a> {
    fn address(self) -> &'a Url {
        match self {
            Origin::Url(url) | Origin::Metalink(url) | Origin::Mirrorlist(url) => url,
        }
    }
}

/// Where the packages of a repository are. A list of mirrors is asked for anew, or taken from `cache` when offline.
pub fn mirrors(client: &Client, origin: Origin<'_>, cache: &Path) -> Result<Mirrors> {
    locate(client, origin, cache).map(|(mirrors, _)| mirrors)
}

fn locate(client: &Client, origin: Origin<'_>, cache: &Path) -> Result<(Mirrors, Metalink)> {
    let none = |what: &str, url: &Url| {
        Error::network(format!("{what} {url}: it names no http or https mirror"))
            .hint("name a mirror with `url` instead, or correct the release and architecture in the address")
    };
    // What is no URL of ours (rsync, ftp) is no mirror of ours; a list from elsewhere must not lead to files of this machine.
    let usable = |text: &str| Url::parse(text).into_iter().find(|url| !url.is_file() || origin.address().is_file());
    match origin {
        Origin::Url(url) => Ok((Mirrors::one(url.clone()), Metalink::default())),
        Origin::Mirrorlist(url) => {
            let bytes = list(client, url, cache).context(|| "mirror list")?;
            let text = String::from_utf8_lossy(&bytes);
            let mirrors = Mirrors::new(text.lines().map(str::trim).filter(|line| line.contains("://")).filter_map(usable));
            Ok((mirrors.ok_or_else(|| none("mirror list", url))?, Metalink::default()))
        }
        Origin::Metalink(url) => {
            let bytes = list(client, url, cache).context(|| "metalink")?;
            let metalink = rpmmd::parse_metalink(&bytes).context(|| url)?;
            let files = metalink.urls.iter().filter_map(|text| usable(text));
            let mirrors = Mirrors::new(files.filter_map(|file| file.without_suffix(REPOMD)));
            Ok((mirrors.ok_or_else(|| none("metalink", url))?, metalink))
        }
    }
}

/// The list itself, kept for runs without a network.
fn list(client: &Client, url: &Url, cache: &Path) -> Result<Vec<u8>> {
    let kept = kept(cache, url, "mirrors");
    if client.is_offline() && !url.is_file() && kept.exists() {
        return cached::read(&kept, LIST_LIMIT);
    }
    let bytes = client.get(url, LIST_LIMIT)?;
    AtomicFile::write(&kept, &bytes)?;
    Ok(bytes)
}

fn kept(cache: &Path, url: &Url, suffix: &str) -> PathBuf {
    cache.join("metadata").join(format!("{}.{suffix}", Digest::of(url.canonical().as_bytes())))
}

/// repomd.xml and where it came from. With a metalink, of the version that it names; an older one that it also names only where no mirror
/// has the newest.
pub(super) fn load(client: &Client, source: &Source<'_>, cache: &Path) -> Result<(Vec<u8>, Mirrors)> {
    let (mirrors, metalink) = locate(client, source.origin, cache)?;
    let address = source.origin.address();
    let (kept, kept_signature) = (kept(cache, address, "repomd.xml"), kept(cache, address, "repomd.xml.asc"));
    let from_cache = client.is_offline() && !address.is_file() && kept.exists();
    if from_cache {
        let bytes = cached::read(&kept, REPOMD_LIMIT)?;
        if let Trust::Signed(verify) = source.trust {
            let signature = cached::read(&kept_signature, SIGNATURE_LIMIT)?;
            verify(&bytes, &signature).context(|| format!("signature of {}", kept.display()))?;
        }
        let named: Vec<Digest> = metalink.digest.into_iter().chain(metalink.alternates).collect();
        if !named.is_empty() && !named.contains(&Digest::of(&bytes)) {
            return Err(Error::integrity(format!("{}: expected one of the files that the metalink names, found another", kept.display()))
                .hint("the cached copy is damaged or of another time: run once without --offline"));
        }
        return Ok((bytes, mirrors));
    }
    let newest: Vec<Digest> = metalink.digest.into_iter().collect();
    let found = fetch(client, source, &mirrors, &newest);
    let (bytes, signature) = match found {
        Err(_) if !metalink.alternates.is_empty() && !newest.is_empty() => {
            fetch(client, source, &mirrors, &[newest, metalink.alternates].concat())?
        }
        found => found?,
    };
    if let Some(signature) = signature {
        AtomicFile::write(&kept_signature, &signature)?;
    }
    AtomicFile::write(&kept, &bytes)?;
    Ok((bytes, mirrors))
}

/// From the first mirror whose repomd.xml is one of `expected` (none: any) and signed as the recipe demands.
fn fetch(client: &Client, source: &Source<'_>, mirrors: &Mirrors, expected: &[Digest]) -> Result<(Vec<u8>, Option<Vec<u8>>)> {
    let signature = std::cell::RefCell::new(None);
    let bytes = mirrors.get(client, REPOMD, REPOMD_LIMIT, |url, bytes| {
        let found = Digest::of(bytes);
        if !expected.is_empty() && !expected.contains(&found) {
            let expected = expected.first().map_or_else(String::new, ToString::to_string);
            return Err(Error::integrity(format!("{url}: expected sha256 {expected} as the metalink says, found {found}")));
        }
        let Trust::Signed(verify) = source.trust else { return Ok(()) };
        let detached = client.get(&url.with_suffix(".asc"), SIGNATURE_LIMIT).map_err(|e| {
            e.context("the recipe names keys, so repomd.xml must be signed").hint(
                "if the repository signs only its packages, say so with `metadata = \"unsigned\"`, and the lockfile pins their digests",
            )
        })?;
        verify(bytes, &detached).context(|| format!("signature of {url}"))?;
        signature.replace(Some(detached));
        Ok(())
    })?;
    Ok((bytes, signature.into_inner()))
}
