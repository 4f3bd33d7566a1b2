//! A recipe file as written: TOML values that remember where they stand, and the faults found in them.

use model::{OptionJudged, nearest_name};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::rc::Rc;
use toml::de::{DeTable, DeValue};

/// Where something stands; line and column count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub file: Rc<Path>,
    pub line: usize,
    pub column: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub at: Place,
    pub value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Bool(bool),
    Array(Vec<Node>),
    Table(Table),
    /// Floats and dates, which no key of ours takes.
    Other(&'static str),
}

pub(super) type Table = BTreeMap<String, Entry>;

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key_at: Place,
    pub node: Node,
}

impl Value {
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Bool(_) => "a boolean",
            Value::Array(_) => "an array",
            Value::Table(_) => "a table",
            Value::Other(kind) => kind,
        }
    }
}

/// All that is wrong, in the order of the files and of the places in them.
#[derive(Default)]
pub(super) struct Faults {
    files: RefCell<Vec<Rc<Path>>>,
    found: RefCell<Vec<Fault>>,
}

struct Fault {
    at: Place,
    what: String,
    hint: Option<String>,
}

impl Faults {
    pub fn add(&self, at: &Place, what: impl Into<String>, hint: Option<String>) {
        self.found.borrow_mut().push(Fault { at: at.clone(), what: printable(&what.into()), hint: hint.as_deref().map(printable) });
    }

    pub fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.files.borrow();
        let found = self.found.borrow();
        let rank = |fault: &Fault| (files.iter().position(|file| *file == fault.at.file), fault.at.line, fault.at.column);
        let mut sorted: Vec<&Fault> = found.iter().collect();
        sorted.sort_by_key(|fault| rank(fault));
        let lines: Vec<String> = sorted
            .iter()
            .map(|fault| {
                let Place { file, line, column } = &fault.at;
                let hint = fault.hint.as_ref().map(|hint| format!("; hint: {hint}")).default_because("a fault without a hint");
                format!("{}:{line}:{column}: {}{hint}", file.display(), fault.what)
            })
            .collect();
        f.write_str(&lines.join("\n"))
    }
}

/// Of a message, in characters: what it quotes may be as long as the file.
const MAX_MESSAGE: usize = 400;

/// One line without control characters, cut where it becomes too long.
fn printable(text: &str) -> String {
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == MAX_MESSAGE {
            out.push('…');
            break;
        }
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// The name of `known` that a slip of the keyboard makes into `name`, as a hint.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest_name(name, known).map(|candidate| format!("did you mean `{candidate}`"))
}

/// Parses one file's text. Syntax errors become faults; what could be read is returned all the same.
pub(super) fn parse(file: &Path, text: &str, faults: &Faults) -> Table {
    let source = Source { file: Rc::from(file), line_starts: line_starts(text), text, last: Cell::new((0, 1)) };
    faults.files.borrow_mut().push(source.file.clone());
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = source.place(error.span().map_or(0, |span| span.start));
        faults.add(&at, error.message().trim().replace('\n', ", "), None);
    }
    source.table(table.get_ref())
}

struct Source<'t> {
    file: Rc<Path>,
    text: &'t str,
    /// Byte offset of each line.
    line_starts: Vec<usize>,
    /// The last offset that was asked for, and its column: a line may be long, and have many values.
    last: Cell<(usize, usize)>,
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

impl Source<'_> {
    fn place(&self, offset: usize) -> Place {
        let line = self.line_starts.partition_point(|&start| start <= offset);
        let start = self.line_starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let (known, column) = Some(self.last.get()).filter(|(known, _)| (start..=offset).contains(known)).unwrap_or((start, 1));
        let column = column + self.text.get(known..offset).map_or(0, |between| between.chars().count());
        self.last.set((offset, column));
        Place { file: self.file.clone(), line, column }
    }

    fn table(&self, table: &DeTable<'_>) -> Table {
        table
            .iter()
            .map(|(key, value)| {
                let node = Node { at: self.place(value.span().start), value: self.value(value.get_ref()) };
                (key.get_ref().to_string(), Entry { key_at: self.place(key.span().start), node })
            })
            .collect()
    }

    fn value(&self, value: &DeValue<'_>) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(digits) => {
                i64::from_str_radix(digits.as_str(), digits.radix()).map_or(Value::Other("an integer beyond 64 bits"), Value::Integer)
            }
            DeValue::Float(_) => Value::Other("a float"),
            DeValue::Boolean(value) => Value::Bool(*value),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Array(items) => Value::Array(
                items.iter().map(|item| Node { at: self.place(item.span().start), value: self.value(item.get_ref()) }).collect(),
            ),
            DeValue::Table(table) => Value::Table(self.table(table)),
        }
    }
}
