//! Typed access to a table as written: takes the known keys out, reports wrong types, and at the end every key that is left.

use super::raw::{Entry, Faults, Node, Place, Table, Value, nearest};
use crate::base::{ByteSize, ImagePath};

pub(super) struct Reader<'f> {
    /// Such as `[disk]`; empty for the top.
    name: String,
    pub at: Place,
    table: Table,
    known: Vec<&'static str>,
    pub faults: &'f Faults,
}

/// A value and where it stands.
pub(super) struct At<T> {
    pub at: Place,
    pub value: T,
}

impl<'f> Reader<'f> {
    pub fn new(name: impl Into<String>, at: Place, table: Table, faults: &'f Faults) -> Self {
        Reader { name: name.into(), at, table, known: Vec::new(), faults }
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

    /// Says that `key` is needed here.
    pub fn missing(&self, key: &str, hint: Option<String>) {
        let within = if self.name.is_empty() { String::new() } else { format!(" in {}", self.name) };
        self.faults.add(&self.at, format!("missing key `{key}`{within}"), hint);
    }

    pub fn text(&mut self, key: &'static str) -> Option<At<String>> {
        let node = self.take(key)?;
        match node.value {
            Value::Text(value) if value.is_empty() => {
                self.faults.add(&node.at, format!("`{key}` is empty"), None);
                None
            }
            Value::Text(value) => Some(At { at: node.at, value }),
            other => {
                self.wrong(&node.at, key, "a string", &other);
                None
            }
        }
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

    pub fn number(&mut self, key: &'static str) -> Option<u32> {
        let node = self.take(key)?;
        match node.value {
            Value::Integer(value) => u32::try_from(value)
                .map_err(|_| self.faults.add(&node.at, format!("`{key}` must be between 0 and {}, found {value}", u32::MAX), None))
                .ok(),
            other => {
                self.wrong(&node.at, key, "an integer", &other);
                None
            }
        }
    }

    pub fn required_number(&mut self, key: &'static str) -> Option<u32> {
        if !self.table.contains_key(key) {
            self.missing(key, None);
        }
        self.number(key)
    }

    /// An array of strings; absent: empty.
    pub fn texts(&mut self, key: &'static str) -> Vec<At<String>> {
        self.array(key)
            .into_iter()
            .filter_map(|item| match item.value {
                Value::Text(value) if !value.is_empty() => Some(At { at: item.at, value }),
                Value::Text(_) => {
                    self.faults.add(&item.at, format!("an empty string in `{key}`"), None);
                    None
                }
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

    pub fn choices<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Vec<T> {
        self.texts(key).iter().filter_map(|text| choose(key, text, choices, self.faults)).collect()
    }

    /// A path inside the image.
    pub fn image_path(&mut self, key: &'static str) -> Option<ImagePath> {
        let text = self.required_text(key)?;
        if !text.value.starts_with('/') {
            self.faults.add(&text.at, format!("`{key}` must start with /, found {:?}", text.value), None);
            return None;
        }
        ImagePath::parse(&text.value).map_err(|e| self.faults.add(&text.at, format!("`{key}`: {e}"), None)).ok()
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
    pub fn size(&mut self, key: &'static str) -> Option<ByteSize> {
        let text = self.text(key)?;
        let parsed = parse_size(&text.value);
        if parsed.is_none() {
            let hint = Some("a whole number of MiB, GiB or TiB, such as \"512MiB\"".to_owned());
            self.faults.add(&text.at, format!("`{key}` must be a size, found {:?}", text.value), hint);
        }
        parsed
    }

    /// A size, or `auto`, which is `None`.
    pub fn size_or_auto(&mut self, key: &'static str) -> Option<ByteSize> {
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
