//! An OVA for vSphere: a tar archive of an OVF descriptor, a streamOptimized VMDK, and a manifest of their digests.
//!
//! The descriptor comes first and says how long the disk is, which is known last; so room is left for it, and the disk is compressed into its place.

use super::hashed_file::{self, HashedFile};
use super::{Finished, vmdk};
use crate::ovf;
use filesystems::tar;
use model::{Digest, ImageSeed, Progress, Result, ResultExt, Segments, SourceDateEpoch};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What the descriptor says beside the disk.
#[derive(Debug, Clone, Copy)]
pub struct Appliance<'a> {
    pub name: &'a str,
    pub title: &'a str,
    pub version: &'a str,
    pub uefi: bool,
    pub epoch: SourceDateEpoch,
}

/// Longer in digits than any file that a POSIX tar archive holds, 8 GiB.
const LONGEST: u64 = 9_999_999_999;

pub fn write(disk: &Segments, appliance: &Appliance, seed: &ImageSeed, out: &Path, progress: &dyn Progress) -> Result<Finished> {
    let Appliance { name, title, version, uefi, epoch } = *appliance;
    let (ovf_name, disk_name, manifest_name) = (format!("{name}.ovf"), format!("{name}-disk1.vmdk"), format!("{name}.mf"));
    let descriptor =
        |file_size| ovf::Machine { name, title, version, file: &disk_name, file_size, capacity: disk.size(), uefi }.descriptor();
    let room = descriptor(LONGEST).len();
    let disk_header_at = tar::BLOCK + (room as u64).next_multiple_of(tar::BLOCK);
    let mut file = HashedFile::create_behind(out, disk_header_at + tar::BLOCK)?;
    vmdk::append(disk, seed, &mut file, progress)?;
    let disk_length = file.len();
    let (mut atomic, disk_digest) = file.into_file()?;

    let mut text = descriptor(disk_length).into_bytes();
    text.resize(room, b'\n');
    let header = |name: &str, size: u64| tar::header(tar::Dialect::Ustar, name, size, epoch);
    let front = [&header(&ovf_name, room as u64)?[..], &text].concat();
    let manifest = ovf::manifest(&[(&ovf_name, Digest::of(&text)), (&disk_name, disk_digest)]).into_bytes();
    let mut back = [&header(&manifest_name, manifest.len() as u64)?[..], &manifest].concat();
    back.resize(back.len().next_multiple_of(tar::BLOCK as usize), 0);
    back.extend(tar::END);
    // The VMDK is a whole number of sectors, so of tar's blocks.
    let back_at = disk_header_at + tar::BLOCK + disk_length;
    let file = &*atomic.file();
    for (bytes, at) in [(&front[..], 0), (&header(&disk_name, disk_length)?, disk_header_at), (&back, back_at)] {
        file.write_all_at(bytes, at).context(|| format!("write {} at offset {at}", out.display()))?;
    }
    let digest = hashed_file::digest(file, back_at + back.len() as u64, out)?;
    Finished::new("ova", out, atomic, digest)
}
