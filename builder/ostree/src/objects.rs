//! Names of objects: one type per kind, so that no digest stands in for another.

use model::{Digest, Result};
use std::fmt;

/// What the file name's extension says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    Commit,
    DirTree,
    DirMeta,
    /// Content with the metadata on the inode, in a bare repository.
    File,
    /// Content compressed behind a header, in an archive repository.
    ArchiveFile,
}

impl ObjectKind {
    pub fn extension(self) -> &'static str {
        match self {
            ObjectKind::Commit => "commit",
            ObjectKind::DirTree => "dirtree",
            ObjectKind::DirMeta => "dirmeta",
            ObjectKind::File => "file",
            ObjectKind::ArchiveFile => "filez",
        }
    }

    /// `objects/ab/cdef….extension`, relative to the repository.
    pub fn path(self, digest: Digest) -> String {
        let hex = digest.to_string();
        let (folder, rest) = hex.split_at(2);
        format!("objects/{folder}/{rest}.{}", self.extension())
    }
}

macro_rules! id {
    ($name:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Digest);

        impl $name {
            pub const fn new(digest: Digest) -> Self {
                $name(digest)
            }

            pub fn parse(text: &str) -> Result<Self> {
                Digest::parse(text).map($name)
            }

            pub fn digest(self) -> Digest {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(CommitId, "Names a commit, and with it a whole tree.");
id!(DirtreeId, "Names a directory's list of names.");
id!(DirmetaId, "Names a directory's owner, mode and xattrs.");
id!(ContentId, "Names a file's or symlink's bytes and metadata.");
