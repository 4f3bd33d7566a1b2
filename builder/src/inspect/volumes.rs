//! The filesystems in the partitions, told by their magic; or the one that the whole file is.

use super::disk::Source;
use super::report::FilesystemRow;
use crate::base::{ByteSize, Error, Result, ResultExt};
use crate::formats::gpt::{Guid, Partition, Table};
use crate::formats::{ext4, fat};

/// Bytes from a partition's start that hold every magic below.
const START: usize = 2048;

/// A filesystem of the image.
pub(super) struct Volume<'s> {
    /// Counts from 1; 0 if the image is this filesystem and nothing else.
    pub(super) partition: u32,
    pub(super) files: Files<'s>,
}

pub(super) enum Files<'s> {
    Ext4(ext4::Reader<'s>),
    Fat(fat::Reader<'s>),
}

/// True if the first bytes are those of a filesystem that we know.
pub(super) fn holds_filesystem(start: &[u8]) -> bool {
    is_ext4(start) || is_fat(start)
}

fn is_ext4(start: &[u8]) -> bool {
    start.get(1080..1082) == Some(&[0x53, 0xef])
}

fn is_fat(start: &[u8]) -> bool {
    let is_named = start.get(54..57) == Some(b"FAT") || start.get(82..85) == Some(b"FAT");
    is_named && start.get(510..512) == Some(&[0x55, 0xaa])
}

/// Calls `look` with the partition table, if there is one, and the filesystems in the order of the disk.
pub(super) fn with<T>(size: u64, source: Source, look: impl FnOnce(Option<&Table>, &[Volume]) -> Result<T>) -> Result<T> {
    // The table begins at the second sector, of 512 bytes or of 4096.
    let mut found = false;
    for at in [512, 4096] {
        let mut magic = [0; 8];
        if size >= at + 8 {
            source(at, &mut magic)?;
        }
        found |= &magic == b"EFI PART";
    }
    if !found {
        return look(None, &open(0, size, source)?.into_iter().collect::<Vec<_>>());
    }
    let table = Table::read(size, source)?;
    let within: Vec<_> = table.partitions.iter().map(|p| move |offset, buffer: &mut [u8]| read_within(p, source, offset, buffer)).collect();
    let mut volumes = Vec::new();
    for ((number, p), read) in (1..).zip(&table.partitions).zip(&within) {
        volumes.extend(open(number, p.size(), read).context(|| format!("partition {number} ({})", p.name))?);
    }
    look(Some(&table), &volumes)
}

fn open<'s>(partition: u32, size: u64, source: Source<'s>) -> Result<Option<Volume<'s>>> {
    let mut bytes = [0; START];
    if size < START as u64 {
        return Ok(None);
    }
    source(0, &mut bytes)?;
    let files = match () {
        () if is_ext4(&bytes) => Files::Ext4(ext4::Reader::open(source)?),
        () if is_fat(&bytes) => Files::Fat(fat::Reader::open(source)?),
        () => return Ok(None),
    };
    let (kind, own, free) = match &files {
        Files::Ext4(volume) => ("ext4", volume.size(), volume.free()),
        Files::Fat(volume) => ("vfat", volume.size(), volume.free()?),
    };
    if own > size || free > own {
        return Err(Error::integrity(format!("{kind}: {own} bytes with {free} free: expected at most the {size} of the partition")));
    }
    Ok(Some(Volume { partition, files }))
}

fn read_within(partition: &Partition, source: Source, offset: u64, buffer: &mut [u8]) -> Result<()> {
    if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > partition.size()) {
        let size = partition.size();
        return Err(Error::integrity(format!("{} bytes at offset {offset} are past the partition's end at {size}", buffer.len())));
    }
    source(partition.offset() + offset, buffer)
}

impl<'s> Volume<'s> {
    pub(super) fn ext4(&self) -> Option<&ext4::Reader<'s>> {
        match &self.files {
            Files::Ext4(reader) => Some(reader),
            Files::Fat(_) => None,
        }
    }

    pub(super) fn row(&self) -> Result<FilesystemRow> {
        let (kind, label, uuid, size, free) = match &self.files {
            Files::Ext4(volume) => ("ext4", volume.label(), Guid(volume.uuid()).to_string(), volume.size(), volume.free()),
            Files::Fat(volume) => {
                let id = volume.volume_id();
                // As blkid and /dev/disk/by-uuid have it.
                let uuid = format!("{:04X}-{:04X}", id >> 16, id & 0xffff);
                ("vfat", volume.label().to_owned(), uuid, volume.size(), volume.free()?)
            }
        };
        let (size, free) = (ByteSize(size), ByteSize(free));
        Ok(FilesystemRow { partition: self.partition, kind: kind.to_owned(), label, uuid, size, free })
    }
}
