//! SELinux file contexts (selabel_file(5)): which label a path gets.
//!
//! A line is `regex [-type] label`, the regex anchored at both ends; `<<none>>` is a label that leaves the path alone. Of several lines that
//! match, one without metacharacters is stronger than one with, and then the later line is stronger. Lines of `file_contexts.subs` and
//! `subs_dist` are pairs `/alias /original`: a path below the alias is looked up as if it stood below the original.
//!
//! A policy has thousands of lines and a tree tens of thousands of paths, so lines are filed under the directory of their literal prefix: only
//! the lines filed under an ancestor of a path are tried, and a regex is compiled when it is first tried.

use model::tree::NodeKind;
use model::{Error, Result};
use regex::bytes::{Regex, RegexBuilder};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Largest compiled regex, in bytes; the longest lines of real policies stay far below.
const REGEX_SIZE: usize = 4 << 20;

#[derive(Debug, Default)]
pub struct FileContexts {
    /// Weakest first.
    lines: Vec<Line>,
    /// Directory of the literal prefix (without trailing slash) → indexes into `lines`, ascending.
    by_directory: BTreeMap<Vec<u8>, Vec<usize>>,
    /// Local substitutions, then the distribution's; each list in order of application.
    substitutions: [Vec<(Vec<u8>, Vec<u8>)>; 2],
}

#[derive(Debug)]
struct Line {
    file: String,
    number: usize,
    pattern: String,
    prefix: Vec<u8>,
    /// No metacharacters: the prefix is all.
    is_exact: bool,
    type_bits: Option<u32>,
    /// `None`: `<<none>>`.
    label: Option<String>,
    compiled: OnceLock<std::result::Result<Regex, String>>,
}

impl FileContexts {
    /// `files`: name (for messages) and text of file_contexts, file_contexts.homedirs and file_contexts.local, in this order.
    pub fn parse(files: &[(String, String)]) -> Result<Self> {
        let mut lines = Vec::new();
        for (file, text) in files {
            for (at, text) in text.lines().enumerate() {
                let text = text.trim();
                if !text.is_empty() && !text.starts_with('#') {
                    lines.push(parse_line(file, at + 1, text)?);
                }
            }
        }
        lines.sort_by_key(|line| line.is_exact);
        let mut by_directory: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
        for (index, line) in lines.iter().enumerate() {
            let directory = line.prefix.iter().rposition(|&b| b == b'/').unwrap_or(0);
            by_directory.entry(line.prefix[..directory].to_vec()).or_default().push(index);
        }
        Ok(FileContexts { lines, by_directory, substitutions: Default::default() })
    }

    /// Adds the texts of `file_contexts.subs` and `file_contexts.subs_dist`.
    pub fn with_substitutions(mut self, local: &str, distribution: &str) -> Self {
        self.substitutions = [local, distribution].map(parse_substitutions);
        self
    }

    pub fn line_count(&self) -> usize {
        self.lines.len()
    }

    /// The label of `path` (absolute, no trailing slash) if a file of this kind stands there; `None` if no line matches, or one that says `<<none>>`.
    pub fn label(&self, path: &[u8], kind: &NodeKind) -> Result<Option<&str>> {
        let type_bits = kind.type_bits();
        let substituted = self.substituted(path);
        let path = substituted.as_deref().unwrap_or(path);
        let mut best: Option<usize> = None;
        for end in (0..path.len()).filter(|&at| path[at] == b'/') {
            let Some(indexes) = self.by_directory.get(&path[..end]) else { continue };
            for &index in indexes.iter().rev().take_while(|&&index| best.is_none_or(|best| index > best)) {
                let line = &self.lines[index];
                if line.type_bits.is_none_or(|bits| bits == type_bits) && line.matches(path)? {
                    best = Some(index);
                    break;
                }
            }
        }
        Ok(best.and_then(|index| self.lines[index].label.as_deref()))
    }

