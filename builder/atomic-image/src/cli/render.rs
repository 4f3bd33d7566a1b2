//! Everything that people see: progress and errors on stderr, results on stdout. Nothing depends on colour.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use model::{Error, Progress, Result, ResultExt, ResultJudged};
use serde::Serialize;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bars when stderr is a terminal, one line per stage otherwise, nothing when quiet.
pub(super) struct ConsoleProgress {
    drawing: Drawing,
    current: Mutex<Option<Stage>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Drawing {
    Bars,
    Lines,
    Quiet,
}

struct Stage {
    name: &'static str,
    unit: &'static str,
    done: u64,
    began: Instant,
    bar: Option<ProgressBar>,
}

impl ConsoleProgress {
    pub fn new(quiet: bool) -> Self {
        let drawing = match quiet {
            true => Drawing::Quiet,
            false if std::io::stderr().is_terminal() => Drawing::Bars,
            false => Drawing::Lines,
        };
        ConsoleProgress { drawing, current: Mutex::new(None) }
    }

    /// Ends the last stage.
    pub fn finish(&self) {
        self.end(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Option<Stage>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, current: &mut Option<Stage>) {
        let Some(stage) = current.take() else { return };
        let seconds = stage.began.elapsed().as_secs_f64();
        if let Some(bar) = &stage.bar {
            bar.finish_and_clear();
        }
        let amount = match (stage.done, stage.unit) {
            (0, _) => String::new(),
            (bytes, "bytes") => format!("  {}", model::ByteSize(bytes)),
            (count, unit) => format!("  {count} {unit}"),
        };
        if self.drawing != Drawing::Quiet {
            say(&format!("{:<12} {seconds:>7.1} s{amount}", stage.name));
        }
    }
}

impl Drop for ConsoleProgress {
    fn drop(&mut self) {
        // After an error: the bar must not stay on the screen below it.
        if let Some(Stage { bar: Some(bar), .. }) = self.lock().take() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for ConsoleProgress {
    fn begin(&self, name: &'static str, total: u64, unit: &'static str) {
        let mut current = self.lock();
        self.end(&mut current);
        let bar = (self.drawing == Drawing::Bars).then(|| bar(name, total, unit));
        *current = Some(Stage { name, unit, done: 0, began: Instant::now(), bar });
    }

    fn advance(&self, amount: u64) {
        if let Some(stage) = self.lock().as_mut() {
            stage.done += amount;
            if let Some(bar) = &stage.bar {
                bar.inc(amount);
            }
        }
    }

    fn note(&self, line: &str) {
        if self.drawing != Drawing::Quiet {
            self.line(line);
        }
    }

    fn warn(&self, line: &str) {
        self.line(&format!("warning: {line}"));
    }
}

impl ConsoleProgress {
    /// Above the bar, if there is one.
    fn line(&self, line: &str) {
        match self.lock().as_ref().and_then(|stage| stage.bar.as_ref()) {
            Some(bar) => bar.suspend(|| say(line)),
            None => say(line),
        }
    }
}

fn bar(name: &'static str, total: u64, unit: &'static str) -> ProgressBar {
    let template = match (total, unit) {
        (0, _) => "{prefix:<12} {spinner} {elapsed}",
        (_, "bytes") => "{prefix:<12} [{bar:30}] {bytes}/{total_bytes} {eta}",
        _ => "{prefix:<12} [{bar:30}] {pos}/{len} {msg} {eta}",
    };
    let bar = if total == 0 { ProgressBar::new_spinner() } else { ProgressBar::new(total) };
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(name);
    bar.set_message(unit);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// One line to stderr; errors of writing to stderr are ignored.
fn say(line: &str) {
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
        let (kind, message) = (error.kind(), error.to_string());
        let causes = error.causes().collect();
        return say_json(ErrorRow { kind: kind.name(), exit_code: kind.exit_code(), message: &message, causes, hint: error.hint_text() });
    }
    say(&format!("error: {error:#}"));
    if let Some(hint) = error.hint_text() {
        say(&format!("hint: {hint}"));
    }
}

/// A command line that was not understood, in clap's words under `--json`.
pub(super) fn usage(text: &str, exit_code: u8) {
    let message = text.trim().strip_prefix("error: ").unwrap_or(text.trim());
    say_json(ErrorRow { kind: "usage", exit_code, message, causes: Vec::new(), hint: None });
}

/// A panic.
pub(super) fn defect(what: &str, manner: Manner) {
    error(&Error::internal(format!("a defect of this program: {what}")).hint("please report it, with the command and its input"), manner);
}

pub(super) fn warning(text: &str) {
    say(&format!("warning: {text}"));
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
