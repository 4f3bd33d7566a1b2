//! The file as a disk: raw, or qcow2 by its magic. Says early and plainly what is no disk.

use super::volumes::holds_filesystem;
use crate::base::{Error, Result, ResultExt};
use crate::formats::qcow2;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

/// qcow2's first four bytes (QEMU: docs/interop/qcow2.txt).
const QCOW2: &[u8] = b"QFI\xfb";
/// How files start that hold an image but are none, and what they are called.
const WRAPPED: [(&[u8], &str); 6] = [
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"PK\x03\x04", "zip"),
    (b"KDMV", "vmdk"),
];

/// Bytes from the start that tell what a file is.
const START: u64 = 2048;

/// Fills a buffer from a byte offset of the disk, or fails.
pub(super) type Source<'a> = &'a dyn Fn(u64, &mut [u8]) -> Result<()>;

/// Calls `look` with the disk's size in bytes and its bytes.
pub(super) fn open<T>(path: &Path, look: impl FnOnce(u64, Source) -> Result<T>) -> Result<T> {
    let unreadable = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => Error::recipe("no such file"),
        _ => Error::internal("cannot open it").source(e),
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
    if start.starts_with(QCOW2) {
        let disk = qcow2::Reader::open(length, &read)?;
        return look(disk.size(), &|offset, buffer| disk.read_at(offset, buffer));
    }
    if start.get(512..520) != Some(b"EFI PART") && !holds_filesystem(&start) {
        return Err(no_table(&start));
    }
    look(length, &read)
}

fn no_table(start: &[u8]) -> Error {
    if let Some((_, name)) = WRAPPED.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Error::integrity(format!("not a disk image but a {name} file")).hint("unpack or convert it to raw or qcow2 first");
    }
    // §5.2 of the UEFI specification: the boot sector's signature.
    if start.get(510..512) == Some(b"\x55\xaa") {
        return Error::integrity("a boot sector, but no GPT: expected \"EFI PART\" at offset 512");
    }
    Error::integrity("not a disk image: neither qcow2's magic at offset 0 nor a GPT at offset 512")
}
