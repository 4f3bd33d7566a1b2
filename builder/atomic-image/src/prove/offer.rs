//! The release plan that the proof's host obeys.
//!
//! A release is proven before it is published, so that the store's plan names an older version, or gives the newest to some of the hosts only.

use super::Plan;
use super::target::Target;
use crate::tree::{Release, ReleasePlan, read_plan};
use model::{Error, Result};
use ostree::Store;

/// The plan that offers the newest version to every host, and its file if that is not the store's own.
pub fn newest_to_everybody(plan: &Plan, store: &Store, target: &Target) -> Result<(ReleasePlan, Option<Vec<u8>>)> {
    let mut offered = read_plan(store, &[])?;
    if offered.serial == 0 {
        return Ok((offered, None));
    }
    let now = offered.newest(&target.reference, &target.channel);
    if now.is_some_and(|release| release.commit == target.newest && release.waves.is_empty() && !release.paused) {
        return Ok((offered, None));
    }
    let Some(key) = plan.keys.iter().find(|key| target.keys.contains(&key.public())) else {
        let now = now.map_or("no version".to_owned(), |release| format!("version {}", release.version));
        let error = Error::recipe(format!(
            "{}: the release plan gives {now} of channel {} to hosts, not version {} to all of them",
            plan.repo.display(),
            target.channel,
            target.newest_version
        ));
        return Err(error.hint("name a key that the image trusts with --sign-key, so that the proof can offer the version"));
    };
    let published = u64::from(plan.time.0).max(store.read_commit(target.newest)?.timestamp.saturating_add(1));
    let (version, commit) = (target.newest_version.clone(), target.newest);
    let release = Release { version, commit, published, waves: Vec::new(), paused: false, barrier: false };
    offered.release(&target.reference, &target.channel, release);
    offered.serial = offered.serial.saturating_add(1);
    let file = offered.sign(std::slice::from_ref(key))?;
    Ok((offered, Some(file)))
}
