//! The tree store: an OSTree archive repository on disk, which any web server can offer to hosts.
//!
//! Objects appear under their names only when whole; a commit object is written after everything that it names, and the ref last. So a kill leaves a
//! valid repository with at most unused objects and files in tmp/. An object is written only if its bytes have its name, and one that is there counts
//! only if it was verified since its file last changed: else it is read, and written anew where it is damaged.

use super::object_stamps::ObjectStamps;
use crate::commit::{content_size, file_header};
use crate::format::CommitObject;
use crate::{Commit, CommitId, ObjectKind};
use model::tree::{FileTree, Inode, NodeKind};
use model::{
    Alarm, AtomicFile, Digest, Entry, Error, Facts, Hasher, Kind, Progress, Result, ResultExt, ResultJudged, create_locked, question,
    random_name, sweep,
};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What libostree writes for `ostree init --mode=archive`.
const CONFIG: &str = "[core]\nrepo_version=1\nmode=archive-z2\n";
/// In bytes, of the repository's own configuration.
const LARGEST_CONFIG: u64 = 1 << 20;
/// In bytes; libostree's own limit (OSTREE_MAX_METADATA_SIZE).
const LARGEST_METADATA: u64 = 128 << 20;
/// Files up to this many bytes are compressed in memory, in one piece.
/// Less in tests, so that they stream too.
pub(crate) const IN_MEMORY: u64 = if cfg!(test) { 1 << 20 } else { 64 << 20 };

#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) root: PathBuf,
    /// Where it is kept which objects were verified.
    stamps: Option<PathBuf>,
    /// Raised when contents are not what was said of them.
    alarm: Alarm,
}

/// What a commit needs and the store has or lacks.
struct Needed<'a> {
    kind: ObjectKind,
    digest: Digest,
    source: Source<'a>,
}

enum Source<'a> {
    Content(&'a Inode),
    Metadata(&'a [u8]),
}

impl Needed<'_> {
    /// Bytes to write or to read, for progress.
    fn size(&self) -> u64 {
        match self.source {
            Source::Content(inode) => content_size(inode),
            Source::Metadata(bytes) => bytes.len() as u64,
        }
    }
}

impl Store {
    /// Deflate's level for content: on 928 MB of programs and libraries level 2 takes 28 % longer than 1 for 6 % less, level 6 takes 69 % longer for 10 % less.
    pub const LEVEL: u32 = 1;

    pub fn open(root: &Path) -> Result<Store> {
        let path = root.join("config");
        let config = Entry::read(&path, LARGEST_CONFIG)?
            .and_then(|bytes| String::from_utf8(bytes).none_because("the error below says that it is no configuration"));
        let config = config.as_deref().and_then(core_of_config).ok_or_else(|| {
            Error::recipe(format!("{} is no configuration of an OSTree repository", path.display()))
                .hint("restore the file, or name another folder with --repo: an absent one is made")
        })?;
        let [version, mode] = ["repo_version", "mode"].map(|key| config.get(key).copied().unwrap_or("none"));
        if version != "1" || !matches!(mode, "archive" | "archive-z2") {
            return Err(Error::recipe(format!(
                "{}: expected an OSTree repository of version 1 and mode archive-z2, found version {version} and mode {mode}",
                root.display()
            )));
        }
        Ok(Store { root: root.to_path_buf(), stamps: None, alarm: Alarm::default() })
    }

    /// Remembers among `facts` which objects were verified.
    pub fn remembering(mut self, facts: &Facts) -> Result<Store> {
        let root = self.root.canonicalize().context(|| format!("find {}", self.root.display()))?;
        let name = question("store", &[root.as_os_str().as_bytes()]);
        self.stamps = facts.folder().map(|folder| folder.join("stores").join(name.to_string()));
        self.alarm = facts.alarm().clone();
        Ok(self)
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
        Self::open(root)
    }

    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Writes the objects that are missing or damaged, then the commit, then the ref. `level` is deflate's, 1 to 9. Returns how many content objects were
    /// written.
    pub fn write(&self, commit: &Commit, tree: &FileTree, ref_name: &str, level: u32, progress: &dyn Progress) -> Result<usize> {
        self.ref_path(ref_name)?;
        let written = self.write_commit(commit, tree, level, progress)?;
        self.set_ref(ref_name, commit.id)?;
        Ok(written)
    }

    /// Lets a ref name a commit that the store has.
    pub fn set_ref(&self, ref_name: &str, commit: CommitId) -> Result<()> {
        let path = self.ref_path(ref_name)?;
        if let Some(refs) = path.parent() {
            sweep(refs);
        }
        AtomicFile::write(&path, format!("{commit}\n").as_bytes())
    }

