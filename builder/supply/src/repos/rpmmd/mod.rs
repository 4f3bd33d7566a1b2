//! An rpm-md repository becomes a snapshot: repomd.xml, its signature or the metalink's digest of it, and primary under the digest that
//! repomd.xml names. Module streams come along; complete file lists and groups when somebody asks.

mod package;
mod root;
#[cfg(test)]
mod tests;

pub use root::mirrors;

use crate::net::{Client, Mirrors, Pinned, Url, is_below};
use crate::repos::{MetadataFile, RepoSnapshot, cached};
use model::{AtomicFile, Digest, Error, Progress, Result, ResultExt, SourceDateEpoch};
use package::package_meta;
use packages::rpmmd::{self, Data, Modules};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Bytes. The largest repositories of 2026 have a primary of 30 MB that unpacks to 300 MB, a filelists of 800 MB, a modules.yaml of 10 MB.
const METADATA_LIMIT: u64 = 512 << 20;
const PLAIN_LIMIT: u64 = 4 << 30;
const SMALL_LIMIT: u64 = 64 << 20;
/// Plain text may be so many times as long as the file, beyond 4 MiB: that of large repositories is 15 times as long at most.
const PLAIN_FACTOR: u64 = 25;
/// The same of what is not kept in memory.
const STREAMED_FACTOR: u64 = 200;
const PLAIN_FLOOR: u64 = 4 << 20;

/// What the recipe says of the repository.
pub struct Source<'a> {
    pub id: &'a str,
    pub origin: Origin<'a>,
    pub priority: u32,
    /// Globs; empty shows every package.
    pub visible: &'a [String],
    /// Globs of what is not shown all the same.
    pub exclude: &'a [String],
    pub trust: Trust<'a>,
}

