//! `[accounts]`: ids that the recipe fixes.

use super::super::raw::Faults;
use super::super::reader::Reader;
use crate::recipe::{Accounts, Group, PrimaryGroup, User};
use conf::account::{AccountField, AccountId, AccountName};

pub(super) fn accounts(mut section: Reader<'_>, faults: &Faults) -> Accounts {
    let mut accounts = Accounts::default();
    for row in section.rows("users") {
        accounts.users.extend(user(row, &accounts.users, faults));
    }
    for row in section.rows("groups") {
        accounts.groups.extend(group(row, &accounts.groups, faults));
    }
    section.finish();
    accounts
}

fn user(mut row: Reader<'_>, others: &[User], faults: &Faults) -> Option<User> {
    let name = row.required_typed("name", AccountName::parse);
    let uid = row.required_account_id("uid");
    let gid = row.account_id("gid");
    let group = row.typed("group", AccountName::parse);
    let home = row.typed_or("home", "/", AccountField::parse_path);
    let shell = row.typed_or("shell", "/usr/sbin/nologin", AccountField::parse_path);
    let gecos = row.typed_or("gecos", "", AccountField::parse);
    row.finish();
    if let (Some(gid), Some(_)) = (&gid, &group) {
        let whose = name.as_ref().map_or_else(String::new, |name| format!(" for user `{}`", name.value));
        faults.add(&gid.at, format!("both `gid` and `group`{whose}"), Some("keep one".into()));
    }
    let (name, uid) = (name?, uid?);
    if (uid.value == AccountId::ROOT) != (name.value == "root") {
        faults.add(&uid.at, format!("uid {} for user `{}`: 0 is root's, and root's is 0", uid.value, name.value), None);
    }
    if others.iter().any(|user| user.name == name.value || user.uid == uid.value) {
        faults.add(&name.at, format!("user `{}` or uid {} is pinned twice", name.value, uid.value), None);
    }
    let group = match (gid, group) {
        (Some(gid), _) => PrimaryGroup::Gid(gid.value),
        (None, Some(group)) => PrimaryGroup::Name(group.value),
        (None, None) => PrimaryGroup::Name(name.value.clone()),
    };
    Some(User { name: name.value, uid: uid.value, group, home: home?, shell: shell?, gecos: gecos? })
}

fn group(mut row: Reader<'_>, others: &[Group], faults: &Faults) -> Option<Group> {
    let name = row.required_typed("name", AccountName::parse);
    let gid = row.required_account_id("gid");
    row.finish();
    let (name, gid) = (name?, gid?);
    if (gid.value == AccountId::ROOT) != (name.value == "root") {
        faults.add(&gid.at, format!("gid {} for group `{}`: 0 is root's, and root's is 0", gid.value, name.value), None);
    }
    if others.iter().any(|group| group.name == name.value || group.gid == gid.value) {
        faults.add(&name.at, format!("group `{}` or gid {} is pinned twice", name.value, gid.value), None);
    }
    Some(Group { name: name.value, gid: gid.value })
}
