//! A .deb (deb(5)): an ar archive of `debian-binary`, `control.tar` and `data.tar`, the tars bare or compressed with gzip, xz or zstd.
//!
//! Refused: another format version, `..` in paths, sparse files, paths that are not UTF-8 (RPM's headers hold text), tars that are implausibly
//! longer than the package.

use super::ar;
use model::{Error, ImagePath, Result, ResultExt, ResultJudged};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Read;
use std::rc::Rc;

/// Bytes of one uncompressed data.tar. The biggest package of the archive unpacks to about 3 GiB.
const MAX_CONTENTS: u64 = 8 << 30;
/// Bytes of one uncompressed control.tar.
const MAX_CONTROL: u64 = 64 << 20;
/// A tar may be so many times as long as the package, beyond 64 MiB: real ones stay below 20 times.
const TAR_FACTOR: u64 = 64;
const TAR_FLOOR: u64 = 64 << 20;
/// Bytes of the headers of one entry, long names and pax records among them: `tar` keeps them in memory.
const HEADERS_MAX: u64 = 1 << 20;
/// Memory of the xz decoder: `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    File(Vec<u8>),
    Directory,
    Symlink(String),
    /// Another name of the file at this path, which comes before.
    HardLink(ImagePath),
    CharacterDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
}

/// One path of data.tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub path: ImagePath,
    pub kind: EntryKind,
    /// Permission bits, setuid, setgid and sticky among them.
    pub mode: u16,
    pub user: String,
    pub group: String,
    /// Seconds since 1970.
    pub mtime: u64,
}

/// A whole package in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deb {
    /// `control`, `conffiles`, `postinst` ... by name.
    pub control: BTreeMap<String, Vec<u8>>,
    /// In the order of the archive; without the root directory.
    pub entries: Vec<Entry>,
}

impl Deb {
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let members = ar::members(bytes)?;
        let [binary, rest @ ..] = members.as_slice() else {
            return Err(Error::integrity("empty ar archive: no debian-binary"));
        };
        if binary.name != "debian-binary" || !binary.data.starts_with(b"2.") {
            return Err(Error::integrity("not a .deb of format 2: the first member is not debian-binary with 2.x"));
        }
        let find = |stem: &str| {
            rest.iter()
                .find(|m| m.name.strip_prefix(stem).is_some_and(|s| s.is_empty() || s.starts_with('.')))
                .ok_or_else(|| Error::integrity(format!("no {stem} in the .deb")))
        };
        let control = find("control.tar")?;
        let data = find("data.tar")?;
        Ok(Deb {
            control: read_control(metered(control, bytes.len(), MAX_CONTROL)?).context(|| control.name.to_owned())?,
            entries: read_data(metered(data, bytes.len(), MAX_CONTENTS)?).context(|| data.name.to_owned())?,
        })
    }
}

/// A reader of uncompressed bytes; the name's suffix says the compression.
pub fn decompress<'a>(name: &str, data: &'a [u8]) -> Result<Box<dyn Read + 'a>> {
    Ok(match name.rsplit_once('.').map_or("", |(_, suffix)| suffix) {
        "xz" => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)
                .map_err(|e| Error::internal("xz decoder").source(e))?;
            Box::new(liblzma::read::XzDecoder::new_stream(data, stream))
        }
        "zst" => Box::new(zstd::stream::read::Decoder::with_buffer(data).context(|| "zstd decoder")?),
        "gz" => Box::new(flate2::read::MultiGzDecoder::new(data)),
        "tar" | "" => Box::new(data),
        other => return Err(Error::integrity(format!("{name}: expected compression gz, xz, zst or none, found {other:?}"))),
    })
}

fn metered<'a>(member: &ar::Member<'a>, package: usize, most: u64) -> Result<Metered<Box<dyn Read + 'a>>> {
    let limit = (package as u64).saturating_mul(TAR_FACTOR).saturating_add(TAR_FLOOR).min(most);
    Ok(Metered { inner: decompress(member.name, member.data)?, total: limit, limit, part: Rc::new(Cell::new(HEADERS_MAX)) })
}

/// A tar that ends with an error where it, or a part of it, is longer than it may be.
struct Metered<R> {
    inner: R,
    /// Bytes left of `limit`.
    total: u64,
    limit: u64,
    /// Bytes left of the entry's headers or of its contents, whichever is being read.
    part: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        let fault =
            |what: &str, most: u64| std::io::Error::new(std::io::ErrorKind::InvalidData, format!("{what} of more than {most} bytes"));
        self.total = self.total.checked_sub(n as u64).ok_or_else(|| fault("a tar", self.limit))?;
        self.part.set(self.part.get().checked_sub(n as u64).ok_or_else(|| fault("an entry's headers", HEADERS_MAX))?);
        Ok(n)
    }
}

