//! Reading the tree store back: history, listings, and whole trees (for a rollback to an earlier commit). Every byte is checked against its name.

use crate::format::{ArchiveHeader, CommitObject, DirMeta, DirTree, FileHeader};
use crate::store::{IN_MEMORY, Store, corrupted};
use crate::{CommitId, ObjectKind};
use model::tree::{Attributes, Edit, FileTree, Inode, NodeKind};
use model::{Blob, Digest, Entry, Error, Hasher, ImagePath, Kind, Result, ResultExt, create_locked};
use rayon::prelude::*;
use std::collections::btree_map::Entry as MapEntry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Where a file's bytes start in the pack, in bytes: what a filesystem block holds, so that extents can be copied or reflinked.
const ALIGN: u64 = 4096;
/// Deflate cannot shrink bytes more than this many times (1032:1 by its format).
const MAX_RATIO: u64 = 1032;

#[derive(Debug, Clone)]
pub struct LogEntry {
    pub id: CommitId,
    pub commit: CommitObject,
}

/// One name of a committed tree.
#[derive(Debug, Clone)]
pub struct Listed {
    pub path: ImagePath,
    /// As in `st_mode`.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// In bytes; 0 for all but files.
    pub size: u64,
    /// Of a symlink.
    pub target: Option<String>,
    /// Of the content object; `None` for a directory.
    pub content: Option<Digest>,
}

/// A content object's header and where it is used.
struct Content {
    header: ArchiveHeader,
    /// In the pack.
    offset: u64,
}

/// A committed tree's names.
enum Name {
    Directory(DirMeta),
    Content(Digest),
}

impl Store {
    /// The commit and its ancestors, as far as the store has them.
    pub fn log(&self, id: CommitId) -> Result<Vec<LogEntry>> {
        let mut out = vec![LogEntry { id, commit: self.read_commit(id)? }];
        while let Some(parent) = out.last().and_then(|entry| entry.commit.parent).map(CommitId::new).filter(|&p| self.contains(p)) {
            out.push(LogEntry { id: parent, commit: self.read_commit(parent)? });
        }
        Ok(out)
    }

    /// Every name, parents before children.
    pub fn ls(&self, id: CommitId) -> Result<Vec<Listed>> {
        let mut headers: BTreeMap<Digest, ArchiveHeader> = BTreeMap::new();
        let mut out = Vec::new();
        for (path, name) in self.names(id)? {
            out.push(match name {
                Name::Directory(m) => Listed { path, mode: m.mode, uid: m.uid, gid: m.gid, size: 0, target: None, content: None },
                Name::Content(digest) => {
                    let header = match headers.entry(digest) {
                        MapEntry::Occupied(known) => known.into_mut(),
                        MapEntry::Vacant(vacant) => vacant.insert(self.open_content(digest)?.1),
                    };
                    let f = &header.file;
                    let target = f.is_symlink().then(|| f.target.clone());
                    Listed { path, mode: f.mode, uid: f.uid, gid: f.gid, size: header.size, target, content: Some(digest) }
                }
            });
        }
        Ok(out)
    }

    /// The whole tree, all modification times 0. Contents are decompressed and checked in parallel into one unnamed file in the store's tmp/, which the tree
    /// keeps open. Names with equal content and metadata become hard links, which is what a deployment makes of them anyway.
    pub fn load_tree(&self, id: CommitId) -> Result<FileTree> {
        let names = self.names(id)?;
        let mut contents: BTreeMap<Digest, Content> = BTreeMap::new();
        let mut end = 0u64;
        for (_, name) in &names {
            if let Name::Content(digest) = name
                && !contents.contains_key(digest)
            {
                let header = self.open_content(*digest)?.1;
                let offset = end;
                end = offset
                    .checked_add(header.size)
                    .and_then(|e| e.checked_next_multiple_of(ALIGN))
                    .ok_or_else(|| Error::integrity(format!("content {digest} claims {} bytes", header.size)))?;
                contents.insert(*digest, Content { header, offset });
            }
        }
        let (pack, path) = create_locked(&self.root.join("tmp"), "tree")?;
        std::fs::remove_file(&path).context(|| format!("remove {}", path.display()))?;
        contents.par_iter().try_for_each(|(digest, content)| {
            self.unpack(*digest, content.header.size, |bytes, done| {
                pack.write_all_at(bytes, content.offset + done).context(|| format!("write {}", path.display()))
            })
        })?;

        let (pack, label): (Arc<File>, Arc<Path>) = (Arc::new(pack), path.into());
        let mut tree = FileTree::new();
        let mut placed = BTreeMap::new();
        for (path, name) in names {
            match name {
                Name::Directory(m) => {
                    let attributes = Attributes { uid: m.uid, gid: m.gid, xattrs: m.xattrs, ..Attributes::root((m.mode & 0o7777) as u16) };
                    tree.insert(&path, Inode::directory(attributes), Edit::Replace)?;
                }
                Name::Content(digest) => match (placed.get(&digest), contents.get(&digest)) {
                    (Some(&id), _) => tree.link(&path, id)?,
                    (None, Some(content)) => {
                        let inode = content_inode(content, &pack, &label);
                        placed.insert(digest, tree.insert(&path, inode, Edit::Create)?);
                    }
                    (None, None) => return Err(Error::internal(format!("content {digest} of {path} was not read"))),
                },
            }
        }
        Ok(tree)
    }

