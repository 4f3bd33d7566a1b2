//! Which folder of a snapshot archive has the files that a lockfile names.
//!
//! An archive of rpm-md repositories keeps the paths of the repository that it keeps. The Debian snapshot archive keeps the whole archive once for
//! each time at which it looked, `BASE/YYYYMMDDTHHMMSSZ/pool/…`, and redirects any other time to the last one before it.

use crate::net::Url;
use model::{Result, SourceDateEpoch};
use recipe::{Repo, RepoKind};

/// Where a template of the recipe has the time.
const TIME: &str = "{time}";

/// In seconds: the archive is looked at only after its InRelease has been signed, and four times a day. A file that a suite no longer
/// names stays in the pool for another day and a half (`Clean-Suites::StayOfExecution` in dak), so a day later everything is there.
const LATER: u32 = 86_400;

/// The folders that may have what was locked from `repo` when its metadata was of `time`, the likeliest first. Without a time, which
/// metadata need not have, only templates that need none give a folder.
pub(crate) fn urls(repo: &Repo, time: Option<SourceDateEpoch>) -> Result<Vec<Url>> {
    let time = time.filter(|time| time.0 != 0);
    let times = match (&repo.kind, time) {
        (_, None) => Vec::new(),
        (RepoKind::Deb { .. }, Some(time)) => vec![SourceDateEpoch(time.0.saturating_add(LATER)), time],
        (RepoKind::RpmMd, Some(time)) => vec![time],
    };
    let mut urls = Vec::new();
    for template in &repo.snapshots {
        if template.contains(TIME) {
            for time in &times {
                urls.push(Url::parse(&template.replace(TIME, &folder_name(*time)))?);
            }
        } else {
            urls.push(Url::parse(template)?);
        }
    }
    Ok(urls)
}

/// `YYYYMMDDTHHMMSSZ`, in UTC.
fn folder_name(time: SourceDateEpoch) -> String {
    let (year, month, day, hour, minute, second) = time.civil();
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
#[path = "snapshots_tests.rs"]
mod tests;
