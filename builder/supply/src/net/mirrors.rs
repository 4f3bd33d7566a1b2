//! Several places with the same files: when one fails, the next is asked.

use crate::net::{Client, Url, is_below};
use model::{Digest, Error, Kind, Progress, Result};
use std::path::Path;
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
}

impl Mirrors {
    pub fn one(base: Url) -> Self {
        Mirrors { bases: Arc::new([base]), first: Arc::default() }
    }

    /// `None` without a single URL.
    pub fn new(bases: impl IntoIterator<Item = Url>) -> Option<Self> {
        let mut unique: Vec<Url> = Vec::new();
        for base in bases {
            if unique.len() < MIRRORS_MAX && !unique.iter().any(|known| known.canonical() == base.canonical()) {
                unique.push(base);
            }
        }
        (!unique.is_empty()).then(|| Mirrors { bases: unique.into(), first: Arc::default() })
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
    pub fn download(&self, client: &Client, location: &str, to: &Path, size: u64, digest: &Digest, progress: &dyn Progress) -> Result<()> {
        self.check(location)?;
        if !is_below(location) {
            let url = Url::parse(location)?;
            let base = self.bases.iter().find(|base| base.same_host(&url));
            return client.download(&base.map_or(url.clone(), |base| url.with_credentials_of(base)), to, size, digest, progress);
        }
        self.any(client, location, |client, url| client.download(url, to, size, digest, progress))
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
                    // A wrong file says more than one that is not there.
                    if fault.as_ref().is_none_or(|kept: &Error| kept.kind() == Kind::Network && error.kind() == Kind::Integrity) {
                        fault = Some(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        let fault = fault.unwrap_or_else(|| Error::network(format!("no mirror has {location}")));
        Err(fault.context(format_args!("each of {count} mirrors failed, one of them with")))
    }
}

fn offline(client: &Client, base: &Url) -> bool {
    client.is_offline() && !base.is_file()
}
