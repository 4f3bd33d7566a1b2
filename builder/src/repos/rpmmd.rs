//! An rpm-md repository becomes a snapshot: repomd.xml, its signature, and primary under the digest that repomd.xml names.

use crate::base::{AtomicFile, Digest, Error, Progress, Result, ResultExt, SourceDateEpoch};
use crate::formats::rpmmd::{self, Data, Package, Relation};
use crate::net::{Client, shown};
use crate::repos::{Compare, Dep, MetadataFile, PackageMeta, RepoSnapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Bytes. The largest repositories of 2026 have a repomd.xml of 20 KB, a primary of 30 MB that unpacks to 300 MB, a filelists of 800 MB.
const REPOMD_LIMIT: u64 = 4 << 20;
const SIGNATURE_LIMIT: u64 = 256 << 10;
const METADATA_LIMIT: u64 = 512 << 20;
const PLAIN_LIMIT: u64 = 4 << 30;

/// What the recipe says of the repository.
pub struct Source<'a> {
    pub id: &'a str,
    pub url: &'a str,
    pub priority: u32,
    /// Globs; empty shows every package.
    pub visible: &'a [String],
    pub trust: Trust<'a>,
}

/// Checks a detached, armored signature (second) over the bytes (first).
pub type SignatureCheck<'a> = dyn Fn(&[u8], &[u8]) -> Result<()> + 'a;

pub enum Trust<'a> {
    /// The recipe says `keys = "unsigned"`.
    Unsigned,
    Signed(&'a SignatureCheck<'a>),
}

