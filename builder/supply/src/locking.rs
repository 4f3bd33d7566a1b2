//! From a recipe to a lockfile: repositories, the solver, and the digest of every package.

use crate::SupplySettings;
use crate::net::{Client, Mirrors, Url};
use crate::repos::deb::{self, DebArchive};
use crate::repos::{PackageMeta, RepoSnapshot, rpmmd};
use crate::resolve::{self, Attempt, Chosen, Expanded, Request};
use crate::sources::{self, Source};
use model::{Digest, Error, Hasher, Kind, Progress, Result, ResultExt, SourceDateEpoch};
use recipe::lock::{KeptIds, LockedPackage, LockedRepository, Lockfile, check_not_older};
use recipe::{PackageSet, Recipe};
use std::collections::{BTreeMap, BTreeSet};

/// Of what decides the packages: repositories and the two sets. A lockfile made from another is stale.
pub fn input_digest(recipe: &Recipe) -> Result<Digest> {
    let parts = (&recipe.repos, &recipe.packages, &recipe.tools, recipe.epoch, deb::CONVERTER_VERSION);
    let bytes = serde_json::to_vec(&parts).map_err(|e| Error::internal("encode the recipe's package set").source(e))?;
    let mut hasher = Hasher::new();
    hasher.update(&bytes);
    Ok(hasher.finish())
}

/// The lockfile beside the recipe if it fits; else a new one, written there.
pub fn ensure(recipe: &Recipe, settings: &SupplySettings, progress: &dyn Progress) -> Result<Lockfile> {
    let _span = tracing::info_span!("lock").entered();
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
    lock(recipe, &Update::Everything, settings, progress)
}

/// What of an existing lockfile may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    Everything,
    /// Packages of these names, and what their new versions make necessary.
    Only(Vec<String>),
}

/// Resolves anew and writes the lockfile.
pub fn lock(recipe: &Recipe, update: &Update, settings: &SupplySettings, progress: &dyn Progress) -> Result<Lockfile> {
    let _span = tracing::info_span!("resolve and lock").entered();
    let client = settings.client()?;
    let before = match update {
        Update::Everything => None,
        Update::Only(names) => Some((Lockfile::read(&recipe.lockfile()).context(|| "--update")?, names.as_slice())),
    };
    let replaced = replaced(recipe, progress);
    let sources = sources::load_all(recipe, settings, &client, progress)?;
    let repositories: Vec<LockedRepository> = sources.iter().map(Source::version).collect();
    if let Some(lock) = replaced.as_ref().filter(|_| !settings.allow_older) {
        check_not_older(&repositories, &lock.repositories)?;
    }
    let is_tool_only = |source: &Source| recipe.tools.repos.contains(&source.snapshot.id);
    let (tool_sources, image_sources): (Vec<Source>, Vec<Source>) = sources.into_iter().partition(is_tool_only);
    let (mut image, mut tool) = (Supply::new(image_sources), Supply::new(tool_sources));
    let newest = image.snapshots.iter().chain(&tool.snapshots).map(|s| s.time.0).max().unwrap_or(0);
    progress.begin("resolve", 0, "");
    let held = |locked: fn(&Lockfile) -> &Vec<LockedPackage>| before.as_ref().map(|(lock, names)| Held { locked: locked(lock), names });
    let work = Work { settings, client: &client, progress };
    let packages = resolved(&mut image, &recipe.packages, held(|lock| &lock.packages), &work)?;
    let tools = if recipe.tools.install.is_empty() {
        Vec::new()
    } else {
        let supply = if tool.snapshots.is_empty() { &mut image } else { &mut tool };
        resolved(supply, &recipe.tools, held(|lock| &lock.tools), &work).context(|| "[tools]")?
    };
    // Hundreds of thousands of names, which take a while to forget: nobody waits for it.
    std::thread::spawn(move || drop((image, tool)));
    if let Some((lock, names)) = &before {
        let known = |name: &&String| packages.iter().chain(&tools).chain(&lock.packages).chain(&lock.tools).any(|p| p.nevra.name == **name);
        if let Some(stranger) = names.iter().find(|name| !known(name)) {
            return Err(
                Error::recipe(format!("--update {stranger}: no package of this name is locked")).hint("name packages as the lockfile does")
            );
        }
    }
    let epoch = recipe.epoch.unwrap_or(SourceDateEpoch(newest));
    let mut lock = Lockfile::new(epoch, input_digest(recipe)?, packages, tools)?;
    lock.repositories = repositories;
    // Ids outlive versions: what an image's hosts have in their files must not become somebody else's.
    if let Some(replaced) = replaced {
        lock.accounts = replaced.accounts;
    }
    lock.write(&recipe.lockfile())?;
    Ok(lock)
}

/// The lockfile that a new one will replace.
fn replaced(recipe: &Recipe, progress: &dyn Progress) -> Option<Lockfile> {
    let path = recipe.lockfile();
    if !path.exists() {
        return None;
    }
    match Lockfile::read(&path) {
        Ok(lock) => Some(lock),
        // It is what somebody runs `lock` for.
        Err(error) => {
            progress.note(&format!(
                "warning: the lockfile that is replaced cannot be read, nor the ids of accounts and the versions of metadata in it: {error:#}"
            ));
            None
        }
    }
}

