//! Inodes in an arena; names live in directories. Two names for one inode are a hard link.

use crate::{Blob, SourceDateEpoch};
use std::collections::BTreeMap;

/// Index into the arena of one tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(pub(in crate::tree) u32);

impl InodeId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug, Clone)]
pub enum NodeKind {
    /// Names in byte order.
    Directory(BTreeMap<Box<[u8]>, InodeId>),
    File(Blob),
    /// The target as written; never followed by this program.
    Symlink(Box<[u8]>),
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
    Socket,
}

impl NodeKind {
    pub fn name(&self) -> &'static str {
        match self {
            NodeKind::Directory(_) => "directory",
            NodeKind::File(_) => "file",
            NodeKind::Symlink(_) => "symlink",
            NodeKind::CharDevice { .. } => "character device",
            NodeKind::BlockDevice { .. } => "block device",
            NodeKind::Fifo => "fifo",
            NodeKind::Socket => "socket",
        }
    }

    /// The S_IFMT bits.
    pub fn type_bits(&self) -> u32 {
        match self {
            NodeKind::Directory(_) => 0o040_000,
            NodeKind::File(_) => 0o100_000,
            NodeKind::Symlink(_) => 0o120_000,
            NodeKind::CharDevice { .. } => 0o020_000,
            NodeKind::BlockDevice { .. } => 0o060_000,
            NodeKind::Fifo => 0o010_000,
            NodeKind::Socket => 0o140_000,
        }
    }
}

/// Everything that is stat-like and not the kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Permission bits with setuid, setgid and sticky: at most 0o7777.
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970 UTC.
    pub mtime: i64,
    /// Of the second that `mtime` names: at most 999,999,999. RPM and OSTree know none.
    pub mtime_nanoseconds: u32,
    /// Full names ("security.capability"), in byte order.
    pub xattrs: BTreeMap<Box<[u8]>, Box<[u8]>>,
    /// chattr +i.
    pub immutable: bool,
}

impl Attributes {
    /// Owned by root, mtime 0, no xattrs.
    pub fn root(mode: u16) -> Self {
        Attributes { mode, ..Attributes::default() }
    }

    /// Owned by root, of the time that everything made by the builder has, no xattrs.
    pub fn at(epoch: SourceDateEpoch, mode: u16) -> Self {
        Attributes { mtime: i64::from(epoch.0), ..Attributes::root(mode) }
    }
}

#[derive(Debug, Clone)]
pub struct Inode {
    pub kind: NodeKind,
    pub attributes: Attributes,
}

impl Inode {
    pub fn directory(attributes: Attributes) -> Self {
        Inode { kind: NodeKind::Directory(BTreeMap::new()), attributes }
    }

    pub fn file(content: impl Into<Blob>, attributes: Attributes) -> Self {
        Inode { kind: NodeKind::File(content.into()), attributes }
    }

    pub fn symlink(target: impl AsRef<[u8]>) -> Self {
        Inode { kind: NodeKind::Symlink(target.as_ref().into()), attributes: Attributes::root(0o777) }
    }

    pub fn is_directory(&self) -> bool {
        matches!(self.kind, NodeKind::Directory(_))
    }

    /// Kind and permission bits together, as in `st_mode`.
    pub fn st_mode(&self) -> u32 {
        self.kind.type_bits() | u32::from(self.attributes.mode)
    }
}

/// A directory tree. Removed inodes stay in the arena, unreachable; walks never meet them.
#[derive(Debug, Clone)]
pub struct FileTree {
    pub(in crate::tree) inodes: Vec<Inode>,
}

impl FileTree {
    pub const ROOT: InodeId = InodeId(0);

    /// An empty root directory, 0755 root:root.
    pub fn new() -> Self {
        FileTree { inodes: vec![Inode::directory(Attributes::root(0o755))] }
    }

    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.index()]
    }

    pub fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        &mut self.inodes[id.index()]
    }

    /// Upper bound of `InodeId::index`, for side tables.
    pub fn arena_len(&self) -> usize {
        self.inodes.len()
    }

    /// The children in byte order of their names; empty for anything but a directory.
    pub fn children(&self, id: InodeId) -> impl ExactSizeIterator<Item = (&[u8], InodeId)> {
        static NONE: BTreeMap<Box<[u8]>, InodeId> = BTreeMap::new();
        let names = if let NodeKind::Directory(names) = &self.inode(id).kind { names } else { &NONE };
        names.iter().map(|(name, &child)| (&**name, child))
    }

    pub fn child(&self, directory: InodeId, name: &[u8]) -> Option<InodeId> {
        match &self.inode(directory).kind {
            NodeKind::Directory(names) => names.get(name).copied(),
            _ => None,
        }
    }
}

impl Default for FileTree {
    fn default() -> Self {
        Self::new()
    }
}
