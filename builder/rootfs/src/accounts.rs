//! Users and groups of the image, with ids that do not depend on the order of installation.
//!
//! Debian's static accounts (base-passwd) come first, then the recipe's pinned ones, then sysusers.d: given ids as given, others downward
//! from 999 in the order of file name and line, unless an earlier build gave one. Planned from texts, since owners of payload files are needed
//! before the tree exists.

mod lines;
mod pinned;
#[cfg(test)]
#[path = "accounts_tests.rs"]
mod tests;

pub use pinned::{Pinned, PinnedGroup, PinnedUser};

use crate::account_files;
use conf::account::{AccountField, AccountId, AccountName};
use conf::passwd::{GroupEntry, PasswdEntry, parse_group, parse_passwd};
use conf::sysusers::{self, Line};
use model::tree::FileTree;
use model::{Error, ImagePath, Result, ResultJudged};
use recipe::lock::KeptIds;
use std::collections::BTreeSet;

/// Highest id given to a system account (login.defs SYS_UID_MAX).
const SYSTEM_ID_MAX: u32 = 999;
const NOLOGIN: &str = "/usr/sbin/nologin";

/// All faults of all texts come in one error.
fn parse_all(texts: &[(String, String)]) -> Result<Vec<Line>> {
    let (mut lines, mut faults) = (Vec::new(), Vec::new());
    for (name, text) in texts {
        match sysusers::parse(name, text) {
            Ok(found) => lines.extend(found),
            Err(error) => faults.push(error),
        }
    }
    let message = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    match faults.into_iter().next() {
        None => Ok(lines),
        Some(first) => Err(Error::new(first.kind(), message).hint(first.hint_text().unwrap_or("sysusers.d(5) says how a line is written"))),
    }
}

/// The fields of a user that are not its ids.
#[derive(Debug, Clone, Copy, Default)]
struct Details<'a> {
    gecos: Option<&'a AccountField>,
    home: Option<&'a AccountField>,
    shell: Option<&'a AccountField>,
}

/// The planned passwd and group databases; only `plan` constructs one. Users and groups keep the base system's order, then ascending ids.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    users: Vec<PasswdEntry>,
    groups: Vec<GroupEntry>,
    base_users: usize,
    base_groups: usize,
    /// Users that sysusers marks `u!`.
    locked: BTreeSet<AccountName>,
    /// Where ids are chosen from (`r`), both ends included; empty: the system's range.
    ranges: Vec<(u32, u32)>,
    /// What earlier builds chose, and what this one chose itself.
    kept_ids: KeptIds,
    chosen: KeptIds,
}

impl Accounts {
    /// `sysusers_texts` in the order of `conf_files::read_all`; base texts in passwd(5) and group(5) form (may be empty).
    pub fn plan(sysusers_texts: &[(String, String)], base_passwd: &str, base_group: &str, pinned: &Pinned) -> Result<Accounts> {
        Self::plan_all(sysusers_texts, &[], [base_passwd, base_group], pinned, &KeptIds::default())
    }

    /// The same with `further` lines, which count after those of the texts.
    pub fn plan_all(
        sysusers_texts: &[(String, String)],
        further: &[Line],
        [base_passwd, base_group]: [&str; 2],
        pinned: &Pinned,
        kept_ids: &KeptIds,
    ) -> Result<Accounts> {
        let (users, groups) = (parse_passwd(base_passwd)?, parse_group(base_group)?);
        let mut plan = Accounts { users, groups, kept_ids: kept_ids.clone(), ..Accounts::default() };
        (plan.base_users, plan.base_groups) = (plan.users.len(), plan.groups.len());
        if plan.user("root").is_none() {
            let root = AccountName::parse("root").map_err(Error::internal)?;
            let field = |text| AccountField::parse(text).map_err(Error::internal);
            let (gecos, home, shell) = (field("root")?, field("/root")?, field("/bin/bash")?);
            plan.add_group(&root, AccountId::ROOT)?;
            let details = Details { gecos: Some(&gecos), home: Some(&home), shell: Some(&shell) };
            plan.add_user(&root, AccountId::ROOT, AccountId::ROOT, details)?;
        }
        plan.pin(pinned)?;
        plan.apply_all(&parse_all(sysusers_texts)?, further)?;
        Ok(plan)
    }

    /// Adds what sysusers.d (texts as for [`Accounts::plan`]) has gained since, as from an overlay. An account that is planned keeps its ids; a line that
    /// cannot be read is an error that names file and line.
    pub fn extend(&mut self, sysusers_texts: &[(String, String)]) -> Result<()> {
        self.apply_all(&parse_all(sysusers_texts)?, &[])
    }

    pub fn uid(&self, name: &str) -> Option<u32> {
        self.user(name).map(|u| u.uid.get())
    }

    pub fn gid(&self, name: &str) -> Option<u32> {
        self.groups.iter().find(|g| g.name == name).map(|g| g.gid.get())
    }

    pub fn user_name(&self, uid: u32) -> Option<&str> {
        self.users.iter().find(|u| u.uid.get() == uid).map(|u| &*u.name)
    }

