//! The contents of /var as tmpfiles.d lines, since /var itself starts empty on a host.

use super::{FACTORY, lines};
use crate::accounts::Accounts;
use conf::{escape_argument, quote};
use model::tree::{Attributes, Edit, FileTree, Inode, InodeId, NodeKind};
use model::{Error, ImagePath, OptionJudged, Result};
use std::collections::BTreeSet;
use std::fmt::Write as _;

const VAR_CONF: &str = "/usr/lib/tmpfiles.d/atomic-image-var.conf";
/// Contents are caches, logs or databases of the package manager that a host must not start with.
const TRANSIENT: [&str; 6] = ["/var/cache", "/var/log", "/var/tmp", "/var/lib/dpkg", "/var/lib/rpm", "/var/lib/apt"];

/// An argument field: escapes and specifiers are undone in it, quotes are not.
fn argument(text: &[u8]) -> String {
    escape_argument(text).replace('%', "%%")
}

/// One line for everything below /var that no tmpfiles.d file of the tree makes already: `d` for a directory, `L` for a symlink, `C` for a file.
pub fn var_lines(tree: &FileTree, accounts: &Accounts) -> Result<String> {
    Ok(plan_var(tree, accounts)?.0)
}

/// The lines, and the files that must be copied below /usr/share/factory.
fn plan_var(tree: &FileTree, accounts: &Accounts) -> Result<(String, Vec<(ImagePath, InodeId)>)> {
    let var = ImagePath::parse("/var")?;
    let declared: BTreeSet<Vec<u8>> =
        lines(tree)?.into_iter().filter(|l| !l.boot_only() && "dDvqQLfFC".contains(l.kind)).map(|l| l.path).collect();
    let transient = TRANSIENT.map(ImagePath::parse).into_iter().collect::<Result<Vec<_>>>()?;
    let mut out = String::from("# Contents of /var in the packages; /var itself starts empty.\n");
    let mut copies = Vec::new();
    for entry in tree.walk_from(&var).default_because("an absent folder has no entries") {
        if entry.path == var || declared.contains(entry.path.as_bytes()) {
            continue;
        }
        let inode = tree.inode(entry.id);
        let attributes = &inode.attributes;
        // `%` would start a specifier.
        let path = quote(entry.path.as_bytes()).replace('%', "%%");
        let user = accounts.user_name(attributes.uid).map_or_else(|| attributes.uid.to_string(), str::to_owned);
        let group = accounts.group_name(attributes.gid).map_or_else(|| attributes.gid.to_string(), str::to_owned);
        let mode = attributes.mode;
        let package_database = transient[3..].iter().any(|t| entry.path.starts_with(t));
        match &inode.kind {
            _ if package_database => continue,
            NodeKind::Directory(_) => writeln!(out, "d {path} {mode:04o} {user} {group} - -"),
            NodeKind::Symlink(target) => writeln!(out, "L {path} - - - - {}", argument(target)),
            NodeKind::File(_) if transient.iter().any(|t| entry.path.starts_with(t)) => continue,
            NodeKind::File(_) => {
                copies.push((entry.path.clone(), entry.id));
                writeln!(out, "C {path} {mode:04o} {user} {group} - {FACTORY}{}", argument(entry.path.as_bytes()))
            }
            other => {
                return Err(Error::integrity(format!("{} is a {}, which tmpfiles.d lines cannot carry", entry.path, other.name()))
                    .hint("remove it in the recipe, or make it with a tmpfiles.d line of its own"));
            }
        }
        .map_err(|_| Error::internal("formatting failed"))?;
    }
    Ok((out, copies))
}

/// Writes the lines of /var as tmpfiles.d, keeps its files as factory copies, and empties it. Returns the paths written.
pub fn empty_var(tree: &mut FileTree, accounts: &Accounts) -> Result<Vec<ImagePath>> {
    let (text, copies) = plan_var(tree, accounts)?;
    let conf = ImagePath::parse(VAR_CONF)?;
    let mut written = Vec::new();
    for (path, id) in copies {
        let to = ImagePath::parse(FACTORY)?.join(path.as_bytes())?;
        let inode = tree.inode(id).clone();
        tree.insert(&to, inode, Edit::Replace)?;
        written.push(to);
    }
    let attributes = tree.at("/var").map_or_else(|| Attributes::root(0o755), |inode| inode.attributes.clone());
    let var = ImagePath::parse("/var")?;
    tree.remove(&var);
    tree.insert(&var, Inode::directory(attributes), Edit::Create)?;
    tree.insert(&conf, Inode::file(text.into_bytes(), Attributes::root(0o644)), Edit::Replace)?;
    written.push(conf);
    Ok(written)
}
