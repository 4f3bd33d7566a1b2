//! What the command line decides about a build, apart from the recipe.

use super::history::Parent;
use evidence::Signatures;
use recipe::OutputFormat;
use signing::SigningKey;
use std::path::PathBuf;
use std::sync::Arc;
use supply::SupplySettings;

/// None of these may change a byte of an artifact, but `formats`, which chooses among them, `parent`, which a commit names, and the signatures.
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
    /// What the commit and the summary are signed with. The image has the commit's signatures, too.
    pub signing_keys: Arc<[SigningKey]>,
    /// Which commit the new one follows, if the recipe's commits follow each other.
    pub parent: Parent,
    /// With a given parent: the detached metadata that the image has of its commits, as its manifest says it.
    pub signatures: Signatures,
    /// Threads, at least 1.
    pub jobs: usize,
}
