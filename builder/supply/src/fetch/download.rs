//! The locked packages' files, several at a time, each under its digest. `verify` checks what is in them.

use crate::net::{Client, Mirrors, Pinned};
use model::{Digest, Error, Progress, Result};
use recipe::lock::LockedPackage;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Enough to hide latency, few enough to be a polite guest of a mirror.
const AT_ONCE: usize = 4;

/// Where a package's file is kept.
pub fn rpm_path(cache: &Path, digest: &Digest) -> PathBuf {
    cache.join("rpms").join(format!("{digest}.rpm"))
}

/// Where the deb is kept that a package is made from.
pub fn deb_path(cache: &Path, digest: &Digest) -> PathBuf {
    cache.join("debs").join(format!("{digest}.deb"))
}

/// Brings what is absent; returns each package's file in the packages' order: its .rpm, or its .deb if the .rpm is yet to be made.
///
/// `mirrors` are those of the packages' repository; asked for only if something is absent. The error is that of the first package in order
/// that failed.
pub fn download(
    client: &Client,
    packages: &[LockedPackage],
    mirrors: &dyn Fn() -> Result<Mirrors>,
    cache: &Path,
    progress: &dyn Progress,
) -> Result<Vec<PathBuf>> {
    let jobs = packages.iter().map(|package| Job::of(package, cache)).collect::<Result<Vec<_>>>()?;
    // Whoever opens a file checks its digest: here only its size is looked at.
    let present = jobs.iter().all(|job| std::fs::metadata(&job.path).is_ok_and(|m| m.is_file() && m.len() == job.size));
    if present {
        return Ok(jobs.into_iter().map(|job| job.path).collect());
    }
    let mirrors = mirrors()?;
    progress.begin("download", jobs.iter().map(|job| job.size).sum(), "bytes");
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let errors: Mutex<Vec<(usize, Error)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(jobs.len()) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(number) else { break };
                    if let Err(error) = job.bring(client, &mirrors, progress) {
                        failed.store(true, Ordering::Relaxed);
                        let mut errors = errors.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                        errors.push((number, error.context(format_args!("package {}", job.nevra))));
                    }
                }
            });
        }
    });
    let mut errors = errors.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    errors.sort_by_key(|(number, _)| *number);
    match errors.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(jobs.into_iter().map(|job| job.path).collect()),
    }
}

struct Job {
    nevra: String,
    /// Below the mirrors, or a whole URL on the host of one.
    location: String,
    path: PathBuf,
    size: u64,
    digest: Digest,
}

impl Job {
    fn of(package: &LockedPackage, cache: &Path) -> Result<Self> {
        let nevra = package.nevra.to_string();
        let rpm = package.sha256.map(|digest| (rpm_path(cache, &digest), package.size, digest, package.location.as_str()));
        let deb = match (package.source_sha256, package.source_size, package.source_location.as_deref()) {
            (Some(digest), Some(size), Some(location)) => Some((deb_path(cache, &digest), size, digest, location)),
            _ => None,
        };
        // A converted package is in no repository: either it was made here before, or its deb is needed again.
        let made = rpm.as_ref().is_some_and(|(path, ..)| path.exists());
        let (path, size, digest, location) = match (rpm, deb) {
            (Some(rpm), None) => rpm,
            (Some(rpm), Some(_)) if made => rpm,
            (_, Some(deb)) => deb,
            (None, None) => return Err(Error::integrity(format!("package {nevra}: the lockfile has no digest of it"))),
        };
        // Converted packages are written atomically, so their size is not checked.
        let size = if made { std::fs::metadata(&path).map_or(size, |m| m.len()) } else { size };
        Ok(Job { nevra, location: location.to_owned(), path, size, digest })
    }

    fn bring(&self, client: &Client, mirrors: &Mirrors, progress: &dyn Progress) -> Result<()> {
        mirrors.download(client, &self.location, &Pinned { to: &self.path, size: self.size, digest: &self.digest }, progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tests::{Server, ok, quick, status};
    use model::{Kind, Silent};
    use packages::evr::{Evr, Nevra};

    fn package(name: &str) -> LockedPackage {
        LockedPackage {
            sha256: Some(Digest::of(name.as_bytes())),
            size: name.len() as u64,
            location: format!("p/{name}"),
            ..LockedPackage::new(Nevra::new(name, Evr::new(0, "1", "1"), "noarch"), "r")
        }
    }

    fn run(server: &Server, packages: &[LockedPackage], cache: &Path) -> Result<Vec<PathBuf>> {
        let base = server.at("base");
        download(&quick(false), packages, &|| Ok(Mirrors::one(base.clone())), cache, &Silent)
    }

    #[test]
    fn every_package_comes_once_under_its_digest() {
        let server = Server::start(|_, path, range| ok(path.trim_start_matches("base/p/").as_bytes(), range));
        let cache = tempfile::tempdir().unwrap();
        let packages: Vec<_> = (0..20).map(|i| package(&format!("package{i}"))).collect();
        for _ in 0..2 {
            let paths = run(&server, &packages, cache.path()).unwrap();
            for (path, package) in paths.iter().zip(&packages) {
                assert_eq!(*path, rpm_path(cache.path(), &package.sha256.unwrap()));
                assert_eq!(std::fs::read(path).unwrap(), package.nevra.name.as_bytes());
            }
        }
        assert_eq!(server.seen.lock().unwrap().len(), 20, "the second run asks for nothing");
    }

    #[test]
    fn a_location_on_another_host_is_refused_before_anything_is_asked() {
        let (server, stranger) = (Server::start(|_, _, range| ok(b"plus+", range)), Server::start(|_, _, range| ok(b"plus+", range)));
        for (location, good) in [
            (server.url("elsewhere/plus%2B"), true),
            ("p/plus+".to_owned(), true),
            (stranger.url("p/plus+"), false),
            ("file:///etc/passwd".to_owned(), false),
            ("https://127.0.0.1/p".to_owned(), false),
            ("/etc/passwd".to_owned(), false),
            ("gopher://x/y".to_owned(), false),
        ] {
            let cache = tempfile::tempdir().unwrap();
            let found = run(&server, &[LockedPackage { location: location.clone(), ..package("plus+") }], cache.path());
            assert_eq!(found.is_ok(), good, "{location}: {found:?}");
            assert!(good || found.unwrap_err().kind() == Kind::Integrity);
        }
        let paths: Vec<String> = server.seen.lock().unwrap().iter().map(|(path, _)| path.clone()).collect();
        assert_eq!(paths, ["elsewhere/plus%2B", "base/p/plus%2B"]);
        assert!(stranger.seen.lock().unwrap().is_empty());
    }

    #[test]
    fn a_package_that_is_gone_is_named() {
        let server = Server::start(|_, _, _| status("404 Not Found"));
        let cache = tempfile::tempdir().unwrap();
        let error = run(&server, &[package("lost")], cache.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Network);
        assert!(error.to_string().starts_with("package lost-1-1.noarch: "), "{error}");
    }
}
