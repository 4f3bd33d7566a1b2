//! What Google Compute Engine imports: a gzip-compressed tar archive in the old GNU dialect with the disk as `disk.raw`, sparse.

use super::Finished;
use super::compressed::pieces;
use super::hashed_file::HashedFile;
use compression::gzip;
use filesystems::tar;
use model::{Progress, Result, Segments, SourceDateEpoch};
use std::path::Path;

/// The name that the import asks for.
const NAME: &str = "disk.raw";
/// zlib's own default.
const LEVEL: u32 = 6;

pub fn write(disk: &Segments, epoch: SourceDateEpoch, out: &Path, progress: &dyn Progress) -> Result<Finished> {
    let archive = tar::sparse_archive(NAME, disk, epoch)?;
    let mut file = HashedFile::create(out)?;
    file.append(&gzip::HEADER)?;
    let mut trailer = gzip::Trailer::default();
    pieces(
        &archive,
        progress,
        || Ok(()),
        |(), content| gzip::encode(content, LEVEL),
        |piece| {
            trailer.add(piece);
            file.append(&piece.bytes)
        },
    )?;
    file.append(&trailer.encode())?;
    file.finish("gce")
}
