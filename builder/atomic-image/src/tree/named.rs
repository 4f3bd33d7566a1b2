//! What a user calls a commit: a ref, a checksum, or a version of a ref.

use model::{Error, Result, nearest_name};
use ostree::{CommitId, Store};

/// The commit that `text` names: a ref's newest, a checksum of 64 hex digits, or `REF@VERSION`; a `VERSION` alone is looked for in all refs.
pub fn named(store: &Store, text: &str) -> Result<CommitId> {
    let refs = store.refs()?;
    if let Some(commit) = refs.get(text) {
        return Ok(*commit);
    }
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        let commit = CommitId::parse(text)?;
        return match store.contains(commit) {
            true => Ok(commit),
            false => Err(Error::recipe(format!("{} has no commit {commit}", store.path().display()))),
        };
    }
    let (wanted, version) = match text.split_once('@') {
        Some((reference, version)) => (Some(reference), version),
        None => (None, text),
    };
    let mut found: Vec<CommitId> = Vec::new();
    for (_, head) in refs.iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == name.as_str())) {
        for entry in store.log(*head)? {
            if entry.commit.version() == Some(version) && !found.contains(&entry.id) {
                found.push(entry.id);
            }
        }
    }
    match found.as_slice() {
        [one] => Ok(*one),
        [] => {
            let error = Error::recipe(format!("{} has no ref, commit or version {text:?}", store.path().display()));
            Err(match (nearest_name(text, refs.keys().map(String::as_str)), refs.is_empty()) {
                (Some(name), _) => error.hint(format!("did you mean `{name}`")),
                (None, false) => error.hint(format!("the store has {}", refs.keys().cloned().collect::<Vec<_>>().join(", "))),
                (None, true) => error.hint("the store has no refs yet: `build` makes them"),
            })
        }
        many => {
            let ids: Vec<String> = many.iter().map(|id| id.to_string()).collect();
            Err(Error::recipe(format!("several commits have the version {text:?}: {}", ids.join(", "))).hint("write REF@VERSION"))
        }
    }
}
