//! tmpfiles.d(5): files, directories and links that must exist.

use crate::base::{Error, Result};
use crate::formats::conf::split;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The letter: `d`, `L`, `f`, …
    pub kind: char,
    /// `+ ! - = ~ ^ $ ?` after the letter.
    pub modifiers: String,
    /// Specifiers (`%m`) unexpanded.
    pub path: String,
    /// Permission bits; `None` for the default of the type.
    pub mode: Option<u16>,
    /// `:` before the mode: only for what is newly created.
    pub mode_on_create: bool,
    pub user: Option<String>,
    pub group: Option<String>,
    pub age: Option<String>,
    pub argument: Option<String>,
}

impl Line {
    /// Only at boot, not at any time.
    pub fn boot_only(&self) -> bool {
        self.modifiers.contains('!')
    }

    pub fn creates_directory(&self) -> bool {
        matches!(self.kind, 'd' | 'D' | 'v' | 'q' | 'Q')
    }
}

/// `name` is for messages.
pub fn parse(name: &str, text: &str) -> Result<Vec<Line>> {
    let mut out = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |why: &str| {
            Error::integrity(format!("{name} line {number}: {why} in {line:?}")).hint("tmpfiles.d(5) says how a line is written")
        };
        let words = split(line, 7).ok_or_else(|| bad("unbalanced quote or bad escape"))?;
        let word = |at: usize| words.get(at).map(String::as_str).filter(|w| !w.is_empty() && *w != "-");
        let mut letters = words.first().map(String::as_str).unwrap_or_default().chars();
        let kind = letters.next().filter(char::is_ascii_alphabetic).ok_or_else(|| bad("no type"))?;
        let modifiers: String = letters.collect();
        if !modifiers.chars().all(|c| "+!-=~^$?".contains(c)) {
            return Err(bad("unknown modifier"));
        }
        let path = word(1).filter(|p| p.starts_with(['/', '%'])).ok_or_else(|| bad("no absolute path"))?.to_owned();
        let mode_text = word(2).unwrap_or_default();
        let digits = mode_text.trim_start_matches(['~', ':']);
        let mode = if digits.is_empty() {
            None
        } else {
            Some(u16::from_str_radix(digits, 8).ok().filter(|&m| m <= 0o7777).ok_or_else(|| bad("bad mode"))?)
        };
        let owner = |at| word(at).map(|w: &str| w.trim_start_matches(':').to_owned()).filter(|w| !w.is_empty());
        out.push(Line {
            kind,
            modifiers,
            path,
            mode,
            mode_on_create: mode_text.contains(':'),
            user: owner(3),
            group: owner(4),
            age: word(5).map(str::to_owned),
            argument: word(6).map(str::to_owned),
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_modifiers_are_read() {
        let lines = parse("x.conf", "d /run/x 0755 root root 10d -\nL+! /etc/a - - - - ../b c\nf+ /x :644 :u\n").unwrap();
        assert_eq!((lines[0].kind, lines[0].mode, lines[0].age.as_deref()), ('d', Some(0o755), Some("10d")));
        assert!(lines[1].boot_only() && lines[1].argument.as_deref() == Some("../b c"));
        assert!(lines[2].mode_on_create && lines[2].user.as_deref() == Some("u"));
        for bad in ["d", "d x", "d /x 99999", "d* /x", "- /x"] {
            assert!(parse("x.conf", bad).is_err(), "{bad}");
        }
    }
}
