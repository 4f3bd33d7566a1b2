//! sysusers.d(5): users and groups that a package needs. Every type of line, with the fields as systemd-sysusers checks them.

use crate::account::{AccountField, AccountId, AccountName};
use crate::specifiers::{self, Expanded};
use crate::{Escapes, split};
use model::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// `u`, with `u!` locked.
    User {
        name: AccountName,
        uid: Option<AccountId>,
        group: PrimaryGroup,
        gecos: Option<AccountField>,
        home: Option<AccountField>,
        shell: Option<AccountField>,
        locked: bool,
    },
    Group {
        name: AccountName,
        gid: Option<AccountId>,
    },
    Member {
        user: AccountName,
        group: AccountName,
        /// The user and the group are made if they are not there, as sysusers.d has it.
        creates: bool,
    },
    /// Where ids are chosen from, instead of the system's range.
    Range {
        low: AccountId,
        high: AccountId,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrimaryGroup {
    /// One with the user's own name.
    Own,
    Id(AccountId),
    Named(AccountName),
}

/// Reads the lines of one file; `name` is for messages. All faults come in one error, a line each.
///
/// An id given as a path ("take the owner of that file") reads as not given: files get their owners from the accounts, not the other way round.
/// A line with a specifier that only the host can expand (`%H`, `%m`) is not returned, since the host's systemd-sysusers carries it out.
pub fn parse(name: &str, text: &str) -> Result<Vec<Line>> {
    let (mut lines, mut faults) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match Fields::of(line).and_then(|fields| fields.map(|fields| fields.line()).transpose()) {
            Ok(line) => lines.extend(line),
            Err(why) => faults.push(format!("{name} line {number}: {why} in {line:?}")),
        }
    }
    if faults.is_empty() {
        return Ok(lines);
    }
    Err(Error::integrity(faults.join("\n")).hint("sysusers.d(5) says how a line is written"))
}

/// Of one line: specifiers expanded, `-` and an empty word gone.
struct Fields([Option<String>; 6]);

const NAMES: [&str; 6] = ["type", "name", "ID", "GECOS", "home directory", "shell"];

impl Fields {
    /// `None` if only the host can expand one of them.
    fn of(line: &str) -> Result<Option<Fields>, String> {
        let (words, rest) = split(line, NAMES.len(), Escapes::Literal)?;
        if !rest.is_empty() {
            return Err("more than six fields".into());
        }
        let mut fields = [const { None }; 6];
        for ((field, word), what) in fields.iter_mut().zip(words).zip(NAMES) {
            match specifiers::expand(&word, specifiers::SYSUSERS)? {
                Expanded::OnHost => return Ok(None),
                Expanded::Known(text) if text.is_empty() || text == b"-" => {}
                Expanded::Known(text) => *field = Some(String::from_utf8(text).map_err(|_| format!("a {what} that is not UTF-8"))?),
            }
        }
        Ok(Some(Fields(fields)))
    }

    fn get(&self, at: usize) -> Option<&str> {
        self.0.get(at)?.as_deref()
    }

    fn required(&self, at: usize) -> Result<&str, String> {
        self.get(at).ok_or_else(|| format!("no {}", NAMES[at]))
    }

    /// Refuses what stands in a field that the type does not take.
    fn only(&self, taken: &[usize]) -> Result<(), String> {
        match (1..NAMES.len()).find(|at| !taken.contains(at) && self.get(*at).is_some()) {
            Some(at) => Err(format!("a {}, which a line of this type does not take,", NAMES[at])),
            None => Ok(()),
        }
    }

    /// The field as `parse` reads it; absent fields stay so.
    fn typed<T>(&self, at: usize, parse: fn(&str) -> Result<T, &'static str>) -> Result<Option<T>, String> {
        self.get(at).map(|text| parse(text).map_err(|why| format!("bad {}: {why},", NAMES[at]))).transpose()
    }

    fn name(&self, at: usize) -> Result<AccountName, String> {
        AccountName::parse(self.required(at)?).map_err(|why| format!("bad {}: {why},", NAMES[at]))
    }