/// Brings the metadata into `cache` (or takes it from there) and reads it.
pub fn load(client: &Client, source: &Source<'_>, cache: &Path, progress: &dyn Progress) -> Result<RepoSnapshot> {
    let doing = || format!("repository {}", source.id);
    let base_url = format!("{}/", source.url.trim_end_matches('/'));
    let root = root(client, source, &base_url, cache).context(doing)?;
    let repomd = rpmmd::parse_repomd(&root).context(doing)?;
    let primary = repomd.find("primary").ok_or_else(|| Error::integrity("repomd.xml: expected a primary, found none")).context(doing)?;
    let file = metadata_file(primary).context(doing)?;
    let path = bring(client, &base_url, &file, cache, progress).context(doing)?;
    let mut packages = Vec::new();
    let plain = open(&path, primary.open_size).context(doing)?;
    let parsed = rpmmd::read_primary(plain, |package| packages.push(package));
    keep_only_good(&path, &file.digest, parsed).context(doing)?;
    let packages = packages.into_iter().map(package_meta).collect::<Result<_>>().context(doing)?;
    Ok(RepoSnapshot {
        id: source.id.to_owned(),
        priority: source.priority,
        visible: source.visible.to_vec(),
        packages,
        revision: repomd.revision.clone(),
        time: SourceDateEpoch(repomd.data.iter().map(|d| d.timestamp).max().unwrap_or(0)),
        digest: Digest::of(&root),
        filelists: repomd.find("filelists").map(metadata_file).transpose().context(doing)?,
        base_url,
    })
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
    let path = bring(client, &snapshot.base_url, &file, cache, progress).context(|| &doing)?;
    let by_digest: BTreeMap<String, usize> =
        snapshot.packages.iter().enumerate().filter_map(|(i, p)| Some((p.digest?.to_string(), i))).collect();
    let plain = open(&path, None).context(|| &doing)?;
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

/// repomd.xml, its signature checked. Offline, the last one that was good.
fn root(client: &Client, source: &Source<'_>, base_url: &str, cache: &Path) -> Result<Vec<u8>> {
    let url = format!("{base_url}repodata/repomd.xml");
    let kept = cache.join("metadata").join(format!("{}.repomd.xml", Digest::of(base_url.as_bytes())));
    let kept_signature = kept.with_extension("xml.asc");
    let from_cache = client.is_offline() && !url.starts_with("file:") && kept.exists();
    let get = |url: &str, kept: &Path, limit: u64| -> Result<Vec<u8>> {
        if from_cache { std::fs::read(kept).context(|| format!("read {}", kept.display())) } else { client.get(url, limit) }
    };
    let bytes = get(&url, &kept, REPOMD_LIMIT)?;
    if let Trust::Signed(verify) = source.trust {
        let signature = get(&format!("{url}.asc"), &kept_signature, SIGNATURE_LIMIT).map_err(|e| {
            e.context("the recipe names keys, so repomd.xml must be signed")
                .hint("if the repository signs only its packages, say so with `keys = \"unsigned\"` and lock the digests")
        })?;
        verify(&bytes, &signature).context(|| format!("signature of {}", shown(&url)))?;
        if !from_cache {
            AtomicFile::write(&kept_signature, &signature)?;
        }
    }
    if !from_cache {
        AtomicFile::write(&kept, &bytes)?;
    }
    Ok(bytes)
}

fn metadata_file(data: &Data) -> Result<MetadataFile> {
    let what = format!("{} of repomd.xml", data.kind);
    let digest = data.checksum.sha256(&what)?;
    let location = contained(&data.location).ok_or_else(|| outside(&what, &data.location))?;
    Ok(MetadataFile { location, size: data.size, digest })
}

/// The file in the cache, under its digest, which was checked when it came.
fn bring(client: &Client, base_url: &str, file: &MetadataFile, cache: &Path, progress: &dyn Progress) -> Result<PathBuf> {
    let path = cache.join("metadata").join(file.digest.to_string());
    if path.exists() {
        return Ok(path);
    }
    let url = format!("{base_url}{}", file.location);
    match file.size {
        Some(size) if size > METADATA_LIMIT => {
            return Err(Error::integrity(format!("{}: expected at most {METADATA_LIMIT} bytes, found {size}", shown(&url))));
        }
        Some(size) => client.download(&url, &path, size, &file.digest, progress)?,
        None => {
            let bytes = client.get(&url, METADATA_LIMIT)?;
            let found = Digest::of(&bytes);
            if found != file.digest {
                return Err(Error::integrity(format!("{}: expected sha256 {}, found {found}", shown(&url), file.digest)));
            }
            AtomicFile::write(&path, &bytes)?;
        }
    }
    Ok(path)
}

fn open(path: &Path, plain: Option<u64>) -> Result<Box<dyn std::io::BufRead>> {
    let name = || format!("read {}", path.display());
    let file = BufReader::with_capacity(128 * 1024, File::open(path).context(name)?);
    rpmmd::decompress(file, plain.unwrap_or(PLAIN_LIMIT).min(PLAIN_LIMIT)).context(name)
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

fn package_meta(package: Package) -> Result<PackageMeta> {
    let nevra = format!("{}-{}-{}.{}", package.name, package.version, package.release, package.arch);
    let location = if package.base.is_empty() {
        contained(&package.location).ok_or_else(|| outside(&nevra, &package.location))?
    } else {
        format!("{}/{}", package.base.trim_end_matches('/'), package.location)
    };
    let deps =
        |relations: Vec<Relation>| relations.into_iter().map(|r| dep(r).map_err(|e| e.context(&nevra))).collect::<Result<Vec<Dep>>>();
    // The same requirement stands once with `pre` and once without: installation order needs to know, the solver does not.
    let mut requires_pre = Vec::new();
    let mut requires: Vec<Dep> = Vec::with_capacity(package.requires.len());
    for relation in package.requires {
        let pre = relation.pre;
        let dep = dep(relation).map_err(|e| e.context(&nevra))?;
        if pre {
            requires_pre.push(dep.clone());
        }
        requires.push(dep);
    }
    requires.sort_unstable();
    requires.dedup();
    // Only what is trusted as identity; a package without is refused when it is locked.
    let digest = if package.checksum.kind == "sha256" { Some(package.checksum.sha256(&nevra)?) } else { None };
    Ok(PackageMeta {
        provides: deps(package.provides)?,
        conflicts: deps(package.conflicts)?,
        obsoletes: deps(package.obsoletes)?,
        recommends: deps(package.recommends)?,
        suggests: deps(package.suggests)?,
        supplements: deps(package.supplements)?,
        enhances: deps(package.enhances)?,
        requires,
        requires_pre,
        name: package.name,
        epoch: package.epoch,
        version: package.version,
        release: package.release,
        arch: package.arch,
        summary: package.summary,
        license: package.license,
        source: package.source_rpm,
        files: package.files,
        location,
        size: package.size,
        installed_size: package.installed_size,
        digest,
        source_digest: None,
    })
}

fn dep(relation: Relation) -> Result<Dep> {
    if relation.flags.is_empty() {
        return Ok(Dep::any(relation.name));
    }
    let compare = Compare::from_rpmmd(&relation.flags).ok_or_else(|| {
        Error::integrity(format!("dependency {}: expected EQ, LT, LE, GT or GE, found {:?}", relation.name, relation.flags))
    })?;
    Ok(Dep { name: relation.name, compare: Some(compare), epoch: relation.epoch, version: relation.version, release: relation.release })
}

/// The path if it stays below the repository's URL.
fn contained(location: &str) -> Option<String> {
    let inside = !location.is_empty() && !location.starts_with('/') && !location.contains("://");
    (inside && location.split('/').all(|part| part != "..")).then(|| location.to_owned())
}

fn outside(what: &str, location: &str) -> Error {
    Error::integrity(format!("{what}: expected a location below the repository, found {:?}", location.get(..80).unwrap_or(location)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Kind, Silent};
    use crate::repos::fixture::fixture;

    fn load_fixture(path: &str, cache: &Path) -> Option<RepoSnapshot> {
        let url = format!("file://{}", fixture(path)?.display());
        let source = Source { id: "fixture", url: &url, priority: 99, visible: &[], trust: Trust::Unsigned };
        Some(load(&Client::new(true), &source, cache, &Silent).unwrap())
    }

    #[test]
    fn real_repositories_of_four_publishers_are_read_whole() {
        let cache = tempfile::tempdir().unwrap();
        for (path, count, nevra) in [
            ("metadata/centos-7.2.1511-os", 9007, "bash-4.2.46-19.el7.x86_64"),
            ("metadata/centos-stream-9-baseos-2022-02", 1125, "ModemManager-1.18.2-3.el9.x86_64"),
            ("metadata/docker-engine-centos7", 110, "docker-engine-1.7.0-1.el7.centos.x86_64"),
            ("metadata/kubernetes-el7", 460, "kubectl-1.17.2-0.x86_64"),
        ] {
            let Some(snapshot) = load_fixture(path, cache.path()) else { return };
            assert_eq!(snapshot.packages.len(), count, "{path}");
            assert!(snapshot.packages.iter().any(|p| p.nevra() == nevra), "{path}");
            assert!(snapshot.packages.iter().all(|p| p.size > 0), "{path}");
        }
    }

    #[test]
    fn complete_file_lists_add_the_paths_that_primary_leaves_out() {
        let cache = tempfile::tempdir().unwrap();
        let Some(mut snapshot) = load_fixture("metadata/centos-stream-9-baseos-2022-02", cache.path()) else { return };
        let path = "/usr/lib/systemd/system/ModemManager.service".to_owned();
        let holders = |s: &RepoSnapshot| s.packages.iter().filter(|p| p.files.contains(&path)).map(|p| p.name.clone()).collect::<Vec<_>>();
        assert!(holders(&snapshot).is_empty());
        add_files(&Client::new(true), &mut snapshot, &BTreeSet::from([path.clone()]), cache.path(), &Silent).unwrap();
        assert_eq!(holders(&snapshot), ["ModemManager"]);
    }

    #[test]
    fn metadata_that_is_not_what_repomd_names_is_refused() {
        let Some(origin) = fixture("metadata/docker-engine-centos7") else { return };
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("repodata")).unwrap();
        for entry in std::fs::read_dir(origin.join("repodata")).unwrap() {
            let entry = entry.unwrap();
            let mut bytes = std::fs::read(entry.path()).unwrap();
            if entry.file_name().to_string_lossy().contains("primary") {
                bytes[40] ^= 1;
            }
            std::fs::write(folder.path().join("repodata").join(entry.file_name()), bytes).unwrap();
        }
        let url = format!("file://{}", folder.path().display());
        let refused: &SignatureCheck = &|_, _| Err(Error::integrity("not by a key of the recipe"));
        for (trust, expected) in [(Trust::Unsigned, "expected sha256 f406"), (Trust::Signed(refused), "not by a key of the recipe")] {
            let source = Source { id: "x", url: &url, priority: 99, visible: &[], trust };
            let error = load(&Client::new(false), &source, &folder.path().join("cache"), &Silent).unwrap_err();
            assert_eq!(error.kind(), Kind::Integrity);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_location_outside_of_the_repository_is_refused() {
        for (location, inside) in [("Packages/a.rpm", true), ("../a.rpm", false), ("/etc/passwd", false), ("a/../../b", false), ("", false)]
        {
            assert_eq!(contained(location).is_some(), inside, "{location}");
        }
    }
}
