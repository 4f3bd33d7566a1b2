//! Typed access to a table as written: takes the known keys out, reports wrong types, and at the end every key that is left.

mod typed_values;

use super::raw::{Entry, Faults, Node, Place, Table, Value, nearest};

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

    /// The same with a text that stands for an absent one.
    pub fn typed_or<T>(&mut self, key: &'static str, default: &str, parse: fn(&str) -> Result<T, &'static str>) -> Option<T> {
        if self.has(key) {
            return self.typed(key, parse).map(|value| value.value);
        }
        self.known.push(key);
        match parse(default) {
            Ok(value) => Some(value),
            Err(why) => {
                self.faults.add(&self.at, format!("bad default of `{key}`: {why}"), None);
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

    /// One string, or an array of strings; absent: empty.
    pub fn text_or_texts(&mut self, key: &'static str) -> Vec<At<String>> {
        match self.table.get(key).map(|entry| &entry.node.value) {
            Some(Value::Text(_)) => self.text(key).into_iter().collect(),
            _ => self.texts(key),
        }
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

    /// Some of a closed set of words; an array of none is a fault.
    pub fn choices<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Vec<T> {
        if let Some(at) = self.place_of(key, None) {
            let names = choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            self.faults.add(&at, format!("`{key}` is empty"), Some(format!("leave it out for the default, or name some of {names}")));
        }
        self.texts(key).iter().filter_map(|text| choose(key, text, choices, self.faults)).collect()
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
