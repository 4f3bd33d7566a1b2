//! Who changed what in the tree beside the payloads: a row for every scriptlet, trigger and stage, for the manifest.

use crate::scriptlets;
use model::ImagePath;
use serde::Serialize;

#[derive(Debug, Clone, Serialize)]
pub struct LedgerRow {
    /// Name of the package; absent for a stage of the builder.
    pub package: Option<String>,
    /// `pre`, `post`…, or the stage's or trigger's name.
    pub phase: String,
    /// First 16 hex digits of the SHA-256 of the scriptlet's text.
    pub digest: Option<String>,
    /// `understood`, `native`, `lua`, `skip`, `sandbox`, `trigger` or `stage`.
    pub handler: String,
    pub reason: Option<String>,
    /// Of a trigger of a package: the package that set it off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_off_by: Option<String>,
    /// Paths changed, sorted.
    pub paths: Vec<String>,
    /// Exit status and output of a scriptlet that failed and does not stop an installation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl LedgerRow {
    pub fn stage(name: &str, paths: Vec<ImagePath>) -> Self {
        Self::of(name, "stage", paths)
    }

    pub fn trigger(name: &str, paths: Vec<ImagePath>) -> Self {
        Self::of(name, "trigger", paths)
    }

    pub(super) fn scriptlet(row: scriptlets::Row) -> Self {
        LedgerRow {
            package: Some(row.package),
            phase: row.phase.name().to_string(),
            digest: Some(row.digest),
            handler: row.handler,
            reason: Some(row.reason),
            set_off_by: row.set_off_by,
            paths: row.paths,
            failure: row.failure,
        }
    }

    fn of(name: &str, handler: &str, paths: Vec<ImagePath>) -> Self {
        let mut paths: Vec<String> = paths.iter().map(ImagePath::to_string).collect();
        paths.sort();
        LedgerRow {
            package: None,
            phase: name.to_string(),
            digest: None,
            handler: handler.to_string(),
            reason: None,
            set_off_by: None,
            paths,
            failure: None,
        }
    }
}

/// Rows in the order in which things happened.
pub type Ledger = Vec<LedgerRow>;
