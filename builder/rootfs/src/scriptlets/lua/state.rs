//! What a script acts on, and the walk from its words to inodes: links are followed inside the tree, `..` stops at its root.

use crate::accounts::Accounts;
use crate::scriptlets::analysis;
use model::tree::{Attributes, Edit, FileTree, Found, Inode, InodeId, LastSymlink, NodeKind, follow_symlinks};
use model::{Blob, ImagePath, SourceDateEpoch};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// errno values that scripts can meet (Linux, asm-generic/errno-base.h and errno.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errno {
    NotFound = 2,
    Exists = 17,
    NotDirectory = 20,
    IsDirectory = 21,
    Invalid = 22,
    TooMany = 24,
    TooLarge = 27,
    NoSpace = 28,
    NotEmpty = 39,
    TooManySymlinks = 40,
}

impl Errno {
    pub fn text(self) -> &'static str {
        match self {
            Errno::NotFound => "No such file or directory",
            Errno::Exists => "File exists",
            Errno::NotDirectory => "Not a directory",
            Errno::IsDirectory => "Is a directory",
            Errno::Invalid => "Invalid argument",
            Errno::TooLarge => "File too large",
            Errno::TooMany => "Too many open files",
            Errno::NoSpace => "No space left on device",
            Errno::NotEmpty => "Directory not empty",
            Errno::TooManySymlinks => "Too many levels of symbolic links",
        }
    }
}

/// What one script may put into the tree, in bytes and in names.
const BYTES_MAX: usize = 256 << 20;
const NAMES_MAX: usize = 100_000;

pub(super) struct State {
    pub tree: FileTree,
    pub users: BTreeMap<String, u32>,
    pub groups: BTreeMap<String, u32>,
    pub epoch: SourceDateEpoch,
    pub working: Vec<u8>,
    pub umask: u16,
    pub environment: BTreeMap<String, String>,
    pub output: String,
    /// Paths that set a trigger off, which `rpm.next_file` hands out.
    pub input: VecDeque<String>,
    pub changed: BTreeSet<ImagePath>,
    pub mechanisms: BTreeSet<&'static str>,
    /// Written back at the end of the script if not before.
    pub open: Vec<std::rc::Rc<std::cell::RefCell<super::files::OpenFile>>>,
    /// Bytes that the script put into files, and names that it made.
    written: usize,
    made: usize,
    pub is_child: bool,
    pub forked: bool,
    /// Set by `posix.exec` in the child: the error that ends the script is then expected.
    pub executed: bool,
    pub errno: Option<Errno>,
}

/// A name whose folder exists; the name itself may not.
pub(super) struct Place {
    pub path: ImagePath,
    pub id: Option<InodeId>,
}

impl State {
    pub fn new(tree: FileTree, accounts: &Accounts, epoch: SourceDateEpoch, is_child: bool) -> Self {
        State {
            tree,
            users: accounts.users().iter().map(|u| (u.name.to_string(), u.uid.get())).collect(),
            groups: accounts.groups().iter().map(|g| (g.name.to_string(), g.gid.get())).collect(),
            epoch,
            working: b"/".to_vec(),
            umask: 0o022,
            environment: [("PATH".to_owned(), "/sbin:/bin:/usr/sbin:/usr/bin".to_owned())].into(),
            output: String::new(),
            input: VecDeque::new(),
            changed: BTreeSet::new(),
            mechanisms: BTreeSet::new(),
            open: Vec::new(),
            written: 0,
            made: 0,
            is_child,
            forked: false,
            executed: false,
            errno: None,
        }
    }

    pub fn print(&mut self, text: &str) {
        let room = super::OUTPUT.saturating_sub(self.output.len());
        self.output.extend(text.chars().take(room));
    }

