//! Packs: a package's contents, decompressed and hashed once in its life.
//!
//! `packs/<sha256 of the package>.pack` holds the contents of its files one after the other, each at a multiple of 4 KiB, so that filesystem
//! images can be written by copying or reflinking extents, and last the package's two headers; `.index` beside it holds the rest. The pack is written first, and an index that
//! does not match is treated as absent.

use super::pack_index::{PackEntry, PackIndex};
use super::{Signer, VerifiedPackage};
use crate::base::{AtomicFile, Blob, Digest, Error, Result, ResultExt};
use crate::formats::rpm::{
    ContentHasher, FileKind, HashedPayload, Header, HeaderKind, Metadata, Package, PayloadFile, Scriptlet, Trigger, read_payload,
};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Contents start at multiples of so many bytes: the block size of the filesystems that we write.
pub const PACK_ALIGNMENT: u64 = 4096;
/// Written to the pack in one system call.
const BUFFER: usize = 1 << 20;

/// An imported package.
#[derive(Debug, Clone)]
pub struct Pack {
    digest: Digest,
    file: Arc<File>,
    path: Arc<Path>,
    index: Arc<PackIndex>,
}

impl Pack {
    /// The pack of the package with this SHA-256; `None` if it was not imported, or not completely.
    pub fn open(packs: &Path, digest: &Digest) -> Result<Option<Pack>> {
        let [path, index_path] = names(packs, digest);
        let Some(index) = read_if_present(&index_path)?.and_then(|bytes| PackIndex::decode(&bytes)) else { return Ok(None) };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::internal(format!("open the pack {}", path.display())).source(e)),
        };
        let len = file.metadata().context(|| format!("read the size of {}", path.display()))?.len();
        Ok((len == index.pack_len).then(|| Pack { digest: *digest, file: Arc::new(file), path: path.into(), index: Arc::new(index) }))
    }

    /// Opens the pack of `package`, unpacking it first if need be.
    pub fn import(packs: &Path, package: &VerifiedPackage) -> Result<Pack> {
        if let Some(mut pack) = Self::open(packs, package.digest())? {
            if package.signer().is_some() && pack.index.signer.as_ref() != package.signer() {
                let index = PackIndex { signer: package.signer().cloned(), ..(*pack.index).clone() };
                write_index(&names(packs, package.digest())[1], &index)?;
                pack.index = Arc::new(index);
            }
            return Ok(pack);
        }
        Self::unpack(packs, package).context(|| format!("import {}", package.package().metadata.nevra))
    }

    fn unpack(packs: &Path, verified: &VerifiedPackage) -> Result<Pack> {
        let package = verified.package();
        let [path, index_path] = names(packs, verified.digest());
        let mut out = AtomicFile::create(&path)?;
        let mut contents = Contents { writer: BufWriter::with_capacity(BUFFER, out.file()), end: 0, buffer: vec![0; 1 << 17] };
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
        let pack_len = contents.finish().context(|| format!("write the pack {}", path.display()))?;
        let entries = entries(verified, &places)?;
        let file = out.commit_unsynced()?;
        let index = PackIndex {
            pack_len,
            headers,
            signer: verified.signer().cloned(),
            metadata: package.metadata.clone(),
            scriptlets: package.scriptlets.clone(),
            triggers: package.triggers.clone(),
            entries,
        };
        write_index(&index_path, &index)?;
        Ok(Pack { digest: *verified.digest(), file: Arc::new(file), path: path.into(), index: Arc::new(index) })
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

    /// Whose signature was accepted when the package was imported; `None` if none was asked for.
    pub fn signer(&self) -> Option<&Signer> {
        self.index.signer.as_ref()
    }

    /// The package's signature header and main header, read from the pack.
    pub fn headers(&self) -> Result<[Header; 2]> {
        let read = |(offset, len): (u64, u64), kind| {
            let blob = Blob::Extent { file: self.file.clone(), path: self.path.clone(), offset, len };
            Header::read(&mut blob.to_vec()?.as_slice(), kind).context(|| format!("read a header of the pack {}", self.path.display()))
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
        match entry.size {
            0 => Blob::empty(),
            len => Blob::Extent { file: self.file.clone(), path: self.path.clone(), offset: entry.offset, len },
        }
    }
}

fn names(packs: &Path, digest: &Digest) -> [PathBuf; 2] {
    ["pack", "index"].map(|extension| packs.join(format!("{digest}.{extension}")))
}

fn write_index(path: &Path, index: &PackIndex) -> Result<()> {
    let mut out = AtomicFile::create(path)?;
    out.file().write_all(&index.encode()?).context(|| format!("write the index {}", path.display()))?;
    out.commit_unsynced().map(drop)
}

fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::internal(format!("read {}", path.display())).source(e)),
    }
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
            left -= n as u64;
        }
        self.end += file.size;
        place.digest = Some(hasher.finish(expected, &file.entry.path)?);
        Ok(place)
    }

    fn append_headers(&mut self, package: &Package) -> std::io::Result<[(u64, u64); 2]> {
        Ok([self.append_bytes(package.signature_header.bytes())?, self.append_bytes(package.header.bytes())?])
    }

    /// Returns where they came to lie.
    fn append_bytes(&mut self, bytes: &[u8]) -> std::io::Result<(u64, u64)> {
        self.pad()?;
        let place = (self.end, bytes.len() as u64);
        self.writer.write_all(bytes)?;
        self.end += place.1;
        Ok(place)
    }

    fn pad(&mut self) -> std::io::Result<()> {
        const ZEROS: [u8; PACK_ALIGNMENT as usize] = [0; PACK_ALIGNMENT as usize];
        let padding = self.end.wrapping_neg() % PACK_ALIGNMENT;
        self.writer.write_all(&ZEROS[..padding as usize])?;
        self.end += padding;
        Ok(())
    }

    /// Pads the last block too, so that its extent can be reflinked; returns the pack's length.
    fn finish(mut self) -> std::io::Result<u64> {
        self.pad()?;
        self.writer.flush()?;
        Ok(self.end)
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
