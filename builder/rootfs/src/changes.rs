//! A checkout in which scripts run one after the other, and what each of them changed.
//!
//! Every name's inode number, change time, size and mode are noted before a script. What differs afterwards is compared with the tree, so that a
//! file rewritten with the same bytes, or touched, is no change. All reading goes through `sandbox::Reader`, which trusts nothing that is there.

use crate::sandbox::{Checkout, Exit, OwnerChange, Reader};
use crate::scriptlets::Script;
use model::tree::{Attributes, Edit, FileTree, Inode, InodeId, NodeKind};
use model::{Blob, ImagePath, Result, ResultExt, SourceDateEpoch};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

/// The text of the running script. At the top, where no link of the tree or of an earlier script can lead the writer elsewhere.
const SCRIPT: &str = "/.rpm-scriptlet";
/// Mount points of the sandbox, and scratch: nothing in them outlives the script.
const IGNORED: [&str; 7] = ["/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", SCRIPT];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    /// Seconds and nanoseconds.
    changed: (i64, i64),
    size: u64,
    mode: u32,
}

type Stamps = BTreeMap<ImagePath, Stamp>;

pub(super) struct TrackedCheckout {
    checkout: Checkout,
    stamps: Stamps,
}

impl TrackedCheckout {
    /// The whole tree in a new scratch directory in `scratch`.
    pub fn check_out(tree: &FileTree, scratch: &Path) -> Result<Self> {
        let checkout = Checkout::write(tree, scratch, "scriptlets", &|_| true)?;
        // What the selection of files leaves out: directories with nothing in them.
        for entry in tree.walk() {
            if tree.inode(entry.id).is_directory() {
                let host = checkout.host(&entry.path);
                if host.symlink_metadata().is_err() {
                    fs::create_dir_all(&host).context(|| format!("write {} into the sandbox", entry.path))?;
                }
            }
        }
        let stamps = stamps(&mut checkout.reader())?;
        Ok(TrackedCheckout { checkout, stamps })
    }

    /// As rpm runs it: the interpreter with its own arguments, the file of the text, and the counts of installed packages.
    pub fn run_script(&self, run: &Script, epoch: SourceDateEpoch) -> Result<Exit> {
        let script = self.checkout.host(&ImagePath::parse(SCRIPT)?);
        let mut argv: Vec<&str> = run.interpreter.iter().map(String::as_str).collect();
        if !run.text.is_empty() {
            // A script may have left something under the name: a directory there is an error, a symlink is not followed.
            remove_if_there(&script)?;
            fs::File::create_new(&script)
                .and_then(|mut file| file.write_all(run.text.as_bytes()))
                .context(|| "write a scriptlet into the sandbox")?;
            argv.push(SCRIPT);
            argv.extend(&run.arguments);
        }
        let environment = [("RPM_INSTALL_PREFIX", ""), ("DEBIAN_FRONTEND", "noninteractive")];
        let exit = self.checkout.run_to_exit(&argv, &environment, run.input.as_bytes(), epoch);
        remove_if_there(&script)?;
        exit
    }

    /// Brings what changed since the last call into the tree: new inodes belong to root, changed ones keep their owner, and what the script gave to
    /// another owner (`owners`) gets that one. Returns the paths, sorted.
    pub fn read_changes(&mut self, tree: &mut FileTree, owners: &[OwnerChange], epoch: SourceDateEpoch) -> Result<Vec<ImagePath>> {
        let mut reader = self.checkout.reader();
        let now = stamps(&mut reader)?;
        let mut changed = Vec::new();
        // From the leaves up, so that a directory goes after what was in it.
        for path in self.stamps.keys().rev().filter(|path| !now.contains_key(path)) {
            if tree.remove(path).is_some() {
                changed.push(path.clone());
            }
        }
        let mut update = Update { reader, tree, linked: BTreeMap::new(), epoch };
        for (path, stamp) in &now {
            let before = self.stamps.get(path);
            if before != Some(stamp) && update.path(path, stamp, before)? {
                changed.push(path.clone());
            }
        }
        drop(update.reader);
        changed.extend(give(tree, owners, &now));
        self.stamps = now;
        changed.sort();
        changed.dedup();
        Ok(changed)
    }
}

/// Takes what a script changed over into the tree.
struct Update<'a, 'r> {
    reader: Reader<'r>,
    tree: &'a mut FileTree,
    /// The tree's inode of each new inode of the checkout, for its other links.
    linked: BTreeMap<u64, InodeId>,
    epoch: SourceDateEpoch,
}

