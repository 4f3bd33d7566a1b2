//! Packages' files into one tree, by rpm's rules for paths that several packages name (rpm, `lib/transaction.c`, `handleOverlappedFiles`).
//!
//! What is the same in each (kind, mode, owner, contents or target) is shared. Of two ELF files of different colours the 64-bit one stays. A ghost
//! is no file. Anything else is a conflict, unless the recipe says whose file it is.

use super::file_conflicts::{FileConflicts, Verdict};
use model::tree::{Attributes, Edit, FileTree, Found, Inode, InodeId, LastSymlink, NodeKind, follow_symlinks, too_many_symlinks};
use model::{Error, ImagePath, Progress, Result, ResultExt};
use packages::rpm::FileKind;
use recipe::ConflictRule;
use std::collections::{BTreeMap, BTreeSet};
use supply::fetch::{Pack, PackEntry};

/// Who owns an inode, by name, until the accounts are planned.
pub(super) struct Owner {
    pub id: InodeId,
    pub user: String,
    pub group: String,
    pub package: String,
    pub path: ImagePath,
}

/// Adds the files of `packs`, in their order, to what is in `tree`.
pub(super) fn lay(tree: &mut FileTree, packs: &[Pack], rules: &[ConflictRule], progress: &dyn Progress) -> Result<Vec<Owner>> {
    progress.begin("compose", packs.len() as u64, "packages");
    let mut layer = Layer { tree, owners: Vec::new(), conflicts: FileConflicts::new(packs, rules) };
    let leads: BTreeSet<usize> = leading(packs);
    for index in leads.iter().copied().chain((0..packs.len()).filter(|index| !leads.contains(index))) {
        let pack = &packs[index];
        let package = pack.metadata().nevra.to_string();
        let mut groups: BTreeMap<u32, InodeId> = BTreeMap::new();
        for (number, entry) in pack.entries().iter().enumerate() {
            if !entry.flags.is_ghost() {
                layer.place(pack, index, (number, entry), &mut groups).context(|| format!("package {package}"))?;
            }
        }
        progress.advance(1);
    }
    let Layer { owners, conflicts, .. } = layer;
    conflicts.finish()?;
    Ok(owners)
}

/// Packages with a link that is on the way to another one's file: /lib of the base system, for example. They go first, so that no directory stands
/// in the link's place.
fn leading(packs: &[Pack]) -> BTreeSet<usize> {
    let mut links: BTreeMap<&[u8], usize> = BTreeMap::new();
    for (index, pack) in packs.iter().enumerate() {
        for entry in pack.entries().iter().filter(|entry| matches!(entry.kind, FileKind::Symlink { .. }) && !entry.flags.is_ghost()) {
            links.entry(entry.path.as_bytes()).or_insert(index);
        }
    }
    let mut leading = BTreeSet::new();
    for entry in packs.iter().flat_map(Pack::entries) {
        let path = entry.path.as_bytes();
        let slashes = path.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/');
        leading.extend(slashes.filter_map(|(at, _)| links.get(&path[..at])));
    }
    leading
}

struct Layer<'a> {
    tree: &'a mut FileTree,
    owners: Vec<Owner>,
    conflicts: FileConflicts<'a>,
}

impl Layer<'_> {
    fn place(
        &mut self,
        pack: &Pack,
        index: usize,
        (number, entry): (usize, &PackEntry),
        groups: &mut BTreeMap<u32, InodeId>,
    ) -> Result<()> {
        let path = self.real_path(entry)?;
        let known = self.conflicts.claim(&path, index, number);
        if let Verdict::Shared | Verdict::Theirs = known {
            // The other names of a hard link may still be this package's.
            if let (Verdict::Shared, Some(group), Some(id)) = (known, entry.link_group, self.tree.get(&path)) {
                groups.entry(group).or_insert(id);
            }
            return Ok(());
        }
        if let Some(&first) = entry.link_group.as_ref().and_then(|group| groups.get(group)) {
            return self.tree.link(&path, first);
        }
        let mut attributes = Attributes { mtime: i64::from(entry.mtime), ..Attributes::root(entry.mode) };
        if let Some(capability) = &entry.capability {
            attributes.xattrs.insert(b"security.capability".as_slice().into(), capability.as_slice().into());
        }
        let kind = match &entry.kind {
            FileKind::Directory => NodeKind::Directory(BTreeMap::new()),
            FileKind::File => NodeKind::File(pack.blob(entry)),
            FileKind::Symlink { target } => NodeKind::Symlink(target.as_slice().into()),
            FileKind::CharDevice { major, minor } => NodeKind::CharDevice { major: *major, minor: *minor },
            FileKind::BlockDevice { major, minor } => NodeKind::BlockDevice { major: *major, minor: *minor },
            FileKind::Fifo => NodeKind::Fifo,
            FileKind::Socket => NodeKind::Socket,
        };
        // A directory where a link to one stands already: it stays a link, as in rpm.
        if let (NodeKind::Directory(_), Some(id)) = (&kind, self.tree.get(&path))
            && matches!(self.tree.inode(id).kind, NodeKind::Symlink(_))
        {
            return Ok(());
        }
        let id = self.tree.insert(&path, Inode { kind, attributes }, Edit::Replace)?;
        if let Some(group) = entry.link_group {
            groups.insert(group, id);
        }
        let package = pack.metadata().nevra.to_string();
        self.owners.push(Owner { id, user: entry.user.clone(), group: entry.group.clone(), package, path });
        Ok(())
    }

    /// Where a file comes to lie: its directory may be reached through links of the tree, of root's or of the file's own user.
    fn real_path(&self, entry: &PackEntry) -> Result<ImagePath> {
        let path = &entry.path;
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else { return Ok(path.clone()) };
        if self.tree.get(&parent).is_some_and(|id| self.tree.inode(id).is_directory()) {
            return Ok(path.clone());
        }
        let look_up = |directory: Option<&ImagePath>, part: &[u8]| -> Result<Found<ImagePath>> {
            let next = directory.cloned().unwrap_or_else(ImagePath::root).join(part)?;
            // A directory that is absent is made when the file is inserted.
            let Some(id) = self.tree.get(&next) else { return Ok(Found::Other(next)) };
            let found = self.tree.found(id, next);
            if let Found::Symlink(link, _) = &found
                && let Some(user) = self.conflicts.user_of(link).filter(|user| *user != "root" && *user != entry.user)
            {
                return Err(Error::integrity(format!("{path} of {} lies behind the link {link} of the user {user}", entry.user))
                    .hint("rpm refuses it, too: whoever owns the link could lead the file anywhere"));
            }
            Ok(found)
        };
        let real = follow_symlinks(parent.as_bytes(), LastSymlink::Follow, look_up, || too_many_symlinks(path))?;
        real.into_last().unwrap_or_else(ImagePath::root).join(name)
    }
}
