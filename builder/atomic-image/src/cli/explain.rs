//! `explain`: whose a sector is.

use super::args::ExplainArguments;
use super::{environment, render};
use crate::inspect::{self, Place};
use evidence::Provenance;
use model::{ImagePath, Lba, Result, Silent};
use serde::Serialize;

#[derive(Serialize)]
struct Answer {
    #[serde(flatten)]
    place: Place,
    #[serde(flatten)]
    provenance: Provenance,
}

pub(super) fn run(arguments: &ExplainArguments) -> Result<()> {
    let recipe = arguments.recipe.as_deref().map(recipe::load).transpose()?;
    let place = inspect::explain(&arguments.image, arguments.sector.saturating_mul(Lba::SECTOR))?;
    let provenance = match place.files.first() {
        None => Provenance::default(),
        Some(file) => {
            let packages = inspect::image(&arguments.image)?.packages.into_iter().map(|row| (row.nevra, row.sha256)).collect::<Vec<_>>();
            let packs = environment::cache(&arguments.cache)?.join("packs");
            evidence::provenance(&ImagePath::parse(file)?, &packages, &packs, &environment::facts(&None, &Silent), recipe.as_ref())?
        }
    };
    let answer = Answer { place, provenance };
    if arguments.json { render::json(&answer) } else { render::print(&text(&answer)) }
}

fn text(answer: &Answer) -> String {
    let Answer { place, provenance } = answer;
    let mut rows = vec![vec!["byte".to_owned(), place.offset.to_string()]];
    let mut put = |name: &str, value: Option<String>| rows.extend(value.map(|value| vec![name.to_owned(), value]));
    put("partition", place.partition.clone());
    put("structure", Some(place.structure.clone()));
    put("inode", place.inode.map(|n| n.to_string()));
    // Hard links of a deployment's files in its repository are the same story again.
    let names = if place.files.is_empty() { &place.names } else { &place.files };
    names.iter().for_each(|name| put("file", Some(name.clone())));
    put("position", place.position.map(|n| n.to_string()));
    put("package", provenance.package.clone());
    put("recipe", provenance.recipe.clone());
    render::table(&rows)
}
