//! `lock`: the choice of packages, written down. `fetch`: what is written down, downloaded.

use super::args::LockArguments;
use super::{environment, render};
use crate::base::{ByteSize, Result};
use crate::{pipeline, recipe};

/// How far to go.
pub(super) enum Extent {
    Metadata,
    Packages,
}

pub(super) fn run(arguments: &LockArguments, extent: Extent) -> Result<()> {
    let recipe = recipe::load(&arguments.recipe)?;
    let settings = environment::settings(&arguments.sources)?;
    let talk = render::Talk::new(arguments.talk.quiet);
    let report = match extent {
        Extent::Metadata => pipeline::lock(&recipe, &settings, &talk)?,
        Extent::Packages => pipeline::fetch(&recipe, &settings, &talk)?,
    };
    talk.finish();
    if arguments.talk.json {
        return render::json(&report);
    }
    let mut rows = vec![["package", "repository", "size"].map(str::to_owned).to_vec()];
    rows.extend(report.packages.iter().map(|row| vec![row.nevra.clone(), row.repo.clone(), row.size.to_string()]));
    let total = ByteSize(report.packages.iter().map(|row| row.size.0).sum());
    let count = report.packages.len();
    render::print(&format!("{}\n{count} packages, {total}, in {}\n", render::table(&rows), report.lockfile.display()))
}
