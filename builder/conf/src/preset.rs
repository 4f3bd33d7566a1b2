//! systemd.preset(5): which units are enabled on a fresh system. The first rule whose glob matches decides.

use model::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Enable,
    Disable,
    Ignore,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub verdict: Verdict,
    pub glob: String,
    /// For `enable name@.service a b`: the instances to enable.
    pub instances: Vec<String>,
}

/// `name` is for messages.
pub fn parse(name: &str, text: &str) -> Result<Vec<Rule>> {
    let mut out = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        let verdict = match words.next() {
            Some("enable") => Verdict::Enable,
            Some("disable") => Verdict::Disable,
            Some("ignore") => Verdict::Ignore,
            _ => return Err(Error::integrity(format!("{name} line {number}: expected enable, disable or ignore, found {line:?}"))),
        };
        let glob = words.next().ok_or_else(|| Error::integrity(format!("{name} line {number}: no unit name in {line:?}")))?;
        out.push(Rule { verdict, glob: glob.into(), instances: words.map(str::to_owned).collect() });
    }
    Ok(out)
}

/// fnmatch(3) without flags: `*`, `?`, `[a-z]`, `[!a]`.
pub fn glob_matches(glob: &str, name: &str) -> bool {
    glob_matches_bytes(glob.as_bytes(), name.as_bytes())
}

/// The same for names that need not be UTF-8.
pub fn glob_matches_bytes(glob: &[u8], name: &[u8]) -> bool {
    let (mut g, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        let step = match glob.get(g) {
            Some(b'*') => {
                star = Some((g + 1, n));
                g += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => bracket(&glob[g..], name[n]),
            Some(&c) if c == name[n] => Some(1),
            _ => None,
        };
        match (step, star) {
            (Some(width), _) => {
                g += width;
                n += 1;
            }
            (None, Some((after, from))) => {
                star = Some((after, from + 1));
                g = after;
                n = from + 1;
            }
            (None, None) => return false,
        }
    }
    glob[g..].iter().all(|&c| c == b'*')
}

/// Bytes of the bracket expression when it matches; an unclosed one is a plain `[`.
fn bracket(glob: &[u8], c: u8) -> Option<usize> {
    let negated = matches!(glob.get(1), Some(b'!' | b'^'));
    let first = 1 + usize::from(negated);
    let Some(close) = (first + 1..glob.len()).find(|&at| glob[at] == b']') else { return (c == b'[').then_some(1) };
    let set = &glob[first..close];
    let mut at = 0;
    let mut hit = false;
    while at < set.len() {
        if set.get(at + 1) == Some(&b'-') && at + 2 < set.len() {
            hit |= (set[at]..=set[at + 2]).contains(&c);
            at += 3;
        } else {
            hit |= set[at] == c;
            at += 1;
        }
    }
    (hit != negated).then_some(close + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_fnmatch_does() {
        for (glob, name, expected) in [
            ("*", "a.service", true),
            ("systemd-*.socket", "systemd-udevd.socket", true),
            ("systemd-*.socket", "systemd-udevd.service", false),
            ("getty@.service", "getty@.service", true),
            ("a?c", "abc", true),
            ("a[b-d]c", "acc", true),
            ("a[!b-d]c", "acc", false),
            ("a[", "a[", true),
            ("*a*b", "xxaxxb", true),
        ] {
            assert_eq!(glob_matches(glob, name), expected, "{glob} {name}");
        }
        assert!(parse("x", "enabled a").is_err());
        assert_eq!(parse("x", "enable a@.service x y").unwrap()[0].instances, ["x", "y"]);
    }
}
