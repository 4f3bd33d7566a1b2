//! Where packages come from and what may be used on the way, apart from the recipe.

use crate::net::{Client, ClientOptions, Limits, ProxyEnvironment};
use model::{Facts, Result, SourceDateEpoch};
use std::path::PathBuf;
use std::sync::Arc;

/// None of these may change a byte of an artifact.
#[derive(Debug, Clone)]
pub struct SupplySettings {
    pub cache: PathBuf,
    /// What earlier runs of this user verified and computed.
    pub facts: Arc<Facts>,
    /// Open no socket.
    pub offline: bool,
    /// A PEM file with a certificate authority that servers may go back to, besides the machine's.
    pub ca: Option<PathBuf>,
    /// The environment's proxies.
    pub proxies: ProxyEnvironment,
    /// Resolve with metadata that is older than what the lockfile was made from.
    pub allow_older: bool,
    /// Refuse to resolve: the lockfile must be there and fit.
    pub locked: bool,
    /// The Debian mirror for `mirror = "apt"`: from `--mirror`, else from the machine's apt sources.
    pub mirror: Option<String>,
    /// The wall clock, only to judge expiry.
    pub now: SourceDateEpoch,
}

impl SupplySettings {
    pub(crate) fn client(&self) -> Result<Client> {
        Client::new(&ClientOptions {
            offline: self.offline,
            ca: self.ca.as_deref(),
            proxies: self.proxies.clone(),
            limits: Limits::default(),
        })
    }
}

#[cfg(test)]
impl SupplySettings {
    /// For tests: a cache in `folder`, nothing known, and everything allowed.
    pub(crate) fn in_folder(folder: &std::path::Path, now: SourceDateEpoch) -> Self {
        SupplySettings {
            cache: folder.join("cache"),
            facts: Arc::new(Facts::none()),
            offline: false,
            ca: None,
            proxies: ProxyEnvironment::default(),
            allow_older: false,
            locked: false,
            mirror: None,
            now,
        }
    }
}
