//! What lines of sysusers.d add to the accounts, as systemd-sysusers has it but for the order in which ids are chosen.

use super::{Accounts, Details};
use conf::account::{AccountId, AccountName};
use conf::sysusers::{Line, PrimaryGroup};
use model::{Error, Result};
use std::collections::BTreeSet;

impl Accounts {
    /// `own` lines are of sysusers.d files; `further` ones are of provisions and scriptlets.
    pub(super) fn apply_all(&mut self, own: &[Line], further: &[Line]) -> Result<()> {
        let lines: Vec<&Line> = first_of_each(own).into_iter().chain(further).collect();
        let wanted = wanted_groups(&lines);
        for line in &lines {
            if let Line::Range { low, high } = line {
                self.ranges.push((low.get(), high.get()));
            }
        }
        // Given ids first, so that no allocated id takes one that a later file asks for; groups before users, which may name them.
        for line in
            lines.iter().filter(|line| matches!(line, Line::Group { .. })).chain(lines.iter().filter(|l| matches!(l, Line::User { .. })))
        {
            self.apply(line, true, &wanted)?;
        }
        for line in &lines {
            self.apply(line, false, &wanted)?;
        }
        for line in lines {
            if let Line::Member { user, group, creates } = line {
                self.member(user, group, *creates)?;
            }
        }
        let (users, groups) = (self.base_users, self.base_groups);
        self.users[users..].sort_by_key(|u| u.uid);
        self.groups[groups..].sort_by_key(|g| g.gid);
        Ok(())
    }

    /// One sysusers line, in the pass of given ids or in that of allocated ones. `wanted`: the groups that some line makes.
    fn apply(&mut self, line: &Line, given: bool, wanted: &BTreeSet<AccountName>) -> Result<()> {
        match line {
            Line::Group { name, gid } if self.group(name).is_none() => match gid {
                Some(gid) if given && self.group_name(gid.get()).is_none() => self.add_group(name, *gid),
                _ if !given => {
                    let id = self.choose_gid(name)?;
                    self.add_group(name, id)
                }
                _ => Ok(()),
            },
            Line::User { name, uid, group, gecos, home, shell, locked } => {
                if *locked {
                    self.locked.insert(name.clone());
                }
                if self.user(name).is_some() {
                    return Ok(());
                }
                let uid = match uid {
                    Some(uid) if given && self.may_have(name, *uid, group) => *uid,
                    _ if given => return Ok(()),
                    // A group of the same name lends its id, as in systemd-sysusers.
                    _ => match self
                        .group(name)
                        .map(|group| group.gid)
                        .filter(|&id| self.user_name(id.get()).is_none() && *group == PrimaryGroup::Own)
                    {
                        Some(id) => id,
                        None => self.choose_uid(name)?,
                    },
                };
                let gid = self.primary_group(name, uid, group, wanted)?;
                self.add_user(name, uid, gid, Details { gecos: gecos.as_ref(), home: home.as_ref(), shell: shell.as_ref() })
            }
            _ => Ok(()),
        }
    }

    /// True if the id is free. One that another group has is not, unless the user has a group already: else it could not have its own id there, too.
    fn may_have(&self, name: &AccountName, uid: AccountId, group: &PrimaryGroup) -> bool {
        let strict = *group != PrimaryGroup::Own || self.group(name).is_some();
        self.user_name(uid.get()).is_none() && (strict || self.group_name(uid.get()).is_none())
    }

    fn primary_group(
        &mut self,
        user: &AccountName,
        uid: AccountId,
        group: &PrimaryGroup,
        wanted: &BTreeSet<AccountName>,
    ) -> Result<AccountId> {
        let missing = |group: &str| {
            Error::integrity(format!("the user {user} wants the group {group}, which no one makes"))
                .hint("add a line of type g for it to a sysusers.d file, or pin it in [accounts] groups")
        };
        match group {
            PrimaryGroup::Own => self.own_group(user, uid),
            PrimaryGroup::Id(gid) if self.group_name(gid.get()).is_some() => Ok(*gid),
            PrimaryGroup::Id(gid) => Err(missing(&gid.to_string())),
            PrimaryGroup::Named(group) if self.group(group).is_some() || wanted.contains(group) => self.own_group(group, uid),
            PrimaryGroup::Named(group) => Err(missing(group)),
        }
    }

    fn member(&mut self, user: &AccountName, group: &AccountName, creates: bool) -> Result<()> {
        if !creates && self.user(user).is_none() {
            return Ok(());
        }
        if self.group(group).is_none() {
            let id = self.choose_gid(group)?;
            self.add_group(group, id)?;
        }
        if self.user(user).is_none() {
            let uid = match self.group(user).map(|group| group.gid).filter(|id| self.user_name(id.get()).is_none()) {
                Some(id) => id,
                None => self.choose_uid(user)?,
            };
            let gid = self.own_group(user, uid)?;
            self.add_user(user, uid, gid, Details::default())?;
        }
        if let Some(entry) = self.groups.iter_mut().find(|g| g.name == *group)
            && !entry.members.contains(user)
        {
            entry.members.push(user.clone());
            entry.members.sort();
        }
        Ok(())
    }
}

/// The first line for a user or group counts. Lines of other types stay.
fn first_of_each(lines: &[Line]) -> Vec<&Line> {
    let (mut users, mut groups) = (BTreeSet::new(), BTreeSet::new());
    let mut first = Vec::new();
    for line in lines {
        let is_first = match line {
            Line::User { name, .. } => users.insert(name),
            Line::Group { name, .. } => groups.insert(name),
            Line::Member { .. } | Line::Range { .. } => true,
        };
        if is_first {
            first.push(line);
        }
    }
    first
}

/// Groups that the lines make, whatever their order.
fn wanted_groups(lines: &[&Line]) -> BTreeSet<AccountName> {
    let name = |line: &&Line| match line {
        Line::Group { name, .. } | Line::User { name, group: PrimaryGroup::Own, .. } => Some(name.clone()),
        Line::Member { group, creates: true, .. } => Some(group.clone()),
        _ => None,
    };
    lines.iter().filter_map(name).collect()
}
