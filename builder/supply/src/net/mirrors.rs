//! Several places with the same files: when one fails, the next is asked.

use crate::net::{Client, Pinned, Url, is_below, is_missing};
use model::{Error, Kind, Progress, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A mirror list of Fedora has about a hundred; more than this are not asked.
const MIRRORS_MAX: usize = 256;

/// Base URLs in the order in which they are asked; at least one.
#[derive(Debug, Clone)]
pub struct Mirrors {
    bases: Arc<[Url]>,
    /// The one that answered last: a dead mirror costs its time limit once, not once a file.
    first: Arc<AtomicUsize>,
    /// Archives with the same paths, asked in this order for a file that the mirrors no longer have.
    snapshots: Arc<[Url]>,
}

impl Mirrors {
    pub fn one(base: Url) -> Self {
        Mirrors { bases: Arc::new([base]), first: Arc::default(), snapshots: Arc::default() }
    }

    /// `None` without a single URL.
    pub fn new(bases: impl IntoIterator<Item = Url>) -> Option<Self> {
        let mut unique: Vec<Url> = Vec::new();
        for base in bases {
            if unique.len() < MIRRORS_MAX && !unique.iter().any(|known| known.canonical() == base.canonical()) {
                unique.push(base);
            }
        }
        (!unique.is_empty()).then(|| Mirrors { bases: unique.into(), first: Arc::default(), snapshots: Arc::default() })
    }

    /// The same mirrors; [`Self::download`] takes from `snapshots` what they no longer have.
    pub fn with_snapshots(self, snapshots: Vec<Url>) -> Self {
        Mirrors { snapshots: snapshots.into(), ..self }
    }

    /// Whether a whole URL that metadata or a lockfile names is on a host of these mirrors. A digest pins the file all the same; but which
    /// hosts a build talks to is the recipe's matter.
    pub fn admit(&self, url: &Url) -> bool {
        self.bases.iter().any(|base| base.same_host(url))
    }

    /// Refuses a location that is neither below these mirrors nor on a host of theirs.
    pub fn check(&self, location: &str) -> Result<()> {
        if is_below(location) {
            return Ok(());
        }
        let found: String = location.chars().take(80).collect();
        match Url::parse(location) {
            Ok(url) if self.admit(&url) => Ok(()),
            Ok(url) => Err(Error::integrity(format!("expected a location on the repository's own host, found {url}"))
                .hint("name that place as a [[repo]] of the recipe: only the recipe decides which hosts are asked, even where digests pin every file")),
            Err(_) => Err(Error::integrity(format!("expected a location below the repository, found {found:?}"))),
        }
    }

    /// Brings `location`, which is relative to each mirror, or a whole URL on the host of one. As [`Client::download`].
    ///
    /// When the mirrors answer that they do not have it, the snapshots are asked. The digest decides in any case.
    pub fn download(&self, client: &Client, location: &str, file: &Pinned<'_>, progress: &dyn Progress) -> Result<()> {
        self.check(location)?;
        if !is_below(location) {
            let url = Url::parse(location)?;
            let base = self.bases.iter().find(|base| base.same_host(&url));
            return client.download(&base.map_or(url.clone(), |base| url.with_credentials_of(base)), file, progress);
        }
        let fetch = |client: &Client, url: &Url| client.download(url, file, progress);
        match self.any(client, location, fetch) {
            Err(missing) if is_missing(&missing) && !self.snapshots.is_empty() => {
                self.download_from_snapshots(client, location, &missing, fetch)
            }
            asked => asked,
        }
    }

    /// Asks every snapshot once; `missing` is what the mirrors came to.
    fn download_from_snapshots(
        &self,
        client: &Client,
        location: &str,
        missing: &Error,
        fetch: impl Fn(&Client, &Url) -> Result<()>,
    ) -> Result<()> {
        let mut fault: Option<Error> = None;
        for base in &*self.snapshots {
            match base.below(location).and_then(|url| fetch(&client.impatient(), &url)) {
                Ok(()) => return Ok(()),
                Err(error) if matches!(error.kind(), Kind::Network | Kind::Integrity) => fault = worse(fault, error),
                Err(error) => return Err(error),
            }
        }
        let count = self.snapshots.len();
        let fault = fault.unwrap_or_else(|| Error::network(format!("no snapshot has {location}")));
        Err(fault
            .context(format_args!("{missing}; then each of {count} snapshots failed, one of them with"))
            .or_hint(|| "correct `snapshots` of the [[repo]], or run `atomic-image lock RECIPE`".into()))
    }

    /// The whole of `location`, from the first mirror whose answer `check` accepts.
    pub fn get(&self, client: &Client, location: &str, max_bytes: u64, check: impl Fn(&Url, &[u8]) -> Result<()>) -> Result<Vec<u8>> {
        self.any(client, location, |client, url| {
            let bytes = client.get(url, max_bytes)?;
            check(url, &bytes)?;
            Ok(bytes)
        })
    }

    fn any<T>(&self, client: &Client, location: &str, mut once: impl FnMut(&Client, &Url) -> Result<T>) -> Result<T> {
        let count = self.bases.len();
        if let [base] = &*self.bases {
            return once(client, &base.below(location)?);
        }
        let impatient = client.impatient();
        let start = self.first.load(Ordering::Relaxed);
        let mut fault: Option<Error> = None;
        for number in (0..count).map(|step| (start + step) % count) {
            let Some(base) = self.bases.get(number) else { break };
            match once(&impatient, &base.below(location)?) {
                Ok(value) => {
                    self.first.store(number, Ordering::Relaxed);
                    return Ok(value);
                }
                Err(error) if matches!(error.kind(), Kind::Network | Kind::Integrity) && !offline(client, base) => {
                    fault = worse(fault, error);
                }
                Err(error) => return Err(error),
            }
        }
        let fault = fault.unwrap_or_else(|| Error::network(format!("no mirror has {location}")));
        Err(fault.context(format_args!("each of {count} mirrors failed, one of them with")))
    }
}

/// The error that says more: a wrong file more than one that is not there, and that more than a server that does not answer.
fn worse(kept: Option<Error>, error: Error) -> Option<Error> {
    let rank = |error: &Error| match error.kind() {
        Kind::Integrity => 2,
        _ if is_missing(error) => 1,
        _ => 0,
    };
    match kept {
        Some(kept) if rank(&kept) >= rank(&error) => Some(kept),
        _ => Some(error),
    }
}

fn offline(client: &Client, base: &Url) -> bool {
    client.is_offline() && !base.is_file()
}
