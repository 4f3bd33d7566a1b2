//! The recipe's repositories, loaded: packages, and for a Debian archive what converts them.

use crate::net::{Client, Mirrors, Url, is_missing};
use crate::repos::deb::{self, DebArchive, DebSource};
use crate::repos::{RepoSnapshot, rpmmd};
use crate::repository_keys::keyring;
use crate::{SupplySettings, snapshots};
use model::{Error, Progress, Result, ResultExt, SourceDateEpoch, read_input};
use recipe::lock::LockedRepository;
use recipe::{KeyFile, MetadataTrust, Recipe, Repo, RepoKind, RepoSource, Trust};
use std::path::PathBuf;

/// A repository's packages; for a Debian archive with what converts them, and its mirror's URL.
pub(super) struct Source {
    pub snapshot: RepoSnapshot,
    pub archive: Option<(DebArchive, Url)>,
}

impl Source {
    /// The version of its metadata, for the lockfile.
    pub fn version(&self) -> LockedRepository {
        let snapshot = &self.snapshot;
        match &self.archive {
            Some((archive, _)) => {
                LockedRepository::new(&snapshot.id, "", SourceDateEpoch(archive.release.date), Some(archive.release.signer.clone()))
            }
            None => LockedRepository::new(&snapshot.id, &snapshot.revision, snapshot.time, None),
        }
    }
}

/// All of the recipe's, in its order.
pub(super) fn load_all(recipe: &Recipe, settings: &SupplySettings, client: &Client, progress: &dyn Progress) -> Result<Vec<Source>> {
    progress.begin("repositories", recipe.repos.len() as u64, "repositories");
    let mut sources = Vec::new();
    for repo in &recipe.repos {
        sources.push(load(repo, settings, client, progress).context(|| format!("repository {}", repo.id))?);
        progress.advance(1);
    }
    Ok(sources)
}

/// The URL of a repository, of its list of mirrors, or of a Debian archive's mirror.
pub(super) fn repository_url(repo: &Repo, settings: &SupplySettings) -> Result<Url> {
    match &repo.source {
        RepoSource::Url(url) | RepoSource::Metalink(url) | RepoSource::Mirrorlist(url) => Url::parse(url),
        RepoSource::AptMirror => {
            let mirror = settings.mirror.as_deref().ok_or_else(|| {
                Error::recipe("mirror = \"apt\", but this machine has no apt sources with a Debian mirror")
                    .hint("give the mirror's URL with --mirror, for example --mirror http://MIRROR/debian")
            })?;
            Url::parse(mirror)
        }
    }
}

/// Where an rpm-md repository's packages are.
pub(super) fn mirrors(repo: &Repo, settings: &SupplySettings, client: &Client) -> Result<Mirrors> {
    let found = repository_url(repo, settings).and_then(|url| rpmmd::mirrors(client, origin(repo, &url), &metadata_cache(settings)));
    found.context(|| format!("repository {}", repo.id))
}

/// Where a repository's locked packages are: its mirrors, and its snapshots as of the time that `locked` names.
pub(super) fn package_mirrors(repo: &Repo, locked: &[LockedRepository], settings: &SupplySettings, client: &Client) -> Result<Mirrors> {
    let time = locked.iter().find(|known| known.repo == repo.id).map(|known| known.time);
    let snapshots = snapshots::urls(repo, time).context(|| format!("repository {}", repo.id))?;
    let found = match repo.kind {
        RepoKind::Deb { .. } => repository_url(repo, settings).map(Mirrors::one).context(|| format!("repository {}", repo.id)),
        RepoKind::RpmMd => mirrors(repo, settings, client),
    };
    match found {
        Ok(mirrors) => Ok(mirrors.with_snapshots(snapshots)),
        // The list of mirrors itself is gone.
        Err(missing) if is_missing(&missing) => Mirrors::new(snapshots).ok_or(missing),
        Err(error) => Err(error),
    }
}

pub(super) fn metadata_cache(settings: &SupplySettings) -> PathBuf {
    settings.cache.join("rpmmd")
}

fn origin<'a>(repo: &Repo, url: &'a Url) -> rpmmd::Origin<'a> {
    match &repo.source {
        RepoSource::Metalink(_) => rpmmd::Origin::Metalink(url),
        RepoSource::Mirrorlist(_) => rpmmd::Origin::Mirrorlist(url),
        RepoSource::Url(_) | RepoSource::AptMirror => rpmmd::Origin::Url(url),
    }
}

fn load(repo: &Repo, settings: &SupplySettings, client: &Client, progress: &dyn Progress) -> Result<Source> {
    let url = repository_url(repo, settings)?;
    match &repo.kind {
        RepoKind::RpmMd => Ok(Source { snapshot: load_rpmmd(repo, &url, settings, client, progress)?, archive: None }),
        RepoKind::Deb { suite, components, arch } => {
            let Trust::Keys(files) = &repo.trust else {
                return Err(Error::recipe("a Debian archive is always signed").hint("name its keys"));
            };
            let read = |file: &KeyFile| read_input(&file.path, KeyFile::MAX);
            let keys = files.iter().map(read).collect::<Result<Vec<_>>>()?;
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
                mirrors: Mirrors::one(url.clone()),
                visible: repo.packages.clone(),
                exclude: repo.exclude.clone(),
                packages: std::mem::take(&mut archive.packages),
                revision: archive.release.date.to_string(),
                time: SourceDateEpoch(archive.release.date),
                digest: archive.release.digest,
                filelists: None,
                comps: None,
                modules: Default::default(),
            };
            Ok(Source { snapshot, archive: Some((archive, url)) })
        }
    }
}

fn load_rpmmd(repo: &Repo, url: &Url, settings: &SupplySettings, client: &Client, progress: &dyn Progress) -> Result<RepoSnapshot> {
    let keyring = match (&repo.trust, repo.metadata) {
        (Trust::Keys(files), MetadataTrust::Signed) => Some(keyring(repo, files, settings)?),
        _ => None,
    };
    // The data may be asked for several times, so each reader gets a cursor of its own.
    let check = |bytes: &[u8], signature: &[u8]| match &keyring {
        Some(keyring) => keyring.check_armored(signature, || Ok(std::io::Cursor::new(bytes.to_vec()))).map(drop),
        None => Ok(()),
    };
    let source = rpmmd::Source {
        id: &repo.id,
        origin: origin(repo, url),
        priority: repo.priority,
        visible: &repo.packages,
        exclude: &repo.exclude,
        trust: if keyring.is_some() { rpmmd::Trust::Signed(&check) } else { rpmmd::Trust::Unsigned },
    };
    rpmmd::load(client, &source, &metadata_cache(settings), progress)
}