    fn substituted(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.substitutions.iter().fold(None, |done: Option<Vec<u8>>, list| {
            let now = done.as_deref().unwrap_or(path);
            let found = list.iter().find_map(|(alias, original)| {
                let rest = now.strip_prefix(alias.as_slice())?;
                (rest.is_empty() || rest[0] == b'/').then(|| [original.as_slice(), rest].concat())
            });
            found.or(done)
        })
    }
}

impl Line {
    fn matches(&self, path: &[u8]) -> Result<bool> {
        if self.is_exact {
            return Ok(path == self.prefix);
        }
        if !path.starts_with(&self.prefix) {
            return Ok(false);
        }
        let compiled = self.compiled.get_or_init(|| {
            // Not grouped, as in libselinux: of `a|b` either half is anchored at its own end only.
            RegexBuilder::new(&format!("^{}$", self.pattern))
                .unicode(false)
                .dot_matches_new_line(true)
                .size_limit(REGEX_SIZE)
                .build()
                .map_err(|e| e.to_string())
        });
        match compiled {
            Ok(regex) => Ok(regex.is_match(path)),
            Err(e) => Err(Error::integrity(format!(
                "{}:{}: cannot use the pattern {:?}: {}",
                self.file,
                self.number,
                self.pattern.chars().take(200).collect::<String>(),
                e.lines().last().unwrap_or("")
            ))
            .hint("look-around and back-references are not supported in file contexts")),
        }
    }
}

fn parse_line(file: &str, number: usize, text: &str) -> Result<Line> {
    let fault = |what: &str| Error::integrity(format!("{file}:{number}: {what}: {:?}", text.chars().take(200).collect::<String>()));
    let words: Vec<&str> = text.split_whitespace().collect();
    let (pattern, kind, label) = match words.as_slice() {
        [pattern, label] => (*pattern, None, *label),
        [pattern, kind, label] => (*pattern, Some(*kind), *label),
        _ => return Err(fault("expected a pattern, perhaps a type, and a label")),
    };
    let type_bits = match kind {
        None => None,
        Some("--") => Some(0o100_000),
        Some("-d") => Some(0o040_000),
        Some("-l") => Some(0o120_000),
        Some("-c") => Some(0o020_000),
        Some("-b") => Some(0o060_000),
        Some("-p") => Some(0o010_000),
        Some("-s") => Some(0o140_000),
        Some(_) => return Err(fault("expected one of the types -- -d -l -c -b -p -s")),
    };
    if label != "<<none>>" && label.split(':').filter(|part| !part.is_empty()).count() < 3 {
        return Err(fault("expected a label user:role:type"));
    }
    let (prefix, is_exact) = literal_prefix(pattern.as_bytes());
    Ok(Line {
        file: file.to_owned(),
        number,
        pattern: pattern.to_owned(),
        prefix,
        is_exact,
        type_bits,
        label: (label != "<<none>>").then(|| label.to_owned()),
        compiled: OnceLock::new(),
    })
}

/// What every match begins with, and whether that is the whole pattern.
fn literal_prefix(pattern: &[u8]) -> (Vec<u8>, bool) {
    if has_top_level_choice(pattern) {
        return (Vec::new(), false);
    }
    let mut prefix = Vec::new();
    let mut at = 0;
    while let Some(&byte) = pattern.get(at) {
        match byte {
            b'\\' => match pattern.get(at + 1) {
                Some(escaped) if !escaped.is_ascii_alphanumeric() => {
                    prefix.push(*escaped);
                    at += 2;
                }
                _ => return (prefix, false),
            },
            b'?' | b'*' | b'{' => {
                prefix.pop();
                return (prefix, false);
            }
            b'.' | b'^' | b'$' | b'+' | b'|' | b'[' | b'(' => return (prefix, false),
            _ => {
                prefix.push(byte);
                at += 1;
            }
        }
    }
    (prefix, true)
}

/// A `|` outside parentheses and brackets: then nothing is common to all matches.
fn has_top_level_choice(pattern: &[u8]) -> bool {
    let (mut depth, mut in_class, mut at) = (0usize, false, 0);
    while let Some(&byte) = pattern.get(at) {
        match byte {
            b'\\' => at += 1,
            b']' => in_class = false,
            _ if in_class => {}
            b'[' => in_class = true,
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b'|' if depth == 0 => return true,
            _ => {}
        }
        at += 1;
    }
    false
}

