//! What a lockfile was made from: each repository's version of its metadata. An old version that somebody replays is signed as well as the newest,
//! so a signature alone does not show it.

use model::{Error, Result, SourceDateEpoch};
use serde::{Deserialize, Serialize};

/// Characters of a revision that are kept: it is the repository's own word, and only shown or compared as a number.
const MAX_REVISION: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedRepository {
    /// As the recipe names it.
    pub repo: String,
    /// Of repomd.xml.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// The newest file's time in repomd.xml, or the Date of InRelease; 0 where the metadata says none.
    pub time: SourceDateEpoch,
    /// Fingerprint of the key that signed InRelease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
}

impl LockedRepository {
    pub fn new(repo: &str, revision: &str, time: SourceDateEpoch, signed_by: Option<String>) -> Self {
        let revision = revision.chars().filter(|c| !c.is_control()).take(MAX_REVISION).collect();
        LockedRepository { repo: repo.to_owned(), revision, time, signed_by }
    }

    /// By time; at the same time by revision, where both are numbers.
    fn is_older_than(&self, known: &LockedRepository) -> bool {
        let numbers = (self.revision.parse::<u64>(), known.revision.parse::<u64>());
        self.time < known.time || self.time == known.time && matches!(numbers, (Ok(here), Ok(there)) if here < there)
    }

    fn version(&self) -> String {
        let time = if self.time.0 == 0 { "no date".to_owned() } else { self.time.to_string() };
        if self.revision.is_empty() { time } else { format!("{time} (revision {})", self.revision) }
    }
}

/// Refuses metadata that is older than what the lockfile was made from.
pub fn check_not_older(found: &[LockedRepository], known: &[LockedRepository]) -> Result<()> {
    for here in found {
        if let Some(there) = known.iter().find(|known| known.repo == here.repo).filter(|known| here.is_older_than(known)) {
            return Err(Error::integrity(format!(
                "repository {}: its metadata is of {}, older than that of {} which the lockfile was made from",
                here.repo,
                here.version(),
                there.version()
            ))
            .hint(
                "a mirror that is behind, or one that replays old versions: try again or name another mirror; --allow-older accepts it",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_metadata_is_refused_with_both_dates() {
        let of = |revision: &str, time: u32| LockedRepository::new("base", revision, SourceDateEpoch(time), None);
        for (found, known, refused) in [
            (of("2", 200), of("1", 100), false),
            (of("1", 100), of("1", 100), false),
            (of("1", 100), of("2", 200), true),
            // A repository may begin its revisions anew; its time goes on.
            (of("1", 200), of("9", 100), false),
            (of("8", 100), of("9", 100), true),
            (of("8", 0), of("9", 0), true),
            (of("a", 100), of("b", 100), false),
            (of("", 0), of("1", 100), true),
        ] {
            let result = check_not_older(std::slice::from_ref(&found), std::slice::from_ref(&known));
            assert_eq!(result.is_err(), refused, "{found:?} {known:?}");
            let other = LockedRepository { repo: "other".into(), ..known };
            assert!(check_not_older(&[found], &[other]).is_ok(), "another repository's time says nothing");
        }
        let error = check_not_older(&[of("5", 86_400)], &[of("6", 1_700_000_000)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "repository base: its metadata is of 1970-01-02T00:00:00Z (revision 5), older than that of 2023-11-14T22:13:20Z (revision 6) \
             which the lockfile was made from"
        );
        assert!(error.hint_text().is_some_and(|hint| hint.contains("--allow-older")));
        assert_eq!(of(&format!("x\n{}", "y".repeat(100)), 0).revision.len(), MAX_REVISION);
    }
}
