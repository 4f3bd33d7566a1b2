//! Users and groups of the image, with ids that do not depend on the order of installation.
//!
//! Debian's static accounts (base-passwd) come first, then the recipe's pinned ones, then sysusers.d: given ids as given, others downward
//! from 999 in the order of file name and line, unless an earlier build gave one. Planned from texts, since owners of payload files are needed
//! before the tree exists.

use crate::base::{Error, ImagePath, Result};
use crate::formats::conf::passwd::{GroupEntry, PasswdEntry, parse_group, parse_passwd};
use crate::formats::conf::sysusers::{self, Line, PrimaryGroup};
use crate::rootfs::remembered::Remembered;
use crate::tree::{Attributes, Edit, FileTree, Inode, NodeKind};
use std::collections::BTreeSet;

/// Highest id given to a system account (login.defs SYS_UID_MAX).
const SYSTEM_ID_MAX: u32 = 999;
const NOLOGIN: &str = "/usr/sbin/nologin";

/// A user whose id the recipe fixes. Without a group it gets one of its own name and, if free, its own id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PinnedUser {
    pub name: String,
    pub uid: u32,
    pub gid: Option<u32>,
    pub group: Option<String>,
    pub home: Option<String>,
    pub shell: Option<String>,
    pub gecos: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedGroup {
    pub name: String,
    pub gid: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pinned {
    pub users: Vec<PinnedUser>,
    pub groups: Vec<PinnedGroup>,
}

fn parse_all(texts: &[(String, String)]) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (name, text) in texts {
        lines.extend(sysusers::parse(name, text)?);
    }
    Ok(lines)
}

/// A recipe-made account file needs an `Accounts`; only `plan` makes one. Users and groups keep base order, then ascending ids.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    users: Vec<PasswdEntry>,
    groups: Vec<GroupEntry>,
    base_users: usize,
    base_groups: usize,
    /// Users that sysusers marks `u!`.
    locked: BTreeSet<String>,
    /// What earlier builds chose, and what this one chose itself.
    remembered: Remembered,
    chosen: Remembered,
}

impl Accounts {
    /// `sysusers_texts` in the order of `conf_files::read_all`; base texts in passwd(5) and group(5) form (may be empty).
    pub fn plan(sysusers_texts: &[(String, String)], base_passwd: &str, base_group: &str, pinned: &Pinned) -> Result<Accounts> {
        Self::plan_all(sysusers_texts, &[], [base_passwd, base_group], pinned, &Remembered::default())
    }

    /// The same with `further` lines, which count after those of the texts.
    pub fn plan_all(
        sysusers_texts: &[(String, String)],
        further: &[Line],
        [base_passwd, base_group]: [&str; 2],
        pinned: &Pinned,
        remembered: &Remembered,
    ) -> Result<Accounts> {
        let (users, groups) = (parse_passwd(base_passwd)?, parse_group(base_group)?);
        let mut plan = Accounts { users, groups, remembered: remembered.clone(), ..Accounts::default() };
        (plan.base_users, plan.base_groups) = (plan.users.len(), plan.groups.len());
        if plan.user("root").is_none() {
            plan.groups.push(GroupEntry { name: "root".into(), password: "x".into(), gid: 0, members: Vec::new() });
            plan.add_user("root", 0, 0, Some("root"), Some("/root"), Some("/bin/bash"));
        }
        plan.pin(pinned)?;
        let mut lines = parse_all(sysusers_texts)?;
        lines.extend_from_slice(further);
        plan.apply_all(&lines)?;
        Ok(plan)
    }

    /// Adds what sysusers.d (texts as for [`Accounts::plan`]) has gained since, as from an overlay. An account that is planned keeps its ids; a line that
    /// cannot be read is an error that names file and line.
    pub fn extend(&mut self, sysusers_texts: &[(String, String)]) -> Result<()> {
        self.apply_all(&parse_all(sysusers_texts)?)
    }

    fn apply_all(&mut self, lines: &[Line]) -> Result<()> {
        // Given ids first, so that no allocated id takes one that a later file asks for.
        for given in [true, false] {
            for line in lines {
                self.apply(line, given)?;
            }
        }
        for line in lines {
            if let Line::Member { user, group } = line {
                self.member(user, group)?;
            }
        }
        let (users, groups) = (self.base_users, self.base_groups);
        self.users[users..].sort_by_key(|u| u.uid);
        self.groups[groups..].sort_by_key(|g| g.gid);
        Ok(())
    }

    pub fn uid(&self, name: &str) -> Option<u32> {
        self.user(name).map(|u| u.uid)
    }

    pub fn gid(&self, name: &str) -> Option<u32> {
        self.groups.iter().find(|g| g.name == name).map(|g| g.gid)
    }

    pub fn user_name(&self, uid: u32) -> Option<&str> {
        self.users.iter().find(|u| u.uid == uid).map(|u| u.name.as_str())
    }

    pub fn group_name(&self, gid: u32) -> Option<&str> {
        self.groups.iter().find(|g| g.gid == gid).map(|g| g.name.as_str())
    }

