//! Opens a finished image and says what is in it, through our own readers: no mount, no root, no child process. Nothing is written, but for a
//! file without a name where a compressed image can only be read front to back.
//! What the image claims is bounded by what is there; damage ends in an error that names the partition and the place.

mod deployments;
mod disk;
mod report;
mod spool;
#[cfg(test)]
mod tests;
mod volumes;

pub use report::{DeploymentRow, FilesystemRow, ImageReport, PackageRow, PartitionRow};

use crate::base::{ByteSize, Error, Result, ResultExt};
use crate::formats::ext4;
use crate::formats::gpt::{Partition, Table};
use std::path::Path;

/// Reads the image at `path`, in any format that a build writes, and raw disks compressed with gzip or bzip2.
pub fn image(path: &Path) -> Result<ImageReport> {
    disk::open(path, report_of).context(|| path.display())
}

fn report_of(size: u64, source: disk::Source) -> Result<ImageReport> {
    let table = Table::read(size, source)?;
    let mut report = ImageReport::default();
    let numbered: Vec<(u32, &Partition)> = (1..).zip(&table.partitions).collect();
    for &(number, p) in &numbered {
        report.partitions.push(PartitionRow {
            number,
            name: p.name.clone(),
            kind: p.kind.to_string(),
            guid: p.id.to_string(),
            start: p.offset(),
            size: ByteSize(p.size()),
        });
    }
    let within: Vec<_> = numbered.iter().map(|&(_, p)| move |offset, buffer: &mut [u8]| read_within(p, source, offset, buffer)).collect();
    let mut volumes = Vec::new();
    for (&(number, p), read) in numbered.iter().zip(&within) {
        let place = || format!("partition {number} ({})", p.name);
        let Some(row) = volumes::filesystem(number, p, read).context(place)? else { continue };
        if row.kind == "ext4" {
            volumes.push(ext4::Reader::open(read).context(place)?);
        }
        report.filesystems.push(row);
    }
    (report.deployments, report.packages) = deployments::read(&volumes)?;
    Ok(report)
}

fn read_within(partition: &Partition, source: disk::Source, offset: u64, buffer: &mut [u8]) -> Result<()> {
    if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > partition.size()) {
        let size = partition.size();
        return Err(Error::integrity(format!("{} bytes at offset {offset} are past the partition's end at {size}", buffer.len())));
    }
    source(partition.offset() + offset, buffer)
}
