//! /etc/passwd, group, shadow and gshadow: the one place where accounts become text.

use crate::accounts::Accounts;
use conf::account::{AccountField, AccountName};
use conf::passwd::{GroupEntry, PasswdEntry};
use model::tree::{Attributes, Edit, FileTree, Inode, NodeKind};
use model::{Error, ImagePath, Result};
use std::collections::BTreeSet;

/// Writes the four files; returns their paths. No password is set, and the day of the last change is empty: it would be the build's date.
///
/// The types of the fields rule out a field that ends itself; that a name stands for one account is checked here.
pub(super) fn write(accounts: &Accounts, tree: &mut FileTree) -> Result<Vec<ImagePath>> {
    unique("user", accounts.users().iter().map(|user| &user.name))?;
    unique("group", accounts.groups().iter().map(|group| &group.name))?;
    let hidden = AccountField::parse("x").map_err(Error::internal)?;
    let mut text = [(); 4].map(|()| String::new());
    for user in accounts.users() {
        text[0] += &format!("{}\n", PasswdEntry { password: hidden.clone(), ..user.clone() });
        let hash = if accounts.is_locked(&user.name) { "!*" } else { "*" };
        text[2] += &format!("{}:{hash}::0:99999:7:::\n", user.name);
    }
    for group in accounts.groups() {
        text[1] += &format!("{}\n", GroupEntry { password: hidden.clone(), ..group.clone() });
        text[3] += &format!("{}:*::{}\n", group.name, group.members.iter().map(|member| &**member).collect::<Vec<_>>().join(","));
    }
    let shadow = accounts.gid("shadow").unwrap_or(0);
    let mut written = Vec::new();
    let files = [("/etc/passwd", 0o644, 0), ("/etc/group", 0o644, 0), ("/etc/shadow", 0o640, shadow), ("/etc/gshadow", 0o640, shadow)];
    for ((path, mode, gid), text) in files.into_iter().zip(text) {
        let path = ImagePath::parse(path)?;
        // A distribution that ships the file says who may read it.
        let shipped = tree.get(&path).map(|id| tree.inode(id)).filter(|inode| matches!(inode.kind, NodeKind::File(_)));
        let attributes = shipped.map_or(Attributes { gid, ..Attributes::root(mode) }, |inode| inode.attributes.clone());
        tree.insert(&path, Inode::file(text.into_bytes(), attributes), Edit::Replace)?;
        written.push(path);
    }
    Ok(written)
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a AccountName>) -> Result<()> {
    let mut seen = BTreeSet::new();
    let twice: Vec<&str> = names.filter(|name| !seen.insert(*name)).map(|name| &**name).collect();
    if twice.is_empty() {
        return Ok(());
    }
    Err(Error::integrity(format!("two accounts of the image have the same {what} name: {}", twice.join(", ")))
        .hint("the passwd or group file of a package or of the overlay names it twice"))
}
