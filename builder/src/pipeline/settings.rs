//! What the command line decides about a build, apart from the recipe.

use crate::base::{Facts, Result, SourceDateEpoch};
use crate::net::Client;
use crate::recipe::OutputFormat;
use std::path::PathBuf;
use std::sync::Arc;

/// None of these may change a byte of an artifact, but `formats`, which chooses among them.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Artifacts go to `out/<recipe name>/`.
    pub out: PathBuf,
    pub cache: PathBuf,
    /// What earlier runs of this user verified and computed.
    pub facts: Arc<Facts>,
    /// Wait until artifacts are on the device before they get their names.
    pub durable: bool,
    /// The tree store.
    pub repo: PathBuf,
    /// Neither read nor write the tree store.
    pub images_only: bool,
    /// Empty: the recipe's.
    pub formats: Vec<OutputFormat>,
    /// Threads, at least 1.
    pub jobs: usize,
    /// Open no socket.
    pub offline: bool,
    /// A PEM file with a certificate authority that servers may go back to, besides the machine's.
    pub ca: Option<PathBuf>,
    /// Refuse to resolve: the lockfile must be there and fit.
    pub locked: bool,
    /// The Debian mirror for `mirror = "apt"`: from `--mirror`, else from the machine's apt sources.
    pub mirror: Option<String>,
    /// The wall clock, only to judge expiry.
    pub now: SourceDateEpoch,
}

impl Settings {
    pub(super) fn client(&self) -> Result<Client> {
        match &self.ca {
            Some(ca) => Client::trusting(self.offline, ca),
            None => Ok(Client::new(self.offline)),
        }
    }
}