    pub fn group_name(&self, gid: u32) -> Option<&str> {
        self.groups.iter().find(|g| g.gid.get() == gid).map(|g| &*g.name)
    }

    /// The ids of a payload file's owner; `package` and `path` are for the message.
    pub fn owner(&self, user: &str, group: &str, package: &str, path: &str) -> Result<(u32, u32)> {
        let unknown = |what: &str, name: &str| {
            Error::recipe(format!("{path} of {package} belongs to the {what} {name}, which no one defines"))
                .hint(format!("pin {name} in [accounts], or ship a sysusers.d file that makes it"))
        };
        let number = |text: &str| AccountId::parse(text).map(AccountId::get).none_because("an owner that is no number has a name");
        let uid = self.uid(user).or_else(|| number(user)).ok_or_else(|| unknown("user", user))?;
        let gid = self.gid(group).or_else(|| number(group)).ok_or_else(|| unknown("group", group))?;
        Ok((uid, gid))
    }

    pub fn users(&self) -> &[PasswdEntry] {
        &self.users
    }

    pub fn groups(&self) -> &[GroupEntry] {
        &self.groups
    }

    /// True for a user that nobody may log in as, not even with a key (`u!`).
    pub fn is_locked(&self, name: &AccountName) -> bool {
        self.locked.contains(name)
    }

    /// Writes /etc/passwd, group, shadow and gshadow; returns their paths.
    pub fn write(&self, tree: &mut FileTree) -> Result<Vec<ImagePath>> {
        account_files::write(self, tree)
    }

    fn user(&self, name: &str) -> Option<&PasswdEntry> {
        self.users.iter().find(|u| u.name == name)
    }

    fn group(&self, name: &str) -> Option<&GroupEntry> {
        self.groups.iter().find(|g| g.name == name)
    }

    fn add_user(&mut self, name: &AccountName, uid: AccountId, gid: AccountId, details: Details<'_>) -> Result<()> {
        let field = |given: Option<&AccountField>, default| match given {
            Some(field) => Ok(field.clone()),
            None => AccountField::parse(default).map_err(Error::internal),
        };
        self.users.push(PasswdEntry {
            name: name.clone(),
            password: field(None, "x")?,
            uid,
            gid,
            gecos: field(details.gecos, "")?,
            home: field(details.home, "/")?,
            shell: field(details.shell, NOLOGIN)?,
        });
        Ok(())
    }

    fn add_group(&mut self, name: &AccountName, gid: AccountId) -> Result<()> {
        let password = AccountField::parse("x").map_err(Error::internal)?;
        self.groups.push(GroupEntry { name: name.clone(), password, gid, members: Vec::new() });
        Ok(())
    }

    fn own_group(&mut self, name: &AccountName, preferred: AccountId) -> Result<AccountId> {
        if let Some(group) = self.group(name) {
            return Ok(group.gid);
        }
        let gid = if self.group_name(preferred.get()).is_none() { preferred } else { self.choose_gid(name)? };
        if self.chosen.users.get(&**name) == Some(&gid.get()) {
            self.chosen.groups.insert(name.to_string(), gid.get());
        }
        self.add_group(name, gid)?;
        Ok(gid)
    }

    fn choose_uid(&mut self, name: &AccountName) -> Result<AccountId> {
        let before = self.kept_ids.users.get(&**name).copied();
        let id = self.free_id(name, before)?;
        self.chosen.users.insert(name.to_string(), id.get());
        Ok(id)
    }

    fn choose_gid(&mut self, name: &AccountName) -> Result<AccountId> {
        let before = self.kept_ids.groups.get(&**name).copied();
        let id = self.free_id(name, before)?;
        self.chosen.groups.insert(name.to_string(), id.get());
        Ok(id)
    }

    /// The one that it had before; else the highest id of the ranges that neither a user nor a group has or had.
    fn free_id(&self, name: &str, before: Option<u32>) -> Result<AccountId> {
        let taken: BTreeSet<u32> = self.users.iter().map(|u| u.uid.get()).chain(self.groups.iter().map(|g| g.gid.get())).collect();
        let is_free = |id: u32| id != 0 && !taken.contains(&id) && AccountId::new(id).is_ok();
        let mut ranges = if self.ranges.is_empty() { vec![(1, SYSTEM_ID_MAX)] } else { self.ranges.clone() };
        ranges.sort_by_key(|&(_, high)| std::cmp::Reverse(high));
        let highest = || ranges.iter().flat_map(|&(low, high)| (low..=high).rev()).find(|&id| is_free(id) && !self.kept_ids.has_id(id));
        let id = before.filter(|&id| is_free(id)).or_else(highest);
        let shown: Vec<String> = ranges.iter().map(|(low, high)| format!("{low}-{high}")).collect();
        let none = || Error::recipe(format!("no free id is left for {name} in {}", shown.join(", ")));
        AccountId::new(id.ok_or_else(none)?).map_err(Error::internal)
    }

    /// Every id that this or an earlier build chose.
    pub fn kept_ids(&self) -> KeptIds {
        let mut all = self.kept_ids.clone();
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
