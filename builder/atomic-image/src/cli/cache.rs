//! `cache verify`: is every file of the cache what it should be?

use super::args::{CacheCommand, CacheVerifyArguments};
use super::console::ConsoleProgress;
use super::{environment, render};
use crate::pipeline::{self, CacheReport};
use model::{Error, Result};

pub(super) fn run(command: &CacheCommand) -> Result<()> {
    match command {
        CacheCommand::Verify(arguments) => verify(arguments),
    }
}

fn verify(arguments: &CacheVerifyArguments) -> Result<()> {
    let cache = environment::cache(&arguments.places.cache)?;
    let console = ConsoleProgress::new(&arguments.output);
    let report = pipeline::verify_cache(&cache, &environment::facts(&arguments.places.state, &console), &console)?;
    console.finish();
    if arguments.output.json {
        render::json(&report)?
    } else {
        render::print(&text(&report))?
    }
    let damaged = report.values().map(|entries| entries.damaged.len()).sum::<usize>();
    match damaged {
        0 => Ok(()),
        1 => Err(Error::integrity("1 file of the cache was damaged")),
        n => Err(Error::integrity(format!("{n} files of the cache were damaged"))),
    }
    .map_err(|error| error.hint("they are set aside in the cache's folder `damaged`; the next build makes them anew"))
}

fn text(report: &CacheReport) -> String {
    let mut rows = vec![["entries", "good", "unknown", "damaged"].map(str::to_owned).to_vec()];
    for (name, entries) in report {
        rows.push(vec![(*name).to_owned(), entries.good.to_string(), entries.unknown.to_string(), entries.damaged.len().to_string()]);
    }
    render::table(&rows)
}
