//! Several places with the same files: when one fails, the next is asked.

use crate::base::{Digest, Error, Kind, Progress, Result};
use crate::net::Client;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A mirror list of Fedora has about a hundred; more than this are not asked.
const MOST: usize = 256;

/// Base URLs in the order in which they are asked, each ending with `/`; at least one.
#[derive(Debug, Clone)]
pub struct Mirrors {
    bases: Arc<[String]>,
    /// The one that answered last: a dead mirror costs its time limit once, not once a file.
    first: Arc<AtomicUsize>,
}

impl Mirrors {
    pub fn one(base: &str) -> Self {
        Mirrors { bases: Arc::new([with_slash(base)]), first: Arc::default() }
    }

    /// `None` without a single URL.
    pub fn new<'a>(bases: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut unique: Vec<String> = Vec::new();
        for base in bases.into_iter().map(with_slash) {
            if !unique.contains(&base) && unique.len() < MOST {
                unique.push(base);
            }
        }
        (!unique.is_empty()).then(|| Mirrors { bases: unique.into(), first: Arc::default() })
    }

    /// The first in order.
    pub fn primary(&self) -> &str {
        self.bases.first().map_or("", String::as_str)
    }

    /// Brings `location`, which is relative to each mirror. As [`Client::download`].
    pub fn download(&self, client: &Client, location: &str, to: &Path, size: u64, digest: &Digest, progress: &dyn Progress) -> Result<()> {
        self.any(client, location, |client, url| client.download(url, to, size, digest, progress))
    }

    /// The whole of `location`, from the first mirror whose answer `check` accepts.
    pub fn get(&self, client: &Client, location: &str, max_bytes: u64, check: impl Fn(&str, &[u8]) -> Result<()>) -> Result<Vec<u8>> {
        self.any(client, location, |client, url| {
            let bytes = client.get(url, max_bytes)?;
            check(url, &bytes)?;
            Ok(bytes)
        })
    }

    fn any<T>(&self, client: &Client, location: &str, mut once: impl FnMut(&Client, &str) -> Result<T>) -> Result<T> {
        let count = self.bases.len();
        if count == 1 {
            return once(client, &format!("{}{location}", self.primary()));
        }
        let impatient = client.impatient();
        let start = self.first.load(Ordering::Relaxed);
        let mut fault: Option<Error> = None;
        for number in (0..count).map(|step| (start + step) % count) {
            let Some(base) = self.bases.get(number) else { break };
            match once(&impatient, &format!("{base}{location}")) {
                Ok(value) => {
                    self.first.store(number, Ordering::Relaxed);
                    return Ok(value);
                }
                Err(error) if matches!(error.kind(), Kind::Network | Kind::Integrity) && !offline(client, base) => {
                    fault.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        let fault = fault.unwrap_or_else(|| Error::network(format!("no mirror has {location}")));
        Err(fault.context(format_args!("each of {count} mirrors failed, the first with")))
    }
}

fn offline(client: &Client, base: &str) -> bool {
    client.is_offline() && !base.starts_with("file:")
}

fn with_slash(base: &str) -> String {
    format!("{}/", base.trim_end_matches('/'))
}
