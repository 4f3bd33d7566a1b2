//! `build`: a recipe to disk images.

use super::args::BuildArguments;
use super::console::ConsoleProgress;
use super::{environment, render};
use crate::pipeline::{self, Report, Settings};
use model::{ByteSize, Progress, Result};
use recipe::OutputFormat;

pub(super) fn run(arguments: &BuildArguments) -> Result<()> {
    let recipe = recipe::load(&arguments.recipe)?;
    let console = ConsoleProgress::new(&arguments.output);
    let shared = environment::settings(&arguments.sources, &console)?;
    environment::require_writable(&arguments.out, "--out")?;
    if !arguments.images_only {
        environment::require_writable(&arguments.repo, "--repo")?;
    }
    let mut settings = Settings {
        out: arguments.out.clone(),
        repo: arguments.repo.clone(),
        images_only: arguments.images_only,
        formats: formats(&arguments.format),
        jobs: arguments.jobs.map_or(shared.jobs, usize::from),
        durable: !arguments.no_sync,
        signing_keys: environment::signing_keys(&arguments.signing)?.into(),
        ..shared
    };
    environment::use_lockfile(&mut settings, &arguments.lock);
    let report = pipeline::build(&recipe, &settings, &console)?;
    console.finish();
    report.warnings.iter().for_each(|warning| console.warn(warning));
    if arguments.output.json { render::json(&report) } else { render::print(&text(&report)) }
}

fn formats(chosen: &[OutputFormat]) -> Vec<OutputFormat> {
    let mut formats = chosen.to_vec();
    formats.sort();
    formats.dedup();
    formats
}

fn text(report: &Report) -> String {
    let mut rows = vec![["artifact", "size", "sha256"].map(str::to_owned).to_vec()];
    for artifact in &report.artifacts {
        rows.push(vec![artifact.path.display().to_string(), ByteSize(artifact.size).to_string(), artifact.sha256.to_string()]);
    }
    let stages: Vec<String> = report.stages.iter().map(|stage| format!("{} {:.1}", stage.name, stage.seconds)).collect();
    let updates = report.updates.iter().map(|update| {
        let commit = || update.from.map_or_else(|| "nothing".to_owned(), |commit| commit.to_string());
        let from = update.version.clone().unwrap_or_else(commit);
        vec![format!("update from {from}"), ByteSize(update.bytes).to_string()]
    });
    let mut facts = vec![
        vec!["commit".to_owned(), report.commit.clone()],
        vec!["packages".to_owned(), report.package_count.to_string()],
        vec!["lockfile".to_owned(), report.lockfile.display().to_string()],
        vec!["seconds".to_owned(), format!("{:.1}: {}", report.seconds, stages.join(", "))],
    ];
    facts.splice(1..1, updates);
    format!("{}\n{}", render::table(&rows), render::table(&facts))
}