    /// Writes the objects that are missing or damaged, then the commit, which no ref names yet.
    pub fn write_commit(&self, commit: &Commit, tree: &FileTree, level: u32, progress: &dyn Progress) -> Result<usize> {
        let _span = tracing::info_span!("store").entered();
        let _lock = self.lock_shared()?;
        for folder in 0..=255u8 {
            let path = self.root.join(format!("objects/{folder:02x}"));
            std::fs::create_dir_all(&path).context(|| format!("create directory {}", path.display()))?;
        }
        let stamps = ObjectStamps::load(self.stamps.clone())?;
        let contents = commit.distinct_contents(tree).into_iter();
        let contents = contents.map(|(id, inode)| Needed {
            kind: ObjectKind::ArchiveFile,
            digest: id.digest(),
            source: Source::Content(tree.inode(inode)),
        });
        let dirtrees = commit.dirtrees.iter().map(|(id, bytes)| (ObjectKind::DirTree, id.digest(), bytes));
        let dirmetas = commit.dirmetas.iter().map(|(id, bytes)| (ObjectKind::DirMeta, id.digest(), bytes));
        let metadata = dirtrees.chain(dirmetas).map(|(kind, digest, bytes)| Needed { kind, digest, source: Source::Metadata(bytes) });
        let mut needed: Vec<Needed> = contents.chain(metadata).collect();
        needed.sort_by_key(|object| (std::cmp::Reverse(object.size()), object.digest));
        let (present, missing): (Vec<&Needed>, Vec<&Needed>) = needed.iter().partition(|object| self.metadata(object).is_some());
        let unproven: Vec<&Needed> =
            present.into_iter().filter(|object| !self.metadata(object).is_some_and(|m| stamps.has(object.digest, &m))).collect();
        progress.begin("store", missing.iter().chain(&unproven).map(|object| object.size()).sum(), "bytes");
        let damaged: Vec<Option<&Needed>> = unproven
            .par_iter()
            .with_max_len(1)
            .map(|object| {
                let found = self.verify_object(object.kind, object.digest);
                progress.advance(object.size());
                match found {
                    Ok(()) => Ok(None),
                    Err(error) if error.kind() == Kind::Integrity => {
                        progress.warn(&format!("{error:#}: written anew"));
                        Ok(Some(*object))
                    }
                    Err(error) => Err(error),
                }
            })
            .collect::<Result<_>>()?;
        let to_write: Vec<&Needed> = missing.into_iter().chain(damaged.into_iter().flatten()).collect();
        to_write.par_iter().with_max_len(1).try_for_each(|object| {
            match object.source {
                Source::Content(inode) => self.write_content(object.digest, inode, level)?,
                Source::Metadata(bytes) => self.write_metadata(object.kind, object.digest, bytes)?,
            }
            progress.advance(object.size());
            Ok::<_, Error>(())
        })?;
        self.sync()?;
        let commit_object = Needed { kind: ObjectKind::Commit, digest: commit.id.digest(), source: Source::Metadata(&commit.bytes) };
        if self.metadata(&commit_object).is_none() || self.verify_object(ObjectKind::Commit, commit.id.digest()).is_err() {
            self.write_metadata(ObjectKind::Commit, commit.id.digest(), &commit.bytes)?;
            self.sync()?;
        }
        let now: BTreeMap<Digest, Metadata> = needed.iter().filter_map(|object| Some((object.digest, self.metadata(object)?))).collect();
        stamps.replace(&now)?;
        Ok(to_write.iter().filter(|object| object.kind == ObjectKind::ArchiveFile).count())
    }

    /// Of an object's file; `None` if there is none.
    fn metadata(&self, object: &Needed) -> Option<Metadata> {
        self.object_path(object.kind, object.digest)
            .symlink_metadata()
            .none_because("an object that cannot be looked at is written anew")
            .filter(Metadata::is_file)
    }

    /// An error of kind integrity if the object's bytes do not have its name.
    pub(crate) fn verify_object(&self, kind: ObjectKind, digest: Digest) -> Result<()> {
        match kind {
            ObjectKind::ArchiveFile => self.verify_content(digest),
            _ => self.read_metadata(kind, digest).map(drop),
        }
    }

