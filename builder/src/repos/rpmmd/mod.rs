//! An rpm-md repository becomes a snapshot: repomd.xml, its signature or the metalink's digest of it, and primary under the digest that
//! repomd.xml names. Module streams come along; complete file lists and groups when somebody asks.

mod package;
mod root;
#[cfg(test)]
mod tests;

pub use root::mirrors;

use crate::base::{AtomicFile, Digest, Error, Progress, Result, ResultExt, SourceDateEpoch};
use crate::formats::rpmmd::{self, Data, Modules};
use crate::net::{Client, Mirrors, shown};
use crate::repos::{MetadataFile, RepoSnapshot};
use package::package_meta;
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
    Url(&'a str),
    /// Mirrors, and the digest of repomd.xml.
    Metalink(&'a str),
    /// A text with one mirror's URL a line.
    Mirrorlist(&'a str),
}

/// Checks a detached, armored signature (second) over the bytes (first).
pub type SignatureCheck<'a> = dyn Fn(&[u8], &[u8]) -> Result<()> + 'a;

pub enum Trust<'a> {
    /// The recipe says so, or a metalink has the digest.
    Unsigned,
    Signed(&'a SignatureCheck<'a>),
}

/// Brings the metadata into `cache` (or takes it from there) and reads it.
pub fn load(client: &Client, source: &Source<'_>, cache: &Path, progress: &dyn Progress) -> Result<RepoSnapshot> {
    let doing = || format!("repository {}", source.id);
    let (root, mirrors) = root::load(client, source, cache).context(doing)?;
    let repomd = rpmmd::parse_repomd(&root).context(doing)?;
    let primary = repomd.find("primary").ok_or_else(|| Error::integrity("repomd.xml: expected a primary, found none")).context(doing)?;
    let file = metadata_file(primary).context(doing)?;
    let path = bring(client, &mirrors, &file, cache, progress).context(doing)?;
    let mut packages = Vec::new();
    let parsed = rpmmd::read_primary_with(|| open(&path, primary.open_size, PLAIN_FACTOR), package_meta);
    keep_only_good(&path, &file.digest, parsed.map(|found| packages = found)).context(doing)?;
    let modules = modules(client, &repomd, &mirrors, cache, progress).context(doing)?;
    Ok(RepoSnapshot {
        id: source.id.to_owned(),
        priority: source.priority,
        visible: source.visible.to_vec(),
        exclude: source.exclude.to_vec(),
        packages,
        revision: repomd.revision.clone(),
        time: SourceDateEpoch(repomd.data.iter().map(|d| d.timestamp).max().unwrap_or(0)),
        digest: Digest::of(&root),
        filelists: repomd.find("filelists").map(metadata_file).transpose().context(doing)?,
        comps: comps(&repomd).map(metadata_file).transpose().context(doing)?,
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
    let parsed = open(&path, Some(SMALL_LIMIT), PLAIN_FACTOR)?
        .read_to_string(&mut text)
        .map_err(|e| Error::integrity("modules.yaml").source(e))
        .and_then(|_| rpmmd::parse_modules(&text));
    let mut modules = Modules::default();
    keep_only_good(&path, &file.digest, parsed.map(|found| modules = found))?;
    Ok(modules)
}

/// The package groups of a repository; none if it has no comps.
pub fn groups(client: &Client, snapshot: &RepoSnapshot, cache: &Path, progress: &dyn Progress) -> Result<rpmmd::Comps> {
    let Some(file) = &snapshot.comps else { return Ok(rpmmd::Comps::default()) };
    let doing = || format!("repository {}", snapshot.id);
    let path = bring(client, &snapshot.mirrors, file, cache, progress).context(doing)?;
    let plain = open(&path, Some(SMALL_LIMIT), PLAIN_FACTOR).context(doing)?;
    let mut comps = rpmmd::Comps::default();
    let parsed = rpmmd::read_comps(plain).map(|found| comps = found);
    keep_only_good(&path, &file.digest, parsed).context(doing)?;
    Ok(comps)
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
    let parsed = rpmmd::read_filelists(plain, |id, file| {
        if wanted.contains(file)
            && let Some(package) = by_digest.get(id).and_then(|i| packages.get_mut(*i))
            && !package.files.iter().any(|f| f == file)
        {
            package.files.push(file.to_owned());
        }
    });
    keep_only_good(&path, &file.digest, parsed).context(|| &doing)
}

fn metadata_file(data: &Data) -> Result<MetadataFile> {
    let what = format!("{} of repomd.xml", data.kind);
    let digest = data.checksum.sha256(&what)?;
    let location = contained(&data.location).ok_or_else(|| outside(&what, &data.location))?;
    Ok(MetadataFile { location, size: data.size, digest })
}

/// The file in the cache, under its digest, which was checked when it came.
fn bring(client: &Client, mirrors: &Mirrors, file: &MetadataFile, cache: &Path, progress: &dyn Progress) -> Result<PathBuf> {
    let path = cache.join("metadata").join(file.digest.to_string());
    if path.exists() {
        return Ok(path);
    }
    match file.size {
        Some(size) if size > METADATA_LIMIT => {
            return Err(Error::integrity(format!("{}: expected at most {METADATA_LIMIT} bytes, found {size}", file.location)));
        }
        Some(size) => mirrors.download(client, &file.location, &path, size, &file.digest, progress)?,
        None => {
            let bytes = mirrors.get(client, &file.location, METADATA_LIMIT, |url, bytes| {
                let found = Digest::of(bytes);
                if found == file.digest {
                    return Ok(());
                }
                Err(Error::integrity(format!("{}: expected sha256 {}, found {found}", shown(url), file.digest)))
            })?;
            AtomicFile::write(&path, &bytes)?;
        }
    }
    Ok(path)
}

fn open(path: &Path, plain: Option<u64>, factor: u64) -> Result<Box<dyn BufRead>> {
    let doing = || format!("read {}", path.display());
    let file = File::open(path).context(doing)?;
    let most = file.metadata().context(doing)?.len().saturating_mul(factor).saturating_add(PLAIN_FLOOR);
    rpmmd::decompress(BufReader::with_capacity(128 * 1024, file), plain.unwrap_or(PLAIN_LIMIT).min(PLAIN_LIMIT).min(most)).context(doing)
}

/// A cache file that cannot be read although it was right when it came was damaged since: it goes, so that the next run brings it again.
fn keep_only_good(path: &Path, expected: &Digest, parsed: Result<()>) -> Result<()> {
    let Err(error) = parsed else { return Ok(()) };
    let mut hasher = crate::base::Hasher::new();
    let hashed = File::open(path).and_then(|mut file| std::io::copy(&mut file, &mut hasher));
    if hashed.is_ok() && hasher.finish() != *expected {
        std::fs::remove_file(path).ok();
        return Err(error.hint("the cached copy was damaged and is removed: run again"));
    }
    Err(error)
}

/// The path if it stays below the repository's URL.
fn contained(location: &str) -> Option<String> {
    let inside = !location.is_empty() && !location.starts_with('/') && !location.contains("://");
    (inside && location.split('/').all(|part| part != "..")).then(|| location.to_owned())
}

/// A package's place: below the repository's URL, or below another one that the metadata names as its base.
fn place(base: &str, location: &str) -> Option<String> {
    let location = contained(location)?;
    let base = base.trim_end_matches('/');
    match base.split_once("://") {
        Some((scheme, rest)) => {
            let good = ["http", "https", "file"].contains(&scheme) && rest.split('/').all(|part| part != "..");
            good.then(|| format!("{base}/{location}"))
        }
        None if base.is_empty() => Some(location),
        None => contained(&format!("{base}/{location}")),
    }
}

fn outside(what: &str, location: &str) -> Error {
    Error::integrity(format!("{what}: expected a location below the repository, found {:?}", location.get(..80).unwrap_or(location)))
}