/// The later of two lines for one path is applied, as libselinux does.
fn parse_substitutions(text: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pair = |line: &str| -> Option<(Vec<u8>, Vec<u8>)> {
        let mut words = line.split_whitespace();
        let (alias, original) = (words.next()?, words.next()?);
        (alias.starts_with('/') && original.starts_with('/')).then(|| (alias.into(), original.into()))
    };
    text.lines().rev().filter_map(|line| pair(line.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Blob;

    const TEXT: &str = "\
# comment
/.*		system_u:object_r:default_t:s0
/	-d	system_u:object_r:root_t:s0
/usr(/.*)?	system_u:object_r:usr_t:s0
/usr/bin(/.*)?	system_u:object_r:bin_t:s0
/usr/bin/sudo	--	system_u:object_r:sudo_exec_t:s0
/usr/bin/.*	system_u:object_r:late_t:s0
/usr/lib/[^/]*\\.so(\\.[^/]*)*	--	system_u:object_r:lib_t:s0
/proc/.*	<<none>>
/a|/b	system_u:object_r:choice_t:s0
/etc/x\\.d	system_u:object_r:etc_t:s0
";

    fn contexts() -> FileContexts {
        FileContexts::parse(&[("file_contexts".into(), TEXT.into())]).unwrap()
    }

    fn label(path: &str, kind: &NodeKind) -> Option<String> {
        let contexts = contexts().with_substitutions("/mine /usr/lib", "/usr/etc /etc\n/lib /usr/lib\n# /x /y\n/lib/more /proc");
        contexts.label(path.as_bytes(), kind).unwrap().map(|l| l.split(':').nth(2).unwrap().to_owned())
    }

    #[test]
    fn the_last_match_wins_but_an_exact_line_is_stronger() {
        let file = NodeKind::File(Blob::empty());
        for (path, expected) in [
            ("/usr", Some("usr_t")),
            ("/usr/x", Some("usr_t")),
            ("/usr/bin", Some("bin_t")),
            ("/usr/bin/ls", Some("late_t")),
            ("/usr/bin/sudo", Some("sudo_exec_t")),
            ("/usr/lib/libc.so.6", Some("lib_t")),
            ("/usr/lib/d/libc.so.6", Some("usr_t")),
            ("/proc/1", None),
            ("/b", Some("choice_t")),
            ("/bb", Some("default_t")),
            ("/aa", Some("choice_t")),
            ("/etc/x.d", Some("etc_t")),
            ("/etc/x_d", Some("default_t")),
            ("/usr/etc/x.d", Some("etc_t")),
            ("/lib/libm.so", Some("lib_t")),
            ("/library/libm.so", Some("default_t")),
            ("/lib/more/1", None),
            ("/mine/libm.so", Some("lib_t")),
        ] {
            assert_eq!(label(path, &file).as_deref(), expected, "{path}");
        }
        let link = NodeKind::Symlink(b"x".as_slice().into());
        assert_eq!(label("/usr/bin/sudo", &link).as_deref(), Some("late_t"));
        assert_eq!(label("/usr/lib/libc.so", &link).as_deref(), Some("usr_t"));
        assert_eq!(label("/", &NodeKind::Directory(BTreeMap::new())).as_deref(), Some("root_t"));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        for (text, expected) in
            [("/x -- a:b", "f:1: expected a label"), ("\n/x", "f:2: expected a pattern"), ("/x -z a:b:c", "f:1: expected one of the types")]
        {
            let error = FileContexts::parse(&[("f".into(), text.into())]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let contexts = FileContexts::parse(&[("f".into(), "/x(?!y)z a:b:c\n".into())]).unwrap();
        let error = contexts.label(b"/xz", &NodeKind::Fifo).unwrap_err();
        assert!(error.to_string().contains("f:1: cannot use the pattern") && error.hint_text().is_some(), "{error}");
    }
}
