//! Opens a finished image and says what is in it, through our own readers: no mount, no root, no child process. Nothing is written, but for a
//! file without a name where a compressed image can only be read front to back.
//! What the image claims is bounded by what is there; damage ends in an error that names the partition and the place.

#[cfg(test)]
mod command_tests;
mod compare;
mod deployments;
mod diff;
mod disk;
mod explain;
pub mod package;
mod report;
mod spool;
#[cfg(test)]
mod tests;
mod view;
mod volumes;

pub use compare::{Difference, compare};
pub use diff::{Diff, FileChange, PackageChange, SizeChange, diff};
pub use explain::{Place, explain};
pub use report::{DeploymentRow, FilesystemRow, ImageReport, PackageRow, PartitionRow};

use crate::base::{ByteSize, ImagePath, Result, ResultExt};
use std::path::Path;
use view::View;
use volumes::Volume;

/// Reads the image at `path`, in any format that a build writes, and raw disks compressed with gzip or bzip2.
pub fn image(path: &Path) -> Result<ImageReport> {
    disk::open(path, report_of).context(|| path.display())
}

/// The contents of the file that the booted host would find at `path`; symlinks are followed. A file of at most 1 GiB.
pub fn cat(image: &Path, path: &ImagePath) -> Result<Vec<u8>> {
    disk::open(image, |size, source| volumes::with(size, source, |_, volumes| View::of(volumes)?.read(path))).context(|| image.display())
}

fn report_of(size: u64, source: disk::Source) -> Result<ImageReport> {
    volumes::with(size, source, |table, volumes| {
        let mut report = ImageReport::default();
        for (number, p) in (1..).zip(table.iter().flat_map(|table| &table.partitions)) {
            report.partitions.push(PartitionRow {
                number,
                name: p.name.clone(),
                kind: p.kind.to_string(),
                guid: p.id.to_string(),
                start: p.offset(),
                size: ByteSize(p.size()),
            });
        }
        report.filesystems = volumes.iter().map(Volume::row).collect::<Result<_>>()?;
        let readers: Vec<_> = volumes.iter().filter_map(Volume::ext4).collect();
        (report.deployments, report.packages) = deployments::read(&readers)?;
        Ok(report)
    })
}
