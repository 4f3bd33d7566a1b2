//! Packs: a package's contents, decompressed and hashed once in its life.
//!
//! `packs/<sha256 of the package>.pack` holds the contents of its files one after the other, each at a multiple of 4 KiB, so that filesystem
//! images can be written by copying or reflinking extents, and last the package's two headers; `.index` beside it holds the rest. The pack is written first.
//!
//! A pack is opened only if [`Facts`] say that its index came out of this very package, and that every content had its SHA-256 since the file was last
//! written to; the latter is verified again wherever it is not known. While the pack is open, each block is checked as it is read.

use super::pack_index::{self, IndexFile, PackEntry, PackIndex, PackedHeader};
use super::{Keyring, Signer, VerifiedPackage};
use model::{
    AtomicFile, BLOCK, Blob, BlockSums, CheckedFile, Content, Digest, Entry, Error, Facts, Result, ResultExt, question, set_aside,
};
use packages::rpm::{
    ContentHasher, FileKind, HashedPayload, Header, HeaderKind, Metadata, Package, PayloadFile, Scriptlet, Trigger, read_payload,
};
use std::collections::BTreeMap;
use std::fs::{File, Metadata as FileMetadata};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Contents start at multiples of so many bytes: the block size of the filesystems that we write, and what one checksum covers.
pub const PACK_ALIGNMENT: u64 = BLOCK;
/// In bytes, of an index: a package of four million files stays below.
const LARGEST_INDEX: u64 = 1 << 30;
/// Written to the pack in one system call.
const BUFFER: usize = 1 << 20;

/// An imported package.
#[derive(Debug, Clone)]
pub struct Pack {
    digest: Digest,
    file: Arc<CheckedFile>,
    index: Arc<PackIndex>,
    signer: Option<Signer>,
}

/// What was found where a package's pack should be.
#[derive(Debug)]
pub enum FoundPack {
    Whole(Pack),
    /// There is none, or none that this user has ever made or verified.
    Absent,
    /// It was made, and is not what was made any more: what is wrong with it.
    Damaged(String),
}

impl Pack {
    /// The pack of the package with this SHA-256.
    pub fn open(packs: &Path, digest: &Digest, facts: &Facts) -> Result<FoundPack> {
        let _span = tracing::debug_span!("open pack", package = %digest).entered();
        let [path, index_path] = names(packs, digest);
        let Some(made) = facts.get(import_question(digest)) else { return Ok(FoundPack::Absent) };
        let damaged = |path: &Path, why: &str| Ok(FoundPack::Damaged(format!("{}: {why}", path.display())));
        let index = match Entry::open(&index_path)? {
            Entry::Absent => return Ok(FoundPack::Absent),
            Entry::Unreadable(why) => return damaged(&index_path, &why),
            Entry::Open(..) => Entry::read(&index_path, LARGEST_INDEX)?.and_then(|bytes| IndexFile::decode(&bytes)),
        };
        let Some(IndexFile { index, digest: index_digest, signer, signed_digest }) = index else {
            return damaged(&index_path, "the index is not whole");
        };
        if index_digest != made || index.package != *digest {
            return damaged(&index_path, "the index is not the one that was made of this package");
        }
        let (file, metadata) = match Entry::open(&path)? {
            Entry::Absent => return Ok(FoundPack::Absent),
            Entry::Unreadable(why) => return damaged(&path, &why),
            Entry::Open(file, metadata) => (file, metadata),
        };
        if metadata.len() != index.pack_len {
            return damaged(&path, &format!("expected {} bytes, found {}", index.pack_len, metadata.len()));
        }
        let signer = signer.filter(|_| facts.get(signer_question(digest)) == Some(signed_digest));
        let pack = Self::of(*digest, file, &path, index, signer, facts)?;
        if !facts.was_verified(facts.stamp(&metadata), index_digest) {
            if let Err(error) = pack.verify_contents() {
                return damaged(&path, &format!("{error:#}"));
            }
            pack.remember_verified(&metadata, index_digest, facts)?;
        }
        Ok(FoundPack::Whole(pack))
    }

