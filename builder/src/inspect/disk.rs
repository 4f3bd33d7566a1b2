//! The file as a disk, whatever format it has. Says early and plainly what is no disk.

use super::spool;
use super::volumes::holds_filesystem;
use crate::base::{Error, Result, ResultExt};
use crate::formats::compress::Compression;
use crate::formats::{qcow2, seekable, tar, vhd, vhdx, vmdk};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

/// What the first bytes of a file say: QEMU's docs/interop/qcow2.txt, VMware's Virtual Disk Format 5.0, [MS-VHDX] §2.2.1.
const QCOW2: &[u8] = b"QFI\xfb";
const VMDK: &[u8] = b"KDMV";
const VHDX: &[u8] = b"vhdxfile";
/// Of compressed files: RFC 8878 §3.1.1, the .xz file format §2.1.1.1, RFC 1952 §2.3.1, bzip2's own.
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
const XZ: &[u8] = b"\xfd7zXZ\0";
const GZIP: &[u8] = b"\x1f\x8b";
const BZIP2: &[u8] = b"BZh";
/// How files start that hold an image but are none, and what they are called.
const WRAPPED: [(&[u8], &str); 1] = [(b"PK\x03\x04", "zip")];

/// Bytes from the start that tell what a file is.
const START: u64 = 2048;

/// Fills a buffer from a byte offset of the disk, or fails.
pub(super) type Source<'a> = &'a dyn Fn(u64, &mut [u8]) -> Result<()>;

/// Calls `look` with the disk's size in bytes and its bytes.
pub(super) fn open<T>(path: &Path, look: impl FnOnce(u64, Source) -> Result<T>) -> Result<T> {
    let unreadable = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => Error::recipe("no such file"),
        _ => Error::recipe("cannot open it").source(e),
    };
    let kind = fs::metadata(path).map_err(unreadable)?.file_type();
    // Asked before opening: to open a fifo is to wait for its writer.
    if !kind.is_file() && !kind.is_block_device() {
        return Err(Error::recipe("expected a file or a block device"));
    }
    let mut file = File::open(path).map_err(unreadable)?;
    // Not the metadata's: a block device has none.
    let length = file.seek(SeekFrom::End(0)).context(|| "find the end")?;
    let read = |offset: u64, buffer: &mut [u8]| {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > length) {
            let message = format!("{} bytes at offset {offset} are missing, the file ends at {length}", buffer.len());
            return Err(Error::integrity(message).hint("the file was cut short: copy or download it again"));
        }
        file.read_exact_at(buffer, offset).context(|| format!("read {} bytes at offset {offset}", buffer.len()))
    };
    let mut start = vec![0; length.min(START) as usize];
    read(0, &mut start)?;
    let mut end = vec![0; length.min(512) as usize];
    read(length - end.len() as u64, &mut end)?;
    if start.starts_with(QCOW2) {
        let disk = qcow2::Reader::open(length, &read)?;
        return look(disk.size(), &|offset, buffer| disk.read_at(offset, buffer));
    }
    if start.starts_with(VMDK) {
        let disk = vmdk::Reader::open(length, &read)?;
        return look(disk.size(), &|offset, buffer| disk.read_at(offset, buffer));
    }
    if start.starts_with(VHDX) {
        let disk = vhdx::Reader::open(length, &read)?;
        return look(disk.size(), &|offset, buffer| disk.read_at(offset, buffer));
    }
    if vhd::is_vhd(&start, &end) {
        let disk = vhd::Reader::open(length, &read)?;
        return look(disk.size(), &|offset, buffer| disk.read_at(offset, buffer));
    }
    if start.starts_with(ZSTD) || start.starts_with(XZ) {
        let zstd = start.starts_with(ZSTD);
        let disk = if zstd { seekable::Reader::zstd(length, &read) } else { seekable::Reader::xz(length, &read) };
        return match disk {
            Ok(disk) => look(disk.size(), &|offset, buffer| disk.read_at(offset, buffer)),
            // Of another program, in one piece.
            Err(_) => unpacked(&file, if zstd { Compression::Zstd } else { Compression::Xz }, look),
        };
    }
    if start.starts_with(GZIP) || start.starts_with(BZIP2) {
        return unpacked(&file, if start.starts_with(GZIP) { Compression::Gzip } else { Compression::Bzip2 }, look);
    }
    if let Some((offset, size)) = vmdk_in_ova(&start, length, &read)? {
        let within = |at: u64, buffer: &mut [u8]| {
            if at.checked_add(buffer.len() as u64).is_none_or(|end| end > size) {
                return Err(Error::integrity(format!("{} bytes at offset {at} of the vmdk leave it, it ends at {size}", buffer.len())));
            }
            read(offset + at, buffer)
        };
        let disk = vmdk::Reader::open(size, &within)?;
        return look(disk.size(), &|offset, buffer| disk.read_at(offset, buffer));
    }
    // With sectors of 4096 bytes the table begins at the second of those.
    let mut large = [0; 8];
    if length >= 4096 + 8 {
        read(4096, &mut large)?;
    }
    if start.get(512..520) != Some(b"EFI PART") && &large != b"EFI PART" && !holds_filesystem(&start) {
        return Err(no_table(&start));
    }
    if !length.is_multiple_of(512) {
        let whole = length - length % 512;
        let error = Error::integrity(format!("the sector at offset {whole} has {} of 512 bytes", length - whole));
        return Err(error.hint("the file was cut short: copy or download it again"));
    }
    look(length, &read)
}

fn unpacked<T>(file: &File, compression: Compression, look: impl FnOnce(u64, Source) -> Result<T>) -> Result<T> {
    let mut packed = file;
    packed.seek(SeekFrom::Start(0)).context(|| "go to the start")?;
    let (disk, size) = spool::unpack(packed, compression)?;
    look(size, &|offset, buffer| disk.read_exact_at(buffer, offset).context(|| format!("read {} bytes at offset {offset}", buffer.len())))
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
    found.map(Some).ok_or_else(|| Error::integrity(format!("a tar archive without a .vmdk before offset {at}: not an OVA")))
}

fn no_table(start: &[u8]) -> Error {
    if let Some((_, name)) = WRAPPED.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Error::integrity(format!("not a disk image but a {name} file")).hint("unpack or convert it to raw or qcow2 first");
    }
    // §5.2 of the UEFI specification: the boot sector's signature.
    if start.get(510..512) == Some(b"\x55\xaa") {
        return Error::integrity("a boot sector, but no GPT: expected \"EFI PART\" at offset 512");
    }
    Error::integrity("not a disk image: no known magic at offset 0, no GPT at offset 512 or 4096")
}
