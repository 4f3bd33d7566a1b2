//! `verify`: the same inputs must give the same image.

use super::args::VerifyArguments;
use super::console::ConsoleProgress;
use super::{environment, render};
use crate::inspect::{self, Difference};
use crate::pipeline::{self, Parent, Settings};
use model::{Error, Kind, Result};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Serialize)]
struct Verdict {
    image: PathBuf,
    recipe: PathBuf,
    same: bool,
}

pub(super) fn run(arguments: &VerifyArguments) -> Result<()> {
    let beside = arguments.image.parent().unwrap_or(std::path::Path::new("")).join("manifest.json");
    let inputs = evidence::read_inputs(arguments.manifest.as_ref().unwrap_or(&beside))
        .map_err(|e| e.hint("name the manifest that was written with the image: --manifest FILE"))?;
    let path = arguments.recipe.clone().unwrap_or_else(|| PathBuf::from(format!("recipes/{}.toml", inputs.name)));
    let recipe = recipe::load(&path)?;
    let locked = evidence::lockfile_digest(&recipe.lockfile())?;
    for (what, expected, found) in [("recipe", &inputs.recipe, recipe.digest()), ("lockfile", &inputs.lockfile, locked)] {
        if *expected != found.to_string() {
            let message = format!("the {what} is not the one of the manifest: expected sha256 {expected}, found {found}");
            return Err(Error::new(Kind::Verification, message).hint("check out the recipe and the lockfile that the image was built from"));
        }
    }
    let console = ConsoleProgress::new(&arguments.output);
    let parent = Parent::Given(inputs.parent);
    let mut settings = Settings {
        repo: arguments.repo.clone(),
        parent,
        signatures: inputs.signatures,
        ..environment::settings(&arguments.sources, &console)?
    };
    settings.supply.locked = true;
    let planned = pipeline::plan(&recipe, &settings, &console)?;
    console.finish();
    if let Some(difference) = inspect::compare(&arguments.image, &planned)? {
        return Err(Error::new(Kind::Verification, format!("{}: {}", arguments.image.display(), words(&difference))));
    }
    let verdict = Verdict { image: arguments.image.clone(), recipe: path, same: true };
    if arguments.output.json {
        return render::json(&verdict);
    }
    render::print(&format!("{}: every byte is as {} makes it\n", verdict.image.display(), verdict.recipe.display()))
}

fn words(difference: &Difference) -> String {
    match difference {
        Difference::Size { expected, found } => format!("expected a disk of {expected} bytes, found {found}"),
        Difference::Byte { expected, found, place } => {
            let mut text = format!("first difference at byte {}: ", place.offset);
            if let Some(partition) = &place.partition {
                text.push_str(&format!("partition {partition}, "));
            }
            text.push_str(&place.structure);
            if let Some(name) = place.files.first().or(place.names.first()) {
                text.push_str(&format!(" of {name}"));
            }
            if let Some(position) = place.position {
                text.push_str(&format!(" at {position}"));
            }
            format!("{text}: expected {expected:#04x}, found {found:#04x}")
        }
    }
}