impl Update<'_, '_> {
    /// Returns whether the tree has another node at `path` now.
    fn path(&mut self, path: &ImagePath, stamp: &Stamp, before: Option<&Stamp>) -> Result<bool> {
        let old = self.tree.get(path);
        let same_kind = old.is_some_and(|id| self.tree.inode(id).kind.type_bits() == stamp.mode & 0o170_000);
        let kind = match stamp.mode & 0o170_000 {
            0o040_000 => {
                if !same_kind && old.is_some() {
                    self.tree.remove(path);
                }
                NodeKind::Directory(BTreeMap::new())
            }
            0o120_000 => NodeKind::Symlink(self.reader.link(path)?.into()),
            0o100_000 => NodeKind::File(Blob::from(self.reader.file(path)?)),
            0o010_000 => NodeKind::Fifo,
            // Sockets of programs that ended; devices cannot be made there.
            _ => return Ok(false),
        };
        // The checkout has no set-id bits and no directory modes: only a mode that the script changed says something.
        let mode_changed = before.is_none_or(|before| before.mode != stamp.mode);
        if let (Some(id), true) = (old, same_kind) {
            let inode = self.tree.inode(id);
            let same_content = match (&inode.kind, &kind) {
                (NodeKind::File(a), NodeKind::File(b)) => a.len() == b.len() && a.to_vec()? == b.to_vec()?,
                (NodeKind::Symlink(a), NodeKind::Symlink(b)) => a == b,
                _ => true,
            };
            if same_content && !mode_changed {
                return Ok(false);
            }
            let inode = self.tree.inode_mut(id);
            if !same_content {
                inode.kind = kind;
                inode.attributes.mtime = i64::from(self.epoch.0);
                // Written to, a file loses its capabilities.
                inode.attributes.xattrs.remove(b"security.capability".as_slice());
            }
            if mode_changed {
                inode.attributes.mode = (stamp.mode & 0o7777) as u16;
            }
            return Ok(true);
        }
        if let Some(&first) = self.linked.get(&stamp.inode)
            && !matches!(kind, NodeKind::Directory(_))
        {
            self.tree.link(path, first)?;
            return Ok(true);
        }
        if old.is_some_and(|id| self.tree.inode(id).is_directory()) {
            self.tree.remove(path);
        }
        let attributes = Attributes::at(self.epoch, (stamp.mode & 0o7777) as u16);
        let id = self.tree.insert(path, Inode { kind, attributes }, Edit::Replace)?;
        self.linked.insert(stamp.inode, id);
        Ok(true)
    }
}

/// Gives the files that a script gave to other owners to them, in the order of the calls. Returns the paths whose owner is another now.
fn give(tree: &mut FileTree, owners: &[OwnerChange], now: &Stamps) -> Vec<ImagePath> {
    if owners.is_empty() {
        return Vec::new();
    }
    let mut paths: BTreeMap<u64, Vec<&ImagePath>> = BTreeMap::new();
    now.iter().for_each(|(path, stamp)| paths.entry(stamp.inode).or_default().push(path));
    let mut changed = Vec::new();
    for owner in owners {
        for path in paths.get(&owner.inode).into_iter().flatten() {
            let Some(id) = tree.get(path) else { continue };
            let attributes = &mut tree.inode_mut(id).attributes;
            let before = (attributes.uid, attributes.gid);
            attributes.uid = owner.user.unwrap_or(before.0);
            attributes.gid = owner.group.unwrap_or(before.1);
            if before != (attributes.uid, attributes.gid) {
                changed.push((*path).clone());
            }
        }
    }
    changed
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).context(|| "remove a scriptlet from the sandbox"),
        _ => Ok(()),
    }
}

fn stamps(reader: &mut Reader<'_>) -> Result<Stamps> {
    let wanted = |path: &ImagePath| !IGNORED.iter().any(|place| place.as_bytes() == path.as_bytes());
    let mut found = Stamps::new();
    for entry in reader.walk(&ImagePath::root(), &wanted)? {
        let stat = entry.stat;
        let directory = stat.st_mode & 0o170_000 == 0o040_000;
        let changed = if directory { (0, 0) } else { (stat.st_ctime, stat.st_ctime_nsec as i64) };
        let size = if directory { 0 } else { stat.st_size as u64 };
        found.insert(entry.path, Stamp { inode: stat.st_ino, changed, size, mode: stat.st_mode });
    }
    Ok(found)
}
