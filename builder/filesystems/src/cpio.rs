//! cpio archives as rpm and initramfs use them: "newc" (magic 070701, and 070702 with a checksum that no one verifies) and rpm's stripped
//! form (magic 07070X), whose entries carry only an index into the package header's file list.
//!
//! ```text
//! newc      6 magic, 13 × 8 hex digits: ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check;
//!           name with NUL, padded to 4; data, padded to 4 · ends with the name TRAILER!!!
//! stripped  6 magic, 8 hex digits: file index; padded to 4; data, as long as the header says, padded to 4 · ends with a newc trailer
//! ```

use model::{Error, Result, ResultExt};
use std::io::Read;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// A number in hexadecimal digits.
type Hex = [u8; 8];

/// The fields of a newc header, behind its magic.
#[derive(FromBytes, IntoBytes)]
#[repr(C)]
struct NewcFields {
    c_ino: Hex,
    c_mode: Hex,
    c_uid: Hex,
    c_gid: Hex,
    c_nlink: Hex,
    c_mtime: Hex,
    c_filesize: Hex,
    c_devmajor: Hex,
    c_devminor: Hex,
    c_rdevmajor: Hex,
    c_rdevminor: Hex,
    c_namesize: Hex,
    c_check: Hex,
}
const _: () = assert!(MAGIC_SIZE + size_of::<NewcFields>() == 110);

/// What stands before an entry's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CpioEntry {
    Named(NewcHeader),
    /// The caller knows the size and says it with [`CpioReader::set_size`] before reading data.
    Stripped {
        file_index: u32,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewcHeader {
    pub ino: u32,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub nlink: u32,
    pub mtime: u32,
    pub size: u32,
    pub dev: (u32, u32),
    pub rdev: (u32, u32),
    /// As written, without the NUL.
    pub name: Vec<u8>,
}

/// Reads an archive once, forwards. Data that the caller leaves is skipped.
pub struct CpioReader<R> {
    inner: R,
    /// Bytes consumed so far; padding is relative to the archive's start.
    position: u64,
    /// Bytes of the current entry's data not yet read.
    remaining: u64,
    finished: bool,
}

/// Bytes of c_magic, which says what follows it.
const MAGIC_SIZE: usize = 6;
const TRAILER: &[u8] = b"TRAILER!!!";
/// PATH_MAX with its NUL.
const NAME_MAX: u32 = 4096;

impl<R: Read> CpioReader<R> {
    pub fn new(inner: R) -> Self {
        CpioReader { inner, position: 0, remaining: 0, finished: false }
    }

    /// Bytes of the decompressed archive consumed, for messages.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next entry, or `None` at the trailer.
    pub fn next_entry(&mut self) -> Result<Option<CpioEntry>> {
        if self.finished {
            return Ok(None);
        }
        self.skip_data()?;
        self.pad()?;
        let start = self.position;
        let mut magic = [0; MAGIC_SIZE];
        self.fill(&mut magic, "an entry's magic")?;
        match &magic {
            b"07070X" => {
                let mut field = Hex::default();
                self.fill(&mut field, "a stripped entry's index")?;
                let file_index = hex_field(&field, start)?;
                self.pad()?;
                Ok(Some(CpioEntry::Stripped { file_index }))
            }
            b"070701" | b"070702" => self.newc(start),
            _ => Err(Error::integrity(format!(
                "expected a cpio magic (070701, 070702 or 07070X) at archive offset {start}, found {:?}",
                String::from_utf8_lossy(&magic)
            ))),
        }
    }

    fn newc(&mut self, start: u64) -> Result<Option<CpioEntry>> {
        let mut raw = NewcFields::new_zeroed();
        self.fill(raw.as_mut_bytes(), "a newc header")?;
        let number = |field: &Hex| hex_field(field, start);
        let header = NewcHeader {
            ino: number(&raw.c_ino)?,
            mode: number(&raw.c_mode)?,
            uid: number(&raw.c_uid)?,
            gid: number(&raw.c_gid)?,
            nlink: number(&raw.c_nlink)?,
            mtime: number(&raw.c_mtime)?,
            size: number(&raw.c_filesize)?,
            dev: (number(&raw.c_devmajor)?, number(&raw.c_devminor)?),
            rdev: (number(&raw.c_rdevmajor)?, number(&raw.c_rdevminor)?),
            name: Vec::new(),
        };
        let name_size = number(&raw.c_namesize)?;
        number(&raw.c_check)?;
        if name_size == 0 || name_size > NAME_MAX {
            return Err(Error::integrity(format!(
                "expected a name of 1 to {NAME_MAX} bytes in the cpio entry at offset {start}, found {name_size}"
            )));
        }
        let mut name = vec![0; name_size as usize];
        self.fill(&mut name, "a name")?;
        if name.pop() != Some(0) {
            return Err(Error::integrity(format!("the name of the cpio entry at offset {start} does not end with NUL")));
        }
        self.pad()?;
        if name == TRAILER {
            self.finished = true;
            return Ok(None);
        }
        self.remaining = u64::from(header.size);
        Ok(Some(CpioEntry::Named(NewcHeader { name, ..header })))
    }

    /// Says how much data the stripped entry just returned has.
    pub fn set_size(&mut self, size: u64) {
        self.remaining = size;
    }

    /// The current entry's data, up to its end.
    pub fn data(&mut self) -> CpioData<'_, R> {
        CpioData(self)
    }

    fn skip_data(&mut self) -> Result<()> {
        if self.remaining > 0 {
            std::io::copy(&mut CpioData(self), &mut std::io::sink())
                .context(|| "skip an entry of the cpio archive")
                .map_err(as_integrity)?;
        }
        Ok(())
    }

    fn pad(&mut self) -> Result<()> {
        let padding = self.position.wrapping_neg() as usize & 3;
        self.fill(&mut [0; 3][..padding], "padding")
    }

    fn fill(&mut self, buffer: &mut [u8], what: &str) -> Result<()> {
        self.inner
            .read_exact(buffer)
            .context(|| format!("read {what} at offset {} of the cpio archive", self.position))
            .map_err(as_integrity)?;
        self.position += buffer.len() as u64;
        Ok(())
    }
}

