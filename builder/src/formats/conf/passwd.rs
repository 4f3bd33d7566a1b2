//! passwd(5) and group(5): colon-separated account databases.

use crate::base::{Error, Result};
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswdEntry {
    pub name: String,
    /// Field two: `x` when the hash is in shadow, `*` for no login.
    pub password: String,
    pub uid: u32,
    pub gid: u32,
    pub gecos: String,
    pub home: String,
    pub shell: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupEntry {
    pub name: String,
    pub password: String,
    pub gid: u32,
    pub members: Vec<String>,
}

pub fn parse_passwd(text: &str) -> Result<Vec<PasswdEntry>> {
    lines(text)
        .map(|(number, line)| match line.split(':').collect::<Vec<_>>()[..] {
            [name, password, uid, gid, gecos, home, shell] if !name.is_empty() => Ok(PasswdEntry {
                name: name.into(),
                password: password.into(),
                uid: id(uid, number)?,
                gid: id(gid, number)?,
                gecos: gecos.into(),
                home: home.into(),
                shell: shell.into(),
            }),
            _ => Err(Error::integrity(format!("passwd line {number}: expected 7 fields, found {line:?}"))),
        })
        .collect()
}

pub fn parse_group(text: &str) -> Result<Vec<GroupEntry>> {
    lines(text)
        .map(|(number, line)| match line.split(':').collect::<Vec<_>>()[..] {
            [name, password, gid, members] if !name.is_empty() => Ok(GroupEntry {
                name: name.into(),
                password: password.into(),
                gid: id(gid, number)?,
                members: members.split(',').filter(|m| !m.is_empty()).map(str::to_owned).collect(),
            }),
            _ => Err(Error::integrity(format!("group line {number}: expected 4 fields, found {line:?}"))),
        })
        .collect()
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn id(text: &str, line: usize) -> Result<u32> {
    text.parse().map_err(|_| Error::integrity(format!("line {line}: expected a numeric id, found {text:?}")))
}

impl fmt::Display for PasswdEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}:{}:{}:{}", self.name, self.password, self.uid, self.gid, self.gecos, self.home, self.shell)
    }
}

impl fmt::Display for GroupEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}", self.name, self.password, self.gid, self.members.join(","))
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
        assert!(parse_passwd("root:*:0:0").is_err());
        assert!(parse_group("sudo:*:x:").is_err());
    }
}
