//! `cache verify`: every entry of a cache against what is known of it.

use model::{CheckedFile, Digest, Entry, Facts, Progress, Result, ResultExt, ResultJudged, set_aside};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use supply::fetch::{FoundPack, Pack};
use supply::repos::deb;

/// What was found in one kind of entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VerifiedEntries {
    /// Proven, byte by byte.
    pub good: usize,
    /// Nothing is known of them, since another user or version made them: a build does not believe them either, and makes them anew.
    pub unknown: usize,
    /// They were set aside, as these files.
    pub damaged: Vec<PathBuf>,
}

/// By the name of the cache's folder.
pub type CacheReport = BTreeMap<&'static str, VerifiedEntries>;

enum Verdict {
    Good,
    Unknown,
    Damaged,
    /// Under way, or a part of another entry.
    None,
}

/// Reads all of the cache, and sets aside what is damaged.
pub fn verify_cache(cache: &Path, facts: &Facts, progress: &dyn Progress) -> Result<CacheReport> {
    super::cache::prepare(cache)?;
    let _turns = super::cache::take_turns(&[cache], progress)?;
    // Every byte is to be read, whatever the stamps say.
    facts.distrust();
    let mut report = CacheReport::new();
    type Judge = fn(&Path, &str, &Facts) -> Result<Verdict>;
    let kinds: [(&'static str, Judge); 7] = [
        ("rpms", named_after_contents),
        ("debs", named_after_contents),
        ("deb", named_after_contents),
        ("rpmmd", named_after_contents),
        ("converted", converted),
        ("outputs", output),
        ("packs", pack),
    ];
    for (name, judge) in kinds {
        // The metadata of rpm-md repositories lies one folder deeper.
        let folder = if name == "rpmmd" { cache.join("rpmmd/metadata") } else { cache.join(name) };
        let files = files(&folder)?;
        progress.begin(name, files.len() as u64, "files");
        let verdicts: Vec<(Verdict, &PathBuf)> = files
            .par_iter()
            .map(|path| {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                let verdict = name.map_or(Ok(Verdict::None), |name| judge(path, &name, facts))?;
                progress.advance(1);
                Ok((verdict, path))
            })
            .collect::<Result<_>>()?;
        let mut entries = VerifiedEntries::default();
        for (verdict, path) in verdicts {
            match verdict {
                Verdict::Good => entries.good += 1,
                Verdict::Unknown => entries.unknown += 1,
                Verdict::Damaged => {
                    let aside = set_aside(path)?;
                    progress.warn(&format!("{} is damaged: kept as {}", path.display(), aside.display()));
                    entries.damaged.push(aside);
                }
                Verdict::None => {}
            }
        }
        report.insert(name, entries);
    }
    Ok(report)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let doing = || format!("list {}", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.context(doing)?,
    };
    let mut files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>().context(doing)?;
    files.sort();
    Ok(files)
}

/// The digest that a name begins with.
fn digest_in(name: &str) -> Option<Digest> {
    name.get(..64).and_then(|hex| Digest::parse(hex).none_because("a name that does not begin with a digest is not compared"))
}

/// `None` for what cannot be read as a file.
fn digest_of(path: &Path, facts: &Facts) -> Result<Option<Digest>> {
    let Entry::Open(file, _) = Entry::open(path)? else { return Ok(None) };
    Ok(CheckedFile::scan(file, path, facts.alarm().clone())
        .none_because("a file that cannot be read whole has no digest")
        .map(|(_, digest)| digest))
}

fn judged(found: Option<Digest>, expected: Option<Digest>) -> Verdict {
    match expected {
        None => Verdict::Unknown,
        Some(_) if found == expected => Verdict::Good,
        Some(_) => Verdict::Damaged,
    }
}

/// Downloads: `<sha256>.rpm`, `<sha256>.deb`, `<sha256>.InRelease`, `<sha256>.Packages.xz`, `<sha256>`. Others are verified by signature when they are used.
fn named_after_contents(path: &Path, name: &str, facts: &Facts) -> Result<Verdict> {
    let Some(expected) = digest_in(name) else { return Ok(Verdict::None) };
    if [".part", ".rejected", ".partial"].iter().any(|end| name.ends_with(end)) {
        return Ok(Verdict::None);
    }
    // repomd.xml and lists of mirrors are named after their address.
    if ["repomd.xml", "repomd.xml.asc", "mirrors"].iter().any(|end| name.get(65..) == Some(end)) {
        return Ok(Verdict::Unknown);
    }
    Ok(judged(digest_of(path, facts)?, Some(expected)))
}

fn converted(path: &Path, name: &str, facts: &Facts) -> Result<Verdict> {
    let (Some(deb), true) = (digest_in(name), name.ends_with(".rpm")) else { return Ok(Verdict::None) };
    let made = facts.get(deb::conversion_question(&deb)).filter(|_| name == deb::converted_name(&deb));
    Ok(judged(digest_of(path, facts)?, made))
}

fn output(path: &Path, name: &str, facts: &Facts) -> Result<Verdict> {
    let (Some(inputs), true) = (digest_in(name), name.ends_with(".output")) else { return Ok(Verdict::None) };
    Ok(judged(digest_of(path, facts)?, facts.get(rootfs::output_question(&inputs))))
}

fn pack(path: &Path, name: &str, facts: &Facts) -> Result<Verdict> {
    // The index is read with its pack.
    let (Some(digest), true, Some(packs)) = (digest_in(name), name.ends_with(".pack"), path.parent()) else { return Ok(Verdict::None) };
    Ok(match Pack::open(packs, &digest, facts)? {
        FoundPack::Whole(_) => Verdict::Good,
        FoundPack::Absent => Verdict::Unknown,
        FoundPack::Damaged(_) => Verdict::Damaged,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Silent;

    #[test]
    fn what_is_damaged_is_set_aside_and_what_nobody_vouches_for_is_unknown() {
        let cache = tempfile::tempdir().unwrap();
        let facts = Facts::none();
        let put = |name: &str, bytes: &[u8]| {
            let path = cache.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
        };
        let good = Digest::of(b"good");
        put(&format!("rpms/{good}.rpm"), b"good");
        put(&format!("rpms/{}.rpm", Digest::of(b"other")), b"changed");
        put(&format!("debs/{good}.deb.part"), b"go");
        put(&format!("rpmmd/metadata/{good}"), b"good");
        put(&format!("rpmmd/metadata/{good}.repomd.xml"), b"anything");
        put(&format!("converted/{}", deb::converted_name(&good)), b"made");
        put(&format!("outputs/{good}.output"), b"made");
        put(&format!("packs/{good}.pack"), b"unknown");
        facts.add(deb::conversion_question(&good), Digest::of(b"made"));
        facts.add(rootfs::output_question(&good), Digest::of(b"made before"));
        let report = verify_cache(cache.path(), &facts, &Silent).unwrap();
        let shown: Vec<_> = report.iter().map(|(name, e)| (*name, e.good, e.unknown, e.damaged.len())).collect();
        let expected = [
            ("converted", 1, 0, 0),
            ("deb", 0, 0, 0),
            ("debs", 0, 0, 0),
            ("outputs", 0, 0, 1),
            ("packs", 0, 1, 0),
            ("rpmmd", 1, 1, 0),
            ("rpms", 1, 0, 1),
        ];
        assert_eq!(shown, expected);
        let aside = &report["outputs"].damaged[0];
        assert_eq!(std::fs::read(aside).unwrap(), b"made");
        assert!(!cache.path().join(format!("outputs/{good}.output")).exists());
    }
}