    /// The ids of a payload file's owner; `package` and `path` are for the message.
    pub fn owner(&self, user: &str, group: &str, package: &str, path: &str) -> Result<(u32, u32)> {
        let unknown = |what: &str, name: &str| {
            Error::recipe(format!("{path} of {package} belongs to the {what} {name}, which no one defines"))
                .hint(format!("pin {name} in [accounts], or ship a sysusers.d file that makes it"))
        };
        let uid = self.uid(user).or_else(|| user.parse().ok()).ok_or_else(|| unknown("user", user))?;
        let gid = self.gid(group).or_else(|| group.parse().ok()).ok_or_else(|| unknown("group", group))?;
        Ok((uid, gid))
    }

    pub fn users(&self) -> &[PasswdEntry] {
        &self.users
    }

    pub fn groups(&self) -> &[GroupEntry] {
        &self.groups
    }

    /// Writes /etc/passwd, group, shadow and gshadow. No password is set, and the day of the last change is empty: it would be the build's date.
    pub fn write(&self, tree: &mut FileTree) -> Result<Vec<ImagePath>> {
        let mut text = [(); 4].map(|()| String::new());
        for user in &self.users {
            text[0] += &format!("{}\n", PasswdEntry { password: "x".into(), ..user.clone() });
            let hash = if self.locked.contains(&user.name) { "!*" } else { "*" };
            text[2] += &format!("{}:{hash}::0:99999:7:::\n", user.name);
        }
        for group in &self.groups {
            text[1] += &format!("{}\n", GroupEntry { password: "x".into(), ..group.clone() });
            text[3] += &format!("{}:*::{}\n", group.name, group.members.join(","));
        }
        let shadow = self.gid("shadow").unwrap_or(0);
        let mut written = Vec::new();
        for (path, text, mode, gid) in [
            ("/etc/passwd", 0, 0o644, 0),
            ("/etc/group", 1, 0o644, 0),
            ("/etc/shadow", 2, 0o640, shadow),
            ("/etc/gshadow", 3, 0o640, shadow),
        ]
        .map(|(path, at, mode, gid)| (path, text[at].clone(), mode, gid))
        {
            let path = ImagePath::parse(path)?;
            // A distribution that ships the file says who may read it.
            let shipped = tree.get(&path).map(|id| tree.inode(id)).filter(|inode| matches!(inode.kind, NodeKind::File(_)));
            let attributes = shipped.map_or(Attributes { gid, ..Attributes::root(mode) }, |inode| inode.attributes.clone());
            tree.insert(&path, Inode::file(text.into_bytes(), attributes), Edit::Replace)?;
            written.push(path);
        }
        Ok(written)
    }

    fn user(&self, name: &str) -> Option<&PasswdEntry> {
        self.users.iter().find(|u| u.name == name)
    }

    fn add_user(&mut self, name: &str, uid: u32, gid: u32, gecos: Option<&str>, home: Option<&str>, shell: Option<&str>) {
        self.users.push(PasswdEntry {
            name: name.into(),
            password: "x".into(),
            uid,
            gid,
            gecos: gecos.unwrap_or_default().into(),
            home: home.unwrap_or("/").into(),
            shell: shell.unwrap_or(NOLOGIN).into(),
        });
    }

    fn add_group(&mut self, name: &str, gid: u32) {
        self.groups.push(GroupEntry { name: name.into(), password: "x".into(), gid, members: Vec::new() });
    }

    /// Reports every collision at once.
    fn pin(&mut self, pinned: &Pinned) -> Result<()> {
        let mut faults = Vec::new();
        for group in &pinned.groups {
            match (self.gid(&group.name), self.group_name(group.gid)) {
                (Some(gid), _) if gid == group.gid => {}
                (Some(gid), _) => faults.push(format!("group {} has the id {gid} already, not {}", group.name, group.gid)),
                (None, Some(other)) => faults.push(format!("group {} wants the id {} of {other}", group.name, group.gid)),
                (None, None) => self.add_group(&group.name, group.gid),
            }
        }
        for user in &pinned.users {
            match (self.uid(&user.name), self.user_name(user.uid)) {
                (Some(uid), _) if uid == user.uid => continue,
                (Some(uid), _) => faults.push(format!("user {} has the id {uid} already, not {}", user.name, user.uid)),
                (None, Some(other)) => faults.push(format!("user {} wants the id {} of {other}", user.name, user.uid)),
                (None, None) => {
                    let gid = match (&user.group, user.gid) {
                        (Some(group), _) => self.gid(group),
                        (None, Some(gid)) => {
                            if self.group_name(gid).is_none() {
                                self.add_group(&user.name, gid);
                            }
                            Some(gid)
                        }
                        (None, None) => Some(self.own_group(&user.name, user.uid)?),
                    };
                    match gid {
                        Some(gid) => {
                            self.add_user(&user.name, user.uid, gid, user.gecos.as_deref(), user.home.as_deref(), user.shell.as_deref())
                        }
                        None => faults.push(format!("user {} wants the unknown group {:?}", user.name, user.group)),
                    }
                }
            }
        }
        if faults.is_empty() {
            return Ok(());
        }
        Err(Error::recipe(format!("the accounts that the recipe pins collide: {}", faults.join("; ")))
            .hint("choose other ids below 1000 in [accounts]"))
    }

