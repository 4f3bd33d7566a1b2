//! The recipe: what the user wants, in TOML. Read with the position of everything, merged with its includes, and validated as a whole, so
//! that all faults come at once.

// The lints of methods are for the product: it is also checked without its tests.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may read the clock and drop an error"))]

#[cfg(test)]
mod bad_values_tests;
mod include;
pub mod lock;
mod raw;
mod reader;
mod recipe;
#[cfg(test)]
mod tests;
mod update;
mod validate;
mod weakness;

pub use crate::recipe::*;
pub use disks::{Compression, Firmware, OutputFormat};
pub use update::{Budget, Update};
pub use weakness::Weakness;

use model::{Error, Result};
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
