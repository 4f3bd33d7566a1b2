//! A reader and what it is fed. The tests here and the targets of cargo-fuzz (`builder/fuzz`) share these files.

use crate::random::Random;
use model::{Error, ImagePath};

/// A reader's answer: read or refused; or what it must never do, in words.
pub type Answer = Result<Result<(), Error>, String>;

pub type Make<'a> = dyn Fn(&mut Random) -> Vec<u8> + 'a;
pub type Change<'a> = dyn Fn(&mut Random, &mut Vec<u8>) + 'a;

/// A reader and what it is fed.
pub struct Subject<'a> {
    /// Also the name of cargo-fuzz's target and of the folder of stored inputs.
    pub name: &'static str,
    pub seeds: Vec<Vec<u8>>,
    /// Worth putting into an input.
    pub words: &'static [&'static [u8]],
    /// An input made of pieces, one or more of them changed.
    pub make: Option<&'a Make<'a>>,
    /// A change that keeps what all inputs of this sort have in common.
    pub change: Option<&'a Change<'a>>,
    pub read: &'a dyn Fn(&[u8]) -> Answer,
}

/// What must hold of a path that a reader lets through.
pub fn inside(path: &ImagePath) -> Result<(), String> {
    let bytes = path.as_bytes();
    let bad = |part: &[u8]| part.is_empty() || part == b"." || part == b".." || part.contains(&0);
    match bytes.strip_prefix(b"/") {
        Some(b"") => Ok(()),
        Some(rest) if !rest.split(|&b| b == b'/').any(bad) => Ok(()),
        _ => Err(format!("a path outside the tree: {path:?}")),
    }
}

/// A folder in memory, where the machine has one.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}
