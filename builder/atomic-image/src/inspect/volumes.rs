//! The filesystems in the partitions, told by their magic; or the one that the whole file is.

use super::disk::{Source, no_table};
use super::report::{FilesystemRow, FilesystemState};
use disks::gpt::{Guid, Partition, Table};
use filesystems::{ext4, fat};
use model::{ByteSize, Error, Kind, Result};

/// Bytes from a partition's start that hold every magic below.
const START: usize = 2048;

/// A filesystem of the image.
pub(super) struct Volume<'s> {
    /// Counts from 1; 0 if the image is this filesystem and nothing else.
    pub(super) partition: u32,
    pub(super) files: Files<'s>,
    /// In bytes.
    free: u64,
}

pub(super) enum Files<'s> {
    Ext4(ext4::Reader<'s>),
    Fat(fat::Reader<'s>),
}

/// A filesystem that is not read, or something else that a partition is known to hold.
pub(super) struct Unread {
    /// As of a [`Volume`].
    pub(super) partition: u32,
    pub(super) kind: &'static str,
    /// Of the partition, in bytes.
    pub(super) size: u64,
    /// [`Kind::Integrity`] if it is damaged; any other kind if it is just not for us.
    pub(super) error: Error,
}

/// What the partitions hold, in the order of the disk.
pub(super) struct Volumes<'s> {
    pub(super) read: Vec<Volume<'s>>,
    pub(super) unread: Vec<Unread>,
}

/// What is told by its magic and not read: offset in the partition, magic, name as blkid has it. Each from its own on-disk description.
const UNREAD: [(u64, &[u8], &str); 19] = [
    (0, b"XFSB", "xfs"),
    (65_600, b"_BHRfS_M", "btrfs"),
    (0, b"LUKS\xba\xbe", "crypto_LUKS"),
    (3, b"-FVE-FS-", "BitLocker"),
    (512, b"LABELONE", "LVM2_member"),
    (0, b"LABELONE", "LVM2_member"),
    (4096, b"\xfc\x4e\x2b\xa9", "linux_raid_member"),
    (4086, b"SWAPSPACE2", "swap"),
    (65_526, b"SWAPSPACE2", "swap"),
    (0, b"hsqs", "squashfs"),
    (1024, b"\xe2\xe1\xf5\xe0", "erofs"),
    (1024, b"\x10\x20\xf5\xf2", "f2fs"),
    (0, b"verity\0\0", "DM_verity_hash"),
    (3, b"NTFS    ", "ntfs"),
    (3, b"EXFAT   ", "exfat"),
    (32_769, b"CD001", "iso9660"),
    (65_588, b"ReIsEr", "reiserfs"),
    (32_768, b"JFS1", "jfs"),
    (4120, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81", "bcachefs"),
];

/// True if the bytes begin with a filesystem that we know, read or not.
pub(super) fn is_filesystem(size: u64, source: Source) -> Result<bool> {
    if size < START as u64 {
        return Ok(false);
    }
    let mut start = [0; START];
    source(0, &mut start)?;
    Ok(is_ext4(&start) || is_fat(&start) || unread_kind(size, source)?.is_some())
}

fn unread_kind(size: u64, source: Source) -> Result<Option<&'static str>> {
    for (at, magic, kind) in UNREAD {
        let mut found = [0; 16];
        let found = &mut found[..magic.len()];
        if at + magic.len() as u64 <= size {
            source(at, found)?;
            if found == magic {
                return Ok(Some(kind));
            }
        }
    }
    Ok(None)
}

fn is_ext4(start: &[u8]) -> bool {
    start.get(1080..1082) == Some(&[0x53, 0xef])
}

fn is_fat(start: &[u8]) -> bool {
    let is_named = start.get(54..57) == Some(b"FAT") || start.get(82..85) == Some(b"FAT");
    is_named && start.get(510..512) == Some(&[0x55, 0xaa])
}

