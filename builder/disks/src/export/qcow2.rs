//! A qcow2 image with compressed clusters, compressed on all cores; the bytes do not depend on how many there are.

mod deflate;

use super::in_order::in_order;
use super::{Finished, hashed_file, is_zero};
use crate::Compression;
use crate::qcow2::{self, CLUSTER, Placed, Tables};
use deflate::Deflate;
use model::{AtomicFile, Progress, Result, ResultExt, ResultJudged, Segments};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// zstd's own default level.
const ZSTD_LEVEL: i32 = 3;
/// Clusters in flight: 16 MiB read, as much again being written.
const WINDOW: usize = 256;
/// Compressed clusters longer than this are stored whole, since they would save less than a sector.
const WORTH_IT: usize = CLUSTER as usize - 512;

/// One guest cluster on its way; all-zero clusters never become one.
struct Cluster {
    number: u64,
    bytes: Vec<u8>,
    compressed: bool,
}

/// `disk` has a size that is a multiple of 512.
pub fn write(disk: &Segments, compression: Compression, out: &Path, progress: &dyn Progress) -> Result<Finished> {
    let numbers = disk.touched_pieces(CLUSTER);
    let mut atomic = AtomicFile::create(out)?;
    let file = &*atomic.file();
    let written_as = if compression == Compression::Zstd { qcow2::Compression::Zstd } else { qcow2::Compression::Zlib };
    let mut tables = Tables::new(disk.size(), written_as);
    let mut run = Run { file, out, at: 0, bytes: Vec::new() };
    let state = || Ok((Compressor::new(compression)?, vec![0; CLUSTER as usize]));
    let encode = |(compressor, bytes): &mut (Compressor, Vec<u8>), number: &u64| encode(disk, compressor, bytes, *number);
    in_order(&numbers, WINDOW, state, encode, |cluster| {
        progress.advance(CLUSTER);
        cluster.map_or(Ok(()), |cluster: Cluster| run.place(&mut tables, &cluster))
    })?;
    run.flush()?;
    let (list, length) = tables.finish();
    for s in &list {
        file.write_all_at(&s.data.to_vec()?, s.offset).context(|| format!("write {} at offset {}", out.display(), s.offset))?;
    }
    file.set_len(length).context(|| format!("make {} {length} bytes long", out.display()))?;
    // The header, which is hashed first, names tables whose place is known last: so the digest is taken of the finished file, which is in memory still.
    let digest = hashed_file::digest(file, length, out)?;
    Finished::new("qcow2", out, atomic, digest)
}

enum Compressor {
    Zstd(Box<zstd::bulk::Compressor<'static>>),
    /// With room for a compressed cluster.
    Zlib(Box<Deflate>, Vec<u8>),
    None,
}

impl Compressor {
    fn new(compression: Compression) -> Result<Self> {
        Ok(match compression {
            Compression::Zstd => Compressor::Zstd(Box::new(zstd::bulk::Compressor::new(ZSTD_LEVEL).context(|| "set up zstd")?)),
            Compression::Zlib => Compressor::Zlib(Box::new(Deflate::new()?), vec![0; WORTH_IT]),
            Compression::None => Compressor::None,
        })
    }

    /// `None` if that would be longer than [`WORTH_IT`]. The compressors give up on what does not fit into the room they get: that is not an error.
    fn compress(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        match self {
            Compressor::Zstd(zstd) => {
                let mut packed = Vec::with_capacity(WORTH_IT);
                zstd.compress_to_buffer(bytes, &mut packed)
                    .none_because("a cluster that does not get smaller is stored as it is")
                    .map(|_| packed)
            }
            Compressor::Zlib(deflate, room) => deflate.compress(bytes, room).map(|length| room[..length].to_vec()),
            Compressor::None => None,
        }
    }
}

fn encode(disk: &Segments, compressor: &mut Compressor, bytes: &mut [u8], number: u64) -> Result<Option<Cluster>> {
    // The last cluster may reach past the disk's end; what is behind it is zero.
    let inside = CLUSTER.min(disk.size() - number * CLUSTER) as usize;
    disk.read_at(&mut bytes[..inside], number * CLUSTER)?;
    bytes[inside..].fill(0);
    if is_zero(bytes) {
        return Ok(None);
    }
    let packed = compressor.compress(bytes);
    let compressed = packed.is_some();
    Ok(Some(Cluster { number, bytes: packed.unwrap_or_else(|| bytes.to_vec()), compressed }))
}

/// Neighbours in the file, written with one call.
struct Run<'a> {
    file: &'a File,
    out: &'a Path,
    at: u64,
    bytes: Vec<u8>,
}

impl Run<'_> {
    /// Bytes gathered at most.
    const MAX: usize = 4 << 20;

    fn place(&mut self, tables: &mut Tables, c: &Cluster) -> Result<()> {
        let placed = if c.compressed { tables.place_compressed(c.number, c.bytes.len() as u32)? } else { tables.place_raw(c.number)? };
        let (Placed::Raw(at) | Placed::Compressed(at, _)) = placed;
        if self.at + self.bytes.len() as u64 != at || self.bytes.len() >= Self::MAX {
            self.flush()?;
            self.at = at;
        }
        self.bytes.extend_from_slice(&c.bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_all_at(&self.bytes, self.at).context(|| format!("write {} at offset {}", self.out.display(), self.at))?;
        self.bytes.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
