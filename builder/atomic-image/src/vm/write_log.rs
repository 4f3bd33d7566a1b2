//! The log of QEMU's `blklogwrites` (the format of Linux' dm-log-writes): what a guest wrote to its disk, in order, and when it asked for a flush.
//!
//! ```text
//! sector 0  magic u64 · version u64 · number of entries u64 · sector size u32
//! sector 1  sector u64 · sectors u64 · flags u64 · length of data u64, and so on for each entry: a header in a sector of its own, then the data
//! ```
//!
//! Numbers are little-endian; `sector` counts in sectors of the log. See QEMU's block/blklogwrites.c.

use model::{Error, Result, ResultExt};
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout};

const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
/// The sector size that [`Machine`](super::Machine) asks for, in bytes.
pub(super) const SECTOR: usize = 512;
const FLUSH: u64 = 1;
const FORCE_UNIT_ACCESS: u64 = 2;
const DISCARD: u64 = 4;
/// Of one write, in bytes; QEMU splits larger ones.
const LARGEST_WRITE: u64 = 1 << 30;

#[derive(FromBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Superblock {
    magic: U64,
    version: U64,
    entries: U64,
    sector_size: U32,
}

#[derive(FromBytes, KnownLayout, Immutable)]
#[repr(C)]
struct EntryHeader {
    sector: U64,
    sectors: U64,
    flags: U64,
    length: U64,
}

const _: () = assert!(size_of::<Superblock>() == 28 && size_of::<EntryHeader>() == 32);

/// What was replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Writes that a flush had confirmed.
    pub kept: u64,
    /// Writes after the last flush.
    pub dropped: u64,
}

/// Writes to the raw image `disk`, which is as it was when the log began, all that was flushed, and nothing of what was written after the last flush: what a
/// disk with a volatile cache has after a loss of power.
pub fn replay_flushed(log: &Path, disk: &Path) -> Result<Replayed> {
    let broken = |what: &str| Error::integrity(format!("{}: {what}", log.display()));
    let mut input = BufReader::new(File::open(log).context(|| format!("open {}", log.display()))?);
    let mut sector = [0; SECTOR];
    input.read_exact(&mut sector).context(|| format!("read {}", log.display()))?;
    let (superblock, _) = Superblock::read_from_prefix(&sector).map_err(|_| broken("it is too short"))?;
    if superblock.magic.get() != MAGIC || superblock.version.get() != VERSION || superblock.sector_size.get() as usize != SECTOR {
        return Err(broken("expected a write log of version 1 with sectors of 512 bytes"));
    }
    let output = File::options().write(true).open(disk).context(|| format!("open {}", disk.display()))?;
    let size = output.metadata().context(|| format!("look at {}", disk.display()))?.len();
    let mut pending: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut replayed = Replayed { kept: 0, dropped: 0 };
    // The number of entries in the superblock is behind at any moment; the kill cut the last entry anywhere.
    while input.read_exact(&mut sector).is_ok() {
        let (header, _) = EntryHeader::read_from_prefix(&sector).map_err(|_| broken("it is too short"))?;
        let flags = header.flags.get();
        // A discard tells its length, and has no data.
        let length = if flags & DISCARD == 0 { header.length.get() } else { 0 };
        if length > LARGEST_WRITE {
            return Err(broken("a write of more than 1 GiB"));
        }
        let mut data = vec![0; length as usize];
        if input.read_exact(&mut data).is_err() {
            break;
        }
        if length > 0 {
            pending.push((header.sector.get(), data));
        }
        if flags & (FLUSH | FORCE_UNIT_ACCESS) != 0 {
            for (at, data) in pending.drain(..) {
                let start =
                    at.checked_mul(SECTOR as u64).filter(|start| start.checked_add(data.len() as u64).is_some_and(|end| end <= size));
                let start = start.ok_or_else(|| broken("a write behind the end of the disk"))?;
                output.write_all_at(&data, start).context(|| format!("write {}", disk.display()))?;
                replayed.kept += 1;
            }
        }
    }
    replayed.dropped = pending.len() as u64;
    Ok(replayed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sector: u64, flags: u64, data: &[u8]) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            [sector, (data.len() / SECTOR) as u64, flags, data.len() as u64].iter().flat_map(|number| number.to_le_bytes()).collect();
        bytes.resize(SECTOR, 0);
        bytes.extend(data);
        bytes
    }

    #[test]
    fn what_was_not_flushed_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let (log, disk) = (folder.path().join("log"), folder.path().join("disk"));
        let mut bytes: Vec<u8> = [MAGIC, VERSION, 0].iter().flat_map(|number| number.to_le_bytes()).collect();
        bytes.extend((SECTOR as u32).to_le_bytes());
        bytes.resize(SECTOR, 0);
        bytes.extend(entry(1, 0, &[1; SECTOR]));
        let mut discard = entry(3, DISCARD, &[]);
        discard[24..32].copy_from_slice(&(2 * LARGEST_WRITE).to_le_bytes());
        bytes.extend(discard);
        bytes.extend(entry(0, FLUSH, &[]));
        bytes.extend(entry(2, 0, &[2; SECTOR]));
        // The kill cut the last one.
        bytes.extend(&entry(0, FLUSH, &[])[..40]);
        std::fs::write(&log, &bytes).unwrap();
        std::fs::write(&disk, [0; 4 * SECTOR]).unwrap();
        assert_eq!(replay_flushed(&log, &disk).unwrap(), Replayed { kept: 1, dropped: 1 });
        let found = std::fs::read(&disk).unwrap();
        assert_eq!((found[SECTOR], found[2 * SECTOR]), (1, 0));
        bytes.truncate(4 * SECTOR);
        bytes.extend(entry(9, FLUSH, &[3; SECTOR]));
        std::fs::write(&log, &bytes).unwrap();
        assert_eq!(replay_flushed(&log, &disk).unwrap_err().kind(), model::Kind::Integrity);
        std::fs::write(&log, [0; 2 * SECTOR]).unwrap();
        assert_eq!(replay_flushed(&log, &disk).unwrap_err().kind(), model::Kind::Integrity);
    }
}
