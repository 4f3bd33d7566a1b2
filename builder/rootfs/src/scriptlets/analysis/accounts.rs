//! groupadd, useradd and their kin, as the lines of sysusers.d that say the same.

use conf::account::{AccountField, AccountId, AccountName};
use conf::sysusers::{Line, PrimaryGroup};
use model::ResultJudged;

/// The accounts that a command makes; `None` if it does more than that, or if something in it is not known before it runs.
pub(super) fn lines(command: &[&str]) -> Option<Vec<Line>> {
    let [program, arguments @ ..] = command else { return None };
    if arguments.iter().any(|word| word.contains(['$', '`', '*'])) {
        return None;
    }
    match program.rsplit('/').next()? {
        "groupadd" => group(arguments),
        "useradd" => user(arguments),
        "usermod" => membership(arguments),
        "gpasswd" => match arguments {
            ["-a", user, group] => Some(vec![member(user, group)?]),
            _ => None,
        },
        _ => None,
    }
}

/// A command fails on a name that no account can have; then it is not understood.
fn name(text: &str) -> Option<AccountName> {
    AccountName::parse_relaxed(text).none_because("a word that is no account name makes no account")
}

/// useradd's and usermod's members must exist: nothing is made for them.
fn member(user: &str, group: &str) -> Option<Line> {
    Some(Line::Member { user: name(user)?, group: name(group)?, creates: false })
}

/// Name and value.
type Choice<'a> = (&'a str, Option<&'a str>);

/// Options, and the other words. `valued`: letters and long names that take a value.
fn options<'a>(arguments: &[&'a str], valued: &[&str]) -> Option<(Vec<Choice<'a>>, Vec<&'a str>)> {
    let (mut found, mut words) = (Vec::new(), Vec::new());
    let mut rest = arguments.iter().copied();
    while let Some(word) = rest.next() {
        if let Some(long) = word.strip_prefix("--") {
            match long.split_once('=') {
                Some((name, value)) => found.push((name, Some(value))),
                None => found.push((long, if valued.contains(&long) { Some(rest.next()?) } else { None })),
            }
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            for (at, letter) in letters.char_indices() {
                let name = letters.get(at..at + letter.len_utf8())?;
                if valued.contains(&name) {
                    let glued = letters.get(at + 1..).filter(|value| !value.is_empty());
                    found.push((
                        name,
                        Some(match glued {
                            Some(value) => value,
                            None => rest.next()?,
                        }),
                    ));
                    break;
                }
                found.push((name, None));
            }
        } else {
            words.push(word);
        }
    }
    Some((found, words))
}

fn group(arguments: &[&str]) -> Option<Vec<Line>> {
    let (options, words) = options(arguments, &["g", "gid", "K", "key"])?;
    let [group] = words.as_slice() else { return None };
    let mut gid = None;
    for (option, value) in options {
        match option {
            "g" | "gid" => gid = Some(AccountId::parse(value?).none_because("a word that is no id makes no account")?),
            "r" | "system" | "f" | "force" | "o" | "non-unique" => {}
            _ => return None,
        }
    }
    Some(vec![Line::Group { name: name(group)?, gid }])
}

fn user(arguments: &[&str]) -> Option<Vec<Line>> {
    let valued =
        ["u", "uid", "g", "gid", "G", "groups", "d", "home-dir", "home", "s", "shell", "c", "comment", "b", "K", "key", "k", "e", "p"];
    let (options, words) = options(arguments, &valued)?;
    let [user] = words.as_slice() else { return None };
    let (mut uid, mut primary, mut members) = (None, PrimaryGroup::Own, Vec::new());
    let (mut gecos, mut home, mut shell, mut is_system) = (None, None, None, false);
    for (option, value) in options {
        // An empty home or shell is allowed to useradd, and means the default.
        let path = |text: &str| AccountField::parse_path(text).none_because("a word that is no path makes no account");
        match option {
            "u" | "uid" => uid = Some(AccountId::parse(value?).none_because("a word that is no id makes no account")?),
            "g" | "gid" => {
                let group = value?;
                primary = match AccountId::parse(group) {
                    Ok(gid) => PrimaryGroup::Id(gid),
                    Err(_) if group == *user => PrimaryGroup::Own,
                    Err(_) => PrimaryGroup::Named(name(group)?),
                };
            }
            "G" | "groups" => members = value?.split(',').collect(),
            "d" | "home-dir" | "home" => {
                home = value.filter(|text| !text.is_empty()).map(path).map_or(Some(None), |path| path.map(Some))?
            }
            "s" | "shell" => shell = value.filter(|text| !text.is_empty()).map(path).map_or(Some(None), |path| path.map(Some))?,
            "c" | "comment" => gecos = Some(AccountField::parse(value?).none_because("a word that is no field makes no account")?),
            "r" | "system" => is_system = true,
            "M" | "no-create-home" | "l" | "no-log-init" | "o" | "non-unique" | "N" | "no-user-group" | "U" | "user-group" => {}
            // A home that is made, a password, an expiry: more than an account.
            _ => return None,
        }
    }
    // A person's account has an id above those that we give out.
    if !is_system && uid.is_none() {
        return None;
    }
    let line = Line::User { name: name(user)?, uid, group: primary, gecos, home, shell, locked: false };
    std::iter::once(Some(line)).chain(members.into_iter().map(|group| member(user, group))).collect()
}

