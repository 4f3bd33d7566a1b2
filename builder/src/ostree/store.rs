//! The tree store: an OSTree archive repository on disk, which any web server can offer to hosts.
//!
//! Objects appear under their names only when whole; a commit object is written after everything that it names, and the ref last. So a kill leaves a
//! valid repository with at most unused objects and files in tmp/.

use crate::base::{AtomicFile, Digest, Error, Progress, Result, ResultExt, create_locked, sweep};
use crate::formats::ostree::CommitObject;
use crate::ostree::commit::{content_size, file_header};
use crate::ostree::{Commit, CommitId, ObjectKind};
use crate::tree::{FileTree, Inode, InodeId, NodeKind};
use rayon::prelude::*;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// What libostree writes for `ostree init --mode=archive`.
const CONFIG: &str = "[core]\nrepo_version=1\nmode=archive-z2\n";
/// Files up to this many bytes are compressed in memory, in one piece.
/// Less in tests, so that they stream too.
pub(in crate::ostree) const IN_MEMORY: u64 = if cfg!(test) { 1 << 20 } else { 64 << 20 };

static SERIAL: AtomicU64 = AtomicU64::new(0);

#[derive(Debug, Clone)]
pub struct Store {
    pub(in crate::ostree) root: PathBuf,
}

impl Store {
    /// Deflate's level for content: on 928 MB of programs and libraries level 2 takes 28 % longer than 1 for 6 % less, level 6 takes 69 % longer for 10 % less.
    pub const LEVEL: u32 = 1;

    pub fn open(root: &Path) -> Result<Store> {
        let path = root.join("config");
        let config = std::fs::read_to_string(&path).context(|| format!("read {}", path.display()))?;
        let mode = config.lines().find_map(|line| line.trim().strip_prefix("mode=")).unwrap_or("none");
        if !matches!(mode.trim(), "archive" | "archive-z2") {
            return Err(Error::recipe(format!("{}: expected an OSTree repository of mode archive-z2, found mode {mode}", root.display())));
        }
        Ok(Store { root: root.to_path_buf() })
    }

    /// Opens the repository, or makes an empty one.
    pub fn create(root: &Path) -> Result<Store> {
        if root.join("config").exists() {
            sweep(&root.join("tmp"));
            return Self::open(root);
        }
        for name in ["extensions", "objects", "refs/heads", "refs/mirrors", "refs/remotes", "state", "tmp/cache"] {
            let path = root.join(name);
            std::fs::create_dir_all(&path).context(|| format!("create directory {}", path.display()))?;
        }
        AtomicFile::write(&root.join("config"), CONFIG.as_bytes())?;
        Ok(Store { root: root.to_path_buf() })
    }

    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Writes the objects that are missing, then the commit, then the ref. `level` is deflate's, 1 to 9. Returns how many content objects were new.
    pub fn write(&self, commit: &Commit, tree: &FileTree, ref_name: &str, level: u32, progress: &dyn Progress) -> Result<usize> {
        let ref_path = self.ref_path(ref_name)?;
        for folder in 0..=255u8 {
            let path = self.root.join(format!("objects/{folder:02x}"));
            std::fs::create_dir_all(&path).context(|| format!("create directory {}", path.display()))?;
        }
        let mut missing: Vec<(Digest, InodeId)> =
            commit.distinct_contents(tree).into_iter().map(|(content, id)| (content.digest(), id)).collect();
        missing.retain(|(digest, _)| !self.object_path(ObjectKind::ArchiveFile, *digest).exists());
        missing.sort_by_key(|&(digest, id)| (std::cmp::Reverse(content_size(tree.inode(id))), digest));
        progress.begin("store", missing.iter().map(|&(_, id)| content_size(tree.inode(id))).sum(), "bytes");
        missing.par_iter().with_max_len(1).try_for_each(|&(digest, id)| {
            self.write_content(digest, tree.inode(id), level)?;
            progress.advance(content_size(tree.inode(id)));
            Ok::<_, Error>(())
        })?;
        for (id, bytes) in &commit.dirtrees {
            self.write_metadata(ObjectKind::DirTree, id.digest(), bytes)?;
        }
        for (id, bytes) in &commit.dirmetas {
            self.write_metadata(ObjectKind::DirMeta, id.digest(), bytes)?;
        }
        self.sync()?;
        self.write_metadata(ObjectKind::Commit, commit.id.digest(), &commit.bytes)?;
        self.sync()?;
        AtomicFile::write(&ref_path, format!("{}\n", commit.id).as_bytes())?;
        Ok(missing.len())
    }

