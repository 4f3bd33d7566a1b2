//! What the machine says: the cache's place, the time, the processors.

use super::apt_sources;
use super::args::SourceArguments;
use super::render;
use crate::base::{Error, Facts, Result, SourceDateEpoch, open_regular};
use crate::pipeline::Settings;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// The settings that every command which reads repositories shares; the rest is as for `lock`.
pub(super) fn settings(sources: &SourceArguments) -> Result<Settings> {
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
        locked: false,
        cache: cache(&sources.cache)?,
        facts: facts(&sources.state),
        durable: true,
        mirror: sources.mirror.clone().or_else(apt_sources::machine_mirror),
        offline: sources.offline,
        ca: sources.ca.clone(),
        now: now(),
    })
}

/// The folder that was named, or the user's.
pub(super) fn cache(named: &Option<PathBuf>) -> Result<PathBuf> {
    named.clone().map_or_else(cache_folder, Ok)
}

/// What earlier runs of this user verified. Where nothing can be remembered, everything is verified and made anew each time, which is slow and right.
pub(super) fn facts(named: &Option<PathBuf>) -> Arc<Facts> {
    let folder = named.clone().or_else(|| user_folder("XDG_STATE_HOME", ".local/state"));
    let facts = match folder {
        Some(folder) => Facts::open(&folder),
        None => Err(Error::internal("neither XDG_STATE_HOME nor HOME names a folder").hint("give --state DIR")),
    };
    Arc::new(facts.unwrap_or_else(|error| {
        render::warning(&format!("what is verified and made cannot be remembered, so that the next build takes longer: {error}"));
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

pub(super) fn now() -> SourceDateEpoch {
    #[expect(clippy::disallowed_methods, reason = "cli/ is where the wall clock is read, to judge expiry only")]
    let now = std::time::SystemTime::now();
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    SourceDateEpoch(u32::try_from(seconds).unwrap_or(u32::MAX))
}
