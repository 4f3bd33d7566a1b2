//! What a command did, for people as a table and for scripts as JSON.

use super::UpdateCost;
use disks::export::Artifact;
use model::{ByteSize, Digest};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub artifacts: Vec<Artifact>,
    /// The OSTree commit, 64 hex digits.
    pub commit: String,
    pub package_count: usize,
    /// What will be short of room later, with the numbers.
    pub warnings: Vec<String>,
    /// What an update to this commit costs hosts, if the recipe has `[update]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub updates: Vec<UpdateCost>,
    /// From start to end; stages that run side by side add up to more.
    pub seconds: f64,
    pub stages: Vec<StageReport>,
    pub lockfile: PathBuf,
}

#[derive(Debug, Clone, Serialize)]
pub struct StageReport {
    pub name: String,
    pub seconds: f64,
    /// The process's highest resident size at the end of the stage.
    pub peak_memory: ByteSize,
}

#[derive(Debug, Clone, Serialize)]
pub struct LockReport {
    pub lockfile: PathBuf,
    pub packages: Vec<LockedRow>,
}

#[derive(Debug, Clone, Serialize)]
pub struct LockedRow {
    pub nevra: String,
    pub repo: String,
    pub sha256: Digest,
    pub size: ByteSize,
}