/// What an address leads to.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// The repository.
    Url(&'a Url),
    /// Mirrors, and the digest of repomd.xml.
    Metalink(&'a Url),
    /// A text with one mirror's URL a line.
    Mirrorlist(&'a Url),
}

/// Checks a detached, armored signature (second) over the bytes (first).
pub type SignatureCheck<'a> = dyn Fn(&[u8], &[u8]) -> Result<()> + 'a;

pub enum Trust<'a> {
    /// The recipe says so, or a metalink has the digest.
    Unsigned,
    Signed(&'a SignatureCheck<'a>),
}

/// Brings the metadata into `cache` (or takes it from there) and reads it. The caller knows the repository's name and says it in errors.
pub fn load(client: &Client, source: &Source<'_>, cache: &Path, progress: &dyn Progress) -> Result<RepoSnapshot> {
    let (root, mirrors) = root::load(client, source, cache)?;
    let repomd = rpmmd::parse_repomd(&root)?;
    let primary = repomd.find("primary").ok_or_else(|| Error::integrity("repomd.xml: expected a primary, found none"))?;
    let file = metadata_file(primary)?;
    let path = bring(client, &mirrors, &file, cache, progress)?;
    let packages = rpmmd::read_primary_with(|| open(&path, primary.open_size, PLAIN_FACTOR), package_meta)?;
    let modules = modules(client, &repomd, &mirrors, cache, progress)?;
    Ok(RepoSnapshot {
        id: source.id.to_owned(),
        priority: source.priority,
        visible: source.visible.to_vec(),
        exclude: source.exclude.to_vec(),
        packages,
        revision: repomd.revision.clone(),
        time: SourceDateEpoch(repomd.data.iter().map(|d| d.timestamp).max().unwrap_or(0)),
        digest: Digest::of(&root),
        filelists: repomd.find("filelists").map(metadata_file).transpose()?,
        comps: comps(&repomd).map(metadata_file).transpose()?,
        modules,
        mirrors,
    })
}

/// `group` is the plain file; a compressed one goes by its suffix.
fn comps(repomd: &rpmmd::Repomd) -> Option<&Data> {
    ["group_zst", "group_xz", "group_gz", "group"].iter().find_map(|kind| repomd.find(kind))
}

/// Module streams, for a repository that has some.
fn modules(client: &Client, repomd: &rpmmd::Repomd, mirrors: &Mirrors, cache: &Path, progress: &dyn Progress) -> Result<Modules> {
    let Some(data) = repomd.find("modules") else { return Ok(Modules::default()) };
    let file = metadata_file(data)?;
    let path = bring(client, mirrors, &file, cache, progress)?;
    let mut text = String::new();
    let read = open(&path, Some(SMALL_LIMIT), PLAIN_FACTOR)?.read_to_string(&mut text);
    read.map_err(|e| Error::integrity("modules.yaml").source(e))?;
    rpmmd::parse_modules(&text)
}

/// The package groups of a repository; none if it has no comps.
pub fn groups(client: &Client, snapshot: &RepoSnapshot, cache: &Path, progress: &dyn Progress) -> Result<rpmmd::Comps> {
    let Some(file) = &snapshot.comps else { return Ok(rpmmd::Comps::default()) };
    let doing = || format!("repository {}", snapshot.id);
    let path = bring(client, &snapshot.mirrors, file, cache, progress).context(doing)?;
    let plain = open(&path, Some(SMALL_LIMIT), PLAIN_FACTOR).context(doing)?;
    rpmmd::read_comps(plain).context(doing)
}

/// Adds those of `wanted` to the packages' files that the complete lists have: primary only knows the likely ones.
pub fn add_files(
    client: &Client,
    snapshot: &mut RepoSnapshot,
    wanted: &BTreeSet<String>,
    cache: &Path,
    progress: &dyn Progress,
) -> Result<()> {
    let Some(file) = snapshot.filelists.clone().filter(|_| !wanted.is_empty()) else { return Ok(()) };
    let doing = format!("repository {}", snapshot.id);
    let path = bring(client, &snapshot.mirrors, &file, cache, progress).context(|| &doing)?;
    let by_digest: BTreeMap<String, usize> =
        snapshot.packages.iter().enumerate().filter_map(|(i, p)| Some((p.digest?.to_string(), i))).collect();
    let plain = open(&path, None, STREAMED_FACTOR).context(|| &doing)?;
    let packages = &mut snapshot.packages;
    rpmmd::read_filelists(plain, |id, file| {
        if wanted.contains(file)
            && let Some(package) = by_digest.get(id).and_then(|i| packages.get_mut(*i))
            && !package.files.iter().any(|f| f == file)
        {
            package.files.push(file.to_owned());
        }
    })
    .context(|| &doing)
}

fn metadata_file(data: &Data) -> Result<MetadataFile> {
    let what = format!("{} of repomd.xml", data.kind);
    let digest = data.checksum.sha256(&what)?;
    let location = Some(data.location.clone()).filter(|location| is_below(location)).ok_or_else(|| outside(&what, &data.location))?;
    Ok(MetadataFile { location, size: data.size, digest })
}

/// The file in the cache, under its digest, which is checked each time: what the cache holds is no better than what comes from a mirror.
fn bring(client: &Client, mirrors: &Mirrors, file: &MetadataFile, cache: &Path, progress: &dyn Progress) -> Result<PathBuf> {
    let path = cache.join("metadata").join(file.digest.to_string());
    let cached = cached::examine(&path, file.size, &file.digest)?;
    if cached != cached::Cached::Intact {
        cached.explain(&path, fetch(client, mirrors, file, &path, progress))?;
    }
    Ok(path)
}

fn fetch(client: &Client, mirrors: &Mirrors, file: &MetadataFile, path: &Path, progress: &dyn Progress) -> Result<()> {
    match file.size {
        Some(size) if size > METADATA_LIMIT => {
            Err(Error::integrity(format!("{}: expected at most {METADATA_LIMIT} bytes, found {size}", file.location)))
        }
        Some(size) => mirrors.download(client, &file.location, &Pinned { to: path, size, digest: &file.digest }, progress),
        None => {
            let bytes = mirrors.get(client, &file.location, METADATA_LIMIT, |url, bytes| {
                let found = Digest::of(bytes);
                if found == file.digest {
                    return Ok(());
                }
                Err(Error::integrity(format!("{url}: expected sha256 {}, found {found}", file.digest)))
            })?;
            AtomicFile::write(path, &bytes)
        }
    }
}

fn open(path: &Path, plain: Option<u64>, factor: u64) -> Result<Box<dyn BufRead>> {
    let doing = || format!("read {}", path.display());
    let file = File::open(path).context(doing)?;
    let most = file.metadata().context(doing)?.len().saturating_mul(factor).saturating_add(PLAIN_FLOOR);
    rpmmd::decompress(BufReader::with_capacity(128 * 1024, file), plain.unwrap_or(PLAIN_LIMIT).min(PLAIN_LIMIT).min(most)).context(doing)
}

/// A package's place: below the repository's URL, or a whole URL where the metadata names one as its base. Whether that is on the repository's
/// own host is checked when the package is chosen.
fn place(base: &str, location: &str) -> Option<String> {
    let location = Some(location).filter(|location| is_below(location))?;
    let base = base.trim_end_matches('/');
    if base.is_empty() {
        return Some(location.to_owned());
    }
    if !base.contains("://") {
        let joined = format!("{base}/{location}");
        return is_below(&joined).then_some(joined);
    }
    let leads_out = base.split('/').any(|part| part == "..");
    match Url::parse(base).and_then(|base| base.below(location)) {
        Ok(url) if !leads_out => Some(url.text().to_owned()),
        _ => None,
    }
}

fn outside(what: &str, location: &str) -> Error {
    Error::integrity(format!("{what}: expected a location below the repository, found {:?}", location.get(..80).unwrap_or(location)))
}
