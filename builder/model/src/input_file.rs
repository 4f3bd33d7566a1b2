//! Files that a user names: read whole into memory, but only if they are regular files of a sensible size.

use crate::{Error, Result};
use rustix::fs::OFlags;
use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Reads at most `limit` bytes. What is wrong with the file (it is not there, is a device or FIFO, is too long) is an error of kind recipe: exit code 3.
pub fn read_input(path: &Path, limit: u64) -> Result<Vec<u8>> {
    read_regular(path, limit).map_err(|e| Error::recipe(format!("cannot read {}", path.display())).source(e))
}

/// The same, for texts.
pub fn read_input_text(path: &Path, limit: u64) -> Result<String> {
    read_regular_text(path, limit).map_err(|e| Error::recipe(format!("cannot read {}", path.display())).source(e))
}

/// [`read_input`] with the bare reason, for messages that name the file in their own way.
pub fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let length = file.metadata()?.len();
    let too_long = |length: u64| io::Error::other(format!("it has {length} bytes or more, expected at most {limit}"));
    if length > limit {
        return Err(too_long(length));
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(too_long(limit + 1)) } else { Ok(bytes) }
}

/// [`read_regular`] of a text.
pub fn read_regular_text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read_regular(path, limit)?).map_err(|e| {
        let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        io::Error::other(format!("line {line} is not UTF-8"))
    })
}

/// Opens a regular file, symlinks followed. Anything else is an error, and is not waited for.
pub fn open_regular(path: &Path) -> io::Result<File> {
    open(path, |kind| if kind.is_file() { None } else { Some("a regular file") })
}

/// Opens a disk: a regular file or a block device.
pub fn open_disk(path: &Path) -> io::Result<File> {
    open(path, |kind| if kind.is_file() || kind.is_block_device() { None } else { Some("a regular file or a block device") })
}

/// `expected` says what is asked for, if the file is not of that type.
fn open(path: &Path, expected: fn(FileType) -> Option<&'static str>) -> io::Result<File> {
    let check = |kind: FileType| match expected(kind) {
        None => Ok(()),
        Some(expected) => Err(io::Error::other(format!("it is {}, expected {expected}", name(kind)))),
    };
    // Asked before opening, since opening a device may have effects; and after it, since the name may be another file's by then.
    check(std::fs::metadata(path)?.file_type())?;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    check(file.metadata()?.file_type())?;
    Ok(file)
}

/// What a file is, with its article.
fn name(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a symlink"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() {
        "a character device"
    } else if kind.is_block_device() {
        "a block device"
    } else {
        "a regular file"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use std::os::unix::net::UnixListener;

    #[test]
    fn only_a_regular_file_of_a_sensible_size_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("good"), "0123456789").unwrap();
        std::fs::write(at("latin"), b"a\nb\xff").unwrap();
        std::os::unix::fs::symlink("good", at("link")).unwrap();
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        File::create(at("sparse")).unwrap().set_len(1 << 40).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("fifo"), rustix::fs::Mode::RUSR).unwrap();
        let _listener = UnixListener::bind(at("socket")).unwrap();
        let check = |path: &Path, expected: &str| {
            let error = read_input(path, 10).unwrap_err();
            assert_eq!(error.kind(), Kind::Recipe);
            let text = format!("{error:#}");
            assert!(text.contains(expected) && text.contains(&path.display().to_string()), "{text}");
        };
        check(Path::new("/dev/zero"), "it is a character device, expected a regular file");
        check(&at("fifo"), "it is a FIFO");
        check(&at("socket"), "it is a socket");
        check(folder.path(), "it is a directory");
        check(&at("sparse"), "it has 1099511627776 bytes or more, expected at most 10");
        check(&at("loop"), "symbolic links");
        check(&at("absent"), "No such file");
        // Has a length of zero, and is longer.
        check(Path::new("/proc/self/status"), "it has 11 bytes or more");
        assert!(open_disk(&at("fifo")).unwrap_err().to_string().contains("a FIFO, expected a regular file or a block device"));
        assert!(open_disk(&at("link")).is_ok());
        assert_eq!(read_input(&at("link"), 10).unwrap(), b"0123456789");
        assert!(format!("{:#}", read_input_text(&at("latin"), 10).unwrap_err()).ends_with("line 2 is not UTF-8"));
    }
}
