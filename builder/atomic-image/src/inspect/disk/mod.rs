//! A disk image file as the disk in it, whatever its format. What is no disk image, or one that is not read, is refused by name with
//! [`Kind::Recipe`](model::Kind); what is damaged, with `Kind::Integrity`.

mod container;
mod extents;
mod foreign;
mod neighbour;
mod spool;

pub(super) use foreign::no_table;
use model::{Error, InputExt, Result, ResultExt};
use neighbour::Chain;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

/// Fills a buffer from a byte offset of the disk, or fails.
pub(super) type Source<'a> = &'a dyn Fn(u64, &mut [u8]) -> Result<()>;

/// The same, with what it reads from.
type ReadAt = Arc<dyn Fn(u64, &mut [u8]) -> Result<()> + Send + Sync>;

/// A disk, or the bytes of a file that may hold one.
#[derive(Clone)]
struct Disk {
    /// In bytes.
    size: u64,
    read: ReadAt,
}

/// Calls `look` with the disk's size in bytes and its bytes.
pub(super) fn open<T>(path: &Path, look: impl FnOnce(u64, Source) -> Result<T>) -> Result<T> {
    let mut chain = Chain::starting_at(path)?;
    let disk = container::open(bytes_of(path, &mut chain)?, path, &mut chain)?;
    look(disk.size, &*disk.read)
}

/// The bytes of the file at `path`, which joins the chain of files that the image is made of.
fn bytes_of(path: &Path, chain: &mut Chain) -> Result<Disk> {
    let unreadable = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => Error::recipe("no such file"),
        _ => Err::<(), _>(e).input(|| "cannot open it").err().unwrap_or_else(|| Error::internal("cannot open it")),
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    let kind = metadata.file_type();
    // Asked before opening: to open a fifo is to wait for its writer.
    let is_readable = kind.is_file() || kind.is_block_device() && chain.is_empty();
    if !is_readable {
        return Err(Error::recipe(if chain.is_empty() { "expected a file or a block device" } else { "expected a file" }));
    }
    chain.enter((metadata.dev(), metadata.ino()))?;
    let mut file = File::open(path).map_err(unreadable)?;
    // Not the metadata's: a block device has none.
    let length = file.seek(SeekFrom::End(0)).context(|| "find the end")?;
    Ok(of_file(file, length))
}

fn of_file(file: File, length: u64) -> Disk {
    let read = move |offset: u64, buffer: &mut [u8]| {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > length) {
            let message = format!("{} bytes at offset {offset} are missing, the file ends at {length}", buffer.len());
            return Err(Error::integrity(message).hint("the file was cut short: copy or download it again"));
        }
        file.read_exact_at(buffer, offset).context(|| format!("read {} bytes at offset {offset}", buffer.len()))
    };
    Disk { size: length, read: Arc::new(read) }
}
