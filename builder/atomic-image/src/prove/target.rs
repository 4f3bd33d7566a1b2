//! What is upgraded from which version to which, and whether hosts would take it at all.

use super::Plan;
use crate::{inspect, tree};
use model::{Error, ImagePath, Kind, Result};
use ostree::{CommitId, Store};
use serde::Deserialize;
use signing::PublicKey;

/// The image's `update.json`.
#[derive(Deserialize)]
struct Identity {
    os: String,
    #[serde(rename = "ref")]
    reference: String,
    remote: Option<String>,
    channel: Option<String>,
    version: String,
}

pub struct Target {
    pub os: String,
    pub remote: String,
    pub reference: String,
    pub channel: String,
    /// The image's version.
    pub installed: String,
    pub newest: CommitId,
    pub newest_version: String,
    /// The versions to upgrade from, each older than the newest.
    pub from: Vec<String>,
    /// The keys that the image trusts.
    pub keys: Vec<PublicKey>,
}

impl Target {
    /// Reads image and store. An error if the image has no update source, if there is nothing to upgrade from, or if hosts would refuse the newest commit.
    pub fn find(plan: &Plan, store: &Store) -> Result<Target> {
        let read = |path: &str| inspect::cat(&plan.image, &ImagePath::parse(path)?);
        let broken = || Error::integrity(format!("{}: /usr/share/atomic-image/update.json cannot be read", plan.image.display()));
        let identity: Identity = serde_json::from_slice(&read("/usr/share/atomic-image/update.json")?).map_err(|e| broken().source(e))?;
        let Some(remote) = identity.remote else {
            return Err(Error::recipe(format!("{} was built without an update source", plan.image.display()))
                .hint("add [update] with url and keys to the recipe, and build again with --sign-key"));
        };
        let mut keys = Vec::new();
        for line in String::from_utf8_lossy(&read("/usr/share/atomic-image/update-keys.ed25519")?).lines() {
            keys.push(PublicKey::parse(line)?);
        }
        let Some(newest) = store.resolve_ref(&identity.reference)? else {
            return Err(Error::recipe(format!("{} has no ref {}, which the image follows", plan.repo.display(), identity.reference)));
        };
        if store.commit_signers(newest, &keys)?.is_empty() {
            let error =
                Error::new(Kind::Verification, format!("none of the image's keys has signed commit {newest}: every host would refuse it"));
            return Err(error.hint("sign it: atomic-image tree sign --repo DIR --sign-key FILE"));
        }
        let log = store.log(newest)?;
        let versions: Vec<String> = log.iter().filter_map(|entry| entry.commit.version().map(str::to_owned)).collect();
        let newest_version = store.read_commit(newest)?.version().map_or_else(|| newest.to_string(), str::to_owned);
        let older = || versions.iter().find(|version| **version != newest_version).cloned();
        let from = match (plan.from.is_empty(), identity.version != newest_version) {
            (false, _) => plan.from.clone(),
            (true, true) => vec![identity.version.clone()],
            (true, false) => older().into_iter().collect(),
        };
        if from.is_empty() {
            return Err(Error::recipe(format!("{} has version {newest_version} of {} alone", plan.repo.display(), identity.reference))
                .hint("an upgrade needs an older version: build it into the same store first"));
        }
        for version in &from {
            if *version == newest_version {
                return Err(Error::recipe(format!("--from {version}: that is the newest version")));
            }
            if *version != identity.version {
                tree::named(store, &format!("{}@{version}", identity.reference))?;
            }
        }
        let Identity { os, reference, version, channel, .. } = identity;
        let channel = channel.unwrap_or_else(|| "stable".to_owned());
        Ok(Target { os, remote, reference, channel, installed: version, newest, newest_version, from, keys })
    }
}
