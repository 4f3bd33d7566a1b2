//! A tree's commit: the digest of every file in parallel, then directories from the leaves up. Nothing is written.

use crate::format::{CommitObject, DirMeta, DirTree, FileHeader, MetadataValue, Xattrs};
use crate::{CommitId, ContentId, DirmetaId, DirtreeId, KnownContents};
use model::tree::{Attributes, FileTree, Inode, InodeId, NodeKind};
use model::{Digest, Error, Hasher, Result, ResultExt, ResultJudged, SourceDateEpoch};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// What a filesystem gives out, in bytes.
const BLOCK: u64 = 4096;

#[derive(Debug, Clone)]
pub struct CommitMeta {
    pub subject: String,
    pub body: String,
    pub parent: Option<CommitId>,
    pub epoch: SourceDateEpoch,
    /// Such as `version` and `ostree.ref-binding`.
    pub metadata: BTreeMap<String, MetadataValue>,
}

/// A commit with every object but the contents, which stay in the tree.
#[derive(Debug, Clone)]
pub struct Commit {
    pub id: CommitId,
    pub parent: Option<CommitId>,
    /// The commit object's bytes.
    pub bytes: Vec<u8>,
    pub root_tree: DirtreeId,
    pub root_meta: DirmetaId,
    pub dirtrees: BTreeMap<DirtreeId, Vec<u8>>,
    pub dirmetas: BTreeMap<DirmetaId, Vec<u8>>,
    /// By `InodeId::index` of the committed tree; `None` for directories and unreachable inodes.
    pub contents: Vec<Option<ContentId>>,
}

impl Commit {
    /// Every distinct content object with one inode that holds it.
    pub fn distinct_contents(&self, tree: &FileTree) -> BTreeMap<ContentId, InodeId> {
        let reached = reach(tree).files;
        reached.into_iter().filter_map(|id| self.contents.get(id.index()).copied().flatten().map(|content| (content, id))).collect()
    }
}

/// By `InodeId::index` of a tree; `None` for directories and unreachable inodes.
#[derive(Debug, Clone)]
pub struct ContentIds(Vec<Option<ContentId>>);

/// Hashes every file and symlink of the tree that is not `known`.
pub fn content_ids(tree: &FileTree, known: &KnownContents) -> Result<ContentIds> {
    let _span = tracing::info_span!("content ids").entered();
    let mut files = reach(tree).files;
    // Biggest first, so that no core is left alone with a big file at the end.
    files.sort_by_key(|&id| (std::cmp::Reverse(content_size(tree.inode(id))), id));
    let hashed: Vec<(InodeId, ContentId)> = files
        .par_iter()
        .with_max_len(1)
        .map(|&id| content_id(tree.inode(id), known).map(|content| (id, content)).context(|| format!("commit {}", path_of(tree, id))))
        .collect::<Result<_>>()?;
    let mut contents = vec![None; tree.arena_len()];
    for (id, content) in hashed {
        contents[id.index()] = Some(content);
    }
    Ok(ContentIds(contents))
}

/// Computes what `ostree commit` would name this tree. Devices, fifos and sockets, and names and targets that are not UTF-8 are errors that name the path.
pub fn commit(tree: &FileTree, meta: &CommitMeta) -> Result<Commit> {
    tree_objects(tree, content_ids(tree, &KnownContents::none())?)?.commit(meta)
}

/// The objects of a tree without a commit that names them.
#[derive(Debug, Clone)]
pub struct TreeObjects {
    root_tree: DirtreeId,
    root_meta: DirmetaId,
    dirtrees: BTreeMap<DirtreeId, Vec<u8>>,
    dirmetas: BTreeMap<DirmetaId, Vec<u8>>,
    contents: Vec<Option<ContentId>>,
}

/// Makes the objects of a tree whose contents are hashed already.
pub fn tree_objects(tree: &FileTree, contents: ContentIds) -> Result<TreeObjects> {
    let _span = tracing::info_span!("commit").entered();
    let ContentIds(contents) = contents;
    let reached = reach(tree);
    let (mut dirtrees, mut dirmetas) = (BTreeMap::new(), BTreeMap::new());
    let mut named: Vec<Option<(DirtreeId, DirmetaId)>> = vec![None; tree.arena_len()];
    for &id in reached.directories.iter().rev() {
        let listing = list(tree, id, &contents, &named)?.encode();
        let tree_id = DirtreeId::new(Digest::of(&listing));
        let own = dirmeta(tree.inode(id)).encode();
        let meta_id = DirmetaId::new(Digest::of(&own));
        named[id.index()] = Some((tree_id, meta_id));
        dirtrees.entry(tree_id).or_insert(listing);
        dirmetas.entry(meta_id).or_insert(own);
    }
    let (root_tree, root_meta) = named[FileTree::ROOT.index()].ok_or_else(|| Error::internal("the tree's root is not a directory"))?;
    Ok(TreeObjects { root_tree, root_meta, dirtrees, dirmetas, contents })
}

