//! The index of a pack: everything about a package but its contents, and what proves those.
//!
//! | offset | bytes | what |
//! |--:|--:|---|
//! | 0 | 8 | magic "aipack" and a u16 format version, big-endian |
//! | 8 | 8 | length n of the index, little-endian |
//! | 16 | n | postcard of [`PackIndex`] |
//! | 16 + n | 32 | SHA-256 of all before: the index's digest |
//! | 48 + n | | postcard of the signer, or of none |
//! | last 32 | 32 | SHA-256 of all before |

use super::Signer;
use model::{BLOCK, Digest, Error, ImagePath, Result, ResultJudged};
use packages::rpm::{FileFlags, FileKind, Metadata, Scriptlet, Trigger};
use serde::{Deserialize, Serialize};

/// Raised whenever the encoding or the layout of packs changes: older ones are then imported anew.
pub(super) const MAGIC: &[u8; 8] = b"aipack\x00\x05";
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

/// A header of the package in the pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PackedHeader {
    /// In the pack, in bytes.
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) digest: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PackIndex {
    /// SHA-256 of the package that the pack was made from.
    pub(super) package: Digest,
    /// Of the `.pack` beside it, in bytes.
    pub(super) pack_len: u64,
    /// CRC-32C of each 4 KiB of the pack, little-endian.
    pub(super) blocks: Vec<u8>,
    /// The signature header and the main header, as in the package.
    pub(super) headers: [PackedHeader; 2],
    pub(super) metadata: Metadata,
    pub(super) scriptlets: Vec<Scriptlet>,
    pub(super) triggers: Vec<Trigger>,
    pub(super) entries: Vec<PackEntry>,
}

/// An index file that is whole; whether it is ours is for [`Facts`](model::Facts) to say.
pub(super) struct IndexFile {
    pub(super) index: PackIndex,
    /// Of the index alone.
    pub(super) digest: Digest,
    /// Who signed, when someone asked; kept for those who ask again.
    pub(super) signer: Option<Signer>,
    /// Of index and signer.
    pub(super) signed_digest: Digest,
}

impl IndexFile {
    /// The bytes of the file, the digest of the index, and that of index and signer.
    pub(super) fn encode(index: &PackIndex, signer: Option<&Signer>) -> Result<(Vec<u8>, Digest, Digest)> {
        let failed = |e: postcard::Error| Error::internal("encode a pack's index").source(e);
        let encoded = postcard::to_stdvec(index).map_err(failed)?;
        let mut bytes = [MAGIC.as_slice(), &(encoded.len() as u64).to_le_bytes(), &encoded].concat();
        let digest = Digest::of(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        let mut bytes = postcard::to_extend(&signer, bytes).map_err(failed)?;
        let signed_digest = Digest::of(&bytes);
        bytes.extend_from_slice(signed_digest.as_bytes());
        Ok((bytes, digest, signed_digest))
    }

    /// `None` for a file that is damaged, cut short or of another version.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (body, signed_digest) = bytes.split_last_chunk::<DIGEST_SIZE>()?;
        let rest = body.strip_prefix(MAGIC)?;
        let (length, rest) = rest.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).none_because("an index whose lengths do not fit is damaged")?;
        let (encoded, rest) = rest.split_at_checked(length)?;
        let (digest, signer) = rest.split_first_chunk::<DIGEST_SIZE>()?;
        let (head, _) = body.split_at_checked(MAGIC.len() + 8 + length)?;
        if Digest::of(head).as_bytes() != digest || Digest::of(body).as_bytes() != signed_digest {
            return None;
        }
        let index: PackIndex = postcard::from_bytes(encoded).none_because("an index that cannot be decoded is damaged")?;
        let signer = postcard::from_bytes(signer).none_because("an index that cannot be decoded is damaged")?;
        let [digest, signed_digest] = [digest, signed_digest].map(|bytes| Digest::from_bytes(*bytes));
        index.is_consistent().then_some(IndexFile { index, digest, signer, signed_digest })
    }
}

impl PackIndex {
    /// Whether all that it names lies in the pack where contents may lie.
    fn is_consistent(&self) -> bool {
        let fits = |offset: u64, len: u64| offset.is_multiple_of(BLOCK) && offset.checked_add(len).is_some_and(|end| end <= self.pack_len);
        self.pack_len.is_multiple_of(BLOCK)
            && self.blocks.len() as u64 == self.pack_len / BLOCK * 4
            && self.entries.iter().all(|e| fits(e.offset, e.size) && (e.size == 0 || e.digest.is_some()))
            && self.headers.iter().all(|h| fits(h.offset, h.len))
    }

    pub(super) fn block_sums(&self) -> Vec<u32> {
        let (sums, _) = self.blocks.as_chunks::<4>();
        sums.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
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
