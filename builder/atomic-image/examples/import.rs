//! Imports package files and does nothing else: for the benchmark against rpm, which has no recipe either.
//!
//!     cargo run --release --example import -- FOLDER FILE.rpm…
//!
//! Verifies each file's digest and every digest in its header, on every core, as `build` does. Prints what it did.

#![allow(clippy::disallowed_methods, reason = "a bench's harness may drop an error")]

use model::{Digest, Error, Result, ResultExt};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use supply::fetch::{Pack, Trust, verify};

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let folder = arguments.next().ok_or_else(|| Error::recipe("expected a folder and package files"))?;
    let mut files: Vec<(u64, PathBuf)> = arguments
        .map(|path| Ok((std::fs::metadata(&path).context(|| format!("read {}", path.display()))?.len(), path)))
        .collect::<Result<_>>()?;
    // As the pipeline does: the biggest first.
    files.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
    let packs: Vec<Pack> = files.par_iter().with_max_len(1).map(|(size, path)| import(&folder, path, *size)).collect::<Result<_>>()?;
    let entries: usize = packs.iter().map(|pack| pack.entries().len()).sum();
    let bytes: u64 = packs.iter().flat_map(Pack::entries).map(|entry| entry.size).sum();
    println!("{} packages, {entries} paths, {bytes} bytes", packs.len());
    Ok(())
}

/// A file that is named by its digest, as in the cache, is hashed once, as in a build.
fn import(folder: &Path, path: &Path, size: u64) -> Result<Pack> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let digest = match Digest::parse(&name) {
        Ok(digest) => digest,
        Err(_) => Digest::of(&std::fs::read(path).context(|| format!("read {}", path.display()))?),
    };
    let verified = verify(path, &digest, size, Trust::Unsigned)?;
    Pack::import(folder, &verified, &model::Facts::none())
}
