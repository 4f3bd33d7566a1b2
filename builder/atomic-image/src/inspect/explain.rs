//! What a place on the disk is for: partition, structure, and whose contents.

use super::volumes::{Files, Volumes};
use super::{deployments, disk, volumes};
use disks::gpt::Table;
use filesystems::ext4::{Owner, Part, Reader};
use model::{Error, ImagePath, Lba, Result, ResultExt};
use serde::Serialize;
use std::path::Path;

/// The answer; what does not apply is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// In bytes from the start of the disk.
    pub offset: u64,
    /// `4 (root)`.
    pub partition: Option<String>,
    pub structure: String,
    pub inode: Option<u32>,
    /// Names in the filesystem.
    pub names: Vec<String>,
    /// Names in a deployment, as the booted host sees them.
    pub files: Vec<String>,
    /// Position in the contents, in bytes.
    pub position: Option<u64>,
}

/// Explains the byte at `offset` of the image's disk.
pub fn explain(image: &Path, offset: u64) -> Result<Place> {
    disk::open(image, |size, source| explain_source(size, source, offset)).context(|| image.display())
}

pub(super) fn explain_source(size: u64, source: disk::Source, offset: u64) -> Result<Place> {
    if offset >= size {
        return Err(Error::recipe(format!("byte {offset} is past the end of the disk at {size}"))
            .hint(format!("its sectors are 0 to {}", (size / Lba::SECTOR).saturating_sub(1))));
    }
    volumes::with(size, source, |table, volumes| {
        let mut place = Place { offset, ..Place::default() };
        let (number, base) = match table {
            None => (0, 0),
            Some(table) => match on_table(table, size, &mut place) {
                Some((number, start)) => (number, start),
                None => return Ok(place),
            },
        };
        let within = volumes.read.iter().find(|v| v.partition == number);
        let unread = volumes.unread.iter().find(|v| v.partition == number);
        match within.map(|volume| &volume.files) {
            Some(Files::Ext4(reader)) => on_ext4(reader, volumes, offset - base, &mut place)?,
            Some(Files::Fat(reader)) => {
                let (structure, name) = reader.owner(offset - base)?;
                place.structure = structure.to_owned();
                place.names = name.into_iter().collect();
            }
            None => match unread {
                Some(unread) => place.structure = format!("in {}, which is not read: {:#}", unread.kind, unread.error),
                None if place.structure.is_empty() => place.structure = "a partition without a filesystem".to_owned(),
                None => {}
            },
        }
        Ok(place)
    })
}

/// The partition's number and first byte; otherwise the place is in the table or between partitions.
fn on_table(table: &Table, size: u64, place: &mut Place) -> Option<(u32, u64)> {
    let found = (1..).zip(&table.partitions).find(|(_, p)| (p.offset()..p.offset() + p.size()).contains(&place.offset));
    if let Some((number, p)) = found {
        place.partition = Some(format!("{number} ({})", p.name));
        if p.kind.to_string().eq_ignore_ascii_case("21686148-6449-6e6f-744e-656564454649") {
            place.structure = "GRUB's core image".to_owned();
        }
        return Some((number, p.offset()));
    }
    let (sector, entries) = (table.sector, Table::backup_size(table.sector) - table.sector);
    place.structure = match place.offset {
        at if at < sector => "boot code and protective MBR",
        at if at < 2 * sector => "GPT header",
        at if at < 2 * sector + entries => "GPT entries",
        at if at + sector >= size => "backup GPT header",
        at if at + sector + entries >= size => "backup GPT entries",
        _ => "between partitions",
    }
    .to_owned();
    None
}

fn on_ext4(reader: &Reader, volumes: &Volumes, offset: u64, place: &mut Place) -> Result<()> {
    if offset >= reader.size() {
        place.structure = "behind the filesystem".to_owned();
        return Ok(());
    }
    let block = offset / reader.block_size();
    let copy = |what: &str, group: u32| if group == 0 { what.to_owned() } else { format!("{what}, copy in group {group}") };
    place.structure = match reader.owner(block)? {
        Owner::Superblock(0) => "boot block and superblock".to_owned(),
        Owner::Superblock(group) => copy("superblock", group),
        Owner::Descriptors(group) => copy("group descriptors", group),
        Owner::ReservedDescriptors(group) => copy("room for group descriptors", group),
        Owner::BlockBitmap(group) => format!("block bitmap of group {group}"),
        Owner::InodeBitmap(group) => format!("inode bitmap of group {group}"),
        Owner::InodeTable { first, last } => {
            // The one that the byte belongs to.
            let number = first + (((offset % reader.block_size()) / reader.inode_size()) as u32).min(last - first);
            own(reader, volumes, number, place)?;
            "inode".to_owned()
        }
        Owner::ResizeMap => "map of the room for group descriptors".to_owned(),
        Owner::Journal => "journal".to_owned(),
        Owner::Free => "free".to_owned(),
        Owner::Inode { number, part } => {
            own(reader, volumes, number, place)?;
            match part {
                Part::Contents(position) => {
                    let position = position + offset % reader.block_size();
                    place.position = Some(position);
                    "contents".to_owned()
                }
                Part::ExtentTree => "extent tree".to_owned(),
                Part::Attributes => "extended attributes".to_owned(),
                Part::Value => "value of an extended attribute".to_owned(),
            }
        }
    };
    Ok(())
}

/// Names of the inode, in the filesystem and in its deployments.
fn own(reader: &Reader, volumes: &Volumes, number: u32, place: &mut Place) -> Result<()> {
    place.inode = Some(number);
    let names: Vec<ImagePath> = reader.entries()?.into_iter().filter(|(_, stat)| stat.inode == number).map(|(path, _)| path).collect();
    let (deployments, _) = deployments::read(&volumes.ext4())?;
    for folder in deployments.iter().map(|row| ImagePath::parse(&row.folder)) {
        let folder = folder?;
        for name in names.iter().filter(|name| name.starts_with(&folder)) {
            let below: Vec<&[u8]> = name.components().skip(folder.components().count()).collect();
            let file = ImagePath::root().join(below.join(&b'/'))?.to_string();
            if !place.files.contains(&file) {
                place.files.push(file);
            }
        }
    }
    place.names = names.iter().map(ImagePath::to_string).collect();
    Ok(())
}
