//! `lock`: the choice of packages, written down. `fetch`: what is written down, downloaded.

use super::args::{FetchArguments, LockArguments, OutputArguments};
use super::console::ConsoleProgress;
use super::{environment, render};
use crate::pipeline::{self, LockReport};
use model::{ByteSize, Result};
use supply::locking::Update;

pub(super) fn lock(arguments: &LockArguments) -> Result<()> {
    let recipe = recipe::load(&arguments.recipe)?;
    let console = ConsoleProgress::new(&arguments.output);
    let mut settings = environment::settings(&arguments.sources, &console)?;
    settings.supply.allow_older = arguments.allow_older;
    let update = match arguments.update.as_slice() {
        [] => Update::Everything,
        names => Update::Only(names.to_vec()),
    };
    let report = pipeline::lock(&recipe, &update, &settings, &console)?;
    console.finish();
    show(&report, &arguments.output)
}

pub(super) fn fetch(arguments: &FetchArguments) -> Result<()> {
    let recipe = recipe::load(&arguments.recipe)?;
    let console = ConsoleProgress::new(&arguments.output);
    let mut settings = environment::settings(&arguments.sources, &console)?;
    environment::use_lockfile(&mut settings, &arguments.lock);
    let report = pipeline::fetch(&recipe, &settings, &console)?;
    console.finish();
    show(&report, &arguments.output)
}

fn show(report: &LockReport, output: &OutputArguments) -> Result<()> {
    if output.json {
        return render::json(report);
    }
    let mut rows = vec![["package", "repository", "size"].map(str::to_owned).to_vec()];
    rows.extend(report.packages.iter().map(|row| vec![row.nevra.clone(), row.repo.clone(), row.size.to_string()]));
    let total = ByteSize(report.packages.iter().map(|row| row.size.0).sum());
    let count = report.packages.len();
    render::print(&format!("{}\n{count} packages, {total}, in {}\n", render::table(&rows), report.lockfile.display()))
}
