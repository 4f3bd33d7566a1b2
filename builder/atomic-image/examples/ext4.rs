//! A directory as an ext4 filesystem in a file, as `mke2fs -d` makes one, but the same bytes for the same directory: `ext4 DIRECTORY IMAGE [LABEL]`.
//! Nothing is mounted. Owners and devices come out as they are, so run it as whoever may read them.

use disks::export::raw;
use filesystems::ext4;
use model::tree::{Attributes, Edit, FileTree, Inode, InodeId, NodeKind};
use model::{AtomicFile, Blob, Digest, Error, ImagePath, Result, ResultExt, Silent, SourceDateEpoch};
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let result = match words.as_slice() {
        [directory, image] => make(directory.as_ref(), image.as_ref(), "data"),
        [directory, image, label] => make(directory.as_ref(), image.as_ref(), label),
        _ => Err(Error::recipe("usage: ext4 DIRECTORY IMAGE [LABEL]")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn make(directory: &Path, image: &Path, label: &str) -> Result<()> {
    let mut scan = Scan::default();
    let root = directory.symlink_metadata().context(|| format!("read {}", directory.display()))?;
    scan.tree.inode_mut(FileTree::ROOT).attributes = scan.attributes(directory, &root)?;
    scan.directory(directory, &ImagePath::root())?;
    // Everything that mke2fs would ask the clock or the kernel's random numbers for follows from the label and the newest file.
    let epoch = SourceDateEpoch(u32::try_from(scan.newest).unwrap_or(u32::MAX));
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&Digest::of(label.as_bytes()).as_bytes()[..16]);
    // Version 4, variant 1 (RFC 9562), like any random one.
    (uuid[6], uuid[8]) = (uuid[6] & 0x0f | 0x40, uuid[8] & 0x3f | 0x80);
    let plan = ext4::plan(&scan.tree, &ext4::Options::new(label, uuid, epoch))?;
    let mut file = AtomicFile::create(image)?;
    raw::fill(&plan, file.file(), image, &Silent)?;
    file.commit_unsynced().map(drop)
}

/// A directory on its way into a tree. Contents stay where they are: the tree holds their paths.
#[derive(Default)]
struct Scan {
    tree: FileTree,
    /// By device and inode number, of files with several names.
    links: BTreeMap<(u64, u64), InodeId>,
    newest: i64,
}

impl Scan {
    fn directory(&mut self, host: &Path, inside: &ImagePath) -> Result<()> {
        let doing = || format!("read {}", host.display());
        for entry in std::fs::read_dir(host).context(doing)? {
            let entry = entry.context(doing)?;
            let (path, at) = (entry.path(), inside.join(entry.file_name().as_bytes())?);
            let metadata = entry.metadata().context(|| format!("read {}", path.display()))?;
            let number = (metadata.dev(), metadata.ino());
            if let Some(&known) = self.links.get(&number) {
                self.tree.link(&at, known)?;
                continue;
            }
            let inode = Inode { kind: kind(&path, &metadata)?, attributes: self.attributes(&path, &metadata)? };
            let id = self.tree.insert(&at, inode, Edit::Create)?;
            if metadata.is_dir() {
                self.directory(&path, &at)?;
            } else if metadata.nlink() > 1 {
                self.links.insert(number, id);
            }
        }
        Ok(())
    }

    fn attributes(&mut self, path: &Path, metadata: &Metadata) -> Result<Attributes> {
        self.newest = self.newest.max(metadata.mtime());
        Ok(Attributes {
            mode: (metadata.mode() & 0o7777) as u16,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mtime: metadata.mtime(),
            mtime_nanoseconds: metadata.mtime_nsec() as u32,
            xattrs: xattrs(path)?,
            immutable: false,
        })
    }
}

fn kind(path: &Path, metadata: &Metadata) -> Result<NodeKind> {
    let device = || (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
    let kind = metadata.file_type();
    Ok(if kind.is_dir() {
        NodeKind::Directory(BTreeMap::new())
    } else if kind.is_symlink() {
        let target = std::fs::read_link(path).context(|| format!("read {}", path.display()))?;
        NodeKind::Symlink(target.as_os_str().as_bytes().into())
    } else if kind.is_char_device() {
        let (major, minor) = device();
        NodeKind::CharDevice { major, minor }
    } else if kind.is_block_device() {
        let (major, minor) = device();
        NodeKind::BlockDevice { major, minor }
    } else if kind.is_fifo() {
        NodeKind::Fifo
    } else if kind.is_socket() {
        NodeKind::Socket
    } else {
        NodeKind::File(Blob::Unopened { path: path.into(), offset: 0, len: metadata.len() })
    })
}

type Xattrs = BTreeMap<Box<[u8]>, Box<[u8]>>;

fn xattrs(path: &Path) -> Result<Xattrs> {
    let failed = |error: rustix::io::Errno| {
        Error::internal(format!("read the attributes of {}", path.display())).source(std::io::Error::from(error))
    };
    let mut names = vec![0; 64 << 10];
    let length = match rustix::fs::llistxattr(path, &mut names[..]) {
        // A file system without attributes.
        Err(rustix::io::Errno::NOTSUP) => 0,
        length => length.map_err(failed)?,
    };
    let mut out = Xattrs::new();
    for name in names[..length].split(|&b| b == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::lgetxattr(path, std::ffi::OsStr::from_bytes(name), &mut value[..]).map_err(failed)?;
        value.truncate(length);
        out.insert(name.into(), value.into());
    }
    Ok(out)
}
