//! One line of tmpfiles.d for one path, with the effects of `systemd-tmpfiles --create`.

use super::FACTORY;
use crate::accounts::Accounts;
use conf::tmpfiles::{Line, Owner};
use model::tree::{Attributes, Edit, FileTree, Inode, InodeId, NodeKind};
use model::{Error, ImagePath, Result};

/// `w` into a longer file than this (in bytes) is left to the host.
const MAX_WRITTEN: u64 = 1 << 20;

/// Returns whether something changed.
pub(super) fn apply(tree: &mut FileTree, accounts: &Accounts, line: &Line, path: &ImagePath) -> Result<bool> {
    match line.kind {
        'f' | 'F' => file(tree, accounts, line, path),
        'd' | 'D' | 'v' | 'q' | 'Q' => directory(tree, accounts, line, path),
        'e' => match tree.get(path).filter(|&id| tree.inode(id).is_directory()) {
            Some(id) => Perms::of(line, accounts, path)?.set(tree, id, line, false),
            None => Ok(false),
        },
        'L' => link(tree, accounts, line, path),
        'C' => copy(tree, accounts, line, path),
        'w' => write(tree, accounts, line, path),
        'z' | 'm' | 'Z' => {
            let perms = Perms::of(line, accounts, path)?;
            let ids: Vec<InodeId> = match line.kind {
                'Z' => tree.walk_from(path).into_iter().flatten().map(|entry| entry.id).collect(),
                _ => tree.get(path).into_iter().collect(),
            };
            let mut changed = false;
            for id in ids {
                changed |= perms.set(tree, id, line, false)?;
            }
            Ok(changed)
        }
        // A commit holds no fifos, devices, ACLs and file attributes; cleaning up is for a running host.
        _ => Ok(false),
    }
}

