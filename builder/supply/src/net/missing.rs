//! Tells a file that a server does not have from a server that does not answer: the first may be in an archive.

use model::Error;
use std::error::Error as StdError;
use std::fmt;

/// The source of an error of status 404 or 410.
#[derive(Debug)]
pub(super) struct MissingFile;

impl fmt::Display for MissingFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server does not have the file")
    }
}

impl StdError for MissingFile {}

/// Returns whether the server answered that there is no such file (404, 410), or a `file:` URL names nothing.
pub fn is_missing(error: &Error) -> bool {
    let Some(source) = StdError::source(error) else { return false };
    let not_found = |e: &std::io::Error| e.kind() == std::io::ErrorKind::NotFound;
    source.is::<MissingFile>() || source.downcast_ref::<std::io::Error>().is_some_and(not_found)
}
