//! What `inspect` found, for people as tables and for scripts as JSON.

use crate::base::ByteSize;
use serde::Serialize;

#[derive(Debug, Clone, Default, Serialize)]
pub struct ImageReport {
    pub partitions: Vec<PartitionRow>,
    pub filesystems: Vec<FilesystemRow>,
    pub deployments: Vec<DeploymentRow>,
    pub packages: Vec<PackageRow>,
}

#[derive(Debug, Clone, Serialize)]
pub struct PartitionRow {
    /// Counts from 1.
    pub number: u32,
    pub name: String,
    /// The type's GUID, and the partition's own.
    pub kind: String,
    pub guid: String,
    /// Byte position on the disk.
    pub start: u64,
    pub size: ByteSize,
}

#[derive(Debug, Clone, Serialize)]
pub struct FilesystemRow {
    pub partition: u32,
    /// `ext4` or `vfat`.
    pub kind: String,
    pub label: String,
    pub uuid: String,
    pub size: ByteSize,
    pub free: ByteSize,
}

#[derive(Debug, Clone, Serialize)]
pub struct DeploymentRow {
    pub os: String,
    #[serde(rename = "ref")]
    pub reference: String,
    pub commit: String,
    /// Its tree on the root filesystem.
    pub folder: String,
    pub version: Option<String>,
    /// In order, as the boot entry has them.
    pub kernel_arguments: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct PackageRow {
    pub nevra: String,
    /// Of the package file, in hex.
    pub sha256: String,
}
