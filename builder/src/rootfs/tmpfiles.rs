//! tmpfiles.d: what belongs to the immutable tree is made at build time; the contents of /var become lines that make them on the host.

use crate::base::{Error, ImagePath, Result};
use crate::formats::conf::{quote, tmpfiles};
use crate::rootfs::accounts::Accounts;
use crate::rootfs::conf_files;
use crate::tree::{Attributes, Edit, FileTree, Inode, InodeId, NodeKind};
use std::collections::BTreeSet;
use std::fmt::Write as _;

const DIRECTORIES: [&str; 3] = ["/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/lib/tmpfiles.d"];
const VAR_CONF: &str = "/usr/lib/tmpfiles.d/atomic-image-var.conf";
const FACTORY: &str = "/usr/share/factory";
/// Contents are caches, logs or databases of the package manager that a host must not start with.
const TRANSIENT: [&str; 6] = ["/var/cache", "/var/log", "/var/tmp", "/var/lib/dpkg", "/var/lib/rpm", "/var/lib/apt"];

pub fn lines(tree: &FileTree) -> Result<Vec<tmpfiles::Line>> {
    let mut out = Vec::new();
    for (name, text) in conf_files::read_all(tree, &DIRECTORIES, ".conf")? {
        out.extend(tmpfiles::parse(&name, &text)?);
    }
    Ok(out)
}

/// Carries out lines below `prefixes` (such as /usr and /etc). Boot-only lines, lines with specifiers and globs are left to the host.
/// Returns the paths changed.
pub fn apply(tree: &mut FileTree, accounts: &Accounts, prefixes: &[&str]) -> Result<Vec<ImagePath>> {
    let prefixes = prefixes.iter().map(ImagePath::parse).collect::<Result<Vec<_>>>()?;
    let mut changed = Vec::new();
    let mut seen = BTreeSet::new();
    for line in lines(tree)? {
        if line.boot_only() || line.path.contains('%') || line.modifiers.contains(['^', '~']) || line.path.contains(['*', '?', '[']) {
            continue;
        }
        let path = ImagePath::parse(&line.path)?;
        if !prefixes.iter().any(|prefix| path.starts_with(prefix)) {
            continue;
        }
        // The first line for a path wins, but adjusting lines may follow.
        if !matches!(line.kind, 'z' | 'Z') && !seen.insert(path.clone()) {
            continue;
        }
        if apply_line(tree, accounts, &line, &path)? {
            changed.push(path);
        }
    }
    Ok(changed)
}

