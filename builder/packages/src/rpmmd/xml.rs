//! Pull parsing of the few things that rpm-md uses of XML, with the offset in every fault.

use model::{Error, Result, ResultJudged};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use std::borrow::Cow;
use std::io::BufRead;

/// Bytes of one tag, or of the text between two: the longest descriptions have 100 KB.
const PIECE_MAX: usize = 4 << 20;
/// Elements within each other; rpm-md has seven.
const DEPTH_MAX: usize = 64;

pub(super) struct Xml<E> {
    events: E,
    /// What file this is, for messages.
    what: &'static str,
}

/// Where events come from.
pub(super) trait Events {
    fn next(&mut self) -> quick_xml::Result<Event<'_>>;
    /// Offset behind the last event.
    fn position(&self) -> u64;
    /// Offset of the fault that `next` returned.
    fn error_position(&self) -> u64;
}

/// Read piece by piece.
pub(super) struct Stream<R: BufRead> {
    reader: Reader<Bounded<R>>,
    buffer: Vec<u8>,
}

impl<R: BufRead> Events for Stream<R> {
    fn next(&mut self) -> quick_xml::Result<Event<'_>> {
        self.buffer.clear();
        self.reader.get_mut().left = PIECE_MAX;
        self.reader.read_event_into(&mut self.buffer)
    }

    fn position(&self) -> u64 {
        self.reader.buffer_position()
    }

    fn error_position(&self) -> u64 {
        self.reader.error_position()
    }
}

/// All in memory: nothing is copied.
impl Events for Reader<&[u8]> {
    fn next(&mut self) -> quick_xml::Result<Event<'_>> {
        let before = self.buffer_position();
        let event = self.read_event()?;
        if self.buffer_position() - before > PIECE_MAX as u64 { Err(too_long().into()) } else { Ok(event) }
    }

    fn position(&self) -> u64 {
        self.buffer_position()
    }

    fn error_position(&self) -> u64 {
        Reader::error_position(self)
    }
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

impl<R: BufRead> Xml<Stream<R>> {
    pub(super) fn new(input: R, what: &'static str) -> Self {
        let reader = Reader::from_reader(Bounded { inner: input, left: PIECE_MAX });
        Xml { events: Stream { reader, buffer: Vec::new() }, what }
    }
}

impl<'a> Xml<Reader<&'a [u8]>> {
    pub(super) fn of(text: &'a [u8], what: &'static str) -> Self {
        Xml { events: Reader::from_reader(text), what }
    }
}

impl<E: Events> Xml<E> {
    /// Hands each tag to `tag` with the text that stood right before it, until the document ends.
    ///
    /// The text is only collected while `tag` last returned true.
    pub(super) fn each(&mut self, mut tag: impl FnMut(Tag<'_>, &str) -> Result<bool, String>) -> Result<()> {
        let mut text = String::new();
        let mut collect = false;
        let mut depth = 0usize;
        loop {
            let event = match self.events.next() {
                Ok(event) => event,
                Err(error) => {
                    // A syntax error names elements, which may be as long as whoever wrote the document likes.
                    let said = Excerpt(error.to_string());
                    return Err(Error::integrity(format!("{} at offset {}", self.what, self.events.error_position())).source(said));
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
                Err(message) => return Err(Error::integrity(format!("{} at offset {}: {message}", self.what, self.events.position()))),
            };
            text.clear();
        }
    }
}

fn too_long() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, format!("a tag or text of more than {PIECE_MAX} bytes"))
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
            return Err(too_long());
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
    if let Some(character) = e.resolve_char_ref().none_because("the caller refuses what is no character")? {
        return Some(character);
    }
    quick_xml::escape::resolve_predefined_entity(&e.decode().none_because("the caller refuses what is no character")?)?.chars().next()
}

pub(super) enum Tag<'a> {
    Start(&'a BytesStart<'a>),
    /// The local name.
    End(&'a [u8]),
}

/// Calls `each` with every attribute's local name and value.
pub(super) fn attributes(tag: &BytesStart<'_>, mut each: impl FnMut(&[u8], Cow<'_, str>) -> Result<(), String>) -> Result<(), String> {
    // Hardly any tag has an entity, so that most values need no look of their own.
    let plain = !tag.contains(&b'&');
    for attribute in tag.attributes().with_checks(false) {
        let attribute = attribute.map_err(|e| e.to_string())?;
        let value = match &attribute.value {
            Cow::Borrowed(bytes) if plain => Cow::Borrowed(std::str::from_utf8(bytes).map_err(|e| e.to_string())?),
            _ => attribute.unescape_value().map_err(|e| e.to_string())?,
        };
        each(attribute.key.local_name().as_ref(), value)?;
    }
    Ok(())
}

pub(super) fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("expected a number as {name}, found {:?}", text.get(..40).unwrap_or(text)))
}
