//! A streamOptimized VMDK, compressed on all cores and written front to back.

use super::hashed_file::HashedFile;
use super::in_order::in_order;
use super::{Finished, is_zero};
use crate::vmdk::{Description, GRAIN, GrainMarker, SECTOR, SparseExtentHeader, Tables, content_id};
use model::{Error, ImageSeed, Progress, Result, Segments};
use std::path::Path;
use zerocopy::IntoBytes;

/// libdeflate's default, as small as zlib's in a third of the time.
const LEVEL: i32 = 6;
/// Grains in flight: 16 MiB read, as much again being written.
const WINDOW: usize = 256;

pub fn write(disk: &Segments, seed: &ImageSeed, out: &Path, progress: &dyn Progress) -> Result<Finished> {
    let mut file = HashedFile::create(out)?;
    append(disk, seed, &mut file, progress)?;
    file.finish("vmdk")
}

/// The whole image, behind what `file` has already.
pub(super) fn append(disk: &Segments, seed: &ImageSeed, file: &mut HashedFile, progress: &dyn Progress) -> Result<()> {
    let capacity = disk.size() / SECTOR;
    file.append(SparseExtentHeader::at_start(capacity).as_bytes())?;
    file.append(&Description { content_id: content_id(seed), sectors: capacity }.encode()?)?;
    file.pad(GRAIN)?;
    let mut tables = Tables::new(capacity);
    let numbers = disk.touched_pieces(GRAIN);
    let level = libdeflater::CompressionLvl::new(LEVEL).map_err(|_| Error::internal(format!("libdeflate has no level {LEVEL}")))?;
    let state = || Ok((libdeflater::Compressor::new(level), vec![0; GRAIN as usize]));
    let encode = |(compressor, buffer): &mut (libdeflater::Compressor, Vec<u8>), &number: &u64| {
        // The last grain may reach past the disk's end; what is behind it is zero.
        let inside = GRAIN.min(disk.size() - number * GRAIN) as usize;
        disk.read_at(&mut buffer[..inside], number * GRAIN)?;
        buffer[inside..].fill(0);
        if is_zero(buffer) {
            return Ok(None);
        }
        let mut packed = vec![0; compressor.zlib_compress_bound(GRAIN as usize)];
        let length = compressor.zlib_compress(buffer, &mut packed).map_err(|e| Error::internal("compress a grain").source(e))?;
        packed.truncate(length);
        Ok(Some((number, packed)))
    };
    in_order(&numbers, WINDOW, state, encode, |grain| {
        progress.advance(GRAIN);
        let Some((number, packed)) = grain else { return Ok(()) };
        file.append(&tables.before(number, file.len())?)?;
        tables.place(number, file.len())?;
        let marker = GrainMarker { lba: (number * (GRAIN / SECTOR)).into(), size: (packed.len() as u32).into() };
        file.append(marker.as_bytes())?;
        file.append(&packed)?;
        file.pad(SECTOR)
    })?;
    let end = tables.finish(file.len())?;
    file.append(&end)
}
