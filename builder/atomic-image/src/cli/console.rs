//! Progress on stderr: bars, lines, or events in JSON.

use super::args::{OutputArguments, ProgressChoice};
use super::render::say;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use model::Progress;
use serde::Serialize;
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The shortest time between two events of a stage's progress.
const EVENT_INTERVAL: Duration = Duration::from_millis(200);

pub(super) struct ConsoleProgress {
    drawing: Drawing,
    current: Mutex<Option<Stage>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Drawing {
    Bars,
    Lines,
    Json,
    Quiet,
}

struct Stage {
    name: &'static str,
    total: u64,
    unit: &'static str,
    done: u64,
    began: Instant,
    /// Of the last event.
    told: Instant,
    bar: Option<ProgressBar>,
}

/// One line of `--progress json`. README.md documents it.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'a> {
    Stage { stage: &'a str, total: Option<u64>, unit: &'a str },
    Progress { stage: &'a str, done: u64, total: Option<u64>, unit: &'a str },
    Done { stage: &'a str, done: u64, unit: &'a str, seconds: f64 },
    Note { text: &'a str },
    Warning { text: &'a str },
}

impl Event<'_> {
    fn say(&self) {
        match serde_json::to_string(self) {
            Ok(line) => say(&line),
            Err(e) => say(&format!("error: encode an event as JSON: {e}")),
        }
    }
}

/// Zero stands for a total that nobody knows.
fn known(total: u64) -> Option<u64> {
    Some(total).filter(|&total| total > 0)
}

impl ConsoleProgress {
    pub fn new(output: &OutputArguments) -> Self {
        let drawing = match output.progress {
            ProgressChoice::None => Drawing::Quiet,
            ProgressChoice::Json => Drawing::Json,
            _ if output.quiet => Drawing::Quiet,
            // A log that runs through a bar tears it apart.
            ProgressChoice::Auto if std::io::stderr().is_terminal() && !tracing::enabled!(tracing::Level::INFO) => Drawing::Bars,
            ProgressChoice::Auto | ProgressChoice::Plain => Drawing::Lines,
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
        match self.drawing {
            Drawing::Quiet => {}
            Drawing::Json => Event::Done { stage: stage.name, done: stage.done, unit: stage.unit, seconds }.say(),
            Drawing::Bars | Drawing::Lines => say(&format!("{:<12} {seconds:>7.1} s{amount}", stage.name)),
        }
    }

    /// Above the bar, if there is one.
    fn line(&self, line: &str) {
        match self.lock().as_ref().and_then(|stage| stage.bar.as_ref()) {
            Some(bar) => bar.suspend(|| say(line)),
            None => say(line),
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
        if self.drawing == Drawing::Json {
            Event::Stage { stage: name, total: known(total), unit }.say();
        }
        let now = Instant::now();
        *current = Some(Stage { name, total, unit, done: 0, began: now, told: now, bar });
    }

    fn advance(&self, amount: u64) {
        let mut current = self.lock();
        let Some(stage) = current.as_mut() else { return };
        stage.done += amount;
        if let Some(bar) = &stage.bar {
            bar.inc(amount);
        }
        if self.drawing == Drawing::Json && stage.told.elapsed() >= EVENT_INTERVAL {
            stage.told = Instant::now();
            Event::Progress { stage: stage.name, done: stage.done, total: known(stage.total), unit: stage.unit }.say();
        }
    }

    fn note(&self, line: &str) {
        match self.drawing {
            Drawing::Quiet => {}
            Drawing::Json => Event::Note { text: line }.say(),
            Drawing::Bars | Drawing::Lines => self.line(line),
        }
    }

    fn warn(&self, line: &str) {
        match self.drawing {
            Drawing::Json => Event::Warning { text: line }.say(),
            _ => self.line(&format!("warning: {line}")),
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
