//! How each new file travels: as a patch of an old one, as a copy of an old one that has other attributes, or whole.

use super::patch::patch;
use super::similar::OldFile;
use super::{DeltaOptions, Packing};
use crate::format::ArchiveHeader;
use crate::{ObjectKind, Store};
use model::{Digest, Error, ImagePath, Result, ResultExt};

/// A file or symlink that the new commit has and the old one lacks.
#[derive(Debug, Clone)]
pub struct NewContent {
    pub digest: Digest,
    pub header: ArchiveHeader,
    /// One of its names.
    pub path: ImagePath,
    /// Bytes of its object's file.
    pub packed: u64,
    pub old: Option<OldFile>,
}

pub enum Sending {
    Whole(Packing),
    Copy(OldFile),
    Patch {
        old: OldFile,
        patch: PackedPatch,
    },
    /// Too large for a part: fetched as an object.
    Fallback,
}

/// A patch while it waits for its part. It is as long as the new file, and mostly zeros.
pub struct PackedPatch {
    zstd: Vec<u8>,
    length: usize,
}

/// For comparing sizes, and for patches that wait.
const ZSTD_LEVEL: i32 = 3;
/// What a patch takes in a part besides its stream: the old file's digest, and numbers.
const PATCH_OVERHEAD: u64 = 48;
/// A patch that is so much smaller than the object's deflated file is smaller than whatever xz would make of that.
const SURELY_SMALLER: u64 = 3;
/// A file of which deflate leaves so many of 100 parts is compressed already.
const COMPRESSED_PERCENT: u64 = 97;
/// Places of a compressed file that are looked for in the old one, and the bytes at each. So many must be found: then most of both files is equal, as in
/// archives whose compressor begins anew every so often, and a patch is worth its time.
const SAMPLES: usize = 64;
const SAMPLE: usize = 8;
const ENOUGH_SAMPLES: usize = 16;
/// What compressed files begin with: gzip, xz, zstd, bzip2, zip, PNG.
const COMPRESSED: [&[u8]; 6] = [b"\x1f\x8b", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"BZh", b"PK\x03\x04", b"\x89PNG"];
/// Offset of e_machine in an ELF header, and its values for x86 and x86-64.
const ELF_MACHINE: usize = 18;
const X86: [u16; 2] = [3, 62];

impl PackedPatch {
    fn of(stream: &[u8]) -> Result<PackedPatch> {
        let zstd = zstd::bulk::compress(stream, ZSTD_LEVEL).context(|| format!("compress a patch of {} bytes", stream.len()))?;
        Ok(PackedPatch { zstd, length: stream.len() })
    }

    pub fn stream(&self) -> Result<Vec<u8>> {
        zstd::bulk::decompress(&self.zstd, self.length).context(|| format!("decompress a patch of {} bytes", self.length))
    }
}

impl NewContent {
    /// Memory that deciding takes, in bytes: both files, the table of the old one, the patch.
    pub fn weight(&self) -> u64 {
        self.old.map_or(0, |old| old.size * 9 + self.header.size * 2)
    }

    pub fn decide(&self, store: &Store, options: &DeltaOptions) -> Result<Sending> {
        if self.header.file.is_symlink() || self.header.size == 0 {
            return Ok(Sending::Whole(Packing::Xz));
        }
        if self.header.size > options.largest_in_part {
            return Ok(Sending::Fallback);
        }
        let whole = Sending::Whole(self.packing(store)?);
        let Some(old) = self.old.filter(|_| self.header.size <= options.largest_patched) else { return Ok(whole) };
        let [old_bytes, new_bytes] =
            [(old.digest, old.size), (self.digest, self.header.size)].map(|(digest, size)| store.content(digest, size));
        let (old_bytes, new_bytes) = (old_bytes?, new_bytes?);
        if old_bytes == new_bytes {
            return Ok(Sending::Copy(old));
        }
        if COMPRESSED.iter().any(|magic| new_bytes.starts_with(magic)) && !has_much_of(&old_bytes, &new_bytes) {
            return Ok(whole);
        }
        let patch = PackedPatch::of(&patch(&old_bytes, &new_bytes))?;
        let cost = patch.zstd.len() as u64 + PATCH_OVERHEAD;
        let is_smaller = cost <= self.packed / SURELY_SMALLER || {
            let whole = zstd::bulk::compress(&new_bytes, ZSTD_LEVEL).context(|| format!("compress {}", self.path))?;
            cost < whole.len() as u64
        };
        Ok(if is_smaller { Sending::Patch { old, patch } } else { whole })
    }