    /// Held while objects are written, as libostree does, so that nobody removes unused objects meanwhile.
    pub(crate) fn lock_shared(&self) -> Result<File> {
        let path = self.root.join(".lock");
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.context(|| format!("open {}", path.display()))?;
        // A file system without locks has none that others could hold.
        let _ = rustix::fs::flock(&file, rustix::fs::FlockOperation::LockShared);
        Ok(file)
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

    pub(crate) fn object_path(&self, kind: ObjectKind, digest: Digest) -> PathBuf {
        self.root.join(kind.path(digest))
    }

    /// The bytes of an object whose name is their digest; anything else is an error.
    pub(crate) fn read_metadata(&self, kind: ObjectKind, digest: Digest) -> Result<Vec<u8>> {
        let path = self.object_path(kind, digest);
        let reading = || format!("read {}", path.display());
        if let Entry::Absent = Entry::open(&path)? {
            return Err(std::io::Error::from(std::io::ErrorKind::NotFound)).context(reading);
        }
        let bytes = Entry::read(&path, LARGEST_METADATA)?;
        let bytes = bytes.ok_or_else(|| Error::integrity(format!("{} cannot be read as an object", path.display())))?;
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(corrupted(&path, digest, found));
        }
        Ok(bytes)
    }

    pub(crate) fn ref_path(&self, name: &str) -> Result<PathBuf> {
        let word =
            |w: &str| !w.is_empty() && !w.starts_with(['.', '-']) && w.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !name.split('/').all(word) {
            return Err(Error::recipe(format!("expected a ref of words joined by '/', found {name:?}")));
        }
        Ok(self.root.join("refs/heads").join(name))
    }

    /// Whatever was renamed into place is on the device before something refers to it.
    pub(crate) fn sync(&self) -> Result<()> {
        let folder = File::open(&self.root).context(|| format!("open {}", self.root.display()))?;
        rustix::fs::syncfs(&folder).map_err(std::io::Error::from).context(|| format!("sync {}", self.root.display()))
    }

    fn write_metadata(&self, kind: ObjectKind, digest: Digest, bytes: &[u8]) -> Result<()> {
        let path = self.object_path(kind, digest);
        self.expect(&path, digest, Digest::of(bytes))?;
        self.place(&path, |file| file.write_all(bytes).context(|| format!("write {}", path.display())))
    }

    fn write_content(&self, digest: Digest, inode: &Inode, level: u32) -> Result<()> {
        let path = self.object_path(ObjectKind::ArchiveFile, digest);
        let file_header = file_header(inode)?;
        let header = file_header.encode_archive(content_size(inode));
        let mut hasher = Hasher::new();
        hasher.update(&file_header.encode());
        self.place(&path, |file| {
            let written = |e: std::io::Result<()>| e.context(|| format!("write {}", path.display()));
            written(file.write_all(&header))?;
            match &inode.kind {
                NodeKind::File(blob) if blob.len() <= IN_MEMORY => {
                    let bytes = blob.to_vec()?;
                    hasher.update(&bytes);
                    written(file.write_all(&deflate(&bytes, level)?))?;
                }
                NodeKind::File(blob) => {
                    let mut packer = flate2::write::DeflateEncoder::new(BufWriter::new(file), flate2::Compression::new(level.min(9)));
                    blob.for_each_window(|bytes| {
                        hasher.update(bytes);
                        written(packer.write_all(bytes))
                    })?;
                    written(packer.finish().and_then(|mut rest| rest.flush()))?;
                }
                _ => {}
            }
            self.expect(&path, digest, hasher.finish())
        })
    }

    /// Nothing gets a name that its bytes do not have.
    fn expect(&self, path: &Path, expected: Digest, found: Digest) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        self.alarm.raise();
        Err(Error::integrity(format!("write {}: the bytes have the digest {found}, not that of the name", path.display())))
    }

    /// Writes in tmp/, then renames.
    fn place(&self, path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
        let (mut file, partial) = create_locked(&self.root.join("tmp"), "object")?;
        let rename = || {
            if path.is_dir() {
                // Nothing of ours: it would keep the object from its place.
                let aside = self.root.join("tmp").join(format!("folder.{}", random_name().context(|| "name a folder")?));
                std::fs::rename(path, &aside).context(|| format!("move the folder {} out of an object's place", path.display()))?;
            }
            std::fs::rename(&partial, path).context(|| format!("rename to {}", path.display()))
        };
        let done = fill(&mut file).and_then(|()| rename());
        if done.is_err() {
            // The next sweep takes what cannot be removed now.
            let _ = std::fs::remove_file(&partial);
        }
        done
    }
}

/// The keys of the section `core` of a key file; `None` if it is none.
fn core_of_config(text: &str) -> Option<BTreeMap<&str, &str>> {
    let (mut core, mut section) = (BTreeMap::new(), None);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            section = Some(name.strip_suffix(']')?);
        } else {
            let (key, value) = line.split_once('=')?;
            if section? == "core" {
                core.insert(key.trim(), value.trim());
            }
        }
    }
    Some(core)
}

pub(crate) fn corrupted(path: &Path, expected: Digest, found: Digest) -> Error {
    Error::integrity(format!("{} is corrupted: expected the digest {expected}, found {found}", path.display()))
        .hint("build again the recipe that made the commit: what is damaged is written anew")
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
