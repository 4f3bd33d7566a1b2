//! What the machine says: the cache's place, the time, the processors.

use super::apt_sources;
use super::args::{LockfileArguments, SourceArguments};
use super::tree_args::SigningArguments;
use crate::pipeline::{Parent, Settings};
use model::{Error, Facts, InputExt, Progress, Result, SourceDateEpoch, open_regular, read_input_text};
use signing::SigningKey;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;
use supply::SupplySettings;
use supply::net::ProxyEnvironment;

/// The settings that every command which reads repositories shares; the rest is as for `lock`.
pub(super) fn settings(sources: &SourceArguments, progress: &dyn Progress) -> Result<Settings> {
    let cache = cache(&sources.places.cache)?;
    // A cache that is complete may be read-only.
    if !cache.join("CACHEDIR.TAG").exists() {
        require_writable(&cache, "--cache")?;
    }
    if let Some(ca) = &sources.ca {
        // Said now, not only in a build that happens to need the network.
        open_regular(ca).map_err(|e| Error::recipe(format!("cannot read {}", ca.display())).source(e))?;
    }
    Ok(Settings {
        out: PathBuf::from("out"),
        repo: PathBuf::from("repo"),
        images_only: false,
        formats: Vec::new(),
        jobs: std::thread::available_parallelism().map_or(1, |n| n.get()),
        durable: true,
        signing_keys: Arc::default(),
        parent: Parent::OfStore,
        signatures: evidence::Signatures::new(),
        supply: SupplySettings {
            locked: false,
            cache,
            facts: facts(&sources.places.state, progress),
            mirror: sources.mirror.clone().or_else(apt_sources::machine_mirror),
            offline: sources.offline,
            ca: sources.ca.clone(),
            proxies: proxies(),
            allow_older: false,
            now: now(),
        },
    })
}

pub(super) fn use_lockfile(settings: &mut Settings, arguments: &LockfileArguments) {
    settings.supply.locked = arguments.locked;
    settings.supply.allow_older = arguments.allow_older;
}

/// Refuses a folder that cannot be written to, before hours of work end there. `option` is what names it.
pub(super) fn require_writable(folder: &Path, option: &str) -> Result<()> {
    let refused = |at: &Path| format!("{option} {}: cannot write to {}", folder.display(), at.display());
    // It is made with its parents: what counts is the first that is there.
    let mut at = folder;
    loop {
        let shown = if at.as_os_str().is_empty() { Path::new(".") } else { at };
        match std::fs::metadata(shown) {
            Ok(metadata) if !metadata.is_dir() => {
                return Err(Error::recipe(format!("{option} {}: {} is not a directory", folder.display(), shown.display())));
            }
            Ok(_) => {
                let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
                return rustix::fs::access(shown, access).map_err(std::io::Error::from).input(|| refused(shown));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => match at.parent() {
                Some(parent) => at = parent,
                None => return Err(e).input(|| refused(shown)),
            },
            Err(e) => return Err(e).input(|| refused(shown)),
        }
    }
}

/// The private keys that were named, else the one of `ATOMIC_IMAGE_SIGN_KEY`: a file's name or the key itself, as services that keep secrets give it.
pub(super) fn signing_keys(arguments: &SigningArguments) -> Result<Vec<SigningKey>> {
    let mut named: Vec<SigningKey> = Vec::new();
    for path in &arguments.sign_key {
        named.push(signing_key(path)?);
    }
    #[expect(clippy::disallowed_methods, reason = "cli/ is where the environment is read")]
    let variable = std::env::var_os("ATOMIC_IMAGE_SIGN_KEY").filter(|value| !value.is_empty());
    match variable {
        Some(value) if named.is_empty() => {
            let key = match value.to_str().map(SigningKey::parse) {
                Some(Ok(key)) => key,
                // The value is not shown: it may be a key with a slip in it.
                _ => signing_key(Path::new(&value))
                    .map_err(|e| Error::new(e.kind(), "ATOMIC_IMAGE_SIGN_KEY is neither a private key nor the name of its file"))?,
            };
            Ok(vec![key])
        }
        _ => Ok(named),
    }
}

/// The same where there must be one.
pub(super) fn required_signing_keys(arguments: &SigningArguments) -> Result<Vec<SigningKey>> {
    let keys = signing_keys(arguments)?;
    match keys.is_empty() {
        false => Ok(keys),
        true => {
            Err(Error::recipe("no signing key")
                .hint("give --sign-key FILE or set ATOMIC_IMAGE_SIGN_KEY; `atomic-image keygen NAME` makes one"))
        }
    }
}

fn signing_key(path: &Path) -> Result<SigningKey> {
    /// Of a key file, in bytes.
    const LARGEST: u64 = 4096;
    SigningKey::parse(&read_input_text(path, LARGEST)?).map_err(|e| Error::recipe(format!("{}: {e}", path.display())))
}

/// The folder that was named, or the user's.
pub(super) fn cache(named: &Option<PathBuf>) -> Result<PathBuf> {
    named.clone().map_or_else(cache_folder, Ok)
}

/// What earlier runs of this user verified. Where nothing can be remembered, everything is verified and made anew each time, which is slow and right.
pub(super) fn facts(named: &Option<PathBuf>, progress: &dyn Progress) -> Arc<Facts> {
    let folder = named.clone().or_else(|| user_folder("XDG_STATE_HOME", ".local/state"));
    let facts = match folder {
        Some(folder) => Facts::open(&folder),
        None => Err(Error::internal("neither XDG_STATE_HOME nor HOME names a folder").hint("give --state DIR")),
    };
    Arc::new(facts.unwrap_or_else(|error| {
        progress.warn(&format!("what is verified and made cannot be remembered, so that the next build takes longer: {error:#}"));
        Facts::none()
    }))
}

/// Per the XDG base directory specification: a relative path is ignored.
fn user_folder(xdg: &str, below_home: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "cli/ is where the environment is read")]
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    variable(xdg).or_else(|| Some(variable("HOME")?.join(below_home))).map(|folder| folder.join("atomic-image"))
}

fn cache_folder() -> Result<PathBuf> {
    user_folder("XDG_CACHE_HOME", ".cache")
        .ok_or_else(|| Error::internal("neither XDG_CACHE_HOME nor HOME names a folder for the cache").hint("give --cache DIR"))
}

/// The variables that curl reads; one that is not UTF-8 names no proxy.
fn proxies() -> ProxyEnvironment {
    #[expect(clippy::disallowed_methods, reason = "cli/ is where the environment is read")]
    let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    ProxyEnvironment::read(variable)
}

pub(super) fn now() -> SourceDateEpoch {
    #[expect(clippy::disallowed_methods, reason = "cli/ is where the wall clock is read, to judge expiry only")]
    let now = std::time::SystemTime::now();
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    SourceDateEpoch(u32::try_from(seconds).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Kind;

    #[test]
    fn a_folder_that_cannot_be_written_to_is_told_before_the_build() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), b"").unwrap();
        for (name, good) in [("", true), ("new", true), ("new/below/it", true), ("file", false), ("file/below", false), ("a\0b", false)] {
            let found = require_writable(&folder.path().join(name), "--out");
            assert_eq!(found.as_ref().map_err(|error| error.kind()), if good { Ok(&()) } else { Err(Kind::Recipe) }, "{name}");
            assert!(found.err().is_none_or(|error| error.to_string().starts_with("--out ")), "{name}");
        }
        assert!(require_writable(Path::new("out"), "--out").is_ok() && require_writable(Path::new(""), "--out").is_ok());
    }
}
