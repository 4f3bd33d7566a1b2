//! Where tests find real packages.

use std::path::{Path, PathBuf};

/// The fixtures' folder; says that the test skipped when there is none.
#[expect(clippy::disallowed_methods, reason = "a test's own input, not a build's")]
pub(crate) fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("ATOMIC_IMAGE_FIXTURES").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures"));
    if !folder.is_dir() {
        println!("skipped: no fixtures in {}", folder.display());
        return None;
    }
    Some(folder)
}

/// Every `.rpm` below `folder`, sorted.
pub(crate) fn packages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rpm") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
