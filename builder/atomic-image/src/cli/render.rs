//! What people see: errors on stderr, results on stdout; progress is [`console`](super::console)'s. Nothing depends on colour.

use model::{Error, Result, ResultExt, ResultJudged};
use serde::Serialize;
use std::ffi::OsString;
use std::io::Write;

/// One line to stderr; errors of writing to stderr are ignored.
pub(super) fn say(line: &str) {
    writeln!(std::io::stderr().lock(), "{line}").ignore_because("nothing is left to tell a closed stderr");
}

/// How errors are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Text,
    Json,
}

impl Manner {
    /// By the command line, since it must be known before that was understood.
    pub fn of(arguments: impl Iterator<Item = OsString>) -> Self {
        let asked = arguments.take_while(|argument| argument != "--").any(|argument| argument == "--json");
        if asked { Manner::Json } else { Manner::Text }
    }
}

/// An error as JSON: `{"error": {…}}`.
#[derive(Serialize)]
struct ErrorReport<'a> {
    error: ErrorRow<'a>,
}

#[derive(Serialize)]
struct ErrorRow<'a> {
    /// As of [`Kind::name`](model::Kind::name); or `usage`.
    kind: &'a str,
    exit_code: u8,
    message: &'a str,
    /// What is wrong, one by one, where it is more than one thing.
    problems: &'a [String],
    /// What lies below it, the nearest first.
    causes: Vec<String>,
    hint: Option<&'a str>,
}

fn say_json(error: ErrorRow) {
    match serde_json::to_string(&ErrorReport { error }) {
        Ok(line) => say(&line),
        Err(e) => say(&format!("error: encode an error as JSON: {e}")),
    }
}

pub(super) fn error(error: &Error, manner: Manner) {
    if manner == Manner::Json {
        let kind = error.kind();
        return say_json(ErrorRow {
            kind: kind.name(),
            exit_code: kind.exit_code(),
            message: error.message(),
            problems: error.problem_list(),
            causes: error.causes().collect(),
            hint: error.hint_text(),
        });
    }
    say(&format!("error: {error:#}"));
    if let Some(hint) = error.hint_text() {
        say(&format!("hint: {hint}"));
    }
}

/// A command line that was not understood, in clap's words under `--json`.
pub(super) fn usage(text: &str, exit_code: u8) {
    let message = text.trim().strip_prefix("error: ").unwrap_or(text.trim());
    say_json(ErrorRow { kind: "usage", exit_code, message, problems: &[], causes: Vec::new(), hint: None });
}

/// A panic.
pub(super) fn defect(what: &str, manner: Manner) {
    error(&Error::internal(format!("a defect of this program: {what}")).hint("please report it, with the command and its input"), manner);
}

/// Data to stdout. A reader that went away (`| head`) is no error.
pub(super) fn print(text: &str) -> Result<()> {
    bytes(text.as_bytes())
}

/// The same for what need not be text.
pub(super) fn bytes(bytes: &[u8]) -> Result<()> {
    match std::io::stdout().lock().write_all(bytes).and_then(|()| std::io::stdout().lock().flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context(|| "write to stdout"),
    }
}

pub(super) fn json(value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value).map_err(|e| Error::internal("encode the report as JSON").source(e))?;
    text.push('\n');
    print(&text)
}

/// Columns as wide as their widest cell, two spaces apart.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(column) {
                Some(widest) => *widest = (*widest).max(width),
                None => widths.push(width),
            }
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_clean() {
        let rows = [vec!["artifact".to_owned(), "size".to_owned()], vec!["a".to_owned(), "1.0 GiB".to_owned()]];
        assert_eq!(table(&rows), "artifact  size\na         1.0 GiB\n");
    }
}
