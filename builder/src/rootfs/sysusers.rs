//! sysusers.d in the tree: read for the plan of accounts, and written back with static ids.
//!
//! The written file is needed on a running host: its /etc/passwd is locally changed after the first boot, so an upgrade never merges new users in.

use crate::base::{Error, ImagePath, Result};
use crate::formats::conf::quote;
use crate::formats::conf::sysusers::Line;
use crate::rootfs::accounts::{Accounts, Pinned};
use crate::rootfs::conf_files;
use crate::rootfs::remembered::Remembered;
use crate::tree::{Attributes, Edit, FileTree, Inode};
use std::fmt::Write as _;

const DIRECTORIES: [&str; 3] = ["/etc/sysusers.d", "/run/sysusers.d", "/usr/lib/sysusers.d"];
/// First in the order of names, since the first line for a name wins.
const STATIC: &str = "/usr/lib/sysusers.d/00-atomic-image.conf";

pub fn texts(tree: &FileTree) -> Result<Vec<(String, String)>> {
    conf_files::read_all(tree, &DIRECTORIES, ".conf")
}

/// Plans from what is in the tree: sysusers.d, `further` lines, and the base system's accounts: base-passwd's masters, or the files of `setup`.
pub fn plan(tree: &FileTree, pinned: &Pinned, further: &[Line], remembered: &Remembered) -> Result<Accounts> {
    let masters = ["/usr/share/base-passwd/passwd.master", "/usr/share/base-passwd/group.master"];
    let [passwd, group] = if tree.at(masters[0]).is_some() { masters } else { FILES };
    Accounts::plan_all(&texts(tree)?, further, [&text(tree, passwd)?, &text(tree, group)?], pinned, remembered)
}

const FILES: [&str; 2] = ["/etc/passwd", "/etc/group"];

/// Takes over what programs have added since `Accounts::write`.
pub fn adopt(tree: &FileTree, accounts: &mut Accounts) -> Result<()> {
    accounts.adopt(&text(tree, FILES[0])?, &text(tree, FILES[1])?)
}

fn text(tree: &FileTree, path: &str) -> Result<String> {
    String::from_utf8(tree.read(path)?.unwrap_or_default()).map_err(|_| Error::integrity(format!("{path} is not UTF-8")))
}

/// Every account of the image as sysusers lines with ids.
pub fn static_lines(accounts: &Accounts) -> String {
    let mut out = String::from("# Ids of this image, so that an upgraded host gets the same ones.\n");
    let field = |text: &str| if text.is_empty() { "-".to_owned() } else { quote(text.as_bytes()) };
    for group in accounts.groups() {
        let _ = writeln!(out, "g {} {}", group.name, group.gid);
    }
    for user in accounts.users() {
        let _ =
            writeln!(out, "u {} {}:{} {} {} {}", user.name, user.uid, user.gid, field(&user.gecos), field(&user.home), field(&user.shell));
    }
    for group in accounts.groups() {
        for member in &group.members {
            let _ = writeln!(out, "m {member} {}", group.name);
        }
    }
    out
}

pub fn write_static(tree: &mut FileTree, accounts: &Accounts) -> Result<ImagePath> {
    let path = ImagePath::parse(STATIC)?;
    tree.insert(&path, Inode::file(static_lines(accounts).into_bytes(), Attributes::root(0o644)), Edit::Replace)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etc_hides_usr_and_the_static_lines_plan_the_same_accounts() {
        let mut tree = FileTree::new();
        for (path, text) in [
            ("/usr/lib/sysusers.d/b.conf", "u bad\n"),
            ("/etc/sysusers.d/b.conf", "u good - \"G G\" /var/lib/good\n"),
            ("/usr/lib/sysusers.d/a.conf", "g video\nm good video\n"),
        ] {
            let inode = Inode::file(text.as_bytes(), Attributes::root(0o644));
            tree.insert(&ImagePath::parse(path).unwrap(), inode, Edit::Create).unwrap();
        }
        let accounts = plan(&tree, &Pinned::default(), &[], &Remembered::default()).unwrap();
        assert_eq!((accounts.gid("video"), accounts.uid("good"), accounts.uid("bad")), (Some(999), Some(998), None));
        let again = Accounts::plan(&[("x".into(), static_lines(&accounts))], "", "", &Pinned::default()).unwrap();
        assert_eq!((again.users(), again.groups()), (accounts.users(), accounts.groups()));
    }
}
