//! One recipe out of several files: arrays concatenate (included first), tables merge, scalars of the includer win.

use super::Recipe;
use super::raw::{self, Entry, Faults, Node, Place, Table, Value};
use model::{Error, Result, read_regular_text};
use std::path::{Path, PathBuf};

/// What the files say together.
pub(super) struct Merged {
    pub table: Table,
    /// In order of reading: the recipe first. A file reached twice counts once.
    pub files: Vec<PathBuf>,
    /// Each file as the file system knows it, to notice cycles.
    seen: Vec<PathBuf>,
}

/// The only schema there is.
const SCHEMA: i64 = 1;

/// Only an unreadable recipe is an error at once; all else becomes faults.
pub(super) fn read(path: &Path, faults: &Faults) -> Result<Merged> {
    let text = read_regular_text(path, Recipe::MAX_FILE).map_err(|e| {
        Error::recipe(format!("cannot read recipe {}", path.display())).source(e).hint("name a file such as recipes/atomic-host.toml")
    })?;
    let mut merged = Merged { table: Table::new(), files: Vec::new(), seen: Vec::new() };
    let mut open = Vec::new();
    let mut table = merged.file(path, &text, &mut open, faults);
    if !table.contains_key("schema") {
        faults.add(&start_of(path), "missing key `schema`", Some(format!("write `schema = {SCHEMA}` as the first line")));
    }
    table.remove("schema");
    merged.table = table;
    Ok(merged)
}

fn start_of(path: &Path) -> Place {
    Place { file: path.into(), line: 1, column: 1 }
}

impl Merged {
    fn file(&mut self, path: &Path, text: &str, open: &mut Vec<PathBuf>, faults: &Faults) -> Table {
        let identity = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        self.files.push(path.to_path_buf());
        self.seen.push(identity.clone());
        open.push(identity);
        let mut own = raw::parse(path, text, faults);
        check_schema(&own, faults);
        let mut table = Table::new();
        for (place, name) in includes(own.remove("include"), faults) {
            if let Some(included) = self.included(&place, path, &name, open, faults) {
                merge(&mut table, included);
            }
        }
        merge(&mut table, own);
        open.pop();
        table
    }

    fn included(&mut self, at: &Place, from: &Path, name: &str, open: &mut Vec<PathBuf>, faults: &Faults) -> Option<Table> {
        let path = from.parent().unwrap_or(Path::new("")).join(name);
        let text = match read_regular_text(&path, Recipe::MAX_FILE) {
            Ok(text) => text,
            Err(e) => {
                let hint =
                    (e.kind() == std::io::ErrorKind::NotFound).then(|| "includes are relative to the file that names them".to_owned());
                faults.add(at, format!("cannot read included file {}: {e}", path.display()), hint);
                return None;
            }
        };
        let identity = path.canonicalize().unwrap_or_else(|_| path.clone());
        if open.contains(&identity) {
            faults.add(at, format!("{name} includes itself, directly or through others"), None);
            return None;
        }
        if self.seen.contains(&identity) {
            return None;
        }
        let mut table = self.file(&path, &text, open, faults);
        table.remove("schema");
        Some(table)
    }
}

fn check_schema(table: &Table, faults: &Faults) {
    if let Some(Entry { node, .. }) = table.get("schema")
        && !matches!(node.value, Value::Integer(SCHEMA))
    {
        faults.add(&node.at, format!("this builder reads schema {SCHEMA} only"), Some(format!("write `schema = {SCHEMA}`")));
    }
}

fn includes(entry: Option<Entry>, faults: &Faults) -> Vec<(Place, String)> {
    let Some(Entry { node, .. }) = entry else { return Vec::new() };
    let Value::Array(items) = node.value else {
        faults.add(&node.at, format!("`include` must be an array of strings, found {}", node.value.kind()), None);
        return Vec::new();
    };
    let mut names = Vec::new();
    for item in items {
        match item.value {
            Value::Text(name) if name.is_empty() || name.contains(char::is_control) => {
                faults.add(&item.at, format!("`include` must name files, found {name:?}"), None);
            }
            Value::Text(name) => names.push((item.at, name)),
            other => faults.add(&item.at, format!("`include` must be an array of strings, found {} in it", other.kind()), None),
        }
    }
    names
}

/// Lays `over` upon `under`.
fn merge(under: &mut Table, over: Table) {
    for (key, entry) in over {
        match under.get_mut(&key) {
            Some(Entry { node: Node { value: Value::Table(below), .. }, .. }) if matches!(entry.node.value, Value::Table(_)) => {
                if let Value::Table(above) = entry.node.value {
                    merge(below, above);
                }
            }
            Some(Entry { node: Node { value: Value::Array(below), .. }, .. }) if matches!(entry.node.value, Value::Array(_)) => {
                if let Value::Array(above) = entry.node.value {
                    below.extend(above);
                }
            }
            _ => {
                under.insert(key, entry);
            }
        }
    }
}
