//! A qcow2 image with zstd-compressed clusters, compressed on all cores; the bytes do not depend on how many there are.

use super::Artifact;
use crate::base::{AtomicFile, Digest, Error, Hasher, Progress, Result, ResultExt, Segments};
use crate::formats::qcow2::{CLUSTER, Placed, Tables};
use rayon::prelude::*;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// zstd's own default: a third smaller than level 1's time would suggest, and still faster than a disk.
const LEVEL: i32 = 3;
/// Clusters in flight: 16 MiB read, as much again being written.
const WINDOW: usize = 256;
/// Compressed clusters longer than this are stored whole: the gain would not pay for decompressing.
const WORTH_IT: usize = (CLUSTER - CLUSTER / 16) as usize;

/// One guest cluster on its way; all-zero clusters never become one.
struct Cluster {
    number: u64,
    bytes: Vec<u8>,
    compressed: bool,
}

/// `disk` has a size that is a multiple of 512.
pub fn write(disk: &Segments, out: &Path, progress: &dyn Progress) -> Result<Artifact> {
    let numbers = planned_clusters(disk);
    progress.begin("qcow2 image", numbers.len() as u64 * CLUSTER, "bytes");
    let mut atomic = AtomicFile::create(out)?;
    let file = &*atomic.file();
    let mut tables = Tables::new(disk.size());
    let mut ready: Result<Vec<Cluster>> = Ok(vec![]);
    // While one window is compressed, the one before it is placed and written: in order, by one thread.
    for window in numbers.chunks(WINDOW) {
        let before = ready?;
        let (next, written) = rayon::join(|| compress(disk, window), || write_window(&mut tables, before, file, out));
        written?;
        progress.advance(window.len() as u64 * CLUSTER);
        ready = next;
    }
    write_window(&mut tables, ready?, file, out)?;
    let (list, length) = tables.finish();
    for s in &list {
        file.write_all_at(&s.data.to_vec()?, s.offset).context(|| format!("write {} at offset {}", out.display(), s.offset))?;
    }
    file.set_len(length).context(|| format!("make {} {length} bytes long", out.display()))?;
    // The header names tables that are known last, so the digest needs a second pass, over pages that are still in memory.
    let digest = digest(file, length, out)?;
    let file = atomic.commit_unsynced()?;
    Artifact::of("qcow2", out, &file, digest)
}

/// The clusters that any segment touches, ascending.
fn planned_clusters(disk: &Segments) -> Vec<u64> {
    let mut out: Vec<u64> = Vec::new();
    for s in disk.iter() {
        let first = (s.offset / CLUSTER).max(out.last().map_or(0, |n| n + 1));
        out.extend(first..=(s.offset + s.data.len() - 1) / CLUSTER);
    }
    out
}

fn compress(disk: &Segments, numbers: &[u64]) -> Result<Vec<Cluster>> {
    let all: Result<Vec<Option<Cluster>>> = numbers
        .par_iter()
        .map_init(
            || zstd::bulk::Compressor::new(LEVEL),
            |compressor, &number| {
                let mut bytes = vec![0; CLUSTER as usize];
                // The last cluster may reach past the disk's end; what is behind it stays zero.
                let inside = CLUSTER.min(disk.size() - number * CLUSTER) as usize;
                disk.read_at(&mut bytes[..inside], number * CLUSTER)?;
                if bytes.iter().all(|&b| b == 0) {
                    return Ok(None);
                }
                let compressor = compressor.as_mut().map_err(|e| Error::internal(format!("cannot set up zstd: {e}")))?;
                let mut packed = Vec::with_capacity(WORTH_IT);
                // A buffer of this capacity makes zstd give up on what does not fit: that is not an error.
                match compressor.compress_to_buffer(&bytes, &mut packed) {
                    Ok(_) => Ok(Some(Cluster { number, bytes: packed, compressed: true })),
                    Err(_) => Ok(Some(Cluster { number, bytes, compressed: false })),
                }
            },
        )
        .collect();
    Ok(all?.into_iter().flatten().collect())
}

/// Places clusters in order, and writes neighbours with one call.
fn write_window(tables: &mut Tables, clusters: Vec<Cluster>, file: &File, out: &Path) -> Result<()> {
    let mut run: (u64, Vec<u8>) = (0, vec![]);
    let flush = |run: &mut (u64, Vec<u8>)| {
        file.write_all_at(&run.1, run.0).context(|| format!("write {} at offset {}", out.display(), run.0))?;
        run.1.clear();
        Ok::<(), Error>(())
    };
    for c in clusters {
        let placed = if c.compressed { tables.place_compressed(c.number, c.bytes.len() as u32)? } else { tables.place_raw(c.number)? };
        let (Placed::Raw(at) | Placed::Compressed(at, _)) = placed;
        if run.0 + run.1.len() as u64 != at {
            flush(&mut run)?;
            run.0 = at;
        }
        run.1.extend_from_slice(&c.bytes);
    }
    flush(&mut run)
}

fn digest(file: &File, length: u64, out: &Path) -> Result<Digest> {
    let mut buffer = vec![0; 1 << 20];
    let mut hasher = Hasher::new();
    let mut at = 0;
    while at < length {
        let n = buffer.len().min((length - at) as usize);
        file.read_exact_at(&mut buffer[..n], at).context(|| format!("read {} at offset {at}", out.display()))?;
        hasher.update(&buffer[..n]);
        at += n as u64;
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests;
