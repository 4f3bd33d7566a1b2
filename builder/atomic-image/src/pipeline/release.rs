//! What makes a commit of the store an update: its signature, deltas from the commits before, and the summary, in this order.

use super::{Settings, budget};
use model::{Progress, Result};
use ostree::{CommitId, DeltaOptions, Store};
use recipe::Recipe;
use serde::Serialize;
use supply::fetch::Pack;

/// What an update costs a host, in bytes that it downloads.
#[derive(Debug, Clone, Serialize)]
pub struct UpdateCost {
    /// The host's commit; `null` for a host that has none of the ref's commits.
    pub from: Option<CommitId>,
    pub version: Option<String>,
    pub bytes: u64,
}

/// Signs the commit, and with `[update]` writes the deltas to it from the last commits of its ref, and from nothing if the recipe says so; then the ref names it, and
/// the summary all of them. What fails before that leaves the store with its versions as they were.
pub(super) fn release(
    recipe: &Recipe,
    settings: &Settings,
    store: &Store,
    commit: CommitId,
    packages: &[Pack],
    progress: &dyn Progress,
) -> Result<Vec<UpdateCost>> {
    store.sign_commit(commit, &settings.signing_keys)?;
    let mut costs = Vec::new();
    if let Some(update) = &recipe.update {
        let log = store.log(commit)?;
        let parent = log.first().and_then(|entry| entry.commit.parent).map(CommitId::new);
        for entry in log.iter().skip(1).take(update.deltas as usize) {
            let delta = store.write_delta(Some(entry.id), commit, &DeltaOptions::default(), progress)?;
            if Some(entry.id) == parent {
                budget::check_update(recipe, delta.bytes, &store.cost(parent, commit)?.contents, packages)?;
            }
            costs.push(UpdateCost { from: Some(entry.id), version: entry.commit.version().map(str::to_owned), bytes: delta.bytes });
        }
        if update.from_nothing {
            let delta = store.write_delta(None, commit, &DeltaOptions::default(), progress)?;
            costs.push(UpdateCost { from: None, version: None, bytes: delta.bytes });
        }
    }
    store.set_ref(&recipe.reference, commit)?;
    store.write_summary(&settings.signing_keys)?;
    Ok(costs)
}
