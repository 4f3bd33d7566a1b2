//! What `inspect` found, for people as tables and for scripts as JSON.

use model::{ByteSize, Error, Result};
use serde::Serialize;
use std::path::Path;

#[derive(Debug, Clone, Default, Serialize)]
pub struct ImageReport {
    pub partitions: Vec<PartitionRow>,
    pub filesystems: Vec<FilesystemRow>,
    pub deployments: Vec<DeploymentRow>,
    pub packages: Vec<PackageRow>,
    /// What is damaged, in words; everything else is reported as if it were not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damage: Vec<String>,
}

impl ImageReport {
    /// An error that names the first damage.
    pub fn check(&self, image: &Path) -> Result<()> {
        let Some(first) = self.damage.first() else { return Ok(()) };
        let more = if self.damage.len() > 1 { format!(", and {} more", self.damage.len() - 1) } else { String::new() };
        let error = Error::integrity(format!("{first}{more}")).context(image.display());
        Err(error.hint("the rest of the image was read: copy or download it again"))
    }
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
    /// `ext4`, `vfat`, or blkid's name for what is not read, such as `btrfs`.
    pub kind: String,
    pub state: FilesystemState,
    /// Why it was not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    pub label: String,
    pub uuid: String,
    /// Of the filesystem; of the partition if it was not read.
    pub size: ByteSize,
    pub free: Option<ByteSize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FilesystemState {
    Read,
    /// Sound as far as it was looked at, but not for us.
    Unread,
    Damaged,
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