    /// One sysusers line, in the pass of given ids or in that of allocated ones.
    fn apply(&mut self, line: &Line, given: bool) -> Result<()> {
        match line {
            Line::Group { name, gid } if self.gid(name).is_none() => match gid {
                Some(gid) if given && self.group_name(*gid).is_none() => self.add_group(name, *gid),
                _ if !given => {
                    let id = self.choose_gid(name)?;
                    self.add_group(name, id);
                }
                _ => {}
            },
            Line::User { name, uid, group, gecos, home, shell, locked } => {
                if *locked {
                    self.locked.insert(name.clone());
                }
                if self.user(name).is_some() {
                    return Ok(());
                }
                let uid = match uid {
                    Some(uid) if given && self.user_name(*uid).is_none() => *uid,
                    _ if given => return Ok(()),
                    // A group of the same name lends its id, as in systemd-sysusers.
                    _ => match self.gid(name).filter(|&id| self.user_name(id).is_none() && *group == PrimaryGroup::Own) {
                        Some(id) => id,
                        None => self.choose_uid(name)?,
                    },
                };
                let gid = match group {
                    PrimaryGroup::Own => self.own_group(name, uid)?,
                    PrimaryGroup::Id(gid) => *gid,
                    PrimaryGroup::Named(group) => match self.gid(group) {
                        Some(gid) => gid,
                        None => self.own_group(group, uid)?,
                    },
                };
                self.add_user(name, uid, gid, gecos.as_deref(), home.as_deref(), shell.as_deref());
            }
            _ => {}
        }
        Ok(())
    }

    fn member(&mut self, user: &str, group: &str) -> Result<()> {
        if self.gid(group).is_none() {
            let id = self.choose_gid(group)?;
            self.add_group(group, id);
        }
        if let Some(entry) = self.groups.iter_mut().find(|g| g.name == group)
            && !entry.members.iter().any(|m| m == user)
        {
            entry.members.push(user.to_owned());
            entry.members.sort();
        }
        Ok(())
    }

    fn own_group(&mut self, name: &str, preferred: u32) -> Result<u32> {
        if let Some(gid) = self.gid(name) {
            return Ok(gid);
        }
        let gid = if self.group_name(preferred).is_none() { preferred } else { self.choose_gid(name)? };
        if self.chosen.users.get(name) == Some(&gid) {
            self.chosen.groups.insert(name.to_owned(), gid);
        }
        self.add_group(name, gid);
        Ok(gid)
    }

    fn choose_uid(&mut self, name: &str) -> Result<u32> {
        let before = self.remembered.users.get(name).copied();
        let id = self.free_id(name, before)?;
        self.chosen.users.insert(name.to_owned(), id);
        Ok(id)
    }

    fn choose_gid(&mut self, name: &str) -> Result<u32> {
        let before = self.remembered.groups.get(name).copied();
        let id = self.free_id(name, before)?;
        self.chosen.groups.insert(name.to_owned(), id);
        Ok(id)
    }

    /// The one that it had before; else the highest system id that neither a user nor a group has or had.
    fn free_id(&self, name: &str, before: Option<u32>) -> Result<u32> {
        let taken: BTreeSet<u32> = self.users.iter().map(|u| u.uid).chain(self.groups.iter().map(|g| g.gid)).collect();
        if let Some(id) = before.filter(|id| !taken.contains(id)) {
            return Ok(id);
        }
        let is_free = |id: &u32| !taken.contains(id) && !self.remembered.has_id(*id);
        let none = || Error::recipe(format!("no system id below 1000 is left for {name}"));
        (1..=SYSTEM_ID_MAX).rev().find(is_free).ok_or_else(none)
    }

    /// Every id that this or an earlier build chose.
    pub fn remembered(&self) -> Remembered {
        let mut all = self.remembered.clone();
        all.users.extend(self.chosen.users.clone());
        all.groups.extend(self.chosen.groups.clone());
        all
    }

    /// Accounts and memberships that a program added to the files that `write` wrote.
    pub fn adopt(&mut self, passwd: &str, group: &str) -> Result<()> {
        for entry in parse_passwd(passwd)? {
            if self.user(&entry.name).is_none() {
                self.users.push(entry);
            }
        }
        for entry in parse_group(group)? {
            match self.groups.iter_mut().find(|known| known.name == entry.name) {
                Some(known) => {
                    known.members.extend(entry.members);
                    known.members.sort();
                    known.members.dedup();
                }
                None => self.groups.push(entry),
            }
        }
        let (users, groups) = (self.base_users, self.base_groups);
        self.users[users..].sort_by_key(|user| user.uid);
        self.groups[groups..].sort_by_key(|group| group.gid);
        Ok(())
    }
}

#[cfg(test)]
#[path = "accounts_tests.rs"]
mod tests;
