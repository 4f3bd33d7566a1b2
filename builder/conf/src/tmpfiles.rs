//! tmpfiles.d(5): files, directories and links that must exist.
//!
//! A line has six words, in which quotes and the escapes of C are undone, and an argument that takes the rest of the line: there quotes stay, and
//! only types that write it into a file or link undo its escapes. Specifiers are expanded in the path and the argument. A line with one that
//! only the host can expand, or with a credential, is returned as [`Line::on_host`].

use crate::specifiers::{self, Expanded, TMPFILES};
use crate::{Escapes, split, unescape};
use model::{Error, Result, ResultJudged, decode_base64};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// File and line, for messages.
    pub at: String,
    /// The letter: `d`, `L`, `f` and so on; one that tmpfiles.d(5) knows.
    pub kind: char,
    /// `+ ! - = ~ ^ $ ?` after the letter, each at most once.
    pub modifiers: String,
    /// Absolute, without repeated and last slashes; as written if only the host can expand it.
    pub path: Vec<u8>,
    pub mode: Option<Mode>,
    pub user: Option<Owner>,
    pub group: Option<Owner>,
    pub age: Option<Vec<u8>>,
    /// Escapes and base64 undone, specifiers expanded.
    pub argument: Option<Vec<u8>>,
    /// Only a running host knows what the line means.
    pub on_host: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// Permission bits with setuid, setgid and sticky: at most 0o7777.
    pub bits: u16,
    /// `~`: only for classes (read, write, execute) that the file has already.
    pub masked: bool,
    /// `:`: only for what is newly created.
    pub on_create: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// A name or a number.
    pub name: String,
    /// `:`: only for what is newly created.
    pub on_create: bool,
}

impl Line {
    pub fn has(&self, modifier: char) -> bool {
        self.modifiers.contains(modifier)
    }

    /// Only at boot, not at any time.
    pub fn boot_only(&self) -> bool {
        self.has('!')
    }

    pub fn creates_directory(&self) -> bool {
        matches!(self.kind, 'd' | 'D' | 'v' | 'q' | 'Q')
    }

    /// The type takes a pattern, and changes what is there.
    pub fn takes_glob(&self) -> bool {
        "wexXrRmzZtThHaA".contains(self.kind)
    }

    /// One line of these types has a path for itself; others of them for the same path do not count.
    pub fn takes_ownership(&self) -> bool {
        "fFwdDevqQpLcbCxXrR".contains(self.kind)
    }
}

/// Those of tmpfiles.d(5); `m` is the old name of `z`.
const KINDS: &str = "fFwdDevqQpLcbCxXrRmzZtThHaA";

/// Reads the lines of one file; `name` is for messages. All faults come in one error, a line each.
pub fn parse(name: &str, text: &str) -> Result<Vec<Line>> {
    let (mut lines, mut faults) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = format!("{name} line {number}");
        match parse_line(at.clone(), line) {
            Ok(line) => lines.push(line),
            Err(why) => faults.push(format!("{at}: {why} in {line:?}")),
        }
    }
    if faults.is_empty() {
        return Ok(lines);
    }
    Err(Error::integrity(faults.join("\n")).hint("tmpfiles.d(5) says how a line is written"))
}

fn parse_line(at: String, line: &str) -> Result<Line, String> {
    let (words, argument) = split(line, 6, Escapes::C)?;
    let word = |at: usize| words.get(at).map(Vec::as_slice).filter(|w| !w.is_empty() && *w != b"-");
    let letters = words.first().map(|word| String::from_utf8_lossy(word).into_owned()).ok_or("no type")?;
    let kind = letters.chars().next().filter(|kind| KINDS.contains(*kind)).ok_or("unknown type")?;
    let modifiers = letters[1..].to_owned();
    for (at, modifier) in modifiers.char_indices() {
        if !"+!-=~^$?".contains(modifier) || modifiers[..at].contains(modifier) {
            return Err("unknown or repeated modifier".into());
        }
    }
    let written = word(1).ok_or("no path")?;
    let (path, path_on_host) = match specifiers::expand(written, TMPFILES)? {
        Expanded::Known(path) if path.first() == Some(&b'/') => (simplified(&path), false),
        Expanded::Known(_) => return Err("a path that is not absolute".into()),
        Expanded::OnHost => (written.to_vec(), true),
    };
    let (argument, argument_on_host) = parse_argument(kind, &modifiers, Some(argument).filter(|a| !matches!(*a, "" | "-")))?;
    Ok(Line {
        at,
        kind,
        path,
        mode: word(2).map(parse_mode).transpose()?,
        user: word(3).map(owner).transpose()?.flatten(),
        group: word(4).map(owner).transpose()?.flatten(),
        age: word(5).map(<[u8]>::to_vec),
        argument,
        on_host: path_on_host || argument_on_host || modifiers.contains('^'),
        modifiers,
    })
}

