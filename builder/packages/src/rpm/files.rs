//! The file list of a main header: parallel arrays, one value a file.

use super::capabilities;
use super::file_digest::FileDigest;
use super::header::Header;
use super::tags;
use model::{Digest, Error, ImagePath, OptionJudged, Result, ResultExt};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// RPMFILE_ attributes (rpm, `rpmfiles.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FileFlags(pub u32);

impl FileFlags {
    pub fn is_config(self) -> bool {
        self.0 & 1 != 0
    }
    pub fn is_doc(self) -> bool {
        self.0 & 1 << 1 != 0
    }
    pub fn is_missing_ok(self) -> bool {
        self.0 & 1 << 3 != 0
    }
    pub fn is_noreplace(self) -> bool {
        self.0 & 1 << 4 != 0
    }
    /// Owned by the package, but not in its payload.
    pub fn is_ghost(self) -> bool {
        self.0 & 1 << 6 != 0
    }
    pub fn is_license(self) -> bool {
        self.0 & 1 << 7 != 0
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileKind {
    File,
    Directory,
    Symlink { target: Vec<u8> },
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Fifo,
    Socket,
}

impl FileKind {
    /// The S_IFMT bits.
    pub fn type_bits(&self) -> u32 {
        match self {
            FileKind::File => 0o100_000,
            FileKind::Directory => 0o040_000,
            FileKind::Symlink { .. } => 0o120_000,
            FileKind::CharDevice { .. } => 0o020_000,
            FileKind::BlockDevice { .. } => 0o060_000,
            FileKind::Fifo => 0o010_000,
            FileKind::Socket => 0o140_000,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    pub path: ImagePath,
    pub kind: FileKind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u16,
    pub user: String,
    pub group: String,
    /// In bytes, as the header says.
    pub size: u64,
    /// Seconds since 1970 UTC.
    pub mtime: u32,
    pub flags: FileFlags,
    /// Of the contents; `None` for all but regular files.
    pub digest: Option<FileDigest>,
    /// The value of the xattr security.capability.
    pub capability: Option<Vec<u8>>,
    /// Files of one group are names of one inode; the number is that of its last file.
    pub link_group: Option<u32>,
    /// 1 for a 32-bit ELF file, 2 for a 64-bit one, 0 for anything else: who of two packages has the file, where both may be installed.
    pub color: u8,
}

/// The upper bound of all paths' bytes, as a multiple of the header's size; a header takes about 100 bytes for each file beside its name.
const PATH_AMPLIFICATION_MAX: usize = 64;
/// Bytes of all paths together.
const PATHS_MAX: usize = 64 << 20;
/// The packages with the most, of kernel sources and debug information, have about 100,000.
const FILES_MAX: usize = 1 << 18;

pub(super) fn read(header: &Header, is_source: bool) -> Result<Vec<FileEntry>> {
    let paths = paths(header, is_source)?;
    let count = paths.len();
    if count == 0 {
        return Ok(Vec::new());
    }
    let modes = complete(header.u16s(tags::FILE_MODES)?, count, "modes")?;
    let sizes = match header.u64s(tags::LONG_FILE_SIZES)? {
        Some(sizes) => complete(Some(sizes), count, "long sizes")?,
        None => complete(header.u32s(tags::FILE_SIZES)?, count, "sizes")?.into_iter().map(u64::from).collect(),
    };
    let mtimes = complete(header.u32s(tags::FILE_MTIMES)?, count, "mtimes")?;
    let users = complete(header.strings(tags::FILE_USERS)?, count, "users")?;
    let groups = complete(header.strings(tags::FILE_GROUPS)?, count, "groups")?;
    let targets = optional(header.strings(tags::FILE_LINKTOS)?, count, "link targets")?;
    let flags = optional(header.u32s(tags::FILE_FLAGS)?, count, "flags")?;
    let digests = optional(header.strings(tags::FILE_DIGESTS)?, count, "digests")?;
    let rdevs = optional(header.u16s(tags::FILE_RDEVS)?, count, "device numbers")?;
    let colors = optional(header.u32s(tags::FILE_COLORS)?, count, "colours")?;
    let caps = optional(header.strings(tags::FILE_CAPS)?, count, "capabilities")?;
    // Without the tag, MD5.
    let algorithm = header.number(tags::FILE_DIGEST_ALGO)?.unwrap_or(1);

    let mut files = Vec::with_capacity(count);
    for (i, path) in paths.into_iter().enumerate() {
        let bad = |why: String| Error::integrity(format!("file {path}: {why}"));
        let mode = modes[i];
        let rdev = rdevs.as_ref().map_or(0, |rdevs| u32::from(rdevs[i]));
        let (major, minor) = (rdev >> 8, rdev & 0xff);
        let kind = match mode & 0o170_000 {
            0o100_000 => FileKind::File,
            0o040_000 => FileKind::Directory,
            0o120_000 => {
                let target = targets.as_ref().map_or(&b""[..], |targets| targets[i]);
                if target.is_empty() || target.len() > ImagePath::MAX {
                    return Err(bad(format!("expected a link target of 1 to {} bytes, found {}", ImagePath::MAX, target.len())));
                }
                FileKind::Symlink { target: target.to_vec() }
            }
            0o020_000 => FileKind::CharDevice { major, minor },
            0o060_000 => FileKind::BlockDevice { major, minor },
            0o010_000 => FileKind::Fifo,
            0o140_000 => FileKind::Socket,
            _ => return Err(bad(format!("unknown file type in mode {mode:o}"))),
        };
        let owner = |name: &[u8]| String::from_utf8(name.to_vec()).map_err(|_| bad("an owner's name that is not UTF-8".into()));
        let digest = match &digests {
            Some(digests) if kind == FileKind::File && !digests[i].is_empty() => {
                let hex = String::from_utf8_lossy(digests[i]).into_owned();
                Some(match algorithm {
                    8 => FileDigest::Sha256(Digest::parse(&hex).context(|| format!("file {path}"))?),
                    _ => FileDigest::Other { algorithm, hex },
                })
            }
            _ => None,
        };
        let capability = match &caps {
            Some(caps) if kind == FileKind::File && !caps[i].is_empty() => {
                capabilities::encode(&String::from_utf8_lossy(caps[i])).context(|| format!("file {path}"))?
            }
            _ => None,
        };
        files.push(FileEntry {
            kind,
            mode: mode & 0o7777,
            user: owner(users[i])?,
            group: owner(groups[i])?,
            size: sizes[i],
            mtime: mtimes[i],
            flags: FileFlags(flags.as_ref().map_or(0, |flags| flags[i])),
            digest,
            capability,
            link_group: None,
            // rpm's own colours take two bits; a third is for MIPS.
            color: colors.as_ref().map_or(0, |colors| (colors[i] & 0xff) as u8),
            path,
        });
    }
    group_links(header, &mut files)?;
    Ok(files)
}

fn complete<T>(values: Option<Vec<T>>, count: usize, what: &str) -> Result<Vec<T>> {
    optional(values, count, what)?.ok_or_else(|| Error::integrity(format!("{count} files, but no {what}")))
}

fn optional<T>(values: Option<Vec<T>>, count: usize, what: &str) -> Result<Option<Vec<T>>> {
    match &values {
        Some(values) if values.len() != count => Err(Error::integrity(format!("{count} files, but {} {what}", values.len()))),
        _ => Ok(values),
    }
}

fn few_enough(count: usize) -> Result<()> {
    if count > FILES_MAX { Err(Error::integrity(format!("expected at most {FILES_MAX} files, found {count}"))) } else { Ok(()) }
}

fn paths(header: &Header, is_source: bool) -> Result<Vec<ImagePath>> {
    let Some(basenames) = header.strings(tags::BASENAMES)? else {
        // rpm 3.
        let names = header.strings(tags::OLD_FILENAMES)?.default_because("a header without the tag has no files in the old form");
        few_enough(names.len())?;
        return names.into_iter().map(ImagePath::parse).collect();
    };
    few_enough(basenames.len())?;
    let dirnames = header.strings(tags::DIRNAMES)?.default_because("a header without the tag has no directories");
    let indexes = complete(header.u32s(tags::DIR_INDEXES)?, basenames.len(), "directory indexes")?;
    let budget = header.bytes().len().saturating_mul(PATH_AMPLIFICATION_MAX).min(PATHS_MAX);
    let mut total = 0;
    let mut paths = Vec::with_capacity(basenames.len());
    for (base, index) in basenames.into_iter().zip(indexes) {
        let directory = *dirnames
            .get(index as usize)
            .ok_or_else(|| Error::integrity(format!("directory index {index} of {} directories", dirnames.len())))?;
        if base.contains(&b'/') {
            return Err(Error::integrity(format!("a slash in the base name {:?}", String::from_utf8_lossy(base))));
        }
        // A source package's files have no directory.
        if !is_source && !directory.starts_with(b"/") {
            return Err(Error::integrity(format!("expected an absolute directory, found {:?}", String::from_utf8_lossy(directory))));
        }
        total += directory.len() + base.len();
        if total > budget {
            return Err(Error::integrity(format!("the paths of a header of {} bytes take more than {budget} bytes", header.bytes().len())));
        }
        paths.push(ImagePath::parse([directory, b"/", base].concat())?);
    }
    Ok(paths)
}

/// Regular files with one device and inode are hard links, ghosts apart, as in rpm's `rpmfilesBuildNLink`.
fn group_links(header: &Header, files: &mut [FileEntry]) -> Result<()> {
    let devices = optional(header.u32s(tags::FILE_DEVICES)?, files.len(), "devices")?;
    let inodes = optional(header.u32s(tags::FILE_INODES)?, files.len(), "inodes")?;
    let (Some(devices), Some(inodes)) = (devices, inodes) else { return Ok(()) };
    let mut groups: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
    for (i, file) in files.iter().enumerate() {
        if file.kind == FileKind::File && !file.flags.is_ghost() {
            groups.entry((devices[i], inodes[i])).or_default().push(i);
        }
    }
    for members in groups.into_values().filter(|members| members.len() > 1) {
        let last = members[members.len() - 1];
        for i in members {
            if files[i].size != files[last].size {
                return Err(Error::integrity(format!("{} and {} are hard links of different sizes", files[i].path, files[last].path)));
            }
            files[i].link_group = Some(last as u32);
        }
    }
    Ok(())
}