    /// Opens the pack of `package`, unpacking it first if need be. What is there and damaged is set aside.
    pub fn import(packs: &Path, package: &VerifiedPackage, facts: &Facts) -> Result<Pack> {
        let _span = tracing::debug_span!("import", package = %package.package().metadata.nevra).entered();
        match Self::open(packs, package.digest(), facts)? {
            FoundPack::Whole(mut pack) => {
                if package.signer().is_some() && pack.signer.as_ref() != package.signer() {
                    write_index(packs, &pack.index, package.signer(), facts)?;
                    pack.signer = package.signer().cloned();
                }
                return Ok(pack);
            }
            FoundPack::Damaged(_) => Self::set_aside(packs, package.digest()).map(drop)?,
            FoundPack::Absent => {}
        }
        Self::unpack(packs, package, facts).context(|| format!("import {}", package.package().metadata.nevra))
    }

    /// Moves a package's pack and index out of the way; returns where the pack is now.
    pub fn set_aside(packs: &Path, digest: &Digest) -> Result<PathBuf> {
        let [path, index_path] = names(packs, digest);
        set_aside(&index_path)?;
        set_aside(&path)
    }

    fn of(digest: Digest, file: File, path: &Path, index: PackIndex, signer: Option<Signer>, facts: &Facts) -> Result<Pack> {
        let file = CheckedFile::new(file, path, index.pack_len, index.block_sums(), facts.alarm().clone())?;
        Ok(Pack { digest, file: Arc::new(file), index: Arc::new(index), signer })
    }

    /// SHA-256 of every content and header against the index, and every block's checksum with them.
    pub fn verify_contents(&self) -> Result<()> {
        let mut contents: BTreeMap<(u64, u64), Digest> = BTreeMap::new();
        let headers = self.index.headers.iter().map(|h| (h.offset, h.len, h.digest));
        let files = self.index.entries.iter().filter_map(|e| Some((e.offset, e.size, e.digest?))).filter(|(_, size, _)| *size > 0);
        for (offset, len, expected) in headers.chain(files) {
            if let Some(known) = contents.insert((offset, len), expected)
                && known != expected
            {
                return Err(Error::integrity(format!("two digests for the {len} bytes at offset {offset}")));
            }
        }
        for ((offset, len), expected) in contents {
            let found = self.content(offset, len, expected).digest()?;
            if found != expected {
                return Err(Error::integrity(format!("the {len} bytes at offset {offset}: expected sha256 {expected}, found {found}")));
            }
        }
        Ok(())
    }

    /// If the file was not written to meanwhile.
    fn remember_verified(&self, before: &FileMetadata, index: Digest, facts: &Facts) -> Result<()> {
        let after = self.file.file().metadata().context(|| format!("read the size of {}", self.file.path().display()))?;
        if facts.stamp(before) == facts.stamp(&after) {
            facts.add_verified(facts.stamp(&after), index);
        }
        Ok(())
    }

    fn content(&self, offset: u64, len: u64, digest: Digest) -> Blob {
        Blob::Checked { file: self.file.clone(), offset, len, content: Some(Content { digest, offset, len }) }
    }

    fn unpack(packs: &Path, verified: &VerifiedPackage, facts: &Facts) -> Result<Pack> {
        let package = verified.package();
        let [path, _] = names(packs, verified.digest());
        let mut out = AtomicFile::create(&path)?;
        let writer = BufWriter::with_capacity(BUFFER, out.file());
        let mut contents = Contents { writer, sums: BlockSums::default(), end: 0, buffer: vec![0; 1 << 17] };
        let mut places: Vec<Option<Place>> = vec![None; package.files.len()];

        let mut source = HashedPayload::new(verified.payload()?);
        read_payload(package, &mut source, |mut file| {
            let place = contents.append(&mut file)?;
            // Of a group of hard links one has the data, whichever: it is kept for all.
            let slot = file.entry.link_group.filter(|_| file.size > 0).map_or(file.index, |last| last as usize);
            match places[slot] {
                Some(first) if first.size > 0 && file.size == 0 => {}
                Some(first) if first.size > 0 && first.digest != place.digest => {
                    return Err(Error::integrity(format!("{}: hard links with different contents", file.entry.path)));
                }
                _ => places[slot] = Some(place),
            }
            Ok(())
        })?;
        source.finish(package)?;
        let headers = contents.append_headers(package).context(|| format!("write the pack {}", path.display()))?;
        let (pack_len, sums) = contents.finish().context(|| format!("write the pack {}", path.display()))?;
        let entries = entries(verified, &places)?;
        let file = out.commit_unsynced()?;
        let index = PackIndex {
            package: *verified.digest(),
            pack_len,
            blocks: sums.iter().flat_map(|sum| sum.to_le_bytes()).collect(),
            headers,
            metadata: package.metadata.clone(),
            scriptlets: package.scriptlets.clone(),
            triggers: package.triggers.clone(),
            entries,
        };
        let index_digest = write_index(packs, &index, verified.signer(), facts)?;
        // Another machine may have replaced the file; then it is verified when it is opened the next time.
        if let Ok(metadata) = file.metadata() {
            facts.add_verified(facts.stamp(&metadata), index_digest);
        }
        Self::of(*verified.digest(), file, &path, index, verified.signer().cloned(), facts)
    }

