//! Ids that an earlier build gave to accounts which nobody pins: the next one gives the same. They stand in the lockfile.

use super::LockedAccount;
use std::collections::BTreeMap;

/// Account ids by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptIds {
    pub users: BTreeMap<String, u32>,
    pub groups: BTreeMap<String, u32>,
}

impl KeptIds {
    pub fn of(rows: &[LockedAccount]) -> Self {
        let mut table = KeptIds::default();
        for row in rows {
            match row {
                LockedAccount::User { user, id } => table.users.insert(user.clone(), *id),
                LockedAccount::Group { group, id } => table.groups.insert(group.clone(), *id),
            };
        }
        table
    }

    /// Users first, each sort by name.
    pub fn rows(&self) -> Vec<LockedAccount> {
        let users = self.users.iter().map(|(user, id)| LockedAccount::User { user: user.clone(), id: *id });
        users.chain(self.groups.iter().map(|(group, id)| LockedAccount::Group { group: group.clone(), id: *id })).collect()
    }

    /// Also of accounts that are no longer there: their files may be on a host.
    pub fn has_id(&self, id: u32) -> bool {
        self.users.values().chain(self.groups.values()).any(|other| *other == id)
    }
}