fn apply_line(tree: &mut FileTree, accounts: &Accounts, line: &tmpfiles::Line, path: &ImagePath) -> Result<bool> {
    let present = tree.get(path);
    let force = line.modifiers.contains('+');
    let attributes = |default: u16| -> Result<Attributes> {
        let (uid, gid) = accounts.owner(
            line.user.as_deref().unwrap_or("root"),
            line.group.as_deref().unwrap_or("root"),
            "tmpfiles.d",
            &path.to_string(),
        )?;
        Ok(Attributes { uid, gid, ..Attributes::root(line.mode.unwrap_or(default)) })
    };
    match (line.kind, present) {
        (kind, Some(id)) if line.creates_directory() || matches!(kind, 'z' | 'Z') => {
            if !line.mode_on_create && (line.mode.is_some() || line.user.is_some() || line.group.is_some()) {
                adjust(tree, id, line, &attributes(0)?);
                return Ok(true);
            }
            return Ok(false);
        }
        (_, None) if line.creates_directory() => {
            tree.insert(path, Inode::directory(attributes(0o755)?), Edit::Create)?;
        }
        ('L', None) | ('L', Some(_)) if present.is_none() || force => {
            let target = line.argument.clone().unwrap_or_else(|| format!("{FACTORY}{path}"));
            // `L?`: only if the target exists.
            if line.modifiers.contains('?') {
                let full = if target.starts_with('/') {
                    target.clone()
                } else {
                    format!("{}/{target}", path.parent().unwrap_or_else(ImagePath::root))
                };
                if ImagePath::parse(&full).ok().and_then(|full| tree.resolve(&full)).is_none() {
                    return Ok(false);
                }
            }
            if present.is_some_and(|id| tree.inode(id).is_directory()) {
                tree.remove(path);
            }
            tree.insert(path, Inode::symlink(target), Edit::Replace)?;
        }
        ('f' | 'F', _) if present.is_none() || force || line.kind == 'F' => {
            let content = line.argument.clone().unwrap_or_default().into_bytes();
            tree.insert(path, Inode::file(content, attributes(0o644)?), Edit::Replace)?;
        }
        ('C', None) => {
            let source = ImagePath::parse(line.argument.clone().unwrap_or_else(|| format!("{FACTORY}{path}")))?;
            let Some(id) = tree.get(&source) else { return Ok(false) };
            let copy = tree.clone();
            let new = tree.graft(path, &copy, id)?;
            if line.mode.is_some() || line.user.is_some() || line.group.is_some() {
                adjust(tree, new, line, &attributes(0)?);
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn adjust(tree: &mut FileTree, id: InodeId, line: &tmpfiles::Line, to: &Attributes) {
    let attributes = &mut tree.inode_mut(id).attributes;
    if line.mode.is_some() {
        attributes.mode = to.mode;
    }
    if line.user.is_some() {
        attributes.uid = to.uid;
    }
    if line.group.is_some() {
        attributes.gid = to.gid;
    }
}

/// One line for everything below /var that no tmpfiles.d file of the tree makes already: `d` for a directory, `L` for a symlink, `C` for a file.
pub fn var_lines(tree: &FileTree, accounts: &Accounts) -> Result<String> {
    Ok(plan_var(tree, accounts)?.0)
}

/// The lines, and the files that must be copied below /usr/share/factory.
fn plan_var(tree: &FileTree, accounts: &Accounts) -> Result<(String, Vec<(ImagePath, InodeId)>)> {
    let var = ImagePath::parse("/var")?;
    let declared: BTreeSet<String> = lines(tree)?
        .into_iter()
        .filter(|l| !l.boot_only() && "dDvqQLfFC".contains(l.kind))
        .map(|l| l.path.trim_end_matches('/').to_owned())
        .collect();
    let transient = TRANSIENT.map(ImagePath::parse).into_iter().collect::<Result<Vec<_>>>()?;
    let mut out = String::from("# Contents of /var in the packages; /var itself starts empty.\n");
    let mut copies = Vec::new();
    for entry in tree.walk_from(&var).unwrap_or_default() {
        if entry.path == var || declared.contains(&entry.path.to_string()) {
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
            NodeKind::Symlink(target) => writeln!(out, "L {path} - - - - {}", String::from_utf8_lossy(target).replace('%', "%%")),
            NodeKind::File(_) if transient.iter().any(|t| entry.path.starts_with(t)) => continue,
            NodeKind::File(_) => {
                copies.push((entry.path.clone(), entry.id));
                writeln!(out, "C {path} {mode:04o} {user} {group} - {FACTORY}{path}")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rootfs::accounts::Pinned;
    use std::process::Command;

    fn sample(conf: &str) -> (FileTree, Accounts) {
        let mut tree = FileTree::new();
        let mut put = |path: &str, inode: Inode| {
            tree.insert(&ImagePath::parse(path).unwrap(), inode, Edit::Replace).unwrap();
        };
        put("/usr/lib/tmpfiles.d/x.conf", Inode::file(conf.as_bytes(), Attributes::root(0o644)));
        put("/usr/share/factory/etc/f", Inode::file(vec![1], Attributes::root(0o600)));
        put("/var/lib/etcd", Inode::directory(Attributes { uid: 999, gid: 999, ..Attributes::root(0o700) }));
        put("/var/lib/a b", Inode::symlink("../x"));
        put("/var/lib/known", Inode::directory(Attributes::root(0o755)));
        put("/var/lib/state", Inode::file(vec![7], Attributes::root(0o640)));
        put("/var/log/old", Inode::file(vec![7], Attributes::root(0o640)));
        let accounts = Accounts::plan(&[("a".into(), "u etcd 999\n".into())], "", "", &Pinned::default()).unwrap();
        (tree, accounts)
    }

    #[test]
    fn lines_below_the_prefixes_are_carried_out_and_others_left() {
        let (mut tree, accounts) = sample(
            "d /etc/d 0750 etcd etcd\nL /etc/l - - - - ../x\nC /etc/f\nf /etc/n 0600 - - - text\nd /run/r\nL! /etc/no - - - - x\nL? /etc/q - - - - nowhere\nd /etc/%m\n",
        );
        let changed = apply(&mut tree, &accounts, &["/etc", "/usr"]).unwrap();
        assert_eq!(changed.iter().map(ToString::to_string).collect::<Vec<_>>(), ["/etc/d", "/etc/l", "/etc/f", "/etc/n"]);
        assert_eq!(tree.at("/etc/d").unwrap().attributes, Attributes { uid: 999, gid: 999, ..Attributes::root(0o750) });
        assert_eq!(tree.read("/etc/f").unwrap().unwrap(), [1]);
        assert_eq!(tree.read("/etc/n").unwrap().unwrap(), b"text");
        let (mut tree, accounts) = sample("d /etc/d 0750 nobodyknows -\n");
        assert!(apply(&mut tree, &accounts, &["/etc"]).unwrap_err().to_string().contains("nobodyknows"));
    }

    #[test]
    fn an_emptied_var_comes_back_through_systemd_tmpfiles() {
        let (mut tree, accounts) = sample("d /var/lib/known 0755 - -\n");
        let text = var_lines(&tree, &accounts).unwrap();
        assert_eq!(
            text.lines().skip(1).collect::<Vec<_>>(),
            [
                "d /var/lib 0755 root root - -",
                "L \"/var/lib/a b\" - - - - ../x",
                "d /var/lib/etcd 0700 etcd etcd - -",
                "C /var/lib/state 0640 root root - /usr/share/factory/var/lib/state",
                "d /var/log 0755 root root - -",
            ]
        );
        empty_var(&mut tree, &accounts).unwrap();
        assert_eq!(tree.children(tree.get(&ImagePath::parse("/var").unwrap()).unwrap()).len(), 0);
        assert_eq!(tree.read("/usr/share/factory/var/lib/state").unwrap().unwrap(), [7]);
        let host = tempfile::tempdir().unwrap();
        let conf = host.path().join("usr/lib/tmpfiles.d");
        std::fs::create_dir_all(&conf).unwrap();
        // Owners need root and an account database: the paths and modes are what is proved here.
        std::fs::write(conf.join("x.conf"), text.replace("etcd etcd - -", "- - - -").replace("root root", "- -")).unwrap();
        std::fs::create_dir_all(host.path().join("usr/share/factory/var/lib")).unwrap();
        std::fs::write(host.path().join("usr/share/factory/var/lib/state"), [7]).unwrap();
        match Command::new("systemd-tmpfiles").arg("--create").arg(format!("--root={}", host.path().display())).output() {
            Err(_) => eprintln!("skipped: no systemd-tmpfiles"),
            Ok(out) => {
                assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
                assert_eq!(std::fs::read_link(host.path().join("var/lib/a b")).unwrap().to_str(), Some("../x"));
                assert_eq!(std::fs::read(host.path().join("var/lib/state")).unwrap(), [7]);
                assert!(host.path().join("var/lib/etcd").is_dir());
            }
        }
    }
}