    /// How the whole file is compressed best, judged by its object's file.
    fn packing(&self, store: &Store) -> Result<Packing> {
        let deflated = self.packed.saturating_sub(self.header.length);
        if deflated.saturating_mul(100) >= self.header.size.saturating_mul(COMPRESSED_PERCENT) {
            return Ok(Packing::XzOfCompressed);
        }
        let start = store.content_start(self.digest, ELF_MACHINE + 2)?;
        let machine = start.get(ELF_MACHINE..).and_then(|bytes| bytes.first_chunk::<2>()).map(|bytes| u16::from_le_bytes(*bytes));
        let is_x86 = start.starts_with(b"\x7fELF") && machine.is_some_and(|machine| X86.contains(&machine));
        Ok(if is_x86 { Packing::XzOfX86Code } else { Packing::Xz })
    }
}

/// Whether samples of `new` are in `old`, wherever they stand there.
fn has_much_of(old: &[u8], new: &[u8]) -> bool {
    let mut samples: Vec<&[u8]> = new.chunks_exact((new.len() / SAMPLES).max(SAMPLE)).filter_map(|piece| piece.get(..SAMPLE)).collect();
    samples.sort_unstable();
    samples.dedup();
    let mut found = vec![false; samples.len()];
    for window in old.windows(SAMPLE) {
        if let Ok(place) = samples.binary_search(&window)
            && let Some(found) = found.get_mut(place)
        {
            *found = true;
        }
    }
    found.into_iter().filter(|found| *found).count() >= ENOUGH_SAMPLES
}

impl Sending {
    /// An estimate of the bytes that a host fetches for this content.
    pub fn cost(&self, content: &NewContent) -> u64 {
        match self {
            Sending::Whole(_) | Sending::Fallback => content.packed,
            Sending::Copy(_) => PATCH_OVERHEAD,
            Sending::Patch { patch, .. } => patch.zstd.len() as u64 + PATCH_OVERHEAD,
        }
    }

    /// Bytes that this content takes in a part before compression.
    pub fn payload(&self, content: &NewContent) -> u64 {
        match self {
            Sending::Whole(_) => content.header.size.max(content.header.file.target.len() as u64),
            Sending::Copy(_) => PATCH_OVERHEAD,
            Sending::Patch { patch, .. } => patch.length as u64 + PATCH_OVERHEAD,
            Sending::Fallback => 0,
        }
    }
}

impl Store {
    pub(super) fn content_header(&self, digest: Digest) -> Result<ArchiveHeader> {
        self.open_content(digest).map(|(_, header)| header)
    }

    /// The `size` bytes of a content object in memory, checked against its name.
    pub(super) fn content(&self, digest: Digest, size: u64) -> Result<Vec<u8>> {
        let bytes = std::cell::RefCell::new(Vec::new());
        self.unpack(digest, size, |piece, _| {
            bytes.borrow_mut().extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes.into_inner())
    }

    /// At most the first `length` bytes of a content object, unchecked.
    fn content_start(&self, digest: Digest, length: usize) -> Result<Vec<u8>> {
        use std::io::{Read, Seek, SeekFrom};
        let path = self.object_path(ObjectKind::ArchiveFile, digest);
        let (mut file, header) = self.open_content(digest)?;
        file.seek(SeekFrom::Start(header.length)).context(|| format!("read {}", path.display()))?;
        let mut start = Vec::new();
        let unpacked = flate2::read::DeflateDecoder::new(file).take(length as u64).read_to_end(&mut start);
        unpacked.map_err(|e| Error::integrity(format!("unpack {}: {e}", path.display())))?;
        Ok(start)
    }
}

#[cfg(test)]
mod tests {
    use super::has_much_of;

    #[test]
    fn a_compressed_file_is_compared_when_the_old_one_has_much_of_it_at_any_place() {
        let noise = |seed: u64, length: usize| -> Vec<u8> {
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            };
            (0..length).map(|_| next()).collect()
        };
        let old = noise(1, 100_000);
        for (expected, new) in [
            (true, old.clone()),
            (true, [noise(2, 333), old.clone()].concat()),
            (true, [noise(3, 50_000), old[50_000..].to_vec()].concat()),
            (false, [noise(4, 95_000), old[95_000..].to_vec()].concat()),
            (false, noise(5, 100_000)),
            (false, noise(6, 5)),
            (false, Vec::new()),
        ] {
            assert_eq!(has_much_of(&old, &new), expected, "{} bytes", new.len());
        }
        assert!(!has_much_of(&[], &old));
    }
}
