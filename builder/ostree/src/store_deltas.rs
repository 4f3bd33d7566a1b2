//! The files of a store's static deltas, and what becomes of a delta when a commit goes.

use crate::{CommitId, Store};
use model::{Result, ResultExt};
use std::collections::BTreeSet;
use std::path::PathBuf;

impl Store {
    /// Every file of every delta, relative to the store, sorted.
    pub(crate) fn delta_files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for delta in self.deltas()? {
            let folder = PathBuf::from(delta.name.path());
            let at = self.path().join(&folder);
            let listing = || format!("list {}", at.display());
            for entry in std::fs::read_dir(&at).context(listing)? {
                files.push(folder.join(entry.context(listing)?.file_name()));
            }
        }
        files.sort();
        Ok(files)
    }

    /// Removes the deltas from or to these commits.
    pub(crate) fn remove_deltas_of(&self, commits: &BTreeSet<CommitId>) -> Result<()> {
        let concerned = |name: crate::DeltaName| commits.contains(&name.to) || name.from.is_some_and(|from| commits.contains(&from));
        self.deltas()?.into_iter().map(|delta| delta.name).filter(|name| concerned(*name)).try_for_each(|name| self.remove_delta(name))
    }
}