/// Calls `look` with the partition table, if there is one, and the filesystems. One that cannot be read does not keep the others from it.
pub(super) fn with<T>(size: u64, source: Source, look: impl FnOnce(Option<&Table>, &Volumes) -> Result<T>) -> Result<T> {
    // The table begins at the second sector, of 512 bytes or of 4096.
    let mut found = false;
    for at in [512, 4096] {
        let mut magic = [0; 8];
        if size >= at + 8 {
            source(at, &mut magic)?;
        }
        found |= &magic == b"EFI PART";
    }
    let mut volumes = Volumes { read: Vec::new(), unread: Vec::new() };
    if !found {
        volumes.add(0, size, source);
        if volumes.read.is_empty() && volumes.unread.is_empty() {
            let mut start = vec![0; size.min(512) as usize];
            source(0, &mut start)?;
            return Err(no_table(&start));
        }
        return look(None, &volumes);
    }
    let table = Table::read(size, source)?;
    let within: Vec<_> = table.partitions.iter().map(|p| move |offset, buffer: &mut [u8]| read_within(p, source, offset, buffer)).collect();
    for ((number, p), read) in (1..).zip(&table.partitions).zip(&within) {
        volumes.add(number, p.size(), read);
    }
    look(Some(&table), &volumes)
}

impl<'s> Volumes<'s> {
    fn add(&mut self, partition: u32, size: u64, source: Source<'s>) {
        let mut kind = "unknown";
        match open(partition, size, source, &mut kind) {
            Ok(volume) => self.read.extend(volume),
            Err(error) => self.unread.push(Unread { partition, kind, size, error }),
        }
    }

    /// Readers of all ext4 filesystems.
    pub(super) fn ext4(&self) -> Vec<&ext4::Reader<'s>> {
        self.read.iter().filter_map(Volume::ext4).collect()
    }

    /// A row for each filesystem, in the order of the disk.
    pub(super) fn rows(&self) -> Vec<FilesystemRow> {
        let mut rows: Vec<_> = self.read.iter().map(Volume::row).chain(self.unread.iter().map(Unread::row)).collect();
        rows.sort_by_key(|row| row.partition);
        rows
    }
}

impl Unread {
    pub(super) fn is_damaged(&self) -> bool {
        self.error.kind() == Kind::Integrity
    }

    fn row(&self) -> FilesystemRow {
        FilesystemRow {
            partition: self.partition,
            kind: self.kind.to_owned(),
            label: String::new(),
            uuid: String::new(),
            size: ByteSize(self.size),
            free: None,
            state: if self.is_damaged() { FilesystemState::Damaged } else { FilesystemState::Unread },
            problem: Some(format!("{:#}", self.error)),
        }
    }
}

/// `None` if nothing is there that we know. `kind` says what it is before it is opened.
fn open<'s>(partition: u32, size: u64, source: Source<'s>, kind: &mut &'static str) -> Result<Option<Volume<'s>>> {
    let mut bytes = [0; START];
    if size < START as u64 {
        return Ok(None);
    }
    source(0, &mut bytes)?;
    let (files, own, free) = if is_ext4(&bytes) {
        *kind = "ext4";
        let volume = ext4::Reader::open(source)?;
        let (own, free) = (volume.size(), volume.free());
        (Files::Ext4(volume), own, free)
    } else if is_fat(&bytes) {
        *kind = "vfat";
        let volume = fat::Reader::open(source)?;
        let (own, free) = (volume.size(), volume.free()?);
        (Files::Fat(volume), own, free)
    } else {
        let Some(known) = unread_kind(size, source)? else { return Ok(None) };
        *kind = known;
        return Err(Error::recipe("not read: only ext4 and vfat are"));
    };
    if own > size || free > own {
        return Err(Error::integrity(format!("{kind}: {own} bytes with {free} free: expected at most the {size} of the partition")));
    }
    Ok(Some(Volume { partition, files, free }))
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

    pub(super) fn label(&self) -> String {
        match &self.files {
            Files::Ext4(volume) => volume.label(),
            Files::Fat(volume) => volume.label().to_owned(),
        }
    }

    fn row(&self) -> FilesystemRow {
        let (kind, uuid, size) = match &self.files {
            Files::Ext4(volume) => ("ext4", Guid(volume.uuid()).to_string(), volume.size()),
            Files::Fat(volume) => {
                let id = volume.volume_id();
                // As blkid and /dev/disk/by-uuid have it.
                ("vfat", format!("{:04X}-{:04X}", id >> 16, id & 0xffff), volume.size())
            }
        };
        FilesystemRow {
            partition: self.partition,
            kind: kind.to_owned(),
            label: self.label(),
            uuid,
            size: ByteSize(size),
            free: Some(ByteSize(self.free)),
            state: FilesystemState::Read,
            problem: None,
        }
    }
}