    /// Where `text` leads; `follow`: a link in the last place is followed too, even one that dangles.
    pub fn place(&self, text: &[u8], follow: bool) -> Result<Place, Errno> {
        let absolute = text.first() == Some(&b'/');
        let whole = if absolute { text.to_vec() } else { [self.working.as_slice(), b"/", text].concat() };
        if text.is_empty() {
            return Err(Errno::NotFound);
        }
        let look_up = |directory: Option<&Option<InodeId>>, name: &[u8]| {
            let directory = directory.copied().unwrap_or(Some(FileTree::ROOT)).ok_or(Errno::NotFound)?;
            if !self.tree.inode(directory).is_directory() {
                return Err(Errno::NotDirectory);
            }
            let id = self.tree.child(directory, name);
            Ok(id.map_or(Found::Other(None), |id| self.tree.found(id, Some(id))))
        };
        let real =
            follow_symlinks(&whole, if follow { LastSymlink::Follow } else { LastSymlink::Keep }, look_up, || Errno::TooManySymlinks)?;
        let path = real.path().map_err(|_| Errno::Invalid)?;
        Ok(Place { path, id: real.into_last().unwrap_or(Some(FileTree::ROOT)) })
    }

    /// An inode that must be there.
    pub fn existing(&self, text: &[u8], follow: bool) -> Result<(ImagePath, InodeId), Errno> {
        let place = self.place(text, follow)?;
        place.id.map(|id| (place.path, id)).ok_or(Errno::NotFound)
    }

    /// A new name; one that is taken is an error.
    pub fn create(&mut self, text: &[u8], kind: NodeKind, mode: u16) -> Result<(), Errno> {
        let place = self.place(text, false)?;
        if place.id.is_some() {
            return Err(Errno::Exists);
        }
        self.made += 1;
        if self.made > NAMES_MAX {
            return Err(Errno::NoSpace);
        }
        let mode = if matches!(kind, NodeKind::Symlink(_)) { 0o777 } else { mode & !self.umask };
        let attributes = Attributes::at(self.epoch, mode);
        self.tree.insert(&place.path, Inode { kind, attributes }, Edit::Create).map_err(|_| Errno::Invalid)?;
        self.changed.insert(place.path);
        Ok(())
    }

    pub fn remove(&mut self, text: &[u8], directory: bool) -> Result<(), Errno> {
        let (path, id) = self.existing(text, false)?;
        match (self.tree.inode(id).is_directory(), directory) {
            (true, false) => return Err(Errno::IsDirectory),
            (false, true) => return Err(Errno::NotDirectory),
            (true, true) if self.tree.children(id).len() > 0 => return Err(Errno::NotEmpty),
            _ => {}
        }
        self.tree.remove(&path).ok_or(Errno::Invalid)?;
        self.changed.insert(path);
        Ok(())
    }

    pub fn rename(&mut self, from: &[u8], to: &[u8]) -> Result<(), Errno> {
        let (from, id) = self.existing(from, false)?;
        let to = self.place(to, false)?;
        if from == to.path {
            return Ok(());
        }
        if let Some(old) = to.id {
            match (self.tree.inode(old).is_directory(), self.tree.inode(id).is_directory()) {
                (true, false) => return Err(Errno::IsDirectory),
                (false, true) => return Err(Errno::NotDirectory),
                (true, true) if self.tree.children(old).len() > 0 => return Err(Errno::NotEmpty),
                _ => drop(self.tree.remove(&to.path)),
            }
        }
        self.tree.rename(&from, &to.path).map_err(|_| Errno::Invalid)?;
        self.changed.extend([from, to.path]);
        Ok(())
    }

    /// Replaces the content of the file at `path`, or makes it.
    pub fn write_file(&mut self, path: &ImagePath, bytes: Vec<u8>) -> Result<(), Errno> {
        self.written = self.written.saturating_add(bytes.len());
        self.made += 1;
        if self.written > BYTES_MAX || self.made > NAMES_MAX {
            return Err(Errno::NoSpace);
        }
        match self.tree.get(path) {
            Some(id) => {
                let inode = self.tree.inode_mut(id);
                inode.kind = NodeKind::File(Blob::from(bytes));
                inode.attributes.mtime = i64::from(self.epoch.0);
            }
            None => {
                let attributes = Attributes::at(self.epoch, 0o666 & !self.umask);
                self.tree.insert(path, Inode::file(bytes, attributes), Edit::Create).map_err(|_| Errno::Invalid)?;
            }
        }
        self.changed.insert(path.clone());
        Ok(())
    }

    /// A program that the script asks for: done if a native stage does its work.
    pub fn execute(&mut self, command: &str) -> Result<(), String> {
        match analysis::native_command(command) {
            Some(mechanism) => {
                self.mechanisms.insert(mechanism);
                Ok(())
            }
            None => Err(format!("the script runs {command:?}, which no native stage does")),
        }
    }
}
