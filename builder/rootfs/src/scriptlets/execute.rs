//! Does what was decided: alternatives as links, Lua over the tree, everything else in one sandbox that keeps its checkout from script to script.

use super::{Action, Ledger, Phase, Work};
use crate::accounts::Accounts;
use crate::alternatives::{self, Alternative};
use crate::changes::TrackedCheckout;
use crate::programs::ProgramCache;
use crate::scriptlets::lua;
use model::tree::{FileTree, NodeKind};
use model::{Error, ImagePath, Progress, Result, ResultExt, SourceDateEpoch};

/// Carries out the alternatives among `actions` and notes their paths in the ledger.
pub fn apply_alternatives(tree: &mut FileTree, actions: &[Action], ledger: &mut Ledger) -> Result<Vec<ImagePath>> {
    let owned: Vec<(usize, &Alternative)> = actions
        .iter()
        .filter_map(|action| if let Work::Alternative(alternative) = &action.work { Some((action.row, alternative)) } else { None })
        .collect();
    let written = alternatives::install(tree, &owned.iter().map(|(_, a)| (*a).clone()).collect::<Vec<_>>())?;
    for (row, alternative) in owned {
        let middle = format!("/etc/alternatives/{}", alternative.name);
        let won = tree.at(&middle).is_some_and(|i| matches!(&i.kind, NodeKind::Symlink(t) if **t == *alternative.path.as_bytes()));
        if let Some(row) = ledger.get_mut(row)
            && won
        {
            row.paths.extend([alternative.link.clone(), middle]);
        }
    }
    Ok(written)
}

/// Where scripts run, and what they may know.
pub struct Executor<'a> {
    pub accounts: &'a Accounts,
    pub cache: &'a ProgramCache,
    pub epoch: SourceDateEpoch,
    pub progress: &'a dyn Progress,
}

impl Executor<'_> {
    /// Runs the Lua and the programs among `actions` that `wanted` accepts, in order. A failing %pre, %pretrans or %triggerprein is an error, any other
    /// failure a warning, as in rpm.
    pub fn run(&self, tree: &mut FileTree, actions: &[Action], wanted: &dyn Fn(&Action) -> bool, ledger: &mut Ledger) -> Result<()> {
        let mut sandbox: Option<TrackedCheckout> = None;
        for action in actions.iter().filter(|action| wanted(action)) {
            let doing = || format!("%{} of {}", action.phase.name(), action.package);
            let (changed, failure, reason) = match &action.work {
                Work::Alternative(_) | Work::Enable(_) => continue,
                Work::Lua(script) => {
                    // The sandbox's checkout would not know what Lua changed.
                    sandbox = None;
                    let done = lua::run(tree, self.accounts, script, self.epoch).context(doing)?;
                    let failure = done.failure.map(|failure| [failure.trim(), done.output.trim()].join("\n").trim().to_owned());
                    (done.changed, failure, done.mechanisms.into_iter().collect::<Vec<_>>().join(", "))
                }
                Work::Sandbox(script) => {
                    let watched = match &mut sandbox {
                        Some(watched) => watched,
                        None => sandbox.insert(TrackedCheckout::check_out(tree, &self.cache.scratch).context(doing)?),
                    };
                    let outcome = watched.run_script(script, self.epoch).context(doing)?;
                    let changed = watched.read_changes(tree, &outcome.owners, self.epoch).context(doing)?;
                    (changed, outcome.failure(), String::new())
                }
            };
            let row = ledger.get_mut(action.row).ok_or_else(|| Error::internal("an action without its row in the ledger"))?;
            row.paths.extend(changed.iter().map(ImagePath::to_string));
            if !reason.is_empty() {
                row.reason = reason;
            }
            let Some(failure) = failure else { continue };
            if matches!(action.phase, Phase::Pre | Phase::Pretrans | Phase::Triggerprein) {
                return Err(Error::tool(format!("{} failed: {failure}", doing()))
                    .hint("say what is to become of it in a [[scriptlet]] row of the recipe, policy = \"skip\" or \"native\""));
            }
            self.progress.note(&format!("warning: {} failed: {failure}", doing()));
            row.failure = Some(failure);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "execute_tests.rs"]
mod tests;
