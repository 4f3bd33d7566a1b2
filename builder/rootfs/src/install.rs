//! What rpm does with packages: %pretrans, files, scriptlets, triggers. `compose` has the rest done between these steps.

use crate::accounts::{Accounts, Pinned};
use crate::programs::ProgramCache;
use crate::scriptlets::{self, Action, Executor, Work};
use crate::{account_lines, payloads, sysusers};
use model::tree::FileTree;
use model::{Progress, Result, SourceDateEpoch};
use packages::rpm::Phase;
use recipe::lock::KeptIds;
use recipe::{ConflictRule, DefaultPolicy, ScriptletRule};
use supply::fetch::Pack;

/// What a recipe says of an installation, and what the last build left.
#[derive(Default)]
pub(super) struct Rules<'a> {
    pub scriptlets: &'a [ScriptletRule],
    pub default: Option<DefaultPolicy>,
    pub conflicts: &'a [ConflictRule],
    pub pinned: Pinned,
    pub kept_ids: KeptIds,
}

/// What programs run with.
#[derive(Clone, Copy)]
pub(super) struct Environment<'a> {
    pub cache: &'a ProgramCache,
    pub epoch: SourceDateEpoch,
    pub progress: &'a dyn Progress,
}

/// Packages whose files are in a tree, and what is left to do for them.
pub(super) struct Installation {
    pub accounts: Accounts,
    actions: Vec<Action>,
    rows: scriptlets::Ledger,
}

impl Installation {
    /// Lays the files of `packs` (in the order of their installation) and gives them their owners.
    pub fn unpack(packs: &[Pack], rules: &Rules<'_>, around: Environment<'_>) -> Result<(FileTree, Installation)> {
        let list = scriptlets::of(packs)?;
        let (actions, mut rows) = scriptlets::decide(&list, rules.scriptlets, rules.default.unwrap_or(DefaultPolicy::Refuse))?;
        let mut tree = FileTree::new();
        // Links that later packages' files go through are made by a %pretrans, before there is a shell.
        let nobody = Accounts::plan(&[], "", "", &Pinned::default())?;
        executor(&nobody, around).run(&mut tree, &actions, &is_early, &mut rows)?;
        let owners = payloads::lay(&mut tree, packs, rules.conflicts, around.progress)?;

        let mut lines = account_lines::provided(packs)?;
        lines.extend(account_lines::scripted(&list, rules.scriptlets));
        let accounts = sysusers::plan(&tree, &rules.pinned, &lines, &rules.kept_ids)?;
        for owner in &owners {
            let (uid, gid) = accounts.owner(&owner.user, &owner.group, &owner.package, &owner.path.to_string())?;
            let attributes = &mut tree.inode_mut(owner.id).attributes;
            (attributes.uid, attributes.gid) = (uid, gid);
        }
        Ok((tree, Installation { accounts, actions, rows }))
    }

    /// Everything up to the last package's last scriptlet.
    pub fn run_scriptlets(&mut self, tree: &mut FileTree, around: Environment<'_>) -> Result<()> {
        scriptlets::apply_alternatives(tree, &self.actions, &mut self.rows)?;
        if self.actions.iter().any(|action| matches!(action.work, Work::Lua(_) | Work::Sandbox(_))) {
            // Scriptlets call getpwnam, so /etc/passwd must exist before the first.
            self.accounts.write(tree)?;
            executor(&self.accounts, around).run(tree, &self.actions, &|action| !is_early(action) && !is_late(action), &mut self.rows)?;
            sysusers::adopt(tree, &mut self.accounts)?;
        }
        Ok(())
    }

    /// %posttrans, and the triggers that wait for the last file.
    pub fn run_last(&mut self, tree: &mut FileTree, around: Environment<'_>) -> Result<()> {
        executor(&self.accounts, around).run(tree, &self.actions, &is_late, &mut self.rows)
    }

    /// Units that scriptlets enable whatever the presets say, sorted.
    pub fn enabled(&self) -> Vec<String> {
        let units = |action: &Action| if let Work::Enable(units) = &action.work { units.clone() } else { Vec::new() };
        let mut list: Vec<String> = self.actions.iter().flat_map(units).collect();
        list.sort();
        list.dedup();
        list
    }

    pub fn rows(self) -> scriptlets::Ledger {
        self.rows
    }
}

fn is_early(action: &Action) -> bool {
    action.phase == Phase::Pretrans && matches!(action.work, Work::Lua(_))
}

fn is_late(action: &Action) -> bool {
    matches!(action.phase, Phase::Posttrans | Phase::Transfiletriggerin)
}

fn executor<'a>(accounts: &'a Accounts, around: Environment<'a>) -> Executor<'a> {
    Executor { accounts, cache: around.cache, epoch: around.epoch, progress: around.progress }
}
