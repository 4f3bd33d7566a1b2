//! A delta's name, and the folder in the repository that it stands for (libostree `_ostree_get_relative_static_delta_path`).
//!
//! ```text
//! deltas / first two characters / the other 41 [ - 43 characters of TO ] / superblock, 0, 1, …
//! ```
//!
//! A digest is 43 characters of base64 without padding, in which `_` stands for `/`. The folder begins with the digest of FROM, or with that of TO
//! where the delta is from nothing.

use crate::CommitId;
use base64::Engine;
use base64::alphabet::Alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use model::{Digest, ResultJudged};
use std::fmt;

const ALPHABET: Alphabet = match Alphabet::new("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+_") {
    Ok(alphabet) => alphabet,
    Err(_) => panic!("64 different characters"),
};
const BASE64: GeneralPurpose = GeneralPurpose::new(&ALPHABET, NO_PAD);
/// Characters of the first folder's name.
const FOLDER: usize = 2;

/// Which commits a delta leads from and to. Its text is its name in a summary: `FROM-TO`, or `TO` for a delta from nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeltaName {
    pub from: Option<CommitId>,
    pub to: CommitId,
}

impl DeltaName {
    /// The delta's folder, relative to the repository.
    pub fn path(self) -> String {
        let text = match self.from {
            Some(from) => format!("{}-{}", encode(from), encode(self.to)),
            None => encode(self.to),
        };
        let (folder, rest) = text.split_at(FOLDER);
        format!("deltas/{folder}/{rest}")
    }

    /// The delta whose folder is `folder/rest`; `None` for a folder that is none of a delta.
    pub(super) fn parse(folder: &str, rest: &str) -> Option<DeltaName> {
        let text = format!("{folder}{rest}");
        let name = match text.split_once('-') {
            Some((from, to)) => DeltaName { from: Some(decode(from)?), to: decode(to)? },
            None => DeltaName { from: None, to: decode(&text)? },
        };
        (name.path() == format!("deltas/{folder}/{rest}")).then_some(name)
    }
}

impl fmt::Display for DeltaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.from {
            Some(from) => write!(f, "{from}-{}", self.to),
            None => self.to.fmt(f),
        }
    }
}

fn encode(commit: CommitId) -> String {
    BASE64.encode(commit.digest().as_bytes())
}

fn decode(text: &str) -> Option<CommitId> {
    let bytes = BASE64.decode(text).none_because("a folder with another name is no delta")?;
    bytes.try_into().none_because("so is one whose name is shorter or longer").map(|bytes| CommitId::new(Digest::from_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_folder_and_comes_back_from_it() {
        let [a, b] = [0xff, 0].map(|byte| CommitId::new(Digest::from_bytes([byte; 32])));
        let nothing = DeltaName { from: None, to: a };
        assert_eq!(nothing.path(), format!("deltas/__/{}8", "_".repeat(40)));
        let between = DeltaName { from: Some(b), to: a };
        assert_eq!(between.path(), format!("deltas/AA/{}-{}8", "A".repeat(41), "_".repeat(42)));
        assert_eq!(between.to_string(), format!("{}-{}", "00".repeat(32), "ff".repeat(32)));
        for name in [nothing, between] {
            let path = name.path();
            let mut words = path.split('/').skip(1);
            assert_eq!(DeltaName::parse(words.next().unwrap(), words.next().unwrap()), Some(name));
        }
        for (folder, rest) in [("", ""), ("AA", "x"), ("AA", "/"), ("__", &"_".repeat(41)), ("ab", &"-".repeat(41)), ("é", "é")] {
            assert_eq!(DeltaName::parse(folder, rest), None, "{folder:?} {rest:?}");
        }
    }
}
