//! A checkout in which scripts run one after the other, and what each of them changed.
//!
//! Every name's inode number, change time, size and mode are noted before a script. What differs afterwards is compared with the tree, so that a
//! file rewritten with the same bytes, or touched, is no change.

use crate::base::{Blob, Error, ImagePath, Result, ResultExt, SourceDateEpoch};
use crate::rootfs::sandbox::{Checkout, Exit};
use crate::rootfs::scriptlets::Script;
use crate::tree::{Attributes, Edit, FileTree, Inode, InodeId, NodeKind};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
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

pub(super) struct Watched {
    checkout: Checkout,
    stamps: Stamps,
}

impl Watched {
    /// The whole tree below `scratch`, which must not exist.
    pub fn check_out(tree: &FileTree, scratch: &Path) -> Result<Self> {
        let checkout = Checkout::write(tree, scratch, &|_| true)?;
        // What the selection of files leaves out: directories with nothing in them.
        for entry in tree.walk() {
            if tree.inode(entry.id).is_directory() {
                let host = checkout.host(&entry.path);
                if host.symlink_metadata().is_err() {
                    fs::create_dir_all(&host).context(|| format!("write {} into the sandbox", entry.path))?;
                }
            }
        }
        let stamps = stamps(&checkout)?;
        Ok(Watched { checkout, stamps })
    }

    /// As rpm runs it: the interpreter with its own arguments, the file of the text, and the counts of installed packages.
    pub fn run_script(&self, run: &Script, epoch: SourceDateEpoch) -> Result<Exit> {
        let script = self.checkout.host(&ImagePath::parse(SCRIPT)?);
        let mut argv: Vec<&str> = run.interpreter.iter().map(String::as_str).collect();
        if !run.text.is_empty() {
            fs::remove_file(&script).ok();
            fs::File::create_new(&script)
                .and_then(|mut file| file.write_all(run.text.as_bytes()))
                .context(|| "write a scriptlet into the sandbox")?;
            argv.push(SCRIPT);
            argv.extend(&run.arguments);
        }
        let environment = [("RPM_INSTALL_PREFIX", ""), ("DEBIAN_FRONTEND", "noninteractive")];
        let exit = self.checkout.run_to_exit(&argv, &environment, run.input.as_bytes(), epoch);
        fs::remove_file(&script).ok();
        exit
    }

    /// Brings what changed since the last call into the tree: new inodes belong to root, changed ones keep their owner. Returns the paths, sorted.
    pub fn read_changes(&mut self, tree: &mut FileTree, epoch: SourceDateEpoch) -> Result<Vec<ImagePath>> {
        let now = stamps(&self.checkout)?;
        let mut changed = Vec::new();
        // From the leaves up, so that a directory goes after what was in it.
        for path in self.stamps.keys().rev().filter(|path| !now.contains_key(path)) {
            if tree.remove(path).is_some() {
                changed.push(path.clone());
            }
        }
        let mut linked: BTreeMap<u64, InodeId> = BTreeMap::new();
        for (path, stamp) in &now {
            let before = self.stamps.get(path);
            if before == Some(stamp) {
                continue;
            }
            if self.update(tree, path, stamp, before, &mut linked, epoch)? {
                changed.push(path.clone());
            }
        }
        self.stamps = now;
        changed.sort();
        Ok(changed)
    }

    fn update(
        &self,
        tree: &mut FileTree,
        path: &ImagePath,
        stamp: &Stamp,
        before: Option<&Stamp>,
        linked: &mut BTreeMap<u64, InodeId>,
        epoch: SourceDateEpoch,
    ) -> Result<bool> {
        let host = self.checkout.host(path);
        let doing = || format!("read {path} back from the sandbox");
        let old = tree.get(path);
        let same_kind = old.is_some_and(|id| tree.inode(id).kind.type_bits() == stamp.mode & 0o170_000);
        let kind = match stamp.mode & 0o170_000 {
            0o040_000 => {
                if !same_kind && old.is_some() {
                    tree.remove(path);
                }
                NodeKind::Directory(BTreeMap::new())
            }
            0o120_000 => NodeKind::Symlink(fs::read_link(&host).context(doing)?.as_os_str().as_bytes().into()),
            0o100_000 if stamp.size > LARGEST => {
                return Err(Error::tool(format!("a script left {path} with {} bytes, more than {LARGEST}", stamp.size)));
            }
            0o100_000 => NodeKind::File(Blob::from(fs::read(&host).context(doing)?)),
            0o010_000 => NodeKind::Fifo,
            // Sockets of programs that ended; devices cannot be made there.
            _ => return Ok(false),
        };
        // The checkout has no set-id bits and no directory modes: only a mode that the script changed says something.
        let mode_changed = before.is_none_or(|before| before.mode != stamp.mode);
        if let (Some(id), true) = (old, same_kind) {
            let inode = tree.inode(id);
            let same_content = match (&inode.kind, &kind) {
                (NodeKind::File(a), NodeKind::File(b)) => a.len() == b.len() && a.to_vec()? == b.to_vec()?,
                (NodeKind::Symlink(a), NodeKind::Symlink(b)) => a == b,
                _ => true,
            };
            if same_content && !mode_changed {
                return Ok(false);
            }
            let inode = tree.inode_mut(id);
            if !same_content {
                inode.kind = kind;
                inode.attributes.mtime = i64::from(epoch.0);
                // Written to, a file loses its capabilities.
                inode.attributes.xattrs.remove(b"security.capability".as_slice());
            }
            if mode_changed {
                inode.attributes.mode = (stamp.mode & 0o7777) as u16;
            }
            return Ok(true);
        }
        if let Some(&first) = linked.get(&stamp.inode)
            && !matches!(kind, NodeKind::Directory(_))
        {
            tree.link(path, first)?;
            return Ok(true);
        }
        if old.is_some_and(|id| tree.inode(id).is_directory()) {
            tree.remove(path);
        }
        let attributes = Attributes { mtime: i64::from(epoch.0), ..Attributes::root((stamp.mode & 0o7777) as u16) };
        let id = tree.insert(path, Inode { kind, attributes }, Edit::Replace)?;
        linked.insert(stamp.inode, id);
        Ok(true)
    }
}

fn stamps(checkout: &Checkout) -> Result<Stamps> {
    let mut found = Stamps::new();
    let mut folders = vec![ImagePath::root()];
    while let Some(folder) = folders.pop() {
        let host = checkout.host(&folder);
        for entry in fs::read_dir(&host).context(|| format!("list {folder} in the sandbox"))? {
            let entry = entry.context(|| format!("list {folder} in the sandbox"))?;
            let path = folder.join(entry.file_name().as_bytes())?;
            if IGNORED.iter().any(|place| place.as_bytes() == path.as_bytes()) {
                continue;
            }
            let meta = entry.path().symlink_metadata().context(|| format!("look at {path} in the sandbox"))?;
            if meta.is_dir() {
                folders.push(path.clone());
            }
            let changed = if meta.is_dir() { (0, 0) } else { (meta.ctime(), meta.ctime_nsec()) };
            let size = if meta.is_dir() { 0 } else { meta.size() };
            found.insert(path, Stamp { inode: meta.ino(), changed, size, mode: meta.mode() });
            if found.len() > MOST_NAMES {
                return Err(Error::tool(format!("a script left more than {MOST_NAMES} names in the sandbox")));
            }
        }
    }
    Ok(found)
}

/// Of a file that a script makes, in bytes.
const LARGEST: u64 = 1 << 30;
/// Beyond any real root; a script that makes more is stopped before it fills the memory.
const MOST_NAMES: usize = 4_000_000;
