//! From a recipe to a lockfile: repositories, the solver, and the digest of every package.

use super::{Settings, packs};
use crate::base::{Digest, Error, Hasher, Kind, Progress, Result, ResultExt, SourceDateEpoch};
use crate::lock::{LockedPackage, Lockfile};
use crate::net::Client;
use crate::recipe::{PackageSet, Recipe, Repo, RepoKind, RepoSource, Trust};
use crate::repos::deb::{self, DebArchive, DebSource};
use crate::repos::{PackageMeta, RepoSnapshot, rpmmd};
use crate::resolve::{self, Chosen, Request};

/// The URL of a repository, or for a deb repository of its mirror; without a trailing slash.
pub fn base_url(repo: &Repo, settings: &Settings) -> Result<String> {
    match &repo.source {
        RepoSource::Url(url) => Ok(url.trim_end_matches('/').to_string()),
        RepoSource::AptMirror => settings.mirror.as_deref().map(|m| m.trim_end_matches('/').to_string()).ok_or_else(|| {
            Error::recipe(format!("repository {}: mirror = \"apt\", but this machine has no apt sources with a Debian mirror", repo.id))
                .hint("give the mirror's URL with --mirror, for example --mirror http://MIRROR/debian")
        }),
    }
}

/// Of what decides the packages: repositories and the two sets. A lockfile made from another is stale.
pub fn input_digest(recipe: &Recipe) -> Result<Digest> {
    let parts = (&recipe.repos, &recipe.packages, &recipe.tools, recipe.epoch, deb::CONVERTER_VERSION);
    let bytes = serde_json::to_vec(&parts).map_err(|e| Error::internal("encode the recipe's package set").source(e))?;
    let mut hasher = Hasher::new();
    hasher.update(&bytes);
    Ok(hasher.finish())
}

/// The lockfile beside the recipe if it fits; else a new one, written there.
pub fn ensure(recipe: &Recipe, settings: &Settings, progress: &dyn Progress) -> Result<Lockfile> {
    let path = recipe.lockfile();
    let inputs = input_digest(recipe)?;
    match (path.exists(), settings.locked) {
        (true, locked) => {
            let lock = Lockfile::read(&path)?;
            if lock.recipe == inputs {
                return Ok(lock);
            }
            if locked {
                return Err(Error::recipe(format!(
                    "{} was made for other packages or repositories than the recipe now names",
                    path.display()
                ))
                .hint(format!("run `atomic-image lock {}`", recipe.path.display())));
            }
        }
        (false, true) => {
            return Err(Error::recipe(format!("--locked, but there is no {}", path.display()))
                .hint(format!("run `atomic-image lock {}`", recipe.path.display())));
        }
        (false, false) => {}
    }
    lock(recipe, settings, progress)
}

/// Resolves anew and writes the lockfile.
pub fn lock(recipe: &Recipe, settings: &Settings, progress: &dyn Progress) -> Result<Lockfile> {
    let client = Client::new(settings.offline);
    progress.begin("repositories", recipe.repos.len() as u64, "repositories");
    let mut sources = Vec::new();
    for repo in &recipe.repos {
        sources.push(load(repo, settings, &client, progress).context(|| format!("repository {}", repo.id))?);
        progress.advance(1);
    }
    let is_tool_only = |source: &Source| !recipe.tools.repos.is_empty() && recipe.tools.repos.contains(&source.snapshot.id);
    let (tool_sources, image_sources): (Vec<Source>, Vec<Source>) =
        if recipe.tools.repos.is_empty() { (Vec::new(), sources) } else { sources.into_iter().partition(is_tool_only) };
    progress.begin("resolve", 0, "");
    let packages = resolved(&image_sources, &recipe.packages, settings, &client, progress)?;
    let tools_from = if tool_sources.is_empty() { &image_sources } else { &tool_sources };
    let tools = if recipe.tools.install.is_empty() {
        Vec::new()
    } else {
        resolved(tools_from, &recipe.tools, settings, &client, progress).context(|| "[tools]")?
    };
    let newest = image_sources.iter().chain(&tool_sources).map(|s| s.snapshot.time.0).max().unwrap_or(0);
    let epoch = recipe.epoch.unwrap_or(SourceDateEpoch(newest));
    let lock = Lockfile::new(epoch, input_digest(recipe)?, packages, tools)?;
    lock.write(&recipe.lockfile())?;
    Ok(lock)
}

/// A repository's packages; for a Debian archive with what converts them.
struct Source {
    snapshot: RepoSnapshot,
    archive: Option<(DebArchive, String)>,
}

