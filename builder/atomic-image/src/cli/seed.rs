//! `seed`: a NoCloud ISO for cloud-init's first boot.

use super::args::SeedArguments;
use filesystems::iso9660;
use model::{AtomicFile, Result, read_input};
use std::path::Path;

/// The volume label that cloud-init looks for (its NoCloud data source).
const LABEL: &str = "cidata";
/// Of each file, in bytes; clouds take far less (EC2: 16 KiB).
const MAX_FILE: u64 = 64 << 20;

pub(super) fn run(arguments: &SeedArguments) -> Result<()> {
    let mut files = vec![("user-data", read(&arguments.user_data)?), ("meta-data", read(&arguments.meta_data)?)];
    if let Some(path) = &arguments.network_config {
        files.push(("network-config", read(path)?));
    }
    AtomicFile::write(&arguments.output, &iso(&files)?)
}

/// The ISO of a folder with `user-data`, `meta-data` and perhaps `network-config`.
pub(super) fn of_folder(folder: &Path) -> Result<Vec<u8>> {
    let mut files = vec![("user-data", read(&folder.join("user-data"))?), ("meta-data", read(&folder.join("meta-data"))?)];
    let network = folder.join("network-config");
    if network.exists() {
        files.push(("network-config", read(&network)?));
    }
    iso(&files)
}

fn iso(files: &[(&str, Vec<u8>)]) -> Result<Vec<u8>> {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    iso9660::write(LABEL, &files)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    read_input(path, MAX_FILE)
}