/// With its escapes undone and its specifiers expanded as the type has it; and whether only the host can do the latter.
fn parse_argument(kind: char, modifiers: &str, text: Option<&str>) -> Result<(Option<Vec<u8>>, bool), String> {
    let is_base64 = modifiers.contains('~');
    if is_base64 && "LCcb".contains(kind) {
        return Err("base64 (~) for a type that takes none".into());
    }
    let Some(text) = text else {
        return if "wcbtTaAhH".contains(kind) && !modifiers.contains('^') { Err("no argument".into()) } else { Ok((None, false)) };
    };
    if is_base64 {
        return Ok((Some(decode_base64(text.as_bytes()).ok_or("bad base64")?), false));
    }
    let plain = if "fFwLC".contains(kind) { unescape(text)? } else { text.as_bytes().to_vec() };
    let argument = match specifiers::expand(&plain, TMPFILES)? {
        Expanded::Known(argument) => argument,
        Expanded::OnHost => return Ok((Some(plain), true)),
    };
    if kind == 'C' && argument.first() != Some(&b'/') {
        return Err("a source that is not absolute".into());
    }
    Ok((Some(argument), false))
}

/// Without repeated and last slashes and `.` components.
fn simplified(path: &[u8]) -> Vec<u8> {
    let names: Vec<&[u8]> = path.split(|&b| b == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
    [b"/".as_slice(), &names.join(&b'/')].concat()
}

fn parse_mode(text: &[u8]) -> Result<Mode, String> {
    let prefix = text.iter().take_while(|b| matches!(b, b'~' | b':')).count();
    let (prefix, digits) = text.split_at(prefix);
    let is_octal = !digits.is_empty() && digits.iter().all(|b| (b'0'..=b'7').contains(b));
    let digits =
        std::str::from_utf8(digits).none_because("the caller's sentence says what a mode is").filter(|_| is_octal).ok_or("bad mode")?;
    let bits = u16::from_str_radix(digits, 8)
        .none_because("the caller's sentence says what a mode is")
        .filter(|&bits| bits <= 0o7777)
        .ok_or("bad mode")?;
    Ok(Mode { bits, masked: prefix.contains(&b'~'), on_create: prefix.contains(&b':') })
}

fn owner(text: &[u8]) -> Result<Option<Owner>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "an owner that is not UTF-8")?;
    let (name, on_create) = text.strip_prefix(':').map_or((text, false), |name| (name, true));
    if name.contains(|c: char| c.is_control() || c == ':') {
        return Err("bad owner".into());
    }
    Ok(Some(Owner { name: name.to_owned(), on_create }).filter(|owner| !matches!(owner.name.as_str(), "" | "-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_modifiers_are_read() {
        let text =
            "d /run/x 0755 root root 10d -\nL+! /etc//a/ - - - - ../b c\nf+ /x ~:644 :u\nf \"/a b\" - - - - \"q\" \\x41 %%\nZ /x 0700\n";
        let lines = parse("x.conf", text).unwrap();
        let mode = |bits| Mode { bits, masked: false, on_create: false };
        assert_eq!((lines[0].kind, lines[0].mode, lines[0].age.as_deref()), ('d', Some(mode(0o755)), Some(&b"10d"[..])));
        assert!(lines[1].boot_only() && lines[1].argument.as_deref() == Some(b"../b c") && lines[1].path == b"/etc/a");
        assert_eq!(lines[2].mode, Some(Mode { bits: 0o644, masked: true, on_create: true }));
        assert_eq!(lines[2].user, Some(Owner { name: "u".into(), on_create: true }));
        assert_eq!((lines[3].path.as_slice(), lines[3].argument.as_deref()), (&b"/a b"[..], Some(&b"\"q\" A %"[..])));
    }

    #[test]
    fn what_only_the_host_knows_is_marked() {
        for (line, on_host) in [
            ("f /etc/x - - - - host %H", true),
            ("d /etc/%m", true),
            ("f^ /etc/x - - - - cred", true),
            ("f /etc/x - - - - 100%% %t", false),
            ("f~ /etc/x - - - - JUg=", false),
        ] {
            assert_eq!(parse("x", line).unwrap()[0].on_host, on_host, "{line}");
        }
        assert_eq!(parse("x", "f~ /x - - - - JUg=").unwrap()[0].argument.as_deref(), Some(&b"%H"[..]));
    }

    #[test]
    fn a_bad_line_is_named_and_all_of_a_file_come_at_once() {
        for bad in [
            "d",
            "d x",
            "d /x 99999",
            "d* /x",
            "- /x",
            "y /x",
            "d!! /x",
            "d /x +644",
            "d /x ~",
            "d /x 0o7",
            "f \"/x",
            "f /x\\q",
            "f /x - - - - a\\q",
            "f /x - - - - %z",
            "f~ /x - - - - *",
            "w /x",
            "c /x",
            "C /x - - - - rel",
            "L~ /x - - - - eA==",
            "d /x - a:b",
            "d %%x",
            "t /x",
        ] {
            let error = parse("x.conf", &format!("# c\n{bad}\nd /fine")).unwrap_err();
            assert!(error.to_string().starts_with("x.conf line 2: ") && error.hint_text().is_some(), "{bad}: {error}");
        }
        assert_eq!(parse("x.conf", "d\nd /x\nq").unwrap_err().to_string().lines().count(), 2);
    }
}