    fn line(&self) -> Result<Line, String> {
        match self.required(0)? {
            kind @ ("u" | "u!") => {
                let (uid, group) = self.get(2).map_or(Ok((None, PrimaryGroup::Own)), ids)?;
                Ok(Line::User {
                    name: self.name(1)?,
                    uid,
                    group,
                    gecos: self.typed(3, AccountField::parse)?,
                    home: self.typed(4, AccountField::parse_path)?,
                    shell: self.typed(5, AccountField::parse_path)?,
                    locked: kind == "u!",
                })
            }
            "g" => {
                self.only(&[1, 2])?;
                let is_path = self.get(2).is_some_and(|id| id.starts_with('/'));
                Ok(Line::Group { name: self.name(1)?, gid: if is_path { None } else { self.typed(2, AccountId::parse)? } })
            }
            "m" => {
                self.only(&[1, 2])?;
                Ok(Line::Member { user: self.name(1)?, group: self.name(2)?, creates: true })
            }
            "r" => {
                self.only(&[2])?;
                let range = self.required(2)?;
                let (low, high) = range.split_once('-').unwrap_or((range, range));
                match (AccountId::parse(low), AccountId::parse(high)) {
                    (Ok(low), Ok(high)) if low <= high => Ok(Line::Range { low, high }),
                    _ => Err("bad range".into()),
                }
            }
            _ => Err("unknown type".into()),
        }
    }
}

/// `uid`, `uid:gid`, `uid:group`, `-:gid`, `-:group` or a path.
fn ids(text: &str) -> Result<(Option<AccountId>, PrimaryGroup), String> {
    if text.starts_with('/') {
        return Ok((None, PrimaryGroup::Own));
    }
    let uid = |text: &str| AccountId::parse(text).map(Some).map_err(|why| format!("bad uid: {why},"));
    let Some((user, group)) = text.split_once(':') else { return Ok((uid(text)?, PrimaryGroup::Own)) };
    let is_number = group.bytes().all(|b| b.is_ascii_digit());
    let group = match (is_number, AccountId::parse(group), AccountName::parse(group)) {
        (true, Ok(gid), _) => PrimaryGroup::Id(gid),
        (false, _, Ok(name)) => PrimaryGroup::Named(name),
        (true, Err(why), _) | (false, _, Err(why)) => return Err(format!("bad group: {why},")),
    };
    Ok((if user == "-" { None } else { uid(user)? }, group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_of_line_is_read() {
        let lines = parse(
            "x.conf",
            "# c\nu! etcd - \"etcd server\" /var/lib/etcd\nu a 5:wheel\ng docker 120\nm a docker\nr - 500-900\nu b /etc/x\nr - 400\nu %H\n",
        )
        .unwrap();
        assert_eq!(lines.len(), 7);
        assert!(
            matches!(&lines[0], Line::User { name, uid: None, locked: true, gecos: Some(g), .. } if *name == "etcd" && *g == "etcd server")
        );
        assert!(matches!(&lines[1], Line::User { uid: Some(id), group: PrimaryGroup::Named(g), .. } if id.get() == 5 && *g == "wheel"));
        let id = |id| AccountId::new(id).unwrap();
        assert_eq!(lines[4], Line::Range { low: id(500), high: id(900) });
        assert!(matches!(&lines[5], Line::User { uid: None, group: PrimaryGroup::Own, .. }));
        let text = "u x 5 \"50%% \\\"of\\\" \\x41\" /a//b/ /bin/sh";
        assert!(matches!(&parse("x", text).unwrap()[0], Line::User { gecos: Some(g), home: Some(h), shell: Some(s), .. }
            if *g == "50% \"of\" x41" && *h == "/a/b" && *s == "/bin/sh"));
    }

    #[test]
    fn a_bad_field_is_named_with_its_line_and_all_of_a_file_come_at_once() {
        for bad in [
            "q x",
            "u",
            "u -",
            "u \"\"",
            "g x yes",
            "m x",
            "m x 5",
            "r - 9-1",
            "r x 5-6",
            "r - 1-65535",
            "r -",
            "u x - \"open",
            "u x 1 \"a:b\"",
            "u Bad.Name:x 502",
            "u x 1 a relative/home",
            "u x 1 a \"/var/a:b\"",
            "u x 1 a /a/../b",
            "u x 1 a / sh",
            "u x 65535",
            "u x 4294967295",
            "u x 007",
            "u x +7",
            "u x 5:",
            "u x :5",
            "u x 5:4294967295",
            "u x 5:a.b",
            "u x 5 a / /sh more",
            "u 5",
            "u x 5 \"a\tb\"",
            "u x %z",
            "g x 5 text",
            "m x y text",
            "g! x",
            "u0123456789 x",
            "u x23456789012345678901234567890123",
        ] {
            let error = parse("x.conf", &format!("# c\n{bad}\ng good")).unwrap_err();
            assert!(error.to_string().starts_with("x.conf line 2: ") && error.hint_text().is_some(), "{bad}: {error}");
        }
        let error = parse("x.conf", "u a.b\n\ng fine\ng 5\n").unwrap_err().to_string();
        assert_eq!(error.lines().map(|line| &line[..13]).collect::<Vec<_>>(), ["x.conf line 1", "x.conf line 4"]);
    }
}
