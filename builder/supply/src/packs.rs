//! From a lockfile to packs: what is absent is fetched (and for a Debian archive repackaged), everything is verified, new packages are imported.

use crate::fetch::{self, FoundPack, Keyring, Pack, Trust, verify};
use crate::net::{Client, is_below};
use crate::repos::{PackageMeta, deb};
use crate::repository_keys::keyring;
use crate::{SupplySettings, sources};
use model::{Digest, Error, Kind, OptionJudged, Progress, Result, ResultExt, Silent};
use rayon::prelude::*;
use recipe::lock::{LockedPackage, LockedRepository};
use recipe::{Recipe, RepoKind};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Brings the packages' files into the cache, each under the digest that the lockfile names. Returns them in the order of `packages`.
///
/// `locked` are the versions of the repositories that the packages were locked from: their times say which snapshot has a file that the
/// mirrors no longer have.
pub fn bring(
    recipe: &Recipe,
    packages: &[LockedPackage],
    locked: &[LockedRepository],
    settings: &SupplySettings,
    progress: &dyn Progress,
) -> Result<Vec<PathBuf>> {
    let _span = tracing::info_span!("fetch", packages = packages.len()).entered();
    let client = settings.client()?;
    check_hosts(recipe, packages, settings, &client)?;
    let mut files: BTreeMap<usize, PathBuf> = BTreeMap::new();
    for repo in &recipe.repos {
        let here: Vec<(usize, &LockedPackage)> = packages.iter().enumerate().filter(|(_, p)| p.repo == repo.id).collect();
        if here.is_empty() {
            continue;
        }
        // A package that is in the cache needs no mirror.
        let mirrors = || sources::package_mirrors(repo, locked, settings, &client);
        let brought: Vec<PathBuf> = match repo.kind {
            RepoKind::Deb { .. } => {
                let metas: Vec<PackageMeta> = here.iter().map(|(_, p)| source_meta(p)).collect();
                let converted = deb::fetch_and_convert(
                    &client,
                    &mirrors,
                    &metas.iter().collect::<Vec<_>>(),
                    &settings.cache,
                    &settings.facts,
                    progress,
                )?;
                for ((_, locked), rpm) in here.iter().zip(&converted) {
                    if locked.sha256 != Some(rpm.sha256) {
                        let expected =
                            locked.sha256.map(|d| d.to_string()).default_because("a package that is made here has no digest before");
                        return Err(Error::integrity(format!(
                            "package {}: the lockfile names sha256 {expected}, repackaging gives {}",
                            locked.nevra, rpm.sha256
                        ))
                        .hint(format!(
                            "another version of this program made the lockfile: run `atomic-image lock {}`",
                            recipe.path.display()
                        )));
                    }
                }
                converted.into_iter().map(|rpm| rpm.path).collect()
            }
            RepoKind::RpmMd => {
                let list: Vec<LockedPackage> = here.iter().map(|(_, p)| (*p).clone()).collect();
                fetch::download::download(&client, &list, &mirrors, &settings.cache, progress)?
            }
        };
        files.extend(here.iter().map(|(index, _)| *index).zip(brought));
    }
    if let Some((_, orphan)) = packages.iter().enumerate().find(|(index, _)| !files.contains_key(index)) {
        return Err(Error::recipe(format!(
            "package {} is locked to the repository {:?}, which the recipe does not name",
            orphan.nevra, orphan.repo
        ))
        .hint(format!("run `atomic-image lock {}`", recipe.path.display())));
    }
    Ok(files.into_values().collect())
}

/// Opens the pack of every package, importing those that have none.
pub fn open(
    recipe: &Recipe,
    packages: &[LockedPackage],
    locked: &[LockedRepository],
    settings: &SupplySettings,
    progress: &dyn Progress,
) -> Result<Vec<Pack>> {
    let _span = tracing::info_span!("open packs", packages = packages.len()).entered();
    let folder = settings.cache.join("packs");
    check_hosts(recipe, packages, settings, &settings.client()?)?;
    let keyrings = keyrings(recipe, settings)?;
    // A pack may have been imported for a recipe that trusts more than this one, or other keys.
    let trusted = |locked: &LockedPackage, pack: Pack| match keyrings.get(locked.repo.as_str()) {
        Some(keyring) => pack.judged(keyring),
        None => Some(pack),
    };
    let known: Vec<Option<Pack>> = packages
        .par_iter()
        .map(|p| {
            let digest = locked_digest(p)?;
            match Pack::open(&folder, &digest, &settings.facts)? {
                FoundPack::Whole(pack) => Ok(trusted(p, pack)),
                FoundPack::Absent => Ok(None),
                FoundPack::Damaged(what) => {
                    let aside = Pack::set_aside(&folder, &digest)?;
                    progress.warn(&format!("{what}: kept as {}, made anew from {}", aside.display(), p.nevra));
                    Ok(None)
                }
            }
        })
        .collect::<Result<_>>()?;
    let absent: Vec<LockedPackage> = packages.iter().zip(&known).filter(|(_, pack)| pack.is_none()).map(|(p, _)| p.clone()).collect();
    let import = Import { recipe, repositories: locked, keyrings: &keyrings, settings, progress };
    let mut imported = import.packages(&absent, &folder)?.into_iter();
    known.into_iter().map(|pack| pack.or_else(|| imported.next()).ok_or_else(|| Error::internal("a package without a pack"))).collect()
}