    fn names(&self, id: CommitId) -> Result<Vec<(ImagePath, Name)>> {
        let commit = self.read_commit(id)?;
        let mut out = Vec::new();
        let mut pending = vec![(ImagePath::root(), commit.root_tree, commit.root_meta)];
        while let Some((path, tree, meta)) = pending.pop() {
            let meta =
                DirMeta::decode(&self.read_metadata(ObjectKind::DirMeta, meta)?).context(|| format!("read {path} of commit {id}"))?;
            let tree =
                DirTree::decode(&self.read_metadata(ObjectKind::DirTree, tree)?).context(|| format!("read {path} of commit {id}"))?;
            for (name, content) in tree.files {
                out.push((path.join(&name)?, Name::Content(content)));
            }
            for (name, tree, meta) in tree.directories {
                pending.push((path.join(&name)?, tree, meta));
            }
            out.push((path, Name::Directory(meta)));
        }
        // Byte order of whole paths puts a parent before its children.
        out.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(out)
    }

    /// The content of a file of a commit, of at most `limit` bytes; `None` if there is no such file. Symlinks are not followed.
    pub fn read_file(&self, id: CommitId, path: &ImagePath, limit: u64) -> Result<Option<Vec<u8>>> {
        let commit = self.read_commit(id)?;
        let mut folder = commit.root_tree;
        let mut components = path.components().peekable();
        while let Some(component) = components.next() {
            let tree = DirTree::decode(&self.read_metadata(ObjectKind::DirTree, folder)?).context(|| format!("read commit {id}"))?;
            if components.peek().is_some() {
                match tree.directories.into_iter().find(|(name, _, _)| name.as_bytes() == component) {
                    Some((_, below, _)) => folder = below,
                    None => return Ok(None),
                }
                continue;
            }
            let Some((_, content)) = tree.files.into_iter().find(|(name, _)| name.as_bytes() == component) else { return Ok(None) };
            let header = self.open_content(content)?.1;
            if header.file.is_symlink() {
                return Err(Error::recipe(format!("{path} is a symlink to {}", header.file.target)));
            }
            if header.size > limit {
                return Err(Error::recipe(format!("{path} has {} bytes, more than the {limit} that are read at once", header.size)));
            }
            let bytes = std::sync::Mutex::new(Vec::new());
            self.unpack(content, header.size, |part, _| {
                bytes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend_from_slice(part);
                Ok(())
            })?;
            return Ok(Some(bytes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)));
        }
        Ok(None)
    }

    /// Every object of a commit but the commit itself.
    pub fn objects_of(&self, id: CommitId) -> Result<BTreeSet<Digest>> {
        let commit = self.read_commit(id)?;
        let mut objects = BTreeSet::from([commit.root_meta]);
        let mut pending = vec![commit.root_tree];
        while let Some(tree) = pending.pop() {
            if !objects.insert(tree) {
                continue;
            }
            let tree = DirTree::decode(&self.read_metadata(ObjectKind::DirTree, tree)?).context(|| format!("read commit {id}"))?;
            objects.extend(tree.files.iter().map(|(_, content)| *content));
            for (_, tree, meta) in tree.directories {
                objects.insert(meta);
                pending.push(tree);
            }
        }
        Ok(objects)
    }

    /// The open object, its header read.
    pub(crate) fn open_content(&self, digest: Digest) -> Result<(File, ArchiveHeader)> {
        let path = self.object_path(ObjectKind::ArchiveFile, digest);
        let reading = || format!("read {}", path.display());
        let file = match Entry::open(&path)? {
            Entry::Open(file, _) => file,
            Entry::Absent => return Err(std::io::Error::from(std::io::ErrorKind::NotFound)).context(reading),
            Entry::Unreadable(why) => return Err(Error::integrity(format!("{}: {why}", path.display()))),
        };
        let mut frame = [0; 8];
        file.read_exact_at(&mut frame, 0).context(reading)?;
        let mut header = vec![0; ArchiveHeader::frame(frame).context(reading)? as usize];
        file.read_exact_at(&mut header, ArchiveHeader::FRAME).context(reading)?;
        let header = ArchiveHeader::decode(&header).context(reading)?;
        Ok((file, header))
    }

    /// Reads a content object whole, and refuses it if its name is not that of its bytes.
    pub(crate) fn verify_content(&self, digest: Digest) -> Result<()> {
        let broken = |e: Error| match e.kind() {
            // What cannot be read as an object is damaged, whatever the reason.
            Kind::Internal => Error::integrity(format!("{e:#}")),
            _ => e,
        };
        let size = self.open_content(digest).map_err(broken)?.1.size;
        self.unpack(digest, size, |_, _| Ok(())).map_err(broken)
    }

    /// Gives a content object's `size` bytes in pieces to `take`, with the number of bytes before each, and refuses an object whose name is not theirs.
    pub(crate) fn unpack(&self, digest: Digest, size: u64, take: impl Fn(&[u8], u64) -> Result<()>) -> Result<()> {
        let path = self.object_path(ObjectKind::ArchiveFile, digest);
        let (mut file, header) = self.open_content(digest)?;
        let mut hasher = Hasher::new();
        hasher.update(&header.file.encode());
        let mut done = 0u64;
        let mut keep = |bytes: &[u8]| {
            hasher.update(bytes);
            if done + bytes.len() as u64 > size {
                return Err(Error::integrity(format!("{}: expected {size} bytes, found more", path.display())));
            }
            take(bytes, done)?;
            done += bytes.len() as u64;
            Ok(())
        };
        if !header.file.is_symlink() {
            file.seek(SeekFrom::Start(header.length)).context(|| format!("read {}", path.display()))?;
            let broken = |e: &dyn std::fmt::Display| Error::integrity(format!("unpack {}: {e}", path.display()));
            let packed_len = file.metadata().context(|| format!("read {}", path.display()))?.len();
            // The size is only a claim: no more is set aside than the packed bytes can hold.
            if size <= IN_MEMORY && size <= packed_len.saturating_mul(MAX_RATIO) {
                let mut packed = Vec::new();
                file.read_to_end(&mut packed).context(|| format!("read {}", path.display()))?;
                let mut bytes = vec![0; size as usize];
                let length = libdeflater::Decompressor::new().deflate_decompress(&packed, &mut bytes).map_err(|e| broken(&e))?;
                bytes.truncate(length);
                keep(&bytes)?;
            } else {
                // One byte more than promised would be noticed, and no more than that is ever unpacked.
                let mut unpacked = flate2::read::DeflateDecoder::new(std::io::BufReader::new(file)).take(size.saturating_add(1));
                let mut window = vec![0; 1 << 20];
                loop {
                    let n = unpacked.read(&mut window).map_err(|e| broken(&e))?;
                    let Some(bytes) = window.get(..n).filter(|b| !b.is_empty()) else { break };
                    keep(bytes)?;
                }
            }
        }
        let found = hasher.finish();
        if done != size || found != digest {
            return Err(corrupted(&path, digest, found));
        }
        Ok(())
    }
}

fn content_inode(content: &Content, pack: &Arc<File>, label: &Arc<Path>) -> Inode {
    let FileHeader { uid, gid, mode, target, xattrs } = &content.header.file;
    let attributes = Attributes { uid: *uid, gid: *gid, xattrs: xattrs.clone(), ..Attributes::root((mode & 0o7777) as u16) };
    let kind = match content.header.file.is_symlink() {
        true => NodeKind::Symlink(target.as_bytes().into()),
        false if content.header.size == 0 => NodeKind::File(Blob::empty()),
        false => NodeKind::File(Blob::Extent { file: pack.clone(), path: label.clone(), offset: content.offset, len: content.header.size }),
    };
    Inode { kind, attributes }
}
