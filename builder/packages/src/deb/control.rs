//! deb822 control text: stanzas of `Name: value` lines, apart by empty lines (Debian Policy 5.1, deb822(5)).
//!
//! Reads a stanza at a time out of a text in memory and copies nothing. Refused: a line that is neither field, continuation nor comment; a field
//! given twice; more than [`MAX_FIELDS`] fields.

use model::{Error, Result};

/// Fields of one stanza; the longest in the archive has about 40.
const MAX_FIELDS: usize = 256;

/// One stanza, in the order of the text. Values keep their continuation lines, without the space after the colon.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stanza<'a> {
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Stanza<'a> {
    /// The first stanza of `text`; an error if there is none.
    pub fn parse(text: &'a str) -> Result<Self> {
        Stanzas::new(text).next().unwrap_or_else(|| Err(Error::integrity("control text without a stanza"))).map(|(_, stanza)| stanza)
    }

    /// The value of a field, whose name's case does not count.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    pub fn require(&self, name: &str) -> Result<&'a str> {
        self.get(name).ok_or_else(|| {
            let which = self.get("Package").map_or_else(String::new, |p| format!(" of package {p}"));
            Error::integrity(format!("stanza{which} without the field {name}"))
        })
    }

    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.fields.iter().copied()
    }
}

/// The stanzas of a text, each with the offset of its first byte.
pub struct Stanzas<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Stanzas<'a> {
    pub fn new(text: &'a str) -> Self {
        Stanzas { text, offset: 0 }
    }

    /// The line at `at`, without its end, and the offset of the next.
    fn line(&self, at: usize) -> Option<(&'a str, usize)> {
        let rest = self.text.get(at..).filter(|rest| !rest.is_empty())?;
        let end = rest.find('\n').unwrap_or(rest.len());
        let line = &rest[..end];
        Some((line.strip_suffix('\r').unwrap_or(line), at + (end + 1).min(rest.len())))
    }

    fn read(&mut self) -> Result<Option<(usize, Stanza<'a>)>> {
        while let Some((line, next)) = self.line(self.offset)
            && (line.trim().is_empty() || line.starts_with('#'))
        {
            self.offset = next;
        }
        let start = self.offset;
        let mut fields: Vec<(&str, &str)> = Vec::new();
        // Offset of the value of the field being read.
        let mut value_at = 0;
        while let Some((line, next)) = self.line(self.offset) {
            let at = self.offset;
            self.offset = next;
            if line.trim().is_empty() {
                break;
            }
            if line.starts_with('#') {
                continue;
            }
            if line.starts_with([' ', '\t']) {
                let Some(last) = fields.last_mut() else {
                    return Err(Error::integrity(format!("control text at offset {at}: a continuation line before any field")));
                };
                last.1 = self.text[value_at..at + line.len()].trim_end();
                continue;
            }
            let Some(colon) = line.find(':').filter(|&colon| colon > 0) else {
                return Err(Error::integrity(format!(
                    "control text at offset {at}: expected `Name: value`, found {:?}",
                    line.chars().take(60).collect::<String>()
                )));
            };
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            if fields.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                return Err(Error::integrity(format!("control text at offset {at}: the field {name} is given twice")));
            }
            if fields.len() == MAX_FIELDS {
                return Err(Error::integrity(format!("control text at offset {start}: more than {MAX_FIELDS} fields in one stanza")));
            }
            value_at = at + colon + 1 + (value.len() - value.trim_start_matches([' ', '\t']).len());
            fields.push((name, value.trim()));
        }
        Ok((!fields.is_empty()).then_some((start, Stanza { fields })))
    }
}

impl<'a> Iterator for Stanzas<'a> {
    type Item = Result<(usize, Stanza<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read().transpose();
        if matches!(read, Some(Err(_))) {
            self.offset = self.text.len();
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_keep_order_offsets_and_continuations() {
        let text = "# comment\n\nPackage: a\nDescription: short\n long\n .\n more\nEmpty:\n\n\nPackage: b\r\nX: 1";
        let all: Vec<_> = Stanzas::new(text).collect::<Result<_>>().unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].1.get("description"), Some("short\n long\n .\n more"));
        assert_eq!(all[0].1.get("Empty"), Some(""));
        assert_eq!(all[1].1.fields().collect::<Vec<_>>(), [("Package", "b"), ("X", "1")]);
        assert_eq!(&text[all[1].0..all[1].0 + 10], "Package: b");
    }

    #[test]
    fn broken_control_text_is_refused_and_ends_the_iteration() {
        for bad in [" continuation", "no colon", ": no name", "A: 1\na: 2"] {
            let mut stanzas = Stanzas::new(bad);
            assert!(stanzas.next().unwrap().is_err(), "{bad:?}");
            assert!(stanzas.next().is_none(), "{bad:?}");
        }
        assert!(Stanza::parse("").is_err());
    }
}
