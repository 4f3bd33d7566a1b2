//! `[budget]`: what a build may not exceed, and what weighs most where it does.

use model::{ByteSize, Error, Result};
use recipe::Recipe;
use supply::fetch::Pack;

/// Packages that an error names.
const NAMED: usize = 8;

/// Refuses a disk of `size` bytes if the recipe allows less.
pub(super) fn check_disk(recipe: &Recipe, size: u64, packages: &[Pack]) -> Result<()> {
    match recipe.budget.size {
        Some(limit) if size > limit.0 => {
            let message = format!("the disk has {}, and [budget] size allows {limit}", ByteSize(size));
            Err(Error::recipe(message).problems(heaviest(packages)).hint("leave packages out, lower [disk] reserve, or raise the budget"))
        }
        _ => Ok(()),
    }
}

/// The packages with the most bytes of files, the heaviest first, a line each.
fn heaviest(packages: &[Pack]) -> Vec<String> {
    let weigh = |pack: &Pack| (pack.entries().iter().map(|entry| entry.size).sum::<u64>(), pack.metadata().nevra.to_string());
    let mut weights: Vec<(u64, String)> = packages.iter().map(weigh).collect();
    weights.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    weights.into_iter().take(NAMED).map(|(size, name)| format!("{name}: {}", ByteSize(size))).collect()
}
