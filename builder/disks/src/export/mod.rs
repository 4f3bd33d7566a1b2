//! Disk image files: one planned disk, written in each format that is asked for, never from a file of another format.
//!
//! Two kinds. Raw, VHD and VHDX are plans themselves ([`raw`]): the disk's segments between a few tables, copied in the kernel where it can. The others
//! are compressed piece by piece ([`in_order`]). Formats are written side by side.

mod artifact;
mod compressed;
mod digest_checkpoints;
mod gce;
mod hashed_file;
mod in_order;
mod ova;
mod plan_digest;
pub mod qcow2;
pub mod raw;
mod vmdk;

#[cfg(test)]
mod tests;

pub use artifact::{Artifact, Finished, publish};

use crate::{Compression, OutputFormat, vhd, vhdx};
use model::{Error, ImageSeed, Progress, Result, ResultExt, Segments, SourceDateEpoch};
use rayon::prelude::*;
use std::path::Path;

/// What the formats say beside the disk's bytes.
#[derive(Debug, Clone, Copy)]
pub struct ExportOptions<'a> {
    /// Names the files, and the machine in an OVA.
    pub name: &'a str,
    pub title: &'a str,
    pub version: &'a str,
    /// Of qcow2 clusters.
    pub compression: Compression,
    /// Bytes in a sector of the disk.
    pub sector: u64,
    pub uefi: bool,
    pub seed: ImageSeed,
    pub epoch: SourceDateEpoch,
    /// A folder of the user's own, where checkpoints of the artifacts' digests are kept for the next build of a similar disk.
    pub checkpoints: Option<&'a Path>,
}

/// Writes `disk` to `folder`, to become NAME with each format's extension (see [`publish`]). Formats are written at the same time: while one is hashed, which takes one core whatever
/// the machine has, others are compressed.
pub fn export(
    disk: &Segments,
    formats: &[OutputFormat],
    options: &ExportOptions,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<Vec<Finished>> {
    if let Some(format) = formats.iter().find(|format| options.sector != 512 && !format.takes_large_sectors()) {
        return Err(Error::recipe(format!(
            "{}: such disks always have sectors of 512 bytes, this one of {}",
            format.name(),
            options.sector
        )));
    }
    let content: u64 = disk.iter().map(|s| s.data.len()).sum();
    progress.begin("images", content * formats.len() as u64, "bytes");
    formats
        .par_iter()
        .with_max_len(1)
        .map(|&format| {
            let path = folder.join(format!("{}.{}", options.name, format.extension()));
            write(disk, format, options, &path, progress).context(|| format!("write {}", format.name()))
        })
        .collect()
}

fn write(disk: &Segments, format: OutputFormat, options: &ExportOptions, path: &Path, progress: &dyn Progress) -> Result<Finished> {
    let _span = tracing::info_span!("image", format = format.name()).entered();
    let ExportOptions { seed, epoch, .. } = options;
    let checkpoints = options.checkpoints.map(|folder| folder.join(format!("{}.{}.states", options.name, format.name())));
    let checkpoints = checkpoints.as_deref();
    match format {
        OutputFormat::Raw => raw::write(disk, format.name(), checkpoints, path, progress),
        OutputFormat::RawZstd => compressed::write_zstd(disk, path, progress),
        OutputFormat::RawXz => compressed::write_xz(disk, path, progress),
        OutputFormat::Qcow2 => qcow2::write(disk, options.compression, path, progress),
        OutputFormat::Vmdk => vmdk::write(disk, seed, path, progress),
        OutputFormat::Ova => {
            let ExportOptions { name, title, version, uefi, .. } = *options;
            ova::write(disk, &ova::Appliance { name, title, version, uefi, epoch: *epoch }, seed, path, progress)
        }
        OutputFormat::Vhd => raw::write(&vhd::plan(disk, vhd::Kind::Fixed, seed, *epoch)?, format.name(), checkpoints, path, progress),
        OutputFormat::VhdDynamic => {
            raw::write(&vhd::plan(disk, vhd::Kind::Dynamic, seed, *epoch)?, format.name(), checkpoints, path, progress)
        }
        OutputFormat::Vhdx => raw::write(&vhdx::plan(disk, options.sector, seed)?, format.name(), checkpoints, path, progress),
        OutputFormat::Gce => gce::write(disk, *epoch, path, progress),
    }
}

/// Sixteen bytes at a time, which the compiler makes wide.
fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<64>();
    words.iter().all(|w| w.iter().fold(0, |sum, b| sum | b) == 0) && rest.iter().all(|&b| b == 0)
}
