//! The recipe: what the user wants, in TOML. Read with the position of everything, merged with its includes, and validated as a whole, so
//! that all faults come at once.

#[cfg(test)]
mod bad_values_tests;
mod include;
mod model;
mod output;
mod raw;
mod reader;
#[cfg(test)]
mod tests;
mod validate;
mod weakness;

pub use model::*;
pub use output::{Compression, Output, OutputFormat};
pub use weakness::Weakness;

use crate::base::{Error, Result};
use std::path::Path;

/// Reads the recipe at `path` and its includes. Every fault of every file in one error, one line each:
/// `file:line:column: what; hint: nearest known name`.
pub fn load(path: &Path) -> Result<Recipe> {
    let faults = raw::Faults::default();
    let merged = include::read(path, &faults)?;
    let recipe = validate::recipe(path, merged, &faults);
    match recipe {
        Some(recipe) if faults.is_empty() => Ok(recipe),
        _ => Err(Error::recipe(faults.to_string())),
    }
}
