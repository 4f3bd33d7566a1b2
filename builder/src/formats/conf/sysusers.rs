//! sysusers.d(5): users and groups that a package needs.

use crate::base::{Error, Result};
use crate::formats::conf::split;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// `u`, with `u!` locked.
    User {
        name: String,
        uid: Option<u32>,
        group: PrimaryGroup,
        gecos: Option<String>,
        home: Option<String>,
        shell: Option<String>,
        locked: bool,
    },
    Group {
        name: String,
        gid: Option<u32>,
    },
    Member {
        user: String,
        group: String,
    },
    Range {
        low: u32,
        high: u32,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrimaryGroup {
    /// One with the user's own name.
    Own,
    Id(u32),
    Named(String),
}

/// `name` is for messages. Ids given as a path ("take the owner of that file") read as not given.
pub fn parse(name: &str, text: &str) -> Result<Vec<Line>> {
    let mut out = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |why: &str| {
            Error::integrity(format!("{name} line {number}: {why} in {line:?}")).hint("sysusers.d(5) says how a line is written")
        };
        let words = split(line, usize::MAX).ok_or_else(|| bad("unbalanced quote or bad escape"))?;
        let word = |at: usize| words.get(at).map(String::as_str).filter(|w| !w.is_empty() && *w != "-");
        let account = words.get(1).ok_or_else(|| bad("no name"))?.to_owned();
        let number_of = |text: &str| text.parse::<u32>().ok().filter(|&id| id != u32::MAX && id != 0xffff);
        match words.first().map(String::as_str).unwrap_or_default() {
            kind @ ("u" | "u!") => {
                let (uid, group) = match word(2) {
                    None => (None, PrimaryGroup::Own),
                    Some(path) if path.starts_with('/') => (None, PrimaryGroup::Own),
                    Some(ids) => match ids.split_once(':') {
                        None => (Some(number_of(ids).ok_or_else(|| bad("bad uid"))?), PrimaryGroup::Own),
                        Some((uid, group)) => (
                            if uid == "-" { None } else { Some(number_of(uid).ok_or_else(|| bad("bad uid"))?) },
                            number_of(group).map_or_else(|| PrimaryGroup::Named(group.into()), PrimaryGroup::Id),
                        ),
                    },
                };
                let text = |at| word(at).map(str::to_owned);
                out.push(Line::User { name: account, uid, group, gecos: text(3), home: text(4), shell: text(5), locked: kind == "u!" });
            }
            "g" => {
                let gid = match word(2) {
                    None => None,
                    Some(path) if path.starts_with('/') => None,
                    Some(id) => Some(number_of(id).ok_or_else(|| bad("bad gid"))?),
                };
                out.push(Line::Group { name: account, gid });
            }
            "m" => out.push(Line::Member { user: account, group: word(2).ok_or_else(|| bad("no group"))?.into() }),
            "r" => {
                let range = word(2).ok_or_else(|| bad("no range"))?;
                let (low, high) = range.split_once('-').unwrap_or((range, range));
                let (low, high) = number_of(low).zip(number_of(high)).filter(|(l, h)| l <= h).ok_or_else(|| bad("bad range"))?;
                out.push(Line::Range { low, high });
            }
            _ => return Err(bad("unknown type")),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_of_line_is_read() {
        let lines = parse(
            "x.conf",
            "# c\nu! etcd - \"etcd server\" /var/lib/etcd\nu a 5:wheel\ng docker 120\nm a docker\nr - 500-900\nu b /etc/x\n",
        )
        .unwrap();
        assert_eq!(lines.len(), 6);
        assert!(
            matches!(&lines[0], Line::User { name, uid: None, locked: true, gecos: Some(g), .. } if name == "etcd" && g == "etcd server")
        );
        assert!(matches!(&lines[1], Line::User { uid: Some(5), group: PrimaryGroup::Named(g), .. } if g == "wheel"));
        assert_eq!(lines[4], Line::Range { low: 500, high: 900 });
        for bad in ["q x", "u", "g x yes", "m x", "r - 9-1", "u x - \"open"] {
            let error = parse("x.conf", &format!("# c\n{bad}")).unwrap_err();
            assert!(error.to_string().starts_with("x.conf line 2: ") && error.hint_text().is_some(), "{error}");
        }
    }
}
