//! Files that are no disk image for us: what they are, told by their magic.

use super::Disk;
use model::{Error, Result};
use std::path::Path;

/// Offset, magic, what the file is, and whether `qemu-img convert` reads it. QEMU's block drivers, and each format's own description.
const KNOWN: [(u64, &[u8], &str, bool); 25] = [
    (0, b"QED\0", "a QED disk image", true),
    (0, b"WithoutFreeSpace", "a Parallels disk image", true),
    (0, b"WithouFreSpacExt", "a Parallels disk image", true),
    (0, b"COWD", "a VMDK sparse extent of ESX (COWD)", true),
    (0, b"\xbe\xba\xfe\xca\0\0\0\0", "a VMDK sparse extent of ESX (SESparse)", true),
    (0, b"Bochs Virtual HD Image", "a Bochs disk image", true),
    (0, b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop", "a cloop disk image", true),
    (0, b"PK\x03\x04", "a zip file", false),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z file", false),
    (0, b"Rar!\x1a\x07", "a rar file", false),
    (0, b"\x04\x22\x4d\x18", "an lz4 file", false),
    (0, b"LZIP", "an lzip file", false),
    (0, b"\x89LZO\0\r\n\x1a\n", "an lzop file", false),
    (0, b"MSWIM\0\0\0", "a Windows imaging (WIM) file", false),
    (0, b"EVF\x09\x0d\x0a\xff\0", "an Expert Witness (E01) image", false),
    (0, b"\xed\xab\xee\xdb", "an RPM package", false),
    (0, b"!<arch>\n", "an ar archive, such as a .deb package", false),
    (0, b"070701", "a cpio archive, such as an initramfs", false),
    (0, b"\x7fELF", "an ELF program", false),
    (0, b"MZ", "a PE program, such as an EFI application", false),
    (0, b"%PDF-", "a PDF document", false),
    (0, b"<?xml", "an XML document", false),
    (0, b"<!DOCTYPE html", "an HTML page", false),
    (0, b"<html", "an HTML page", false),
    (0, b"SQLite format 3\0", "an SQLite database", false),
];
/// Bytes of UDIF's trailer, at the end of an Apple disk image.
const UDIF_TRAILER: u64 = 512;

/// The refusal of what is no image that we read. `path` is for the hint.
pub(super) fn refusal(disk: &Disk, start: &[u8], path: &Path) -> Result<Error> {
    if disk.size == 0 {
        return Ok(Error::recipe("not a disk image: the file is empty"));
    }
    for (at, magic, what, is_convertible) in KNOWN {
        if has(disk, at, magic)? {
            return Ok(named(what, is_convertible, path));
        }
    }
    if disk.size > UDIF_TRAILER && has(disk, disk.size - UDIF_TRAILER, b"koly")? {
        return Ok(named("an Apple disk image (DMG)", true, path));
    }
    Ok(no_table(start))
}

/// The refusal of a disk by its first sector, which has neither GPT nor a filesystem that we know.
pub(in crate::inspect) fn no_table(start: &[u8]) -> Error {
    // UEFI specification §5.2: the boot sector's signature, and the partition type that says where GPT is.
    if start.get(510..512) != Some(b"\x55\xaa") {
        return Error::recipe("not a disk image: no known magic at offset 0, no GPT at offset 512 or 4096");
    }
    let types: Vec<u8> = (0..4).filter_map(|n| start.get(446 + 16 * n + 4).copied()).collect();
    if types.contains(&0xee) {
        let error = Error::integrity("a protective MBR, but no GPT: expected \"EFI PART\" at offset 512 or 4096");
        return error.hint("the partition table was overwritten: gdisk may restore it from the copy at the disk's end");
    }
    let what = if types.iter().any(|&kind| kind != 0) { "a disk with an MBR partition table" } else { "a boot sector without partitions" };
    Error::recipe(format!("{what}, but no GPT: expected \"EFI PART\" at offset 512 or 4096"))
}

fn named(what: &str, is_convertible: bool, path: &Path) -> Error {
    let error = Error::recipe(format!("{what}, which is not read"));
    if is_convertible {
        error.hint(convert(path))
    } else {
        error.hint("expected a raw disk with GPT, qcow2, VMDK, VHD, VHDX, VDI or OVA, or a compressed one")
    }
}

fn has(disk: &Disk, at: u64, magic: &[u8]) -> Result<bool> {
    if at.checked_add(magic.len() as u64).is_none_or(|end| end > disk.size) {
        return Ok(false);
    }
    let mut found = vec![0; magic.len()];
    (disk.read)(at, &mut found)?;
    Ok(found == magic)
}

/// The command that makes a raw disk of what QEMU reads and we do not.
pub(super) fn convert(path: &Path) -> String {
    let word = |text: String| {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+".contains(&b)) && !text.starts_with('-');
        if plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
    };
    let out = path.with_extension("raw");
    let out = if out == path { path.with_extension("raw.raw") } else { out };
    format!("convert it first: qemu-img convert -O raw {} {}", word(path.display().to_string()), word(out.display().to_string()))
}
