//! What the command line decides about a build, apart from the recipe.

use recipe::OutputFormat;
use std::path::PathBuf;
use supply::SupplySettings;

/// None of these may change a byte of an artifact, but `formats`, which chooses among them.
#[derive(Debug, Clone)]
pub struct Settings {
    pub supply: SupplySettings,
    /// Artifacts go to `out/<recipe name>/`.
    pub out: PathBuf,
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
}
