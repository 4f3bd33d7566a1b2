//! The index of a pack: everything about a package but its contents.
//!
//! `0` magic "aipack" and a u16 format version, big-endian · `8` postcard of [`PackIndex`] · last 32 bytes: SHA-256 of all before.

use super::Signer;
use crate::base::{Digest, Error, ImagePath, Result};
use crate::formats::rpm::{FileFlags, FileKind, Metadata, Scriptlet, Trigger};
use serde::{Deserialize, Serialize};

/// Raised whenever the encoding changes: older indexes are then imported anew.
const MAGIC: &[u8; 8] = b"aipack\x00\x05";
const DIGEST_SIZE: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackEntry {
    #[serde(with = "path_bytes")]
    pub path: ImagePath,
    pub kind: FileKind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u16,
    pub user: String,
    pub group: String,
    /// Seconds since 1970 UTC.
    pub mtime: u32,
    /// Bytes of contents in the pack; 0 for all but regular files, and for ghosts.
    pub size: u64,
    /// Of the contents in the pack, a multiple of 4 KiB; 0 if there are none.
    pub offset: u64,
    /// Of the contents; `None` for all but regular files, and for ghosts.
    pub digest: Option<Digest>,
    /// The value of the xattr security.capability.
    pub capability: Option<Vec<u8>>,
    pub flags: FileFlags,
    /// Entries with the same number are names of one inode.
    pub link_group: Option<u32>,
    /// As in the package: 1 for a 32-bit ELF file, 2 for a 64-bit one.
    pub color: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PackIndex {
    /// Of the `.pack` beside it, in bytes.
    pub(super) pack_len: u64,
    /// Where in the pack the signature header and the main header are, as in the package: offset and length in bytes of each.
    pub(super) headers: [(u64, u64); 2],
    /// Who signed, when someone asked; kept for those who ask again.
    pub(super) signer: Option<Signer>,
    pub(super) metadata: Metadata,
    pub(super) scriptlets: Vec<Scriptlet>,
    pub(super) triggers: Vec<Trigger>,
    pub(super) entries: Vec<PackEntry>,
}

impl PackIndex {
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = postcard::to_extend(self, MAGIC.to_vec()).map_err(|e| Error::internal("encode a pack's index").source(e))?;
        bytes.extend_from_slice(Digest::of(&bytes).as_bytes());
        Ok(bytes)
    }

    /// `None` for an index that is damaged, cut short or of another version.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, digest) = bytes.split_at_checked(bytes.len().checked_sub(DIGEST_SIZE)?)?;
        let payload = body.strip_prefix(MAGIC)?;
        if Digest::of(body).as_bytes() != digest {
            return None;
        }
        let index: PackIndex = postcard::from_bytes(payload).ok()?;
        let fits = |offset: u64, len: u64| offset.checked_add(len).is_some_and(|end| end <= index.pack_len);
        let whole = index.entries.iter().all(|e| fits(e.offset, e.size)) && index.headers.iter().all(|&(offset, len)| fits(offset, len));
        whole.then_some(index)
    }
}

mod path_bytes {
    use super::ImagePath;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(path: &ImagePath, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(path.as_bytes())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<ImagePath, D::Error> {
        ImagePath::parse(<&[u8]>::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}