    /// SHA-256 of the package file.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    pub fn metadata(&self) -> &Metadata {
        &self.index.metadata
    }

    pub fn scriptlets(&self) -> &[Scriptlet] {
        &self.index.scriptlets
    }

    /// What the package does when others come or go, in its header's order.
    pub fn triggers(&self) -> &[Trigger] {
        &self.index.triggers
    }

    /// The pack with its signer as `keyring` judges it now; `None` if it does not accept the signature.
    pub fn judged(self, keyring: &Keyring) -> Option<Pack> {
        let signer = keyring.accepted(self.signer.as_ref()?)?;
        Some(Pack { signer: Some(signer), ..self })
    }

    /// Whose signature was accepted: when the package was imported, or by the keyring that judged it since. `None` if none was asked for.
    pub fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }

    /// The package's signature header and main header, read from the pack.
    pub fn headers(&self) -> Result<[Header; 2]> {
        let read = |header: PackedHeader, kind| {
            let bytes = self.content(header.offset, header.len, header.digest).to_vec()?;
            Header::read(&mut bytes.as_slice(), kind).context(|| format!("read a header of the pack {}", self.file.path().display()))
        };
        let [signature_header, header] = self.index.headers;
        Ok([read(signature_header, HeaderKind::Signature)?, read(header, HeaderKind::Main)?])
    }

    /// In the package's order.
    pub fn entries(&self) -> &[PackEntry] {
        &self.index.entries
    }

    /// The contents of one of this pack's entries; all share one open file. Empty for whatever has none.
    pub fn blob(&self, entry: &PackEntry) -> Blob {
        match (entry.size, entry.digest) {
            (0, _) | (_, None) => Blob::empty(),
            (len, Some(digest)) => self.content(entry.offset, len, digest),
        }
    }
}

/// What importing the package with this digest gives, by the way that this program imports: the index's digest.
fn import_question(package: &Digest) -> Digest {
    question("pack", &[pack_index::MAGIC, package.as_bytes()])
}

/// Whose signature was verified when it was imported: the digest of index and signer.
fn signer_question(package: &Digest) -> Digest {
    question("pack signer", &[pack_index::MAGIC, package.as_bytes()])
}

fn names(packs: &Path, digest: &Digest) -> [PathBuf; 2] {
    ["pack", "index"].map(|extension| packs.join(format!("{digest}.{extension}")))
}

/// Writes the index and remembers that it is ours; returns its digest.
fn write_index(packs: &Path, index: &PackIndex, signer: Option<&Signer>, facts: &Facts) -> Result<Digest> {
    let [_, path] = names(packs, &index.package);
    let (bytes, digest, signed_digest) = IndexFile::encode(index, signer)?;
    let mut out = AtomicFile::create(&path)?;
    out.file().write_all(&bytes).context(|| format!("write the index {}", path.display()))?;
    out.commit_unsynced()?;
    facts.add(import_question(&index.package), digest);
    facts.add(signer_question(&index.package), signed_digest);
    Ok(digest)
}

/// Where a file of the payload came to lie.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u64,
    size: u64,
    digest: Option<Digest>,
}

