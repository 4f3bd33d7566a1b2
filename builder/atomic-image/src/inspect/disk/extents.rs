//! The disk of a VMDK descriptor: extents in files beside it.

use super::neighbour::Chain;
use super::{Disk, bytes_of};
use disks::vmdk::{self, DESCRIPTOR_MAX, Descriptor, Extent, ExtentKind};
use model::{Error, Result, ResultExt};
use std::path::Path;
use std::sync::Arc;

/// One extent: its bytes of the disk, and how they are read. `None` reads as zeros.
struct Part {
    start: u64,
    size: u64,
    disk: Option<(Disk, u64)>,
}

/// `file` has the descriptor, and is at `path`.
pub(super) fn open(file: &Disk, path: &Path, chain: &Chain) -> Result<Disk> {
    if file.size > DESCRIPTOR_MAX {
        return Err(Error::integrity(format!("vmdk descriptor: {} bytes, expected at most {DESCRIPTOR_MAX}", file.size)));
    }
    let mut text = vec![0; file.size as usize];
    (file.read)(0, &mut text)?;
    let descriptor = Descriptor::parse(&String::from_utf8_lossy(&text))?;
    let mut parts = Vec::new();
    let mut start = 0;
    for extent in descriptor.extents {
        let size = extent.size;
        parts.push(Part { start, size, disk: part(extent, path, chain)? });
        start += size;
    }
    let read = move |offset: u64, buffer: &mut [u8]| read(&parts, start, offset, buffer);
    Ok(Disk { size: start, read: Arc::new(read) })
}

/// The extent's disk, and the byte of it where the extent begins.
fn part(extent: Extent, path: &Path, chain: &Chain) -> Result<Option<(Disk, u64)>> {
    let file = |name: &str| {
        let real = chain.follow(path, name, "extent")?;
        // Extents stand side by side: each has a chain of its own.
        bytes_of(&real, &mut chain.clone()).context(|| format!("extent {name:?}"))
    };
    let (name, found, at) = match &extent.kind {
        ExtentKind::Zero => return Ok(None),
        ExtentKind::Flat(name, at) => (name, file(name)?, *at),
        ExtentKind::Sparse(name) => {
            let Disk { size, read } = file(name)?;
            let reader =
                vmdk::Reader::open(size, move |offset, buffer: &mut [u8]| read(offset, buffer)).context(|| format!("extent {name:?}"))?;
            (name, Disk { size: reader.size(), read: Arc::new(move |offset, buffer| reader.read_at(offset, buffer)) }, 0)
        }
    };
    if at.checked_add(extent.size).is_none_or(|end| end > found.size) {
        let message = format!("extent {name:?}: {} bytes at offset {at} are missing, it ends at {}", extent.size, found.size);
        return Err(Error::integrity(message).hint("the file was cut short: copy or download it again"));
    }
    Ok(Some((found, at)))
}

fn read(parts: &[Part], size: u64, offset: u64, buffer: &mut [u8]) -> Result<()> {
    if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > size) {
        return Err(Error::integrity(format!("{} bytes at {offset} are past the disk's end at {size}", buffer.len())));
    }
    let mut done = 0;
    while done < buffer.len() {
        let at = offset + done as u64;
        let part = &parts[parts.partition_point(|part| part.start + part.size <= at)];
        let within = at - part.start;
        let n = (part.size - within).min((buffer.len() - done) as u64) as usize;
        let out = &mut buffer[done..done + n];
        match &part.disk {
            Some((disk, first)) => (disk.read)(first + within, out)?,
            None => out.fill(0),
        }
        done += n;
    }
    Ok(())
}