fn load(repo: &Repo, settings: &Settings, client: &Client, progress: &dyn Progress) -> Result<Source> {
    let url = base_url(repo, settings)?;
    match &repo.kind {
        RepoKind::RpmMd => {
            let keyring = match &repo.trust {
                Trust::Unsigned => None,
                Trust::Keys(files) => Some(packs::keyring(repo, files, settings)?),
            };
            // The data may be asked for several times, so each reader gets a cursor of its own.
            let check = |bytes: &[u8], signature: &[u8]| match &keyring {
                Some(keyring) => keyring.check_armored(signature, || Ok(std::io::Cursor::new(bytes.to_vec()))).map(drop),
                None => Ok(()),
            };
            let trust = if keyring.is_some() { rpmmd::Trust::Signed(&check) } else { rpmmd::Trust::Unsigned };
            let source = rpmmd::Source { id: &repo.id, url: &url, priority: repo.priority, visible: &repo.packages, trust };
            let snapshot = rpmmd::load(client, &source, &settings.cache.join("rpmmd"), progress)?;
            Ok(Source { snapshot, archive: None })
        }
        RepoKind::Deb { suite, components, arch } => {
            let keys = match &repo.trust {
                Trust::Keys(files) => files
                    .iter()
                    .map(|f| std::fs::read(&f.path).context(|| format!("read {}", f.path.display())))
                    .collect::<Result<Vec<_>>>()?,
                Trust::Unsigned => return Err(Error::recipe("a Debian archive is always signed").hint("name its keys")),
            };
            let source = DebSource {
                mirror: &url,
                suite,
                components,
                arch,
                keys: &keys,
                allow_expired: repo.allow_expired,
                now: settings.now,
                pinned: None,
            };
            let mut archive = deb::load(client, &settings.cache, &source)?;
            let snapshot = RepoSnapshot {
                id: repo.id.clone(),
                priority: repo.priority,
                base_url: format!("{url}/"),
                visible: repo.packages.clone(),
                packages: std::mem::take(&mut archive.packages),
                revision: archive.release.date.to_string(),
                time: SourceDateEpoch(archive.release.date),
                digest: archive.release.digest,
                filelists: None,
            };
            Ok(Source { snapshot, archive: Some((archive, url)) })
        }
    }
}

fn resolved(
    sources: &[Source],
    set: &PackageSet,
    settings: &Settings,
    client: &Client,
    progress: &dyn Progress,
) -> Result<Vec<LockedPackage>> {
    let request = Request { install: set.install.clone(), exclude: set.exclude.clone(), weak: set.weak };
    let mut snapshots: Vec<RepoSnapshot> = sources.iter().map(|s| s.snapshot.clone()).collect();
    let missing = resolve::missing_files(&snapshots, &request)?;
    if !missing.is_empty() {
        for snapshot in &mut snapshots {
            rpmmd::add_files(client, snapshot, &missing, &settings.cache.join("rpmmd"), progress)?;
        }
    }
    let chosen = resolve::resolve(&snapshots, &request)?;
    let mut locked = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let here: Vec<&Chosen> = chosen.iter().filter(|c| c.repo == index).collect();
        let metas: Vec<&PackageMeta> = here.iter().filter_map(|c| snapshots[index].packages.get(c.package)).collect();
        match &source.archive {
            Some((archive, url)) => {
                archive.check_order(&here.iter().map(|c| c.package).collect::<Vec<_>>())?;
                let converted = deb::fetch_and_convert(client, url, &metas, &settings.cache, progress)?;
                for (meta, rpm) in metas.iter().zip(converted) {
                    let mut package = locked_package(meta, &source.snapshot.id);
                    (package.sha256, package.size) = (Some(rpm.sha256), rpm.size);
                    package.source_sha256 = meta.source_digest;
                    package.source_size = Some(meta.size);
                    package.source_location = Some(meta.location.clone());
                    locked.push(package);
                }
            }
            None => {
                for meta in metas {
                    let mut package = locked_package(meta, &source.snapshot.id);
                    (package.sha256, package.size, package.location) = (meta.digest, meta.size, meta.location.clone());
                    locked.push(package);
                }
            }
        }
    }
    if locked.is_empty() {
        return Err(Error::new(Kind::Unresolvable, "the recipe installs no package").hint("name some in [packages] install"));
    }
    Ok(locked)
}

fn locked_package(meta: &PackageMeta, repo: &str) -> LockedPackage {
    LockedPackage {
        name: meta.name.clone(),
        epoch: meta.epoch,
        version: meta.version.clone(),
        release: meta.release.clone(),
        arch: meta.arch.clone(),
        repo: repo.to_string(),
        sha256: None,
        size: 0,
        location: String::new(),
        source_sha256: None,
        source_size: None,
        source_location: None,
    }
}