struct Contents<'a> {
    writer: BufWriter<&'a mut File>,
    sums: BlockSums,
    /// In bytes; where the next content would go, unaligned.
    end: u64,
    buffer: Vec<u8>,
}

impl Contents<'_> {
    fn append(&mut self, file: &mut PayloadFile<'_>) -> Result<Place> {
        if file.entry.kind != FileKind::File {
            return Ok(Place { offset: 0, size: 0, digest: None });
        }
        let writing = || "write the pack";
        // The other names of a hard link come without data, yet with the digest of the whole.
        let expected = file.entry.digest.as_ref().filter(|_| file.size == file.entry.size);
        let mut hasher = ContentHasher::new(expected);
        let mut place = Place { offset: 0, size: file.size, digest: None };
        if file.size > 0 {
            self.pad().context(writing)?;
            place.offset = self.end;
        }
        let mut left = file.size;
        while left > 0 {
            let window = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let n = file
                .contents
                .read(&mut self.buffer[..window])
                .map_err(|e| Error::integrity(format!("decompress {}", file.entry.path)).source(e))?;
            if n == 0 {
                return Err(Error::integrity(format!("{}: the payload ends {left} bytes early", file.entry.path)));
            }
            hasher.update(&self.buffer[..n]);
            self.writer.write_all(&self.buffer[..n]).context(writing)?;
            self.sums.update(&self.buffer[..n]);
            left -= n as u64;
        }
        self.end += file.size;
        place.digest = Some(hasher.finish(expected, &file.entry.path)?);
        Ok(place)
    }

    fn append_headers(&mut self, package: &Package) -> std::io::Result<[PackedHeader; 2]> {
        Ok([self.append_header(package.signature_header.bytes())?, self.append_header(package.header.bytes())?])
    }

    fn append_header(&mut self, bytes: &[u8]) -> std::io::Result<PackedHeader> {
        self.pad()?;
        let header = PackedHeader { offset: self.end, len: bytes.len() as u64, digest: Digest::of(bytes) };
        self.writer.write_all(bytes)?;
        self.sums.update(bytes);
        self.end += header.len;
        Ok(header)
    }

    fn pad(&mut self) -> std::io::Result<()> {
        const ZEROS: [u8; PACK_ALIGNMENT as usize] = [0; PACK_ALIGNMENT as usize];
        let padding = (self.end.wrapping_neg() % PACK_ALIGNMENT) as usize;
        self.writer.write_all(&ZEROS[..padding])?;
        self.sums.update(&ZEROS[..padding]);
        self.end += padding as u64;
        Ok(())
    }

    /// Pads the last block too, so that its extent can be reflinked; returns the pack's length and its blocks' checksums.
    fn finish(mut self) -> std::io::Result<(u64, Vec<u32>)> {
        self.pad()?;
        self.writer.flush()?;
        Ok((self.end, self.sums.finish()))
    }
}

fn entries(verified: &VerifiedPackage, places: &[Option<Place>]) -> Result<Vec<PackEntry>> {
    let files = &verified.package().files;
    let mut entries = Vec::with_capacity(files.len());
    for (file, place) in files.iter().zip(places) {
        let place = match (place, file.link_group) {
            (_, Some(last)) => places.get(last as usize).copied().flatten(),
            (place, None) => *place,
        };
        let place = match place {
            Some(place) => place,
            None if file.flags.is_ghost() => Place { offset: 0, size: 0, digest: None },
            // Declared, may be missing, and is.
            None => continue,
        };
        if file.link_group.is_some() && place.size != file.size {
            return Err(Error::integrity(format!("{}: no name of this hard link carries its {} bytes", file.path, file.size)));
        }
        entries.push(PackEntry {
            path: file.path.clone(),
            kind: file.kind.clone(),
            mode: file.mode,
            user: file.user.clone(),
            group: file.group.clone(),
            mtime: file.mtime,
            size: place.size,
            offset: place.offset,
            digest: place.digest,
            capability: file.capability.clone(),
            flags: file.flags,
            link_group: file.link_group,
            color: file.color,
        });
    }
    Ok(entries)
}

#[cfg(test)]
#[path = "pack_tests.rs"]
mod tests;
