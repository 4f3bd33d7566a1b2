//! The keys that a recipe trusts for a repository.

use crate::SupplySettings;
use crate::fetch::{Keyring, Policy};
use model::Result;
use recipe::{KeyFile, Repo};
use std::path::PathBuf;

/// Loads the keys of a repository, with what its recipe relaxed.
pub(crate) fn keyring(repo: &Repo, files: &[KeyFile], settings: &SupplySettings) -> Result<Keyring> {
    let paths: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
    Ok(Keyring::load(&paths)?.with_policy(Policy { relax: repo.relax.clone(), now: Some(settings.now) }))
}
