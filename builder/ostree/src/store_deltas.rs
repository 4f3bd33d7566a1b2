//! The static deltas that a store holds, as files: `deltas/XX/…` with the checksums of the commits in the folder's name, in base64 with `_` for `/`.

use crate::{CommitId, Store};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use model::{Result, ResultExt};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

impl Store {
    /// Every file of every delta, relative to the store.
    pub(crate) fn delta_files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for folder in self.delta_folders()? {
            for file in entries(&self.path().join(&folder))? {
                files.push(folder.join(file));
            }
        }
        Ok(files)
    }

    /// Removes the deltas from or to these commits.
    pub(crate) fn remove_deltas_of(&self, commits: &BTreeSet<CommitId>) -> Result<()> {
        let named: Vec<String> =
            commits.iter().map(|commit| STANDARD_NO_PAD.encode(commit.digest().as_bytes()).replace('/', "_")).collect();
        for folder in self.delta_folders()? {
            let name: String = folder.components().skip(1).map(|part| part.as_os_str().to_string_lossy()).collect();
            if named.iter().any(|commit| name.contains(commit.as_str())) {
                let path = self.path().join(&folder);
                std::fs::remove_dir_all(&path).context(|| format!("remove the delta {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Relative to the store, sorted.
    fn delta_folders(&self) -> Result<Vec<PathBuf>> {
        let root = Path::new("deltas");
        let mut folders = Vec::new();
        for first in entries(&self.path().join(root))? {
            let first = root.join(first);
            folders.extend(entries(&self.path().join(&first))?.into_iter().map(|rest| first.join(rest)));
        }
        Ok(folders)
    }
}

/// The names in a folder, sorted; none if it is absent or no folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listing = || format!("list {}", folder.display());
    let read = match std::fs::read_dir(folder) {
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        read => read.context(listing)?,
    };
    let mut names =
        read.map(|entry| entry.map(|entry| PathBuf::from(entry.file_name()))).collect::<std::io::Result<Vec<_>>>().context(listing)?;
    names.sort();
    Ok(names)
}