    /// `None` if there is no such ref.
    pub fn resolve_ref(&self, ref_name: &str) -> Result<Option<CommitId>> {
        let path = self.ref_path(ref_name)?;
        match std::fs::read_to_string(&path) {
            Ok(text) => CommitId::parse(text.trim_end()).context(|| format!("read ref {}", path.display())).map(Some),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).context(|| format!("read ref {}", path.display())),
        }
    }

    pub fn read_commit(&self, id: CommitId) -> Result<CommitObject> {
        let bytes = self.read_metadata(ObjectKind::Commit, id.digest())?;
        CommitObject::decode(&bytes).context(|| format!("read commit {id}"))
    }

    pub fn parent_of(&self, id: CommitId) -> Result<Option<CommitId>> {
        Ok(self.read_commit(id)?.parent.map(CommitId::new))
    }

    pub fn contains(&self, id: CommitId) -> bool {
        self.object_path(ObjectKind::Commit, id.digest()).exists()
    }

    pub(in crate::ostree) fn object_path(&self, kind: ObjectKind, digest: Digest) -> PathBuf {
        self.root.join(kind.path(digest))
    }

    /// The bytes of an object whose name is their digest; anything else is an error.
    pub(in crate::ostree) fn read_metadata(&self, kind: ObjectKind, digest: Digest) -> Result<Vec<u8>> {
        let path = self.object_path(kind, digest);
        let bytes = std::fs::read(&path).context(|| format!("read {}", path.display()))?;
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(corrupted(&path, digest, found));
        }
        Ok(bytes)
    }

    fn ref_path(&self, name: &str) -> Result<PathBuf> {
        let word =
            |w: &str| !w.is_empty() && !w.starts_with(['.', '-']) && w.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !name.split('/').all(word) {
            return Err(Error::recipe(format!("expected a ref of words joined by '/', found {name:?}")));
        }
        Ok(self.root.join("refs/heads").join(name))
    }

    /// Whatever was renamed into place is on the device before something refers to it.
    fn sync(&self) -> Result<()> {
        let folder = File::open(&self.root).context(|| format!("open {}", self.root.display()))?;
        rustix::fs::syncfs(&folder).map_err(std::io::Error::from).context(|| format!("sync {}", self.root.display()))
    }

    fn write_metadata(&self, kind: ObjectKind, digest: Digest, bytes: &[u8]) -> Result<()> {
        let path = self.object_path(kind, digest);
        if path.exists() {
            return Ok(());
        }
        self.place(&path, |file| file.write_all(bytes).context(|| format!("write {}", path.display())))
    }

    fn write_content(&self, digest: Digest, inode: &Inode, level: u32) -> Result<()> {
        let path = self.object_path(ObjectKind::ArchiveFile, digest);
        let header = file_header(inode)?.encode_archive(content_size(inode));
        self.place(&path, |file| {
            let written = |e: std::io::Result<()>| e.context(|| format!("write {}", path.display()));
            match &inode.kind {
                NodeKind::File(blob) if blob.len() <= IN_MEMORY => {
                    let packed = deflate(&blob.to_vec()?, level)?;
                    written(file.write_all(&header))?;
                    written(file.write_all(&packed))
                }
                NodeKind::File(blob) => {
                    written(file.write_all(&header))?;
                    let mut packer = flate2::write::DeflateEncoder::new(BufWriter::new(file), flate2::Compression::new(level.min(9)));
                    blob.for_each_window(|bytes| written(packer.write_all(bytes)))?;
                    written(packer.finish().and_then(|mut rest| rest.flush()))
                }
                _ => written(file.write_all(&header)),
            }
        })
    }

    /// Writes in tmp/, then renames.
    fn place(&self, path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
        let partial = self.root.join(format!("tmp/{}.{}.partial", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed)));
        let mut file = create_locked(&partial)?;
        let done = fill(&mut file).and_then(|()| std::fs::rename(&partial, path).context(|| format!("rename to {}", path.display())));
        if done.is_err() {
            std::fs::remove_file(&partial).ok();
        }
        done
    }
}

pub(in crate::ostree) fn corrupted(path: &Path, expected: Digest, found: Digest) -> Error {
    Error::integrity(format!("{} is corrupted: expected the digest {expected}, found {found}", path.display()))
        .hint("remove the object and build again: what is missing is written anew")
}

fn deflate(bytes: &[u8], level: u32) -> Result<Vec<u8>> {
    let level =
        libdeflater::CompressionLvl::new(level.min(12) as i32).map_err(|_| Error::internal(format!("deflate has no level {level}")))?;
    let mut packer = libdeflater::Compressor::new(level);
    let mut out = vec![0; packer.deflate_compress_bound(bytes.len())];
    let length = packer.deflate_compress(bytes, &mut out).map_err(|e| Error::internal(format!("deflate {} bytes: {e}", bytes.len())))?;
    out.truncate(length);
    Ok(out)
}