/// The lockfile with the ids that a build chose, written if there are new ones. `--locked` leaves the file as it is: the next build of the same
/// packages chooses the same.
pub fn remember(recipe: &Recipe, mut lock: Lockfile, chosen: &KeptIds, settings: &SupplySettings) -> Result<Lockfile> {
    let rows = chosen.rows();
    if lock.accounts != rows && !settings.locked {
        lock.accounts = rows;
        lock.write(&recipe.lockfile())?;
    }
    Ok(lock)
}

/// The repositories of one package set.
struct Supply {
    snapshots: Vec<RepoSnapshot>,
    archives: Vec<Option<(DebArchive, Url)>>,
}

impl Supply {
    fn new(sources: Vec<Source>) -> Self {
        let (snapshots, archives) = sources.into_iter().map(|source| (source.snapshot, source.archive)).unzip();
        Supply { snapshots, archives }
    }
}

struct Held<'a> {
    locked: &'a [LockedPackage],
    /// These may change.
    names: &'a [String],
}

struct Work<'a> {
    settings: &'a SupplySettings,
    client: &'a Client,
    progress: &'a dyn Progress,
}

/// Chooses the set's packages, and makes those that come from a Debian archive.
fn resolved(supply: &mut Supply, set: &PackageSet, held: Option<Held<'_>>, work: &Work<'_>) -> Result<Vec<LockedPackage>> {
    let cache = sources::metadata_cache(work.settings);
    let mut comps = Vec::new();
    if set.install.iter().any(|wanted| wanted.starts_with('@')) {
        for snapshot in &supply.snapshots {
            comps.push(rpmmd::groups(work.client, snapshot, &cache, work.progress)?);
        }
    }
    let Expanded { install, absent } = resolve::expand_groups(&set.install, &comps, &supply.snapshots)?;
    if !absent.is_empty() {
        work.progress.note(&format!("no repository has these packages of groups: {}", absent.join(", ")));
    }
    let request = Request::from(PackageSet { install, ..set.clone() });
    // Without a missing file this does nothing.
    let complete = |snapshots: &mut [RepoSnapshot], missing: &BTreeSet<String>| -> Result<()> {
        for snapshot in snapshots {
            rpmmd::add_files(work.client, snapshot, missing, &cache, work.progress)?;
        }
        Ok(())
    };
    let chosen = match held {
        None => match resolve::resolve_or_missing_files(&supply.snapshots, &request)? {
            Attempt::Resolved(chosen) => chosen,
            Attempt::MissingFiles(missing) => {
                complete(&mut supply.snapshots, &missing)?;
                resolve::resolve(&supply.snapshots, &request)?
            }
        },
        Some(held) => {
            let missing = resolve::missing_files(&supply.snapshots, &request)?;
            complete(&mut supply.snapshots, &missing)?;
            choose(&supply.snapshots, request, &held)?
        }
    };
    let mut locked = Vec::new();
    for (index, (snapshot, archive)) in supply.snapshots.iter().zip(&supply.archives).enumerate() {
        let here: Vec<&Chosen> = chosen.iter().filter(|c| c.repo == index).collect();
        let metas: Vec<&PackageMeta> = here.iter().filter_map(|c| snapshot.packages.get(c.package)).collect();
        match archive {
            Some((archive, url)) => {
                archive.check_order(&here.iter().map(|c| c.package).collect::<Vec<_>>())?;
                let converted = deb::fetch_and_convert(
                    work.client,
                    &|| Ok(Mirrors::one(url.clone())),
                    &metas,
                    &work.settings.cache,
                    &work.settings.facts,
                    work.progress,
                )?;
                for (meta, rpm) in metas.iter().zip(converted) {
                    let mut package = LockedPackage::new(meta.nevra.clone(), &snapshot.id);
                    (package.sha256, package.size) = (Some(rpm.sha256), rpm.size);
                    package.source_sha256 = meta.source_digest;
                    package.source_size = Some(meta.size);
                    package.source_location = Some(meta.location.clone());
                    locked.push(package);
                }
            }
            None => {
                for meta in metas {
                    snapshot.mirrors.check(&meta.location).context(|| format!("repository {}: package {}", snapshot.id, meta.nevra))?;
                    let mut package = LockedPackage::new(meta.nevra.clone(), &snapshot.id);
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

/// Everything locked stays as it is but the named packages; if that has no answer, what their newest versions need may change, too.
fn choose(snapshots: &[RepoSnapshot], mut request: Request, held: &Held<'_>) -> Result<Vec<Chosen>> {
    let here: BTreeSet<String> = snapshots.iter().flat_map(|s| &s.packages).map(|p| p.nevra.to_string()).collect();
    let keep = |free: &dyn Fn(&str) -> bool| {
        let mut keep: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for package in held.locked.iter().filter(|p| !free(&p.nevra.name) && here.contains(&p.nevra.to_string())) {
            keep.entry(package.nevra.name.clone()).or_default().push(package.nevra.to_string());
        }
        keep
    };
    request.keep = keep(&|name| held.names.iter().any(|n| n == name));
    let narrow = resolve::resolve(snapshots, &request);
    if narrow.is_ok() {
        return narrow;
    }
    request.keep.clear();
    let newest = resolve::resolve(snapshots, &request)?;
    let needed = resolve::needed_by(snapshots, &newest, held.names);
    request.keep = keep(&|name| needed.contains(name) || held.names.iter().any(|n| n == name));
    resolve::resolve(snapshots, &request).map_err(|e| e.hint("lock again without --update, so that everything may change"))
}

#[cfg(test)]
#[path = "locking_tests.rs"]
mod tests;
