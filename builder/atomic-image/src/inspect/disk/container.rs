//! Which format a file has, by its magic, and the disk in it.

use super::neighbour::Chain;
use super::spool;
use super::{Disk, Source, bytes_of, extents, foreign, of_file};
use crate::inspect::volumes;
use compression::Compression;
use disks::{qcow2, seekable, vdi, vhd, vhdx, vmdk};
use filesystems::tar;
use model::{Error, Kind, Result, ResultExt};
use std::path::Path;
use std::sync::Arc;

/// What the first bytes of a file say: QEMU's docs/interop/qcow2.txt, VMware's Virtual Disk Format 5.0, [MS-VHDX] §2.2.1.
const QCOW2: &[u8] = b"QFI\xfb";
const VMDK: &[u8] = b"KDMV";
const VHDX: &[u8] = b"vhdxfile";
/// Of compressed files: RFC 8878 §3.1.1, the .xz file format §2.1.1.1, RFC 1952 §2.3.1, bzip2's own; XZ Utils' doc/lzma-file-format.txt has no magic.
const COMPRESSED: [(&[u8], Compression); 5] = [
    (b"\x28\xb5\x2f\xfd", Compression::Zstd),
    // A skippable frame, which `pzstd` and the seekable format may put first.
    (b"\x50\x2a\x4d\x18", Compression::Zstd),
    (b"\xfd7zXZ\0", Compression::Xz),
    (b"\x1f\x8b", Compression::Gzip),
    (b"BZh", Compression::Bzip2),
];

/// Bytes from the start that tell what a file is.
const START: u64 = 2048;

/// The disk in the file at `path`, whose bytes are `file`.
pub(super) fn open(file: Disk, path: &Path, chain: &mut Chain) -> Result<Disk> {
    let start = start_of(&file)?;
    let Some((_, compression)) = COMPRESSED.iter().find(|(magic, _)| start.starts_with(magic)) else {
        return plain(file, path, chain);
    };
    let content = decompressed(&file, *compression)?;
    if COMPRESSED.iter().any(|(magic, _)| start_of(&content).is_ok_and(|start| start.starts_with(magic))) {
        return Err(Error::recipe("a compressed file in a compressed file").hint("decompress it once"));
    }
    plain(content, path, chain)
}

fn start_of(file: &Disk) -> Result<Vec<u8>> {
    let mut start = vec![0; file.size.min(START) as usize];
    (file.read)(0, &mut start)?;
    Ok(start)
}

/// By the index of a file in pieces, or all of it into a temporary file.
fn decompressed(file: &Disk, compression: Compression) -> Result<Disk> {
    let read = file.read.clone();
    let read = move |offset: u64, buffer: &mut [u8]| read(offset, buffer);
    let pieces = match compression {
        Compression::Zstd => seekable::Reader::zstd(file.size, read),
        Compression::Xz => seekable::Reader::xz(file.size, read),
        _ => return unpacked(file, compression),
    };
    match pieces {
        Ok(pieces) => Ok(Disk { size: pieces.size(), read: Arc::new(move |offset, buffer| pieces.read_at(offset, buffer)) }),
        // Of another program, in one piece; if it was cut short, that is found out there.
        Err(_) => unpacked(file, compression),
    }
}

fn unpacked(file: &Disk, compression: Compression) -> Result<Disk> {
    let (content, size) = spool::unpack(file, compression)?;
    Ok(of_file(content, size))
}

/// The disk in a file that is not compressed as a whole.
fn plain(file: Disk, path: &Path, chain: &mut Chain) -> Result<Disk> {
    let start = start_of(&file)?;
    let length = file.size;
    let mut end = vec![0; length.min(512) as usize];
    (file.read)(length - end.len() as u64, &mut end)?;
    let inner = file.read.clone();
    let read = move |offset: u64, buffer: &mut [u8]| inner(offset, buffer);
    // What QEMU reads and we do not gets the command that helps.
    let helped = |e: Error| if e.kind() == Kind::Recipe { e.or_hint(|| foreign::convert(path)) } else { e };
    if start.starts_with(QCOW2) {
        return overlay(qcow2::Reader::open(length, read).map_err(helped)?, path, chain).map_err(helped);
    }
    if start.starts_with(VMDK) {
        let disk = vmdk::Reader::open(length, read).map_err(helped)?;
        return Ok(Disk { size: disk.size(), read: Arc::new(move |offset, buffer| disk.read_at(offset, buffer)) });
    }
    if vmdk::is_descriptor(&start) {
        return extents::open(&file, path, chain).map_err(helped);
    }
    if start.starts_with(VHDX) {
        let disk = vhdx::Reader::open(length, read).map_err(helped)?;
        return Ok(Disk { size: disk.size(), read: Arc::new(move |offset, buffer| disk.read_at(offset, buffer)) });
    }
    if start.get(vdi::SIGNATURE.0 as usize..).is_some_and(|bytes| bytes.starts_with(&vdi::SIGNATURE.1)) {
        let disk = vdi::Reader::open(length, read).map_err(helped)?;
        return Ok(Disk { size: disk.size(), read: Arc::new(move |offset, buffer| disk.read_at(offset, buffer)) });
    }
    if vhd::is_vhd(&start, &end) {
        let disk = vhd::Reader::open(length, read).map_err(helped)?;
        return Ok(Disk { size: disk.size(), read: Arc::new(move |offset, buffer| disk.read_at(offset, buffer)) });
    }
    if let Some((offset, size)) = vmdk_in_ova(&start, length, &read)? {
        let within = move |at: u64, buffer: &mut [u8]| {
            if at.checked_add(buffer.len() as u64).is_none_or(|end| end > size) {
                return Err(Error::integrity(format!("{} bytes at offset {at} of the vmdk leave it, it ends at {size}", buffer.len())));
            }
            read(offset + at, buffer)
        };
        let disk = vmdk::Reader::open(size, within).map_err(helped)?;
        return Ok(Disk { size: disk.size(), read: Arc::new(move |offset, buffer| disk.read_at(offset, buffer)) });
    }
    raw(file, &start, path)
}