/// Bytes that an entry's contents take with their padding, as far as the entry says.
fn padded(size: u64) -> u64 {
    size.saturating_add(511)
}

/// An I/O error while decoding bytes from outside is a fault of the bytes.
fn corrupt(doing: &str, error: std::io::Error) -> Error {
    Error::integrity(doing.to_owned()).source(error)
}

fn read_control(tar: Metered<impl Read>) -> Result<BTreeMap<String, Vec<u8>>> {
    let part = tar.part.clone();
    let mut archive = tar::Archive::new(tar);
    let mut files = BTreeMap::new();
    for entry in archive.entries().map_err(|e| corrupt("read", e))? {
        let mut entry = entry.map_err(|e| corrupt("read an entry", e))?;
        part.set(HEADERS_MAX);
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = ImagePath::parse(entry.path_bytes())?;
        part.set(padded(entry.size()));
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|e| corrupt(&format!("read {path}"), e))?;
        part.set(HEADERS_MAX);
        files.insert(path.to_string().trim_start_matches('/').to_owned(), bytes);
    }
    Ok(files)
}

fn read_data(tar: Metered<impl Read>) -> Result<Vec<Entry>> {
    let part = tar.part.clone();
    let mut archive = tar::Archive::new(tar);
    let mut entries = Vec::new();
    for entry in archive.entries().map_err(|e| corrupt("read", e))? {
        let mut entry = entry.map_err(|e| corrupt("read an entry", e))?;
        part.set(HEADERS_MAX);
        let path = ImagePath::parse(entry.path_bytes())?;
        if std::str::from_utf8(path.as_bytes()).is_err() {
            return Err(Error::integrity(format!("{path}: a path that is not UTF-8")));
        }
        if path == ImagePath::root() {
            continue;
        }
        let header = entry.header().clone();
        let number = |what: &str, value: std::io::Result<u64>| value.map_err(|e| corrupt(&format!("{path}: {what}"), e));
        let device = || -> Result<(u32, u32)> {
            let major = header.device_major().map_err(|e| corrupt(&format!("{path}: device"), e))?;
            let minor = header.device_minor().map_err(|e| corrupt(&format!("{path}: device"), e))?;
            Ok((major.unwrap_or(0), minor.unwrap_or(0)))
        };
        let link = |entry: &tar::Entry<'_, _>| -> Result<String> {
            let target = entry
                .link_name_bytes()
                .filter(|t| !t.is_empty())
                .ok_or_else(|| Error::integrity(format!("{path}: a link without a target")))?;
            String::from_utf8(target.into_owned()).map_err(|_| Error::integrity(format!("{path}: a link target that is not UTF-8")))
        };
        let kind = match header.entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                let size = entry.size();
                part.set(padded(size));
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(|e| corrupt(&format!("read {path}"), e))?;
                if bytes.len() as u64 != size {
                    return Err(Error::integrity(format!("{path}: expected {size} bytes, found {}", bytes.len())));
                }
                part.set(HEADERS_MAX);
                EntryKind::File(bytes)
            }
            tar::EntryType::Directory => EntryKind::Directory,
            tar::EntryType::Symlink => EntryKind::Symlink(link(&entry)?),
            tar::EntryType::Link => EntryKind::HardLink(ImagePath::parse(link(&entry)?)?),
            tar::EntryType::Char => device().map(|(major, minor)| EntryKind::CharacterDevice(major, minor))?,
            tar::EntryType::Block => device().map(|(major, minor)| EntryKind::BlockDevice(major, minor))?,
            tar::EntryType::Fifo => EntryKind::Fifo,
            other => return Err(Error::integrity(format!("{path}: a tar entry of type {other:?}"))),
        };
        // A name in the archive wins over the number, as dpkg has it; number 0 is root everywhere.
        let owner = |name: Option<&[u8]>, id: u64| match name
            .and_then(|n| std::str::from_utf8(n).none_because("a name that is not UTF-8 is no account's, the number stands"))
            .filter(|n| !n.is_empty())
        {
            Some(name) => name.to_owned(),
            None if id == 0 => "root".to_owned(),
            None => id.to_string(),
        };
        let (uid, gid) = (number("owner", header.uid())?, number("group", header.gid())?);
        let mode = header.mode().map_err(|e| corrupt(&format!("{path}: mode"), e))?;
        entries.push(Entry {
            kind,
            mode: (mode & 0o7777) as u16,
            user: owner(header.username_bytes(), uid),
            group: owner(header.groupname_bytes(), gid),
            mtime: number("mtime", header.mtime())?,
            path,
        });
    }
    Ok(entries)
}
