//! What follows the header in its cluster: "Header extensions", and the name of the backing file.

use super::header::Header;
use crate::record;
use model::{Error, Result};
use zerocopy::big_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Types of extensions: the end, the backing file's format, the external data file's name.
const END: u32 = 0;
const BACKING_FORMAT: u32 = 0xe279_2aca;
const DATA_FILE: u32 = 0x4441_5441;
/// What stands before an extension's data, which is padded to a multiple of 8. All zero, it ends the extensions.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct ExtensionHeader {
    kind: U32,
    length: U32,
}
const _: () = assert!(size_of::<ExtensionHeader>() == 8);

/// Bytes of a backing file's name, and of a format's, at most.
const NAME_MAX: u32 = 1023;

/// The file that has what an overlay does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backing {
    /// As it is written: a path, relative to the overlay's folder, or something that only QEMU understands.
    pub name: String,
    /// `raw`, `qcow2` …, where the image says it.
    pub format: Option<String>,
}

/// Reads them from a file of `length` bytes; an external data file is refused by name.
pub(super) fn read(header: &Header, length: u64, file: &impl Fn(u64, &mut [u8]) -> Result<()>) -> Result<Option<Backing>> {
    let bad = |what: String| Error::integrity(format!("qcow2 header: {what}"));
    let cluster = header.cluster();
    let (name_at, name_length) = (header.backing_file_offset.get(), header.backing_file_size.get());
    let has_backing = name_at != 0 && name_length != 0;
    // Extensions stand between the header and the name, in the first cluster.
    let end = cluster.min(length).min(if has_backing { name_at } else { u64::MAX });
    let mut at = u64::from(header.header_length);
    let (mut format, mut data_file) = (None, None);
    while at.checked_add(8).is_some_and(|next| next <= end) {
        let extension: ExtensionHeader = record::read(file, at)?;
        let (kind, size) = (extension.kind.get(), extension.length.get());
        if kind == END {
            break;
        }
        let next = at + 8 + u64::from(size).next_multiple_of(8);
        if at + 8 + u64::from(size) > end {
            return Err(bad(format!("the extension at offset {at} of {size} bytes leaves the first {end} bytes")));
        }
        if kind == BACKING_FORMAT || kind == DATA_FILE {
            let text = text(at + 8, size, file)?;
            *(if kind == DATA_FILE { &mut data_file } else { &mut format }) = Some(text);
        }
        at = next;
    }
    if header.has_external_data() {
        let named = data_file.map_or("a file of its own".to_owned(), |name| format!("{name:?}"));
        return Err(Error::recipe(format!("a qcow2 image with its data in {named}, an external data file, which is not read")));
    }
    if !has_backing {
        return Ok(None);
    }
    if name_length > NAME_MAX || name_at.checked_add(name_length.into()).is_none_or(|end| end > cluster.min(length)) {
        return Err(bad(format!("the backing file's name of {name_length} bytes at offset {name_at} leaves the first cluster")));
    }
    Ok(Some(Backing { name: text(name_at, name_length, file)?, format }))
}

fn text(at: u64, length: u32, file: &impl Fn(u64, &mut [u8]) -> Result<()>) -> Result<String> {
    if length > NAME_MAX {
        return Err(Error::integrity(format!("qcow2 header: a name of {length} bytes at offset {at}, expected at most {NAME_MAX}")));
    }
    let mut bytes = vec![0; length as usize];
    file(at, &mut bytes)?;
    String::from_utf8(bytes).map_err(|_| Error::recipe(format!("a qcow2 image that names a file at offset {at} which is not UTF-8")))
}