/// A qcow2 image over its backing file, if it has one.
fn overlay<F>(mut disk: qcow2::Reader<F>, path: &Path, chain: &mut Chain) -> Result<Disk>
where
    F: Fn(u64, &mut [u8]) -> Result<()> + Send + Sync + 'static,
{
    if let Some(backing) = disk.backing().cloned() {
        let below = backing_disk(&backing, path, chain)?;
        let Disk { size, read } = below;
        // A shorter backing file reads as zeros past its end.
        disk.set_backing(Box::new(move |offset, buffer| {
            let there = size.saturating_sub(offset).min(buffer.len() as u64) as usize;
            let (front, rest) = buffer.split_at_mut(there);
            rest.fill(0);
            if front.is_empty() { Ok(()) } else { read(offset, front) }
        }));
    }
    Ok(Disk { size: disk.size(), read: Arc::new(move |offset, buffer| disk.read_at(offset, buffer)) })
}

fn backing_disk(backing: &qcow2::Backing, path: &Path, chain: &mut Chain) -> Result<Disk> {
    let real = chain.follow(path, &backing.name, "backing file")?;
    let named = || format!("backing file {:?}", backing.name);
    let file = bytes_of(&real, chain).context(named)?;
    // A raw one is never probed: its guest may have written another format's magic into it.
    if backing.format.as_deref() == Some("raw") {
        return Ok(file);
    }
    plain(file, &real, chain).context(named)
}

/// Where the first vmdk of a tar archive stands, and its length in bytes; `None` if the file is no tar archive.
fn vmdk_in_ova(start: &[u8], length: u64, read: Source) -> Result<Option<(u64, u64)>> {
    if start.get(257..262) != Some(b"ustar") {
        return Ok(None);
    }
    let mut at = 0;
    let mut found = None;
    // Descriptor, manifest, certificate, disks: an OVA has few members.
    for _ in 0..16 {
        let mut header = [0; tar::BLOCK as usize];
        read(at, &mut header)?;
        if header == [0; tar::BLOCK as usize] {
            // To the end, so that a file that was cut short is found out.
            read(at, &mut [0; tar::END.len()])?;
            break;
        }
        let Some(member) = tar::Member::decode(&header).context(|| format!("offset {at}"))? else { break };
        if member.name.ends_with(".vmdk") {
            found = found.or(Some((at + tar::BLOCK, member.stored)));
        }
        at = at.saturating_add(tar::BLOCK).saturating_add(member.stored.min(length).next_multiple_of(tar::BLOCK));
    }
    found.map(Some).ok_or_else(|| Error::recipe(format!("a tar archive without a .vmdk before offset {at}: not an OVA")))
}

fn raw(file: Disk, start: &[u8], path: &Path) -> Result<Disk> {
    // With sectors of 4096 bytes the table begins at the second of those.
    let mut large = [0; 8];
    if file.size >= 4096 + 8 {
        (file.read)(4096, &mut large)?;
    }
    let has_table = start.get(512..520) == Some(b"EFI PART") || &large == b"EFI PART";
    if !has_table && !volumes::is_filesystem(file.size, &*file.read)? {
        return Err(foreign::refusal(&file, start, path)?);
    }
    if !file.size.is_multiple_of(512) {
        let whole = file.size - file.size % 512;
        let error = Error::integrity(format!("the sector at offset {whole} has {} of 512 bytes", file.size - whole));
        return Err(error.hint("the file was cut short: copy or download it again"));
    }
    Ok(file)
}