fn membership(arguments: &[&str]) -> Option<Vec<Line>> {
    let (options, words) = options(arguments, &["G", "groups"])?;
    let [user] = words.as_slice() else { return None };
    let appends = options.iter().any(|(option, _)| matches!(*option, "a" | "append"));
    let groups = options.iter().find(|(option, _)| matches!(*option, "G" | "groups"))?.1?;
    let only = options.iter().all(|(option, _)| matches!(*option, "a" | "append" | "G" | "groups"));
    if !appends || !only {
        return None;
    }
    groups.split(',').map(|group| member(user, group)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scriptlets::{analysis::texts, shell};

    fn said(command: &str) -> Option<String> {
        let words = texts(&shell::parse(command).unwrap().list[0].first).unwrap();
        let lines = lines(&words.iter().map(String::as_str).collect::<Vec<_>>())?;
        let text = |line: &Line| match line {
            Line::Group { name, gid } => format!("g {name} {gid:?}"),
            Line::User { name, uid, group, gecos, home, shell, .. } => {
                format!(
                    "u {name} {uid:?} {group:?} {} {} {}",
                    gecos.as_deref().unwrap_or("-"),
                    home.as_deref().unwrap_or("-"),
                    shell.as_deref().unwrap_or("-")
                )
            }
            Line::Member { user, group, .. } => format!("m {user} {group}"),
            Line::Range { .. } => "r".into(),
        };
        Some(lines.iter().map(text).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn the_spellings_of_distributions_are_understood() {
        for (command, expected) in [
            ("groupadd -r -g 59 tss", Some("g tss Some(59)")),
            ("/usr/sbin/groupadd --system x", Some("g x None")),
            ("groupadd -g 22 -r -f utmp", Some("g utmp Some(22)")),
            ("groupadd -rg5 x", Some("g x Some(5)")),
            (
                "useradd -r -u 59 -g tss -d /dev/null -s /sbin/nologin -c \"A b\" tss",
                Some("u tss Some(59) Named(\"tss\") A b /dev/null /sbin/nologin".replace("Named(\"tss\")", "Own")).as_deref(),
            ),
            ("useradd -c 'S m' -u 81 -g 81 -s /sbin/nologin -r -d '/' dbus", Some("u dbus Some(81) Id(81) S m / /sbin/nologin")),
            ("useradd -r -l -G a,b --home=/x -g y z", Some("u z None Named(\"y\") - /x -, m z a, m z b")),
            ("usermod -a -G kvm qemu", Some("m qemu kvm")),
            ("usermod -aG kvm,disk qemu", Some("m qemu kvm, m qemu disk")),
            ("gpasswd -a x y", Some("m x y")),
            ("useradd -m -r x", None),
            ("useradd x", None),
            ("useradd -r -c 'a:b' x", None),
            ("useradd -r -c 'a\nroot::0:0::/:' x", None),
            ("useradd -r -d rel x", None),
            ("useradd -r -d '' -s '' x", Some("u x None Own - - -")),
            ("useradd -r -u 65535 x", None),
            ("useradd -r 'x:y'", None),
            ("groupadd -g 4294967295 x", None),
            ("groupadd 'a,b'", None),
            ("usermod -aG 'a:b' x", None),
            ("usermod -s /bin/sh root", None),
            ("useradd -r $NAME", None),
            ("groupadd -g many x", None),
            ("groupadd", None),
            ("useradd -r -u", None),
        ] {
            assert_eq!(said(command).as_deref(), expected, "{command}");
        }
    }
}
