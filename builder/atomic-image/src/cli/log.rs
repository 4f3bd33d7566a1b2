//! The log: `tracing` spans and events as text or JSON, on stderr or in a file.

use super::args::{LogArguments, LogForm};
use super::trace::Trace;
use model::{Error, InputExt, Result};
use std::fs::File;
use std::sync::Mutex;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

/// Names what is logged as `level` or `target=level`, separated by commas; `-v` adds to it.
const VARIABLE: &str = "ATOMIC_IMAGE_LOG";

/// Listens as the arguments and the environment say; nothing is listened to where they say nothing. Returns the trace, which must be finished.
pub(super) fn start(arguments: &LogArguments) -> Result<Option<Trace>> {
    #[expect(clippy::disallowed_methods, reason = "cli/ is where the environment is read")]
    let named = std::env::var_os(VARIABLE).map(|value| value.to_string_lossy().into_owned());
    let verbose = match arguments.verbose {
        0 => LevelFilter::OFF,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let filter = match named.as_deref().filter(|named| !named.is_empty()) {
        None if verbose == LevelFilter::OFF && arguments.log_file.is_none() => None,
        // A log file without a level has the stages.
        None => Some(Targets::new().with_default(if verbose == LevelFilter::OFF { LevelFilter::INFO } else { verbose })),
        Some(text) => {
            let targets: Targets = text.parse().map_err(|e| {
                Error::recipe(format!("{VARIABLE}={text:?}: {e}"))
                    .hint("write a level (info, debug, trace) or target=level, separated by commas")
            })?;
            Some(if verbose == LevelFilter::OFF { targets } else { targets.with_default(verbose) })
        }
    };
    let trace = arguments.trace.as_deref().map(Trace::create).transpose()?;
    if filter.is_none() && trace.is_none() {
        return Ok(None);
    }
    let log = filter.map(|filter| writer(arguments).map(|layer| layer.with_filter(filter).boxed())).transpose()?;
    let layers: Vec<Boxed> = log.into_iter().chain(trace.as_ref().map(|trace| trace.layer().boxed())).collect();
    tracing::subscriber::set_global_default(Registry::default().with(layers)).map_err(|e| Error::internal("start the log").source(e))?;
    Ok(trace)
}

type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// A line for each span that ends, with its time, and for each event.
fn writer(arguments: &LogArguments) -> Result<Boxed> {
    let layer = tracing_subscriber::fmt::layer().with_span_events(FmtSpan::CLOSE).with_ansi(false);
    let file = match &arguments.log_file {
        None => None,
        Some(path) => Some(Mutex::new(File::create(path).input(|| format!("--log-file {}", path.display()))?)),
    };
    Ok(match (arguments.log, file) {
        (LogForm::Text, None) => layer.with_writer(std::io::stderr).boxed(),
        (LogForm::Text, Some(file)) => layer.with_writer(file).boxed(),
        (LogForm::Json, None) => layer.json().with_writer(std::io::stderr).boxed(),
        (LogForm::Json, Some(file)) => layer.json().with_writer(file).boxed(),
    })
}
