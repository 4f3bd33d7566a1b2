//! Where tests find the shared real-world data.

use std::path::PathBuf;

/// `None`, and a line that says so, where the fixtures are absent.
#[expect(clippy::disallowed_methods, reason = "a test asks where its data is")]
pub(crate) fn fixture(path: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/fixtures");
    let root = std::env::var_os("ATOMIC_IMAGE_FIXTURES").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    let full = root.join(path);
    if full.exists() {
        return full.canonicalize().ok();
    }
    println!("skipped: no fixtures at {}", full.display());
    None
}