impl TreeObjects {
    /// Names the tree by a commit with what `meta` says.
    pub fn commit(self, meta: &CommitMeta) -> Result<Commit> {
        let TreeObjects { root_tree, root_meta, dirtrees, dirmetas, contents } = self;
        let object = CommitObject {
            metadata: meta.metadata.clone(),
            parent: meta.parent.map(CommitId::digest),
            subject: meta.subject.clone(),
            body: meta.body.clone(),
            timestamp: u64::from(meta.epoch.0),
            root_tree: root_tree.digest(),
            root_meta: root_meta.digest(),
        };
        let texts = [&object.subject, &object.body].into_iter().chain(object.metadata.keys());
        if let Some(bad) = texts.into_iter().find(|t| t.contains('\0')) {
            return Err(Error::recipe(format!("a commit's text cannot hold a NUL byte: {bad:?}")));
        }
        let bytes = object.encode();
        Ok(Commit { id: CommitId::new(Digest::of(&bytes)), parent: meta.parent, bytes, root_tree, root_meta, dirtrees, dirmetas, contents })
    }

    /// Every object with the bytes that it takes in a bare repository, in whole blocks of 4 KiB. Symlinks and empty files take none.
    pub fn sizes(&self, tree: &FileTree) -> BTreeMap<Digest, u64> {
        let dirtrees = self.dirtrees.iter().map(|(id, bytes)| (id.digest(), bytes.len() as u64));
        let dirmetas = self.dirmetas.iter().map(|(id, bytes)| (id.digest(), bytes.len() as u64));
        let contents = reach(tree).files.into_iter().filter_map(|id| {
            let content = self.contents.get(id.index()).copied().flatten()?;
            Some((content.digest(), content_size(tree.inode(id))))
        });
        dirtrees.chain(dirmetas).chain(contents).map(|(object, size)| (object, size.next_multiple_of(BLOCK))).collect()
    }
}

/// The header that a content object of this file or symlink carries.
pub(crate) fn file_header(inode: &Inode) -> Result<FileHeader> {
    let a = &inode.attributes;
    let (mode, target) = match &inode.kind {
        NodeKind::File(_) => (inode.st_mode(), String::new()),
        NodeKind::Symlink(target) => {
            let text = std::str::from_utf8(target)
                .none_because("the caller's sentence says what a target is")
                .filter(|t| !t.is_empty() && !t.contains('\0'));
            let text = text.ok_or_else(|| Error::integrity("expected a symlink's target in UTF-8, not empty, without NUL"))?;
            // lchmod does not exist on Linux: every symlink is 0777 there.
            (0o120_777, text.to_owned())
        }
        other => return Err(Error::integrity(format!("a commit holds directories, files and symlinks only, found a {}", other.name()))),
    };
    Ok(FileHeader { uid: a.uid, gid: a.gid, mode, target, xattrs: stored_xattrs(a) })
}

/// libostree takes an attribute with an empty value for none: it reads them so, and would call an object that has one corrupted.
pub(crate) fn stored_xattrs(attributes: &Attributes) -> Xattrs {
    attributes.xattrs.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn content_id(inode: &Inode, known: &KnownContents) -> Result<ContentId> {
    let header = file_header(inode)?.encode();
    let hash = || {
        let mut hasher = Hasher::new();
        hasher.update(&header);
        if let NodeKind::File(blob) = &inode.kind {
            blob.for_each_window(|bytes| {
                hasher.update(bytes);
                Ok(())
            })?;
        }
        Ok(ContentId::new(hasher.finish()))
    };
    match &inode.kind {
        NodeKind::File(blob) => match blob.identity() {
            Some(identity) => known.get_or(KnownContents::key(&header, &identity.bytes()), hash),
            None => hash(),
        },
        _ => hash(),
    }
}

pub(crate) fn content_size(inode: &Inode) -> u64 {
    if let NodeKind::File(blob) = &inode.kind { blob.len() } else { 0 }
}

fn dirmeta(inode: &Inode) -> DirMeta {
    let a = &inode.attributes;
    DirMeta { uid: a.uid, gid: a.gid, mode: inode.st_mode(), xattrs: stored_xattrs(a) }
}

fn list(tree: &FileTree, id: InodeId, contents: &[Option<ContentId>], named: &[Option<(DirtreeId, DirmetaId)>]) -> Result<DirTree> {
    let mut out = DirTree::default();
    for (name, child) in tree.children(id) {
        let name = std::str::from_utf8(name)
            .map_err(|_| Error::integrity(format!("commit {}: expected a name in UTF-8", path_of(tree, child))))?
            .to_owned();
        match (contents[child.index()], named[child.index()]) {
            (Some(content), _) => out.files.push((name, content.digest())),
            (_, Some((tree_id, meta_id))) => out.directories.push((name, tree_id.digest(), meta_id.digest())),
            _ => return Err(Error::internal(format!("{} was not hashed", path_of(tree, child)))),
        }
    }
    Ok(out)
}

struct Reached {
    /// Parents before children.
    directories: Vec<InodeId>,
    /// Everything else, each inode once.
    files: Vec<InodeId>,
}

fn reach(tree: &FileTree) -> Reached {
    let mut seen = vec![false; tree.arena_len()];
    let mut directories = vec![FileTree::ROOT];
    let mut files = Vec::new();
    let mut next = 0;
    while let Some(&at) = directories.get(next) {
        next += 1;
        for (_, id) in tree.children(at) {
            if std::mem::replace(&mut seen[id.index()], true) {
                continue;
            }
            if tree.inode(id).is_directory() { directories.push(id) } else { files.push(id) }
        }
    }
    Reached { directories, files }
}

/// For messages: the first name of an inode.
fn path_of(tree: &FileTree, id: InodeId) -> String {
    tree.walk().into_iter().find(|e| e.id == id).map_or_else(|| "an unreachable inode".into(), |e| e.path.to_string())
}
