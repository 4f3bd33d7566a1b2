//! A package's payload, matched with its header's file list while it streams by.

use super::files::{FileEntry, FileKind};
use super::package::Package;
use compression::Compression;
use filesystems::cpio::{CpioEntry, CpioReader};
use model::{Error, ImagePath, Result, ResultExt};
use std::collections::BTreeMap;
use std::io::{BufRead, Read};

/// One file of the payload, in the payload's order.
pub struct PayloadFile<'a> {
    /// Into the header's file list.
    pub index: usize,
    pub entry: &'a FileEntry,
    /// Bytes that `contents` holds. 0 for all but regular files, and for each hard link but the one that carries the data.
    pub size: u64,
    pub contents: &'a mut dyn Read,
}

/// Decompresses `payload` and calls `each` for every file in it. A file that is not in the header, occurs twice, or is bigger than the header
/// says is an error, and so is one of the header's that is missing, unless it is a ghost or may be missing. Memory does not grow with the payload.
pub fn read_payload(package: &Package, payload: impl BufRead + Send, each: impl FnMut(PayloadFile<'_>) -> Result<()>) -> Result<()> {
    read(package, payload, each).context(|| format!("the payload at offset {}", package.payload_offset))
}

fn read(package: &Package, mut payload: impl BufRead + Send, mut each: impl FnMut(PayloadFile<'_>) -> Result<()>) -> Result<()> {
    let files = &package.files;
    let start = payload.fill_buf().context(|| "read the payload")?;
    let compression = match package.compression {
        // As zlib's gzread, which rpm uses: what does not look like gzip is not compressed. Without a compressor's name, rpm assumes gzip.
        Compression::Gzip if !start.starts_with(&[0x1f, 0x8b]) => Compression::None,
        named => named,
    };
    let mut archive = CpioReader::new(compression.decoder(payload)?);
    let mut seen = vec![false; files.len()];
    let mut expected = 0;
    let mut by_path: Option<BTreeMap<&ImagePath, usize>> = None;
    while let Some(entry) = archive.next_entry()? {
        let index = match &entry {
            CpioEntry::Stripped { file_index } => *file_index as usize,
            CpioEntry::Named(header) => {
                let path = ImagePath::parse(&header.name)?;
                // Payloads are nearly always in the header's order.
                if files.get(expected).is_some_and(|f| f.path == path) {
                    expected
                } else {
                    let map = by_path.get_or_insert_with(|| files.iter().enumerate().map(|(i, f)| (&f.path, i)).collect());
                    *map.get(&path).ok_or_else(|| Error::integrity(format!("{path} is in the payload, but not in the header")))?
                }
            }
        };
        let file = files
            .get(index)
            .ok_or_else(|| Error::integrity(format!("the payload names file {index}, but the header has only {}", files.len())))?;
        if std::mem::replace(&mut seen[index], true) {
            return Err(Error::integrity(format!("{} occurs twice in the payload", file.path)));
        }
        expected = index + 1;
        let in_archive = match &entry {
            CpioEntry::Stripped { .. } => {
                let size = match file.kind {
                    // Of hard links only the last carries the data.
                    FileKind::File if file.link_group.is_none_or(|last| last as usize == index) => file.size,
                    FileKind::Symlink { .. } => file.size,
                    _ => 0,
                };
                archive.set_size(size);
                size
            }
            CpioEntry::Named(header) => {
                if header.mode & 0o170_000 != file.kind.type_bits() {
                    return Err(Error::integrity(format!(
                        "{}: the payload's mode is {:o}, the header says otherwise",
                        file.path, header.mode
                    )));
                }
                u64::from(header.size)
            }
        };
        match &file.kind {
            FileKind::File if in_archive == file.size || (in_archive == 0 && file.link_group.is_some()) => {
                each(PayloadFile { index, entry: file, size: in_archive, contents: &mut archive.data() })?;
            }
            FileKind::File => {
                return Err(Error::integrity(format!("{}: expected {} bytes in the payload, found {in_archive}", file.path, file.size)));
            }
            FileKind::Symlink { target } => {
                if in_archive > ImagePath::MAX as u64 {
                    return Err(Error::integrity(format!("{}: a link target of {in_archive} bytes", file.path)));
                }
                let mut found = Vec::new();
                archive
                    .data()
                    .read_to_end(&mut found)
                    .map_err(|e| Error::integrity(format!("read the target of {}", file.path)).source(e))?;
                if found != *target {
                    return Err(Error::integrity(format!(
                        "{}: expected the link target {:?}, found {:?} in the payload",
                        file.path,
                        String::from_utf8_lossy(target),
                        String::from_utf8_lossy(&found)
                    )));
                }
                each(PayloadFile { index, entry: file, size: 0, contents: &mut std::io::empty() })?;
            }
            _ if in_archive > 0 => {
                return Err(Error::integrity(format!("{}: no regular file, yet {in_archive} bytes in the payload", file.path)));
            }
            _ => each(PayloadFile { index, entry: file, size: 0, contents: &mut std::io::empty() })?,
        }
    }
    let absent = files.iter().zip(&seen).find(|(f, seen)| !**seen && !f.flags.is_ghost() && !f.flags.is_missing_ok());
    match absent {
        Some((file, _)) => Err(Error::integrity(format!("{} is in the header, but not in the payload", file.path))),
        None => Ok(()),
    }
}
