//! Pull parsing of the few things that rpm-md uses of XML, with the offset in every fault.

use crate::base::{Error, Result};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use std::borrow::Cow;
use std::io::BufRead;

/// Bytes of one tag, or of the text between two: the longest descriptions have 100 KB.
const PIECE_MAX: usize = 4 << 20;
/// Elements within each other; rpm-md has seven.
const DEPTH_MAX: usize = 64;

pub(super) struct Xml<R: BufRead> {
    reader: Reader<Bounded<R>>,
    buffer: Vec<u8>,
    /// What file this is, for messages.
    what: &'static str,
}

/// The beginning of a message.
#[derive(Debug)]
struct Excerpt(String);

impl std::fmt::Display for Excerpt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const CHARS: usize = 300;
        match self.0.char_indices().nth(CHARS) {
            Some((end, _)) => write!(f, "{}…", &self.0[..end]),
            None => f.write_str(&self.0),
        }
    }
}

impl std::error::Error for Excerpt {}

impl<R: BufRead> Xml<R> {
    pub(super) fn new(input: R, what: &'static str) -> Self {
        Xml { reader: Reader::from_reader(Bounded { inner: input, left: PIECE_MAX }), buffer: Vec::new(), what }
    }

    pub(super) fn fault(&self, message: impl std::fmt::Display) -> Error {
        Error::integrity(format!("{} at offset {}: {message}", self.what, self.reader.buffer_position()))
    }

    /// Hands each tag to `tag` with the text that stood right before it, until the document ends.
    ///
    /// The text is only collected while `tag` last returned true.
    pub(super) fn each(&mut self, mut tag: impl FnMut(Tag<'_>, &str) -> Result<bool, String>) -> Result<()> {
        let mut text = String::new();
        let mut collect = false;
        let mut depth = 0usize;
        loop {
            self.buffer.clear();
            self.reader.get_mut().left = PIECE_MAX;
            let event = match self.reader.read_event_into(&mut self.buffer) {
                Ok(event) => event,
                Err(error) => {
                    // A syntax error names elements, which may be as long as whoever wrote the document likes.
                    let said = Excerpt(error.to_string());
                    return Err(Error::integrity(format!("{} at offset {}", self.what, self.reader.error_position())).source(said));
                }
            };
            let result = match &event {
                Event::Start(_) if depth == DEPTH_MAX => Err(format!("more than {DEPTH_MAX} elements within each other")),
                Event::Start(e) => {
                    depth += 1;
                    tag(Tag::Start(e), &text)
                }
                _ if text.len() > PIECE_MAX => Err(format!("a text of more than {PIECE_MAX} bytes")),
                Event::Empty(e) => tag(Tag::Start(e), &text).and_then(|_| tag(Tag::End(e.local_name().as_ref()), "")),
                Event::End(e) => {
                    depth = depth.saturating_sub(1);
                    tag(Tag::End(e.local_name().as_ref()), &text)
                }
                Event::Text(e) if collect => match e.decode() {
                    Ok(part) => {
                        text.push_str(&part);
                        continue;
                    }
                    Err(error) => Err(error.to_string()),
                },
                Event::CData(e) if collect => match e.decode() {
                    Ok(part) => {
                        text.push_str(&part);
                        continue;
                    }
                    Err(error) => Err(error.to_string()),
                },
                Event::GeneralRef(e) if collect => match reference(e) {
                    Some(character) => {
                        text.push(character);
                        continue;
                    }
                    None => Err("an entity that XML does not define".into()),
                },
                Event::Eof if depth > 0 => Err("ends inside an element".into()),
                Event::Eof => return Ok(()),
                _ => continue,
            };
            collect = match result {
                Ok(collect) => collect,
                Err(message) => return Err(self.fault(message)),
            };
            text.clear();
        }
    }
}

/// Fails within a piece that goes on and on, before it is in memory.
struct Bounded<R> {
    inner: R,
    /// Bytes that the current piece may still have.
    left: usize,
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.left == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, format!("a tag or text of more than {PIECE_MAX} bytes")));
        }
        let there = self.inner.fill_buf()?;
        Ok(&there[..there.len().min(self.left)])
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount);
        self.inner.consume(amount);
    }
}

impl<R: BufRead> std::io::Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.inner.read(buffer)
    }
}

fn reference(e: &quick_xml::events::BytesRef<'_>) -> Option<char> {
    if let Some(character) = e.resolve_char_ref().ok()? {
        return Some(character);
    }
    quick_xml::escape::resolve_predefined_entity(&e.decode().ok()?)?.chars().next()
}

pub(super) enum Tag<'a> {
    Start(&'a BytesStart<'a>),
    /// The local name.
    End(&'a [u8]),
}

/// Calls `each` with every attribute's local name and value.
pub(super) fn attributes(tag: &BytesStart<'_>, mut each: impl FnMut(&[u8], Cow<'_, str>) -> Result<(), String>) -> Result<(), String> {
    for attribute in tag.attributes().with_checks(false) {
        let attribute = attribute.map_err(|e| e.to_string())?;
        let value = attribute.unescape_value().map_err(|e| e.to_string())?;
        each(attribute.key.local_name().as_ref(), value)?;
    }
    Ok(())
}

pub(super) fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("expected a number as {name}, found {:?}", text.get(..40).unwrap_or(text)))
}