fn locked_digest(locked: &LockedPackage) -> Result<Digest> {
    locked.sha256.ok_or_else(|| Error::integrity(format!("package {}: the lockfile has no digest of it", locked.nevra)))
}

/// Where packages come from, and who must have signed them.
struct Import<'a> {
    recipe: &'a Recipe,
    repositories: &'a [LockedRepository],
    keyrings: &'a BTreeMap<&'a str, Keyring>,
    settings: &'a SupplySettings,
    progress: &'a dyn Progress,
}

impl Import<'_> {
    /// Packs of packages that have none, in their order. A file of the cache that is not the locked one is set aside and brought once more.
    fn packages(&self, absent: &[LockedPackage], folder: &Path) -> Result<Vec<Pack>> {
        let Import { recipe, repositories, keyrings, settings, progress } = *self;
        if absent.is_empty() {
            return Ok(Vec::new());
        }
        let files = bring(recipe, absent, repositories, settings, progress)?;
        progress.begin("import", absent.len() as u64, "packages");
        let mut work: Vec<(usize, &LockedPackage, &PathBuf)> = absent.iter().zip(&files).enumerate().map(|(i, (p, f))| (i, p, f)).collect();
        // Biggest first, so that no core is left alone with a big one at the end.
        work.sort_by_key(|(_, p, _)| std::cmp::Reverse(p.size));
        let mut imported: Vec<(usize, Pack)> = work
            .par_iter()
            .with_max_len(1)
            .map(|(index, locked, file)| {
                let digest = locked_digest(locked)?;
                let trust = match keyrings.get(locked.repo.as_str()) {
                    Some(keyring) => Trust::Keys(keyring),
                    None => Trust::Unsigned,
                };
                let verify = |file: &Path| verify(file, &digest, locked.size, trust).context(|| format!("package {}", locked.nevra));
                let verified = match verify(file) {
                    // The file was moved away: so it is not the one that the lockfile names, which may be had once more.
                    Err(error) if error.kind() == Kind::Integrity && !file.exists() => {
                        progress.warn(&format!("{error:#}: brought anew"));
                        let again = bring(recipe, std::slice::from_ref(locked), repositories, settings, &Silent)?;
                        verify(again.first().unwrap_or(file))?
                    }
                    verified => verified?,
                };
                let pack = Pack::import(folder, &verified, &settings.facts)?;
                progress.advance(1);
                Ok((*index, pack))
            })
            .collect::<Result<_>>()?;
        imported.sort_by_key(|(index, _)| *index);
        Ok(imported.into_iter().map(|(_, pack)| pack).collect())
    }
}

/// Refuses packages that a lockfile places on another host than their repository's, whether the cache has them or not.
fn check_hosts(recipe: &Recipe, packages: &[LockedPackage], settings: &SupplySettings, client: &Client) -> Result<()> {
    for repo in &recipe.repos {
        let elsewhere: Vec<&LockedPackage> = packages.iter().filter(|p| p.repo == repo.id && !is_below(&p.location)).collect();
        // What is repackaged here has no location of its own.
        let mut elsewhere = elsewhere.into_iter().filter(|p| !p.location.is_empty()).peekable();
        if elsewhere.peek().is_none() {
            continue;
        }
        let mirrors = sources::mirrors(repo, settings, client)?;
        for package in elsewhere {
            mirrors.check(&package.location).context(|| format!("package {}", package.nevra))?;
        }
    }
    Ok(())
}

/// By repository; one that is unsigned by the recipe's word has none.
fn keyrings<'a>(recipe: &'a Recipe, settings: &SupplySettings) -> Result<BTreeMap<&'a str, Keyring>> {
    let mut out = BTreeMap::new();
    for repo in &recipe.repos {
        match (&repo.kind, &repo.trust) {
            (RepoKind::Deb { .. }, _) => {
                out.insert(repo.id.as_str(), Keyring::from_bytes("the repackager's key", deb::public_key()?.as_bytes())?);
            }
            (RepoKind::RpmMd, recipe::Trust::Keys(files)) => {
                out.insert(repo.id.as_str(), keyring(repo, files, settings)?);
            }
            (RepoKind::RpmMd, recipe::Trust::Unsigned) => {}
        }
    }
    Ok(out)
}

/// What the repackager needs to know of a deb, from the lockfile alone.
fn source_meta(locked: &LockedPackage) -> PackageMeta {
    PackageMeta {
        nevra: locked.nevra.clone(),
        location: locked.source_location.clone().default_because("a package without a location is found by its digest"),
        size: locked.source_size.unwrap_or(0),
        source_digest: locked.source_sha256,
        ..PackageMeta::default()
    }
}
