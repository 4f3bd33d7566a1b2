//! Compressed streams that can only be read front to back, such as Google Compute Engine's tar.gz: their disk is unpacked into a file without a name, with holes.

use super::Disk;
use compression::{Compression, Limits};
use filesystems::tar;
use model::{Error, Result, ResultExt};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

/// Where the file is: not in memory, and not beside the image, whose folder may be read-only (file-hierarchy(7)).
const PLACE: &str = "/var/tmp";
/// Bytes that are not zeros at most, so that a small hostile file cannot fill the machine's disk.
const CONTENT_MAX: u64 = 32 << 30;
/// Bytes of the disk at most, for zeros are unpacked, too.
const SIZE_MAX: u64 = 1 << 40;
/// Zeros of this many bytes become a hole.
const PIECE: usize = 64 << 10;
/// What a decoder may ask for: `zstd --long=31` and `xz --lzma2=dict=1536MiB` are the most that those programs make. The decoders touch of it only as
/// much as they have decompressed, so that a small hostile file cannot take it.
const LIMITS: Limits = Limits { memory: 2304 << 20, zstd_window_log: 31 };

/// The disk inside `packed`, which is a raw disk or a tar archive whose first member is one, and its size in bytes.
pub(super) fn unpack(packed: &Disk, compression: Compression) -> Result<(File, u64)> {
    let packed = BufReader::with_capacity(1 << 20, Sequential { disk: packed.clone(), at: 0 });
    let mut content = Counted { inner: compression.decoder_within(packed, LIMITS)?, at: 0 };
    let flags = rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    let spool = rustix::fs::open(PLACE, flags, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).map_err(std::io::Error::from);
    let mut spool = Spool { file: File::from(spool.context(|| format!("make a file in {PLACE}"))?), stored: 0 };
    let mut start = [0; tar::BLOCK as usize];
    let n = content.read_some(&mut start)?;
    if n < start.len() {
        // Too short for an archive or a disk, but it may be a file that is named in the refusal.
        spool.put(0, &start[..n])?;
        spool.file.set_len(n as u64).context(|| format!("make a file in {PLACE} {n} bytes long"))?;
        return Ok((spool.file, n as u64));
    }
    let size = match tar::Member::decode(&start)? {
        None => {
            spool.put(0, &start)?;
            let mut at = start.len() as u64;
            let mut piece = vec![0; PIECE];
            loop {
                // Pieces begin at multiples of their size but the first, which is shorter.
                let n = content.read_some(&mut piece[..PIECE - at as usize % PIECE])?;
                if n == 0 {
                    break at;
                }
                if at > SIZE_MAX {
                    return Err(Error::integrity(format!("a disk of more than {SIZE_MAX} bytes")));
                }
                spool.put(at, &piece[..n])?;
                at += n as u64;
            }
        }
        Some(member) => {
            if member.size > SIZE_MAX {
                return Err(Error::integrity(format!("a disk of more than {SIZE_MAX} bytes")));
            }
            let parts = member.parts(&mut |block| content.read_exact(block))?;
            for (offset, length) in parts {
                let mut done = 0;
                let mut piece = vec![0; PIECE];
                while done < length {
                    let n = (PIECE as u64).min(length - done) as usize;
                    content.read_exact(&mut piece[..n])?;
                    spool.put(offset + done, &piece[..n])?;
                    done += n as u64;
                }
                let padding = length.next_multiple_of(tar::BLOCK) - length;
                content.read_exact(&mut vec![0; padding as usize])?;
            }
            // To the end, where the checksum is.
            while content.read_some(&mut [0; 4096])? > 0 {}
            member.size
        }
    };
    spool.file.set_len(size).context(|| format!("make a file in {PLACE} {size} bytes long"))?;
    Ok((spool.file, size))
}

struct Spool {
    file: File,
    stored: u64,
}

impl Spool {
    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        if bytes.iter().all(|&b| b == 0) {
            return Ok(());
        }
        self.stored += bytes.len() as u64;
        if self.stored > CONTENT_MAX {
            return Err(Error::integrity(format!("more than {CONTENT_MAX} bytes of content at offset {at} of the disk")));
        }
        self.file.write_all_at(bytes, at).context(|| format!("write to a file in {PLACE}"))
    }
}

/// The compressed file from its start to its end.
struct Sequential {
    disk: Disk,
    at: u64,
}

impl Read for Sequential {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = (self.disk.size - self.at).min(buffer.len() as u64) as usize;
        (self.disk.read)(self.at, &mut buffer[..n]).map_err(io::Error::other)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// The content, and how far it was read.
struct Counted<'a> {
    inner: Box<dyn Read + Send + 'a>,
    at: u64,
}

impl Counted<'_> {
    fn broken(&self, e: io::Error) -> Error {
        // The words of libzstd ("requires too much memory") and liblzma ("memory limit"): neither has a kind of its own for it.
        if e.to_string().contains("memory") {
            let error = Error::recipe(format!("decompressing it takes more than {} MiB of memory", LIMITS.memory >> 20)).source(e);
            return error.hint("decompress it first, with the program that made it");
        }
        let error = Error::integrity(format!("it does not decompress beyond offset {} of its content", self.at)).source(e);
        error.hint("the file was cut short or damaged: copy or download it again")
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.inner.read_exact(buffer).map_err(|e| self.broken(e))?;
        self.at += buffer.len() as u64;
        Ok(())
    }

    /// Less than the buffer holds only at the end.
    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.inner.read(&mut buffer[done..]).map_err(|e| self.broken(e))? {
                0 => break,
                n => done += n,
            }
        }
        self.at += done as u64;
        Ok(done)
    }
}
