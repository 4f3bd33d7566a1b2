//! The cache's folder: made only where nothing else is, and recognised by its tag.

use model::{AtomicFile, Entry, Error, Progress, Result, ResultExt, Turn};
use std::path::Path;

/// Tells backup programs what the folder is (Cache Directory Tagging Specification), and us whose it is.
const TAG: &str =
    "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache of atomic-image: all of it can be removed and is made anew.\n";
const TAG_NAME: &str = "CACHEDIR.TAG";
/// What versions before the tag had in a cache.
const KNOWN: [&str; 12] =
    ["rpms", "packs", "debs", "deb", "converted", "outputs", "contents", "digests", "scratch", "metadata", "rpmmd", "damaged"];

/// Makes the folder ready: an absent or empty one gets a tag, a tagged one is ours, any other is refused.
pub(super) fn prepare(cache: &Path) -> Result<()> {
    std::fs::create_dir_all(cache).context(|| format!("create the cache {}", cache.display()))?;
    let tag = cache.join(TAG_NAME);
    match Entry::read(&tag, 1 << 16)? {
        Some(found) if found == TAG.as_bytes() => return Ok(()),
        Some(_) => {
            return Err(
                Error::recipe(format!("{} is a cache of another program", cache.display())).hint("name another folder with --cache")
            );
        }
        None => {}
    }
    for entry in std::fs::read_dir(cache).context(|| format!("list the cache {}", cache.display()))? {
        let name = entry.context(|| format!("list the cache {}", cache.display()))?.file_name();
        // The tag may be under way, made by a build that started together with this one.
        let known = name.to_str().is_some_and(|name| {
            KNOWN.contains(&name) || [".CACHEDIR.TAG.", ".turn"].iter().any(|start| name.starts_with(start)) || name == TAG_NAME
        });
        if !known {
            return Err(Error::recipe(format!(
                "{} is no cache of atomic-image: it has no {TAG_NAME} and is not empty ({} is in it)",
                cache.display(),
                name.to_string_lossy()
            ))
            .hint("name an empty or absent folder with --cache"));
        }
    }
    AtomicFile::write_unsynced(&tag, TAG.as_bytes())
}

/// Waits for the turn in each of `folders` that machines share without sharing locks; where they share them, builds run at once.
pub(super) fn take_turns(folders: &[&Path], progress: &dyn Progress) -> Result<Vec<Turn>> {
    let mut turns = Vec::new();
    for folder in folders {
        let waiting = || {
            let folder = folder.display();
            progress.note(&format!("waiting for another build that uses {folder}; one that was killed is waited for a minute"));
        };
        turns.extend(Turn::where_locks_end(folder, waiting)?);
    }
    Ok(turns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_made_in_an_empty_or_absent_folder_alone() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        std::fs::create_dir_all(at("empty")).unwrap();
        std::fs::create_dir_all(at("before-the-tag/packs")).unwrap();
        for name in ["absent/below", "empty", "before-the-tag"] {
            prepare(&at(name)).unwrap();
            prepare(&at(name)).unwrap();
            assert_eq!(std::fs::read_to_string(at(name).join(TAG_NAME)).unwrap(), TAG, "{name}");
        }
        std::fs::create_dir_all(at("home/packs")).unwrap();
        std::fs::write(at("home/letter"), b"dear").unwrap();
        std::fs::create_dir_all(at("cargo")).unwrap();
        std::fs::write(at("cargo").join(TAG_NAME), b"Signature: 8a477f597d28d172789f06886806bc55\n# cargo").unwrap();
        for (name, word) in [("home", "letter"), ("cargo", "another program")] {
            let error = prepare(&at(name)).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
        assert!(!at("home").join(TAG_NAME).exists());
    }
}
