//! The filesystems in the partitions, told by their magic.

use super::disk::Source;
use super::report::FilesystemRow;
use crate::base::{ByteSize, Error, Result};
use crate::formats::gpt::{Guid, Partition};
use crate::formats::{ext4, fat};

/// Bytes from a partition's start that hold every magic below.
const START: usize = 2048;

/// The row of the filesystem in `partition`, if there is one that we know; `source` reads the partition.
pub(super) fn filesystem(number: u32, partition: &Partition, source: Source) -> Result<Option<FilesystemRow>> {
    let mut start = [0; START];
    if partition.size() < START as u64 {
        return Ok(None);
    }
    source(0, &mut start)?;
    let (kind, label, uuid, size, free) = if start[1080..1082] == [0x53, 0xef] {
        let volume = ext4::Reader::open(source)?;
        ("ext4", volume.label(), Guid(volume.uuid()).to_string(), volume.size(), volume.free())
    } else if start[510..512] == [0x55, 0xaa] && (&start[54..57] == b"FAT" || &start[82..85] == b"FAT") {
        let volume = fat::Reader::open(source)?;
        let id = volume.volume_id();
        // As blkid and /dev/disk/by-uuid have it.
        let uuid = format!("{:04X}-{:04X}", id >> 16, id & 0xffff);
        ("vfat", volume.label().to_owned(), uuid, volume.size(), volume.free()?)
    } else {
        return Ok(None);
    };
    if size > partition.size() || free > size {
        return Err(Error::integrity(format!(
            "{kind}: {size} bytes with {free} free: expected at most the {} of the partition",
            partition.size()
        )));
    }
    Ok(Some(FilesystemRow { partition: number, kind: kind.to_owned(), label, uuid, size: ByteSize(size), free: ByteSize(free) }))
}