/// An archive that ends early or does not decompress is at fault, not the machine.
fn as_integrity(error: Error) -> Error {
    Error::integrity(format!("{error:#}"))
}

fn hex_field(digits: &Hex, start: u64) -> Result<u32> {
    digits.iter().try_fold(0, |value: u32, &digit| Some(value << 4 | char::from(digit).to_digit(16)?)).ok_or_else(|| {
        Error::integrity(format!("expected 8 hex digits in the cpio header at offset {start}, found {:?}", String::from_utf8_lossy(digits)))
    })
}

/// One entry's data as a reader. An archive that ends within it is an error of kind `UnexpectedEof`.
pub struct CpioData<'a, R>(&'a mut CpioReader<R>);

impl<R> CpioData<'_, R> {
    /// Bytes not yet read.
    pub fn remaining(&self) -> u64 {
        self.0.remaining
    }
}

impl<R: Read> Read for CpioData<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.0.remaining).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(0);
        }
        let n = self.0.inner.read(&mut buffer[..want])?;
        if n == 0 {
            return Err(std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                format!("the archive ends at offset {}, {} bytes before the end of an entry", self.0.position, self.0.remaining),
            ));
        }
        self.0.position += n as u64;
        self.0.remaining -= n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn an_archive_of_cpio_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), b"hello").unwrap();
        std::fs::write(folder.path().join("b"), b"").unwrap();
        let child = Command::new("cpio")
            .args(["-o", "-H", "newc", "--quiet"])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            fixtures::missing("no cpio");
            return;
        };
        child.stdin.take().unwrap().write_all(b"a\nb\n").unwrap();
        let archive = child.wait_with_output().unwrap().stdout;
        let mut reader = CpioReader::new(archive.as_slice());
        let mut found = Vec::new();
        while let Some(CpioEntry::Named(entry)) = reader.next_entry().unwrap() {
            let mut data = String::new();
            reader.data().read_to_string(&mut data).unwrap();
            found.push((String::from_utf8(entry.name).unwrap(), data));
        }
        assert_eq!(found, [("a".into(), "hello".into()), ("b".into(), String::new())]);
        let mut cut = CpioReader::new(&archive[..116]);
        cut.next_entry().unwrap();
        assert!(cut.next_entry().is_err(), "an archive that ends within an entry was accepted");
    }
}
