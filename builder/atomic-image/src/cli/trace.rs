//! `--trace FILE`: where the time went on every core, in the trace event format that Perfetto and chrome://tracing open (a JSON array of events).
//!
//! A span is a pair of events, `B` and `E`, of the thread that entered it; times are microseconds since the start.

use model::{InputExt, Result, ResultExt};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::Context;
use tracing_subscriber::{Layer, Registry};

static THREADS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// This thread's number in the trace; its name is told with the first event.
    static THREAD: u64 = THREADS.fetch_add(1, Ordering::Relaxed);
}

/// The file, until it is finished; afterwards events are dropped.
pub(super) struct Trace {
    path: PathBuf,
    shared: Arc<Shared>,
}

struct Shared {
    began: Instant,
    file: Mutex<State>,
}

#[derive(Default)]
struct State {
    out: Option<BufWriter<File>>,
    /// The first error of writing.
    failed: Option<std::io::Error>,
    named: std::collections::BTreeSet<u64>,
    any: bool,
}

impl Trace {
    pub(super) fn create(path: &Path) -> Result<Trace> {
        let file = File::create(path).input(|| format!("--trace {}", path.display()))?;
        let mut out = BufWriter::with_capacity(1 << 16, file);
        out.write_all(b"[").input(|| format!("--trace {}", path.display()))?;
        let state = State { out: Some(out), ..State::default() };
        Ok(Trace { path: path.to_path_buf(), shared: Arc::new(Shared { began: Instant::now(), file: Mutex::new(state) }) })
    }

    pub(super) fn layer(&self) -> TraceLayer {
        TraceLayer(self.shared.clone())
    }

    /// Ends the array; what comes later is not in the trace.
    pub(super) fn finish(self) -> Result<()> {
        let mut state = self.shared.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut out) = state.out.take() else { return Ok(()) };
        let written = match state.failed.take() {
            Some(e) => Err(e),
            None => out.write_all(b"\n]\n").and_then(|()| out.flush()),
        };
        written.context(|| format!("write the trace {}", self.path.display()))
    }
}

impl Shared {
    fn event(&self, kind: &str, name: &str, arguments: Option<&Map<String, Value>>) {
        let micros = self.began.elapsed().as_secs_f64() * 1e6;
        let thread = THREAD.with(|thread| *thread);
        let mut state = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if state.named.insert(thread) {
            let current = std::thread::current();
            let named = current.name().map_or_else(|| format!("thread {thread}"), str::to_owned);
            state.write(&json!({"ph": "M", "name": "thread_name", "pid": 1, "tid": thread, "args": {"name": named}}));
        }
        let mut event = json!({"ph": kind, "name": name, "cat": "build", "pid": 1, "tid": thread, "ts": micros});
        if let (Some(arguments), Some(fields)) = (arguments.filter(|map| !map.is_empty()), event.as_object_mut()) {
            fields.insert("args".into(), Value::Object(arguments.clone()));
        }
        state.write(&event);
    }
}

impl State {
    fn write(&mut self, event: &Value) {
        let separator = if std::mem::replace(&mut self.any, true) { ",\n" } else { "\n" };
        let Some(out) = &mut self.out else { return };
        if let Err(e) = write!(out, "{separator}{event}") {
            self.failed.get_or_insert(e);
        }
    }
}

/// What a span was opened with.
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }
}

pub(super) struct TraceLayer(Arc<Shared>);

impl Layer<Registry> for TraceLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, Registry>) {
        let mut fields = Fields(Map::new());
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, Registry>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, Registry>) {
        let Some(span) = context.span(id) else { return };
        self.0.event("B", span.name(), span.extensions().get::<Fields>().map(|fields| &fields.0));
    }

    fn on_exit(&self, id: &Id, context: Context<'_, Registry>) {
        let Some(span) = context.span(id) else { return };
        self.0.event("E", span.name(), span.extensions().get::<Fields>().map(|fields| &fields.0));
    }
}
