//! Typed access to a table as written: takes the known keys out, reports wrong types, and at the end every key that is left.

use super::raw::{Entry, Faults, Node, Place, Table, Value, nearest};
use crate::base::{ByteSize, ImagePath};
use crate::formats::conf::account::AccountId;

/// Of a text, in bytes: Linux PATH_MAX less its NUL.
const MAX_TEXT: usize = 4095;

pub(super) struct Reader<'f> {
    /// Such as `[disk]`; empty for the top.
    name: String,
    pub at: Place,
    table: Table,
    known: Vec<&'static str>,
    /// Keys that were there when the table was read.
    given: Vec<String>,
    pub faults: &'f Faults,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub at: Place,
    pub value: T,
}

impl<'f> Reader<'f> {
    pub fn new(name: impl Into<String>, at: Place, table: Table, faults: &'f Faults) -> Self {
        let given = table.keys().cloned().collect();
        Reader { name: name.into(), at, table, known: Vec::new(), given, faults }
    }

    fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        self.table.remove(key).map(|entry| entry.node)
    }

    fn wrong(&self, at: &Place, key: &str, expected: &str, found: &Value) {
        self.faults.add(at, format!("`{key}` must be {expected}, found {}", found.kind()), None);
    }

    pub fn has(&self, key: &'static str) -> bool {
        self.table.contains_key(key)
    }

    /// The place of `key`'s value if that is the given word, and of an empty array.
    pub fn place_of(&self, key: &str, word: Option<&str>) -> Option<Place> {
        match &self.table.get(key)?.node {
            Node { at, value: Value::Text(text) } if Some(text.as_str()) == word => Some(at.clone()),
            Node { at, value: Value::Array(items) } if word.is_none() && items.is_empty() => Some(at.clone()),
            _ => None,
        }
    }

    /// Whether `key`, which has been read, was there.
    pub fn was_given(&self, key: &str) -> bool {
        self.given.iter().any(|given| given == key)
    }

    /// Says that `key` is needed here.
    pub fn missing(&self, key: &str, hint: Option<String>) {
        let within = if self.name.is_empty() { String::new() } else { format!(" in {}", self.name) };
        self.faults.add(&self.at, format!("missing key `{key}`{within}"), hint);
    }

    pub fn text(&mut self, key: &'static str) -> Option<At<String>> {
        let node = self.take(key)?;
        match node.value {
            Value::Text(value) => self.plain(key, At { at: node.at, value }),
            other => {
                self.wrong(&node.at, key, "a string", &other);
                None
            }
        }
    }

    /// A text that may reach a file of lines: not empty, of one line, without blanks around it and of a sensible length.
    fn plain(&self, key: &str, text: At<String>) -> Option<At<String>> {
        let value = text.value.as_str();
        let is_odd = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}');
        let wrong = if value.is_empty() {
            "is empty".to_owned()
        } else if value.contains(is_odd) {
            format!("must not hold line feeds or control characters, found {value:?}")
        } else if value.trim() != value {
            format!("must not begin or end with a blank, found {value:?}")
        } else if value.len() > MAX_TEXT {
            format!("must have at most {MAX_TEXT} bytes, found {}", value.len())
        } else {
            return Some(text);
        };
        self.faults.add(&text.at, format!("`{key}` {wrong}"), None);
        None
    }

    /// A text for people, which may have several lines.
    pub fn required_prose(&mut self, key: &'static str) -> Option<String> {
        match self.take(key) {
            None => {
                self.missing(key, None);
                None
            }
            Some(Node { at, value: Value::Text(value) }) => {
                let good = !value.trim().is_empty() && value.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'));
                if !good || value.len() > MAX_TEXT {
                    self.faults.add(&at, format!("`{key}` must be a text of at most {MAX_TEXT} bytes, found {value:?}"), None);
                    return None;
                }
                Some(value)
            }
            Some(node) => {
                self.wrong(&node.at, key, "a string", &node.value);
                None
            }
        }
    }

    /// A text that `parse` makes into a value; its error says what the text must be.
    pub fn typed<T>(&mut self, key: &'static str, parse: impl FnOnce(&str) -> Result<T, &'static str>) -> Option<At<T>> {
        let text = self.text(key)?;
        match parse(&text.value) {
            Ok(value) => Some(At { at: text.at, value }),
            Err(why) => {
                self.faults.add(&text.at, format!("bad `{key}`: {why}, found {:?}", text.value), None);
                None
            }
        }
    }

    pub fn required_typed<T>(&mut self, key: &'static str, parse: impl FnOnce(&str) -> Result<T, &'static str>) -> Option<At<T>> {
        if !self.has(key) {
            self.missing(key, None);
        }
        self.typed(key, parse)
    }

    /// Texts that `parse` takes; the others become faults.
    pub fn typed_texts<T>(&mut self, key: &'static str, parse: impl Fn(&str) -> Result<T, &'static str>) -> Vec<At<T>> {
        let mut values = Vec::new();
        for text in self.texts(key) {
            match parse(&text.value) {
                Ok(value) => values.push(At { at: text.at, value }),
                Err(why) => self.faults.add(&text.at, format!("bad name in `{key}`: {why}, found {:?}", text.value), None),
            }
        }
        values
    }

    pub fn required_text(&mut self, key: &'static str) -> Option<At<String>> {
        let present = self.table.contains_key(key);
        let value = self.text(key);
        if !present {
            self.missing(key, None);
        }
        value
    }

    pub fn flag(&mut self, key: &'static str, default: bool) -> bool {
        match self.take(key) {
            None => default,
            Some(Node { value: Value::Bool(value), .. }) => value,
            Some(node) => {
                self.wrong(&node.at, key, "true or false", &node.value);
                default
            }
        }
    }

    pub fn number(&mut self, key: &'static str) -> Option<At<u32>> {
        let node = self.take(key)?;
        match node.value {
            Value::Integer(value) => match u32::try_from(value) {
                Ok(value) => Some(At { at: node.at, value }),
                Err(_) => {
                    self.faults.add(&node.at, format!("`{key}` must be between 0 and {}, found {value}", u32::MAX), None);
                    None
                }
            },
            other => {
                self.wrong(&node.at, key, "an integer", &other);
                None
            }
        }
    }

    /// A uid or gid.
    pub fn account_id(&mut self, key: &'static str) -> Option<At<AccountId>> {
        let number = self.number(key)?;
        match AccountId::new(number.value) {
            Ok(value) => Some(At { at: number.at, value }),
            Err(why) => {
                self.faults.add(&number.at, format!("bad `{key}`: {why}, found {}", number.value), None);
                None
            }
        }
    }

    pub fn required_account_id(&mut self, key: &'static str) -> Option<At<AccountId>> {
        if !self.has(key) {
            self.missing(key, None);
        }
        self.account_id(key)
    }

    /// An array of strings; absent: empty.
    pub fn texts(&mut self, key: &'static str) -> Vec<At<String>> {
        self.array(key)
            .into_iter()
            .filter_map(|item| match item.value {
                Value::Text(value) => self.plain(key, At { at: item.at, value }),
                other => {
                    self.faults.add(&item.at, format!("`{key}` must be an array of strings, found {} in it", other.kind()), None);
                    None
                }
            })
            .collect()
    }

    pub fn plain_texts(&mut self, key: &'static str) -> Vec<String> {
        self.texts(key).into_iter().map(|text| text.value).collect()
    }

    fn array(&mut self, key: &'static str) -> Vec<Node> {
        match self.take(key) {
            None => Vec::new(),
            Some(Node { value: Value::Array(items), .. }) => items,
            Some(node) => {
                self.wrong(&node.at, key, "an array", &node.value);
                Vec::new()
            }
        }
    }

    /// Either the one word given, or an array of strings.
    pub fn word_or_texts(&mut self, key: &'static str, word: &str) -> Option<Result<(), Vec<At<String>>>> {
        match self.table.get(key).map(|entry| &entry.node) {
            None => {
                self.known.push(key);
                None
            }
            Some(Node { at, value: Value::Text(text) }) => {
                if text != word {
                    self.faults.add(
                        at,
                        format!("`{key}` must be an array of strings or \"{word}\", found {text:?}"),
                        nearest(text, [word]),
                    );
                }
                self.take(key);
                Some(Ok(()))
            }
            Some(_) => Some(Err(self.texts(key))),
        }
    }

    /// A table below this one; absent: an empty one, so that defaults apply.
    pub fn section(&mut self, key: &'static str) -> Reader<'f> {
        let name = format!("[{key}]");
        match self.take(key) {
            None => Reader::new(name, self.at.clone(), Table::new(), self.faults),
            Some(Node { at, value: Value::Table(table) }) => Reader::new(name, at, table, self.faults),
            Some(node) => {
                self.wrong(&node.at, key, "a table", &node.value);
                Reader::new(name, node.at, Table::new(), self.faults)
            }
        }
    }

    /// An array of tables.
    pub fn rows(&mut self, key: &'static str) -> Vec<Reader<'f>> {
        let mut rows = Vec::new();
        for item in self.array(key) {
            match item.value {
                Value::Table(table) => rows.push(Reader::new(format!("[[{key}]]"), item.at, table, self.faults)),
                other => self.wrong(&item.at, key, "an array of tables", &other),
            }
        }
        rows
    }

    /// One of a closed set of words.
    pub fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        choose(key, &text, choices, self.faults)
    }

    /// Bytes in a sector of a disk.
    pub fn sector(&mut self, key: &'static str) -> Option<At<u64>> {
        let node = self.take(key)?;
        match node.value {
            Value::Integer(value @ (512 | 4096)) => Some(At { at: node.at, value: value.unsigned_abs() }),
            Value::Integer(value) => {
                self.faults.add(&node.at, format!("`{key}` must be 512 or 4096, found {value}"), None);
                None
            }
            other => {
                self.wrong(&node.at, key, "512 or 4096", &other);
                None
            }
        }
    }

    /// Some of a closed set of words; an array of none is a fault.
    pub fn choices<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Vec<T> {
        if let Some(at) = self.place_of(key, None) {
            let names = choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            self.faults.add(&at, format!("`{key}` is empty"), Some(format!("leave it out for the default, or name some of {names}")));
        }
        self.texts(key).iter().filter_map(|text| choose(key, text, choices, self.faults)).collect()
    }

    /// A path inside the image.
    pub fn image_path(&mut self, key: &'static str) -> Option<At<ImagePath>> {
        let text = self.required_text(key)?;
        if !text.value.starts_with('/') {
            self.faults.add(&text.at, format!("`{key}` must start with /, found {:?}", text.value), None);
            return None;
        }
        match ImagePath::parse(&text.value) {
            Ok(path) if path == ImagePath::root() => {
                self.faults.add(&text.at, format!("`{key}` must be below /"), None);
                None
            }
            Ok(path) => Some(At { at: text.at, value: path }),
            Err(e) => {
                self.faults.add(&text.at, format!("`{key}`: {e}"), None);
                None
            }
        }
    }

    /// Permission bits in octal, as a string.
    pub fn mode(&mut self, key: &'static str) -> Option<u16> {
        let text = self.text(key)?;
        match u16::from_str_radix(&text.value, 8) {
            Ok(mode) if mode <= 0o7777 && !text.value.starts_with('+') => Some(mode),
            _ => {
                self.faults.add(
                    &text.at,
                    format!("`{key}` must be up to four octal digits, found {:?}", text.value),
                    Some("such as \"0644\"".into()),
                );
                None
            }
        }
    }

    /// A size such as `64MiB`, in whole MiB and not zero.
    pub fn size(&mut self, key: &'static str) -> Option<At<ByteSize>> {
        let text = self.text(key)?;
        let parsed = parse_size(&text.value);
        if parsed.is_none() {
            let hint = Some("a whole number of MiB, GiB or TiB, such as \"512MiB\"".to_owned());
            self.faults.add(&text.at, format!("`{key}` must be a size, found {:?}", text.value), hint);
        }
        Some(At { at: text.at, value: parsed? })
    }

    /// A size of at least `low` and less than `high`.
    pub fn size_within(&mut self, key: &'static str, low: ByteSize, high: ByteSize) -> Option<ByteSize> {
        let size = self.size(key)?;
        if size.value < low || size.value >= high {
            self.faults.add(&size.at, format!("`{key}` must be at least {low} and less than {high}, found {}", size.value), None);
            return None;
        }
        Some(size.value)
    }

    /// A size, or `auto`, which is `None`.
    pub fn size_or_auto(&mut self, key: &'static str) -> Option<At<ByteSize>> {
        match self.table.get(key) {
            Some(Entry { node: Node { value: Value::Text(text), .. }, .. }) if text == "auto" => {
                self.take(key);
                None
            }
            _ => self.size(key),
        }
    }

    /// All that is left, for tables whose keys are free.
    pub fn rest(&mut self) -> Table {
        std::mem::take(&mut self.table)
    }

    /// Reports every key that nobody asked for.
    pub fn finish(self) {
        for (key, Entry { key_at, .. }) in &self.table {
            let within = if self.name.is_empty() { String::new() } else { format!(" in {}", self.name) };
            let hint = nearest(key, self.known.iter().copied()).or_else(|| Some(format!("known here: {}", self.known.join(", "))));
            self.faults.add(key_at, format!("unknown key `{key}`{within}"), hint);
        }
    }
}

fn choose<T: Copy>(key: &str, text: &At<String>, choices: &[(&str, T)], faults: &Faults) -> Option<T> {
    let found = choices.iter().find(|(name, _)| *name == text.value).map(|(_, value)| *value);
    if found.is_none() {
        let names = choices.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        let hint = nearest(&text.value, names.iter().copied());
        faults.add(&text.at, format!("`{key}` must be one of {}, found {:?}", names.join(", "), text.value), hint);
    }
    found
}

fn parse_size(text: &str) -> Option<ByteSize> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let mib: u64 = match unit.trim() {
        "MiB" => 1,
        "GiB" => 1 << 10,
        "TiB" => 1 << 20,
        _ => return None,
    };
    let mib = number.parse::<u64>().ok()?.checked_mul(mib)?;
    // 1 PiB bounds later arithmetic far below 64 bits.
    (mib > 0 && mib <= 1 << 30).then(|| ByteSize::mib(mib))
}
