//! Everything that people see: progress and errors on stderr, results on stdout. Nothing depends on colour.

use crate::base::{Error, Progress, Result, ResultExt};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bars when stderr is a terminal, one line per stage otherwise, nothing when quiet.
pub(super) struct Talk {
    manner: Manner,
    current: Mutex<Option<Stage>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
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

impl Talk {
    pub fn new(quiet: bool) -> Self {
        let manner = match quiet {
            true => Manner::Quiet,
            false if std::io::stderr().is_terminal() => Manner::Bars,
            false => Manner::Lines,
        };
        Talk { manner, current: Mutex::new(None) }
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
            (bytes, "bytes") => format!("  {}", crate::base::ByteSize(bytes)),
            (count, unit) => format!("  {count} {unit}"),
        };
        if self.manner != Manner::Quiet {
            say(&format!("{:<12} {seconds:>7.1} s{amount}", stage.name));
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // After an error: the bar must not stay on the screen below it.
        if let Some(Stage { bar: Some(bar), .. }) = self.lock().take() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Talk {
    fn begin(&self, name: &'static str, total: u64, unit: &'static str) {
        let mut current = self.lock();
        self.end(&mut current);
        let bar = (self.manner == Manner::Bars).then(|| bar(name, total, unit));
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
        if self.manner != Manner::Quiet {
            self.line(line);
        }
    }

    fn warn(&self, line: &str) {
        self.line(&format!("warning: {line}"));
    }
}

impl Talk {
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

/// One line to stderr; a closed stderr is not our trouble.
fn say(line: &str) {
    writeln!(std::io::stderr().lock(), "{line}").ok();
}

pub(super) fn error(error: &Error) {
    say(&format!("error: {error}"));
    if let Some(hint) = error.hint_text() {
        say(&format!("hint: {hint}"));
    }
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
