//! `[budget]`: what a build may not exceed, and what weighs most where it does.

use model::{ByteSize, Error, ImagePath, Result};
use ostree::ContentCost;
use recipe::Recipe;
use std::collections::BTreeMap;
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

/// Refuses an update of `bytes` from the commit before if the recipe allows less. `contents` is its new content.
pub(super) fn check_update(recipe: &Recipe, bytes: u64, contents: &[ContentCost], packages: &[Pack]) -> Result<()> {
    let Some(limit) = recipe.budget.update.filter(|limit| bytes > limit.0) else { return Ok(()) };
    let owners: BTreeMap<ImagePath, String> = packages
        .iter()
        .flat_map(|pack| pack.entries().iter().map(|entry| (entry.path.clone(), pack.metadata().nevra.to_string())))
        .collect();
    let mut weights: BTreeMap<String, u64> = BTreeMap::new();
    for content in contents {
        // Configuration was below /etc when its package brought it.
        let unpacked = content.path.as_bytes().strip_prefix(b"/usr/etc/").map(|rest| [b"/etc/", rest].concat());
        let path = unpacked.map_or(Ok(content.path.clone()), ImagePath::parse)?;
        let owner = owners.get(&path).cloned().unwrap_or_else(|| format!("{} (of no package)", content.path));
        *weights.entry(owner).or_insert(0) += content.bytes;
    }
    let mut weights: Vec<(String, u64)> = weights.into_iter().collect();
    weights.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let lines = weights.into_iter().take(NAMED).map(|(name, size)| format!("{name}: {} without a delta", ByteSize(size))).collect();
    let message = format!("the update from the commit before takes {}, and [budget] update allows {limit}", ByteSize(bytes));
    Err(Error::recipe(message)
        .problems(lines)
        .hint("the store still has the version before as its newest; raise the budget, or change less"))
}

/// The packages with the most bytes of files, the heaviest first, a line each.
fn heaviest(packages: &[Pack]) -> Vec<String> {
    let weigh = |pack: &Pack| (pack.entries().iter().map(|entry| entry.size).sum::<u64>(), pack.metadata().nevra.to_string());
    let mut weights: Vec<(u64, String)> = packages.iter().map(weigh).collect();
    weights.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    weights.into_iter().take(NAMED).map(|(size, name)| format!("{name}: {}", ByteSize(size))).collect()
}
