//! Accounts whose ids the recipe fixes.

use super::{Accounts, Details};
use conf::account::{AccountField, AccountId, AccountName};
use model::{Error, Result};

/// A user whose id the recipe fixes. Without a group it gets one of its own name and, if free, its own id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedUser {
    pub name: AccountName,
    pub uid: AccountId,
    pub gid: Option<AccountId>,
    pub group: Option<AccountName>,
    pub home: Option<AccountField>,
    pub shell: Option<AccountField>,
    pub gecos: Option<AccountField>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedGroup {
    pub name: AccountName,
    pub gid: AccountId,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pinned {
    pub users: Vec<PinnedUser>,
    pub groups: Vec<PinnedGroup>,
}

impl Accounts {
    /// Reports every collision at once.
    pub(super) fn pin(&mut self, pinned: &Pinned) -> Result<()> {
        let mut faults = Vec::new();
        for group in &pinned.groups {
            match (self.group(&group.name).map(|known| known.gid), self.group_name(group.gid.get())) {
                (Some(gid), _) if gid == group.gid => {}
                (Some(gid), _) => faults.push(format!("group {} has the id {gid} already, not {}", group.name, group.gid)),
                (None, Some(other)) => faults.push(format!("group {} wants the id {} of {other}", group.name, group.gid)),
                (None, None) => self.add_group(&group.name, group.gid)?,
            }
        }
        for user in &pinned.users {
            match (self.user(&user.name).map(|known| known.uid), self.user_name(user.uid.get())) {
                (Some(uid), _) if uid == user.uid => {}
                (Some(uid), _) => faults.push(format!("user {} has the id {uid} already, not {}", user.name, user.uid)),
                (None, Some(other)) => faults.push(format!("user {} wants the id {} of {other}", user.name, user.uid)),
                (None, None) => {
                    if let Err(fault) = self.pin_user(user)? {
                        faults.push(fault);
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

    /// The inner error is a fault of the recipe.
    fn pin_user(&mut self, user: &PinnedUser) -> Result<Result<(), String>> {
        let gid = match (&user.group, user.gid) {
            (Some(group), _) if *group != user.name => match self.group(group) {
                Some(group) => group.gid,
                None => return Ok(Err(format!("user {} wants the unknown group {group}: add it to accounts.groups", user.name))),
            },
            (None, Some(gid)) => {
                if self.group_name(gid.get()).is_none() {
                    if self.group(&user.name).is_some() {
                        return Ok(Err(format!("user {} wants the gid {gid}, which no group has", user.name)));
                    }
                    self.add_group(&user.name, gid)?;
                }
                gid
            }
            _ => self.own_group(&user.name, user.uid)?,
        };
        let details = Details { gecos: user.gecos.as_ref(), home: user.home.as_ref(), shell: user.shell.as_ref() };
        self.add_user(&user.name, user.uid, gid, details).map(Ok)
    }
}
