//! passwd(5) and group(5): colon-separated account databases.

use crate::account::{AccountField, AccountId, AccountName};
use model::{Error, Result};
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswdEntry {
    pub name: AccountName,
    /// Field two: `x` when the hash is in shadow, `*` for no login.
    pub password: AccountField,
    pub uid: AccountId,
    pub gid: AccountId,
    pub gecos: AccountField,
    pub home: AccountField,
    pub shell: AccountField,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupEntry {
    pub name: AccountName,
    pub password: AccountField,
    pub gid: AccountId,
    pub members: Vec<AccountName>,
}

pub fn parse_passwd(text: &str) -> Result<Vec<PasswdEntry>> {
    lines(text)
        .map(|(number, line)| match line.split(':').collect::<Vec<_>>()[..] {
            [name_field, password, uid, gid, gecos, home, shell] => Ok(PasswdEntry {
                name: name("passwd", number, name_field)?,
                password: field("passwd", number, password)?,
                uid: id("passwd", number, uid)?,
                gid: id("passwd", number, gid)?,
                gecos: field("passwd", number, gecos)?,
                home: field("passwd", number, home)?,
                shell: field("passwd", number, shell)?,
            }),
            _ => Err(Error::integrity(format!("passwd line {number}: expected 7 fields, found {line:?}"))),
        })
        .collect()
}

pub fn parse_group(text: &str) -> Result<Vec<GroupEntry>> {
    lines(text)
        .map(|(number, line)| match line.split(':').collect::<Vec<_>>()[..] {
            [name_field, password, gid, members] => Ok(GroupEntry {
                name: name("group", number, name_field)?,
                password: field("group", number, password)?,
                gid: id("group", number, gid)?,
                members: members.split(',').filter(|m| !m.is_empty()).map(|m| name("group", number, m)).collect::<Result<_>>()?,
            }),
            _ => Err(Error::integrity(format!("group line {number}: expected 4 fields, found {line:?}"))),
        })
        .collect()
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn wrong(file: &str, line: usize, text: &str) -> impl FnOnce(&str) -> Error {
    move |why| Error::integrity(format!("{file} line {line}: {why}, found {text:?}"))
}

fn name(file: &str, line: usize, text: &str) -> Result<AccountName> {
    AccountName::parse_relaxed(text).map_err(wrong(file, line, text))
}

fn field(file: &str, line: usize, text: &str) -> Result<AccountField> {
    AccountField::parse(text).map_err(wrong(file, line, text))
}

fn id(file: &str, line: usize, text: &str) -> Result<AccountId> {
    AccountId::parse(text).map_err(wrong(file, line, text))
}

impl fmt::Display for PasswdEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}:{}:{}:{}", self.name, self.password, self.uid, self.gid, self.gecos, self.home, self.shell)
    }
}

impl fmt::Display for GroupEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}:{}",
            self.name,
            self.password,
            self.gid,
            self.members.iter().map(|member| &**member).collect::<Vec<_>>().join(",")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_print_as_they_were_read_and_a_short_line_is_refused() {
        let text = "root:*:0:0:root:/root:/bin/bash";
        assert_eq!(parse_passwd(text).unwrap()[0].to_string(), text);
        let text = "sudo:*:27:a,b";
        assert_eq!(parse_group(text).unwrap()[0].to_string(), text);
        for bad in ["root:*:0:0", "a:*:65535:0:::", "a:*:0:-1:::", ":*:0:0:::", "a:*:0:0:\x07::"] {
            assert!(parse_passwd(&format!("# c\n{bad}")).unwrap_err().to_string().starts_with("passwd line 2: "), "{bad}");
        }
        for bad in ["sudo:*:x:", "sudo:*:5:a,b c", "sudo:*:5"] {
            assert!(parse_group(bad).unwrap_err().to_string().starts_with("group line 1: "), "{bad}");
        }
    }
}
