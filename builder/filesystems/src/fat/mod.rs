//! FAT16 and FAT32 volumes with long names: "Microsoft FAT Specification" (2005), the file system of an EFI System Partition.
//!
//! We write: sectors of 512 or 4096 bytes, two identical FATs, every file and directory contiguous, one timestamp everywhere, no boot code. The FAT type follows from
//! the number of clusters, as the specification demands: FAT32 wherever it is legal (from 33 MiB on), else FAT16. FAT12 is neither written nor read.
//!
//! ```text
//! reserved sectors (boot record; FAT32: FSInfo at 1, copy of both at 6) | FAT | FAT | FAT16: root directory | clusters 2, 3, …
//! ```

mod boot_record;
mod directory;
mod names;
mod plan;
mod reader;

#[cfg(test)]
mod tests;

pub use plan::{Options, plan};
pub use reader::{Entry, Reader};

/// Bytes; the sector sizes that are written and read.
const SECTOR: u64 = 512;
const SECTOR_LARGE: u64 = 4096;
