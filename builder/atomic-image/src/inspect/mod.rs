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
#[cfg(test)]
mod foreign_tests;
pub mod package;
mod report;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unread_tests;
mod view;
mod volumes;

pub use compare::{Difference, compare};
pub(crate) use deployments::package_rows;
pub(crate) use diff::package_changes;
pub use diff::{Diff, FileChange, PackageChange, SizeChange, diff};
pub use explain::{Place, explain};
pub use report::{DeploymentRow, FilesystemRow, FilesystemState, ImageReport, PackageRow, PartitionRow};

use model::{ByteSize, ImagePath, Kind, Result, ResultExt};
use std::path::Path;
use view::View;

/// Reads the image at `path`, in any format that a build writes, and in those of other tools that are named in the README. What is damaged or not for us
/// inside of a disk that can be read is a row of the report; [`ImageReport::check`] makes an error of damage.
pub fn image(path: &Path) -> Result<ImageReport> {
    disk::open(path, report_of).context(|| path.display())
}

/// The contents of the file that the booted host would find at `path`; symlinks are followed. A file of at most 1 GiB.
pub fn cat(image: &Path, path: &ImagePath) -> Result<Vec<u8>> {
    disk::open(image, |size, source| volumes::with(size, source, |_, volumes| View::of(volumes)?.read(path))).context(|| image.display())
}

/// Opens the image and the files that it names, as every command here does, and closes them: whoever gives the image to a program with fewer scruples
/// knows then that it names no file outside of its folder.
pub fn check_references(path: &Path) -> Result<()> {
    disk::open(path, |_, _| Ok(())).context(|| path.display())
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
        report.filesystems = volumes.rows();
        let name = |number: u32| match report.partitions.iter().find(|row| row.number == number) {
            Some(row) => format!("partition {number} ({})", row.name),
            None => "the filesystem".to_owned(),
        };
        report.damage = volumes.unread.iter().filter(|v| v.is_damaged()).map(|v| format!("{}: {:#}", name(v.partition), v.error)).collect();
        match deployments::read(&volumes.ext4()) {
            Ok(found) => (report.deployments, report.packages) = found,
            Err(error) if error.kind() == Kind::Integrity => report.damage.push(format!("{error:#}")),
            Err(error) => return Err(error),
        }
        Ok(report)
    })
}