/// What the line says of owner and mode, with names resolved.
struct Perms {
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Perms {
    fn of(line: &Line, accounts: &Accounts, path: &ImagePath) -> Result<Perms> {
        let name = |owner: &Option<Owner>| owner.as_ref().map_or_else(|| "root".to_owned(), |owner| owner.name.clone());
        let (uid, gid) = accounts.owner(&name(&line.user), &name(&line.group), "tmpfiles.d", &path.to_string())?;
        Ok(Perms { uid: line.user.as_ref().map(|_| uid), gid: line.group.as_ref().map(|_| gid) })
    }

    /// Changes owner and mode as the line has it; `is_new`: the line has just made the inode.
    fn set(&self, tree: &mut FileTree, id: InodeId, line: &Line, is_new: bool) -> Result<bool> {
        let inode = tree.inode_mut(id);
        let before = inode.attributes.clone();
        let applies = |owner: &Option<Owner>| owner.as_ref().is_some_and(|owner| is_new || !owner.on_create);
        if let Some(uid) = self.uid.filter(|_| applies(&line.user)) {
            inode.attributes.uid = uid;
        }
        if let Some(gid) = self.gid.filter(|_| applies(&line.group)) {
            inode.attributes.gid = gid;
        }
        let is_link = matches!(inode.kind, NodeKind::Symlink(_));
        if let Some(mode) = line.mode.filter(|mode| !is_link && (is_new || !mode.on_create)) {
            let is_directory = inode.is_directory();
            inode.attributes.mode = if mode.masked { masked(mode.bits, inode.attributes.mode, is_directory) } else { mode.bits };
        }
        Ok(is_new || inode.attributes != before)
    }
}

/// `~`: a class of permissions that nobody has now is given to nobody; setuid, setgid and sticky are for directories.
fn masked(mut mode: u16, now: u16, is_directory: bool) -> u16 {
    for class in [0o111, 0o222, 0o444] {
        if now & class == 0 {
            mode &= !class;
        }
    }
    if is_directory { mode } else { mode & 0o777 }
}

/// Attributes of a new inode before the line's owner is set.
fn fresh(line: &Line, default: u16) -> Attributes {
    Attributes::root(line.mode.map_or(default, |mode| mode.bits))
}

/// `=`: what is of another type goes. Returns what is left at the path.
fn made_room(tree: &mut FileTree, line: &Line, path: &ImagePath, fits: impl Fn(&NodeKind) -> bool) -> Option<InodeId> {
    let id = tree.get(path)?;
    if line.has('=') && !fits(&tree.inode(id).kind) {
        tree.remove(path);
        return None;
    }
    Some(id)
}

fn file(tree: &mut FileTree, accounts: &Accounts, line: &Line, path: &ImagePath) -> Result<bool> {
    let perms = Perms::of(line, accounts, path)?;
    let content = || line.argument.as_deref().map_or_else(Vec::new, <[u8]>::to_vec);
    match made_room(tree, line, path, |kind| matches!(kind, NodeKind::File(_))) {
        None => {
            let id = tree.insert(path, Inode::file(content(), fresh(line, 0o644)), Edit::Create)?;
            perms.set(tree, id, line, true)
        }
        Some(id) if matches!(tree.inode(id).kind, NodeKind::File(_)) => {
            let truncates = line.kind == 'F' || line.has('+');
            if truncates {
                tree.inode_mut(id).kind = NodeKind::File(content().into());
            }
            Ok(perms.set(tree, id, line, false)? || truncates)
        }
        Some(_) => Ok(false),
    }
}

fn directory(tree: &mut FileTree, accounts: &Accounts, line: &Line, path: &ImagePath) -> Result<bool> {
    let perms = Perms::of(line, accounts, path)?;
    match made_room(tree, line, path, |kind| matches!(kind, NodeKind::Directory(_))) {
        None => {
            let id = tree.insert(path, Inode::directory(fresh(line, 0o755)), Edit::Create)?;
            perms.set(tree, id, line, true)
        }
        Some(id) if tree.inode(id).is_directory() => perms.set(tree, id, line, false),
        Some(_) => Ok(false),
    }
}

/// The argument, or the path's place below the factory.
fn source(line: &Line, path: &ImagePath) -> Vec<u8> {
    line.argument.clone().unwrap_or_else(|| [FACTORY.as_bytes(), path.as_bytes()].concat())
}

fn link(tree: &mut FileTree, accounts: &Accounts, line: &Line, path: &ImagePath) -> Result<bool> {
    let target = source(line, path);
    if line.has('?') && !target_exists(tree, path, &target) {
        return Ok(false);
    }
    let perms = Perms::of(line, accounts, path)?;
    match made_room(tree, line, path, |kind| matches!(kind, NodeKind::Symlink(_))) {
        None => {}
        Some(id) => match &tree.inode(id).kind {
            NodeKind::Symlink(now) if **now == *target => return perms.set(tree, id, line, false),
            _ if line.has('+') => drop(tree.remove(path)),
            _ => return Ok(false),
        },
    }
    let id = tree.insert(path, Inode::symlink(target), Edit::Create)?;
    perms.set(tree, id, line, true)
}

/// Whether the link at `path` would lead to something.
fn target_exists(tree: &FileTree, path: &ImagePath, target: &[u8]) -> bool {
    // The tree follows the `..` of a link's target only, so the link is made in a copy.
    let mut probe = tree.clone();
    probe.remove(path);
    probe.insert(path, Inode::symlink(target), Edit::Create).is_ok() && probe.resolve(path).is_some()
}

fn copy(tree: &mut FileTree, accounts: &Accounts, line: &Line, path: &ImagePath) -> Result<bool> {
    let Ok(from) = ImagePath::parse(source(line, path)) else { return Ok(false) };
    let Some((_, from)) = tree.resolve(&from) else { return Ok(false) };
    let perms = Perms::of(line, accounts, path)?;
    // The source may hold the destination.
    let original = tree.clone();
    let Some(id) = tree.get(path) else {
        let id = tree.graft(path, &original, from)?;
        owned(tree, &perms, path);
        return perms.set(tree, id, line, true);
    };
    let both = tree.inode(id).is_directory() && original.inode(from).is_directory();
    let mut changed = false;
    if both && (line.has('+') || original.children(id).len() == 0) {
        changed = merge(tree, &original, from, path, &perms)?;
    }
    Ok(perms.set(tree, id, line, false)? || changed)
}

/// Everything that was copied gets the line's owner.
fn owned(tree: &mut FileTree, perms: &Perms, path: &ImagePath) {
    for entry in tree.walk_from(path).into_iter().flatten() {
        let attributes = &mut tree.inode_mut(entry.id).attributes;
        attributes.uid = perms.uid.unwrap_or(attributes.uid);
        attributes.gid = perms.gid.unwrap_or(attributes.gid);
    }
}

/// Copies what the directory at `to` does not have yet.
fn merge(tree: &mut FileTree, original: &FileTree, from: InodeId, to: &ImagePath, perms: &Perms) -> Result<bool> {
    let mut changed = false;
    let mut pending = vec![(from, to.clone())];
    while let Some((from, to)) = pending.pop() {
        for (name, child) in original.children(from) {
            let Some(path) = to.child(name) else {
                return Err(Error::integrity(format!("a path below {to} is too long")));
            };
            match tree.get(&path) {
                Some(id) if tree.inode(id).is_directory() && original.inode(child).is_directory() => pending.push((child, path)),
                Some(_) => {}
                None => {
                    tree.graft(&path, original, child)?;
                    owned(tree, perms, &path);
                    changed = true;
                }
            }
        }
    }
    Ok(changed)
}

/// Over the start of a file that is there, or with `+` after its end; a link is followed.
fn write(tree: &mut FileTree, accounts: &Accounts, line: &Line, path: &ImagePath) -> Result<bool> {
    let perms = Perms::of(line, accounts, path)?;
    let Some((_, id)) = tree.resolve(path) else { return Ok(false) };
    let NodeKind::File(content) = &tree.inode(id).kind else { return Ok(false) };
    if content.len() > MAX_WRITTEN {
        return Ok(false);
    }
    let old = content.to_vec()?;
    let mut new = line.argument.as_deref().map_or_else(Vec::new, <[u8]>::to_vec);
    if line.has('+') {
        new.splice(0..0, old);
    } else if let Some(rest) = old.get(new.len()..) {
        new.extend_from_slice(rest);
    }
    tree.inode_mut(id).kind = NodeKind::File(new.into());
    perms.set(tree, id, line, false)?;
    Ok(true)
}
