//! `recipe.lock` beside `recipe.toml`: TOML, one line a package, sorted, so that a version bump is one changed line.
//!
//! `repo` names a repository of the recipe, and locations are relative to that, or on its host where its metadata names a base of its own.

use crate::lock::LockedRepository;
use model::{AtomicFile, Digest, Error, Result, SourceDateEpoch, read_input_text};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const SCHEMA: u32 = 1;
/// Bytes. 300 packages take 120 KB.
const LIMIT: u64 = 32 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lockfile {
    pub schema: u32,
    pub epoch: SourceDateEpoch,
    /// Of the recipe's parts that decide the packages: when it differs, the lock is stale.
    pub recipe: Digest,
    #[serde(default)]
    pub packages: Vec<LockedPackage>,
    /// The separate set in which builder-side programs run.
    #[serde(default)]
    pub tools: Vec<LockedPackage>,
    /// Ids that a build gave to accounts which neither the recipe nor a package fixes: kept, so that they do not move. Users first.
    #[serde(default)]
    pub accounts: Vec<LockedAccount>,
    /// The versions of metadata that the packages were chosen from: no older one is accepted later.
    #[serde(default)]
    pub repositories: Vec<LockedRepository>,
}

/// `{ user = "x", id = 998 }` or `{ group = "x", id = 998 }`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum LockedAccount {
    User { user: String, id: u32 },
    Group { group: String, id: u32 },
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    pub name: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub epoch: u32,
    pub version: String,
    pub release: String,
    pub arch: String,
    pub repo: String,
    /// Of the .rpm; only a deb that was not converted yet has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// Bytes of the .rpm; 0 with no `sha256`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size: u64,
    /// Of the .rpm, below the repository; empty when it is made here.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub location: String,
    /// The .deb in its pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_sha256: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_location: Option<String>,
}

/// One difference between two package sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Added(LockedPackage),
    Removed(LockedPackage),
    /// Old and new.
    Changed(Box<LockedPackage>, Box<LockedPackage>),
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// `recipes/x.toml` → `recipes/x.lock`.
pub fn lock_path(recipe: &Path) -> PathBuf {
    recipe.with_extension("lock")
}

impl LockedPackage {
    /// `name-[epoch:]version-release.arch`.
    pub fn nevra(&self) -> String {
        let epoch = if self.epoch == 0 { String::new() } else { format!("{}:", self.epoch) };
        format!("{}-{epoch}{}-{}.{}", self.name, self.version, self.release, self.arch)
    }

    fn check(&self) -> Result<(), String> {
        let rpm = self.sha256.is_some();
        let deb = self.source_sha256.is_some() && self.source_size.is_some() && self.source_location.is_some();
        if !rpm && !deb {
            return Err(format!("package {}: expected sha256, or source_sha256, source_size and source_location", self.nevra()));
        }
        if !deb && (self.location.is_empty() || self.size == 0) {
            return Err(format!("package {}: expected a location and a size", self.nevra()));
        }
        // Whether a whole URL is on the repository's host is known when it is fetched; a .deb is always below its archive.
        let is_whole = |location: &String| location.contains("://");
        if let Some(location) = self.source_location.as_ref().filter(|location| is_whole(location)) {
            return Err(format!("package {}: expected a source_location below the archive, found {location:?}", self.nevra()));
        }
        for location in [Some(&self.location), self.source_location.as_ref()].into_iter().flatten() {
            let leads_out = location.split('/').any(|part| part == "..");
            if location.starts_with('/') || leads_out || location.chars().any(char::is_control) {
                return Err(format!("package {}: expected a location below the repository, found {location:?}", self.nevra()));
            }
        }
        Ok(())
    }
}

impl Lockfile {
    /// Sorts the sets; refuses what could not be fetched and checked.
    pub fn new(epoch: SourceDateEpoch, recipe: Digest, mut packages: Vec<LockedPackage>, mut tools: Vec<LockedPackage>) -> Result<Self> {
        packages.sort();
        tools.sort();
        for package in packages.iter().chain(&tools) {
            package.check().map_err(Error::integrity)?;
        }
        Ok(Lockfile { schema: SCHEMA, epoch, recipe, packages, tools, accounts: Vec::new(), repositories: Vec::new() })
    }

    pub fn read(path: &Path) -> Result<Self> {
        let text = read_input_text(path, LIMIT)?;
        Self::parse(&text).map_err(|e| e.context(path.display()))
    }

    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |message: String| {
            Error::recipe(message).hint("restore the lockfile from version control, or make it anew with `atomic-image lock`")
        };
        let lock: Lockfile = toml::from_str(text).map_err(|e| {
            let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or("");
            wrong(format!("line {}: {}", before.matches('\n').count() + 1, e.message()))
        })?;
        if lock.schema != SCHEMA {
            return Err(wrong(format!("expected schema {SCHEMA}, found {}", lock.schema)));
        }
        let faults: Vec<_> = lock.packages.iter().chain(&lock.tools).filter_map(|p| p.check().err()).collect();
        if faults.is_empty() { Ok(lock) } else { Err(wrong(faults.join("; "))) }
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        AtomicFile::write(path, self.text()?.as_bytes())
    }

    /// The file's whole text.
    pub fn text(&self) -> Result<String> {
        let mut text = String::from("# Generated by `atomic-image lock`; review it, do not edit it.\n");
        let _ = writeln!(text, "schema = {}\nepoch = {} # {}\nrecipe = \"{}\"", self.schema, self.epoch.0, self.epoch, self.recipe);
        for (key, packages) in [("packages", &self.packages), ("tools", &self.tools)] {
            let _ = writeln!(text, "\n{key} = [");
            for package in packages {
                let value = toml::Value::try_from(package).map_err(|e| Error::internal(format!("lock {}", package.nevra())).source(e))?;
                let mut fields: Vec<(usize, String)> = Vec::new();
                for (field, value) in value.as_table().into_iter().flatten() {
                    let place = FIELDS.iter().position(|f| f == field).unwrap_or(FIELDS.len());
                    fields.push((place, format!("{field} = {value}")));
                }
                fields.sort();
                let fields: Vec<_> = fields.into_iter().map(|(_, field)| field).collect();
                let _ = writeln!(text, "  {{ {} }},", fields.join(", "));
            }
            text.push_str("]\n");
        }
        if !self.accounts.is_empty() {
            text.push_str("\naccounts = [\n");
            for account in &self.accounts {
                let (kind, name, id) = match account {
                    LockedAccount::User { user, id } => ("user", user, id),
                    LockedAccount::Group { group, id } => ("group", group, id),
                };
                let _ = writeln!(text, "  {{ {kind} = {}, id = {id} }},", toml::Value::from(name.as_str()));
            }
            text.push_str("]\n");
        }
        if !self.repositories.is_empty() {
            text.push_str("\nrepositories = [\n");
            for repository in &self.repositories {
                let value = |text: &str| toml::Value::from(text);
                let mut fields = vec![format!("repo = {}", value(&repository.repo))];
                if !repository.revision.is_empty() {
                    fields.push(format!("revision = {}", value(&repository.revision)));
                }
                fields.push(format!("time = {}", repository.time.0));
                if let Some(fingerprint) = &repository.signed_by {
                    fields.push(format!("signed_by = {}", value(fingerprint)));
                }
                let _ = writeln!(text, "  {{ {} }}, # {}", fields.join(", "), repository.time);
            }
            text.push_str("]\n");
        }
        Ok(text)
    }

    /// Of the packages alone: not of the accounts' ids, which a build adds and which show in the image themselves, nor of the metadata's versions.
    pub fn digest_of_packages(&self) -> Result<Digest> {
        Ok(Digest::of(Lockfile { accounts: Vec::new(), repositories: Vec::new(), ..self.clone() }.text()?.as_bytes()))
    }

    /// From the older set to the newer, by name and architecture.
    pub fn compare(old: &[LockedPackage], new: &[LockedPackage]) -> Vec<Change> {
        let key = |p: &LockedPackage| (p.name.clone(), p.arch.clone());
        let mut all: BTreeMap<_, (Option<&LockedPackage>, Option<&LockedPackage>)> = BTreeMap::new();
        for package in old {
            all.entry(key(package)).or_default().0 = Some(package);
        }
        for package in new {
            all.entry(key(package)).or_default().1 = Some(package);
        }
        let changes = all.into_values().filter_map(|pair| match pair {
            (Some(old), Some(new)) if old != new => Some(Change::Changed(Box::new(old.clone()), Box::new(new.clone()))),
            (Some(old), None) => Some(Change::Removed(old.clone())),
            (None, Some(new)) => Some(Change::Added(new.clone())),
            _ => None,
        });
        changes.collect()
    }
}

/// What a reviewer looks for stands first.
const FIELDS: [&str; 12] = [
    "name",
    "epoch",
    "version",
    "release",
    "arch",
    "repo",
    "sha256",
    "size",
    "location",
    "source_sha256",
    "source_size",
    "source_location",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str) -> LockedPackage {
        LockedPackage {
            name: name.into(),
            epoch: 0,
            version: version.into(),
            release: "1".into(),
            arch: "x86_64".into(),
            repo: "base".into(),
            sha256: Some(Digest::of(name.as_bytes())),
            size: 100,
            location: format!("Packages/{name} \"x\".rpm"),
            source_sha256: None,
            source_size: None,
            source_location: None,
        }
    }

    fn lock() -> Lockfile {
        let deb = LockedPackage {
            sha256: None,
            size: 0,
            location: String::new(),
            epoch: 2,
            source_sha256: Some(Digest::of(b"deb")),
            source_size: Some(7),
            source_location: Some("pool/z.deb".into()),
            ..package("z", "9")
        };
        Lockfile::new(
            SourceDateEpoch(1_700_000_000),
            Digest::of(b"r"),
            vec![deb, package("b", "1"), package("a", "2")],
            vec![package("t", "1")],
        )
        .unwrap()
    }

    #[test]
    fn what_is_written_reads_back_and_does_not_depend_on_order() {
        let lock = lock();
        let text = lock.text().unwrap();
        let read = Lockfile::parse(&text).unwrap();
        assert_eq!(read, lock);
        assert_eq!(read.text().unwrap(), text);
        let mut reversed = lock.packages.clone();
        reversed.reverse();
        assert_eq!(Lockfile::new(lock.epoch, lock.recipe, reversed, lock.tools.clone()).unwrap().text().unwrap(), text);
        let line = text.lines().find(|l| l.contains("\"a\"")).unwrap();
        assert!(
            line.starts_with("  { name = \"a\", version = \"2\", release = \"1\", arch = \"x86_64\", repo = \"base\", sha256 = "),
            "{line}"
        );
    }

    #[test]
    fn ids_of_accounts_stand_behind_the_packages_and_are_no_part_of_their_digest() {
        let plain = lock();
        let accounts = vec![LockedAccount::User { user: "a".into(), id: 998 }, LockedAccount::Group { group: "b \"c\"".into(), id: 997 }];
        let with_ids = Lockfile { accounts, ..plain.clone() };
        let text = with_ids.text().unwrap();
        assert!(text.ends_with("\naccounts = [\n  { user = \"a\", id = 998 },\n  { group = 'b \"c\"', id = 997 },\n]\n"), "{text}");
        assert_eq!(Lockfile::parse(&text).unwrap(), with_ids);
        assert_eq!(with_ids.digest_of_packages().unwrap(), Digest::of(plain.text().unwrap().as_bytes()));
        for bad in ["{ user = \"a\" }", "{ user = \"a\", group = \"a\", id = 1 }", "{ user = \"a\", id = -1 }"] {
            assert!(Lockfile::parse(&text.replace("{ user = \"a\", id = 998 }", bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_of_metadata_stand_last_and_are_no_part_of_the_packages_digest() {
        let plain = lock();
        let repositories = vec![
            LockedRepository::new("base", "7 \"x\"", SourceDateEpoch(1_700_000_000), None),
            LockedRepository::new("deb", "", SourceDateEpoch(0), Some("ab".into())),
        ];
        let with = Lockfile { repositories, ..plain.clone() };
        let text = with.text().unwrap();
        let end = "\nrepositories = [\n  { repo = \"base\", revision = '7 \"x\"', time = 1700000000 }, # 2023-11-14T22:13:20Z\n  \
                   { repo = \"deb\", time = 0, signed_by = \"ab\" }, # 1970-01-01T00:00:00Z\n]\n";
        assert!(text.ends_with(end), "{text}");
        assert_eq!(Lockfile::parse(&text).unwrap(), with);
        assert_eq!(with.digest_of_packages().unwrap(), Digest::of(plain.text().unwrap().as_bytes()));
        assert!(Lockfile::parse(&plain.text().unwrap()).unwrap().repositories.is_empty(), "an older lockfile has none");
    }

    #[test]
    fn a_damaged_lockfile_is_refused_with_the_place() {
        let text = lock().text().unwrap();
        for (from, to, expected) in [
            ("schema = 1", "schema = 2", "expected schema 1, found 2"),
            ("name = \"b\"", "nmae = \"b\"", "line 8"),
            ("size = 100", "size = \"x\"", "line 7"),
            ("location = 'Packages/a", "location = '../a", "below the repository"),
            ("source_location = \"pool", "source_location = \"http://x/pool", "below the archive"),
            (&Digest::of(b"a").to_string(), "abc", "64 hex digits"),
        ] {
            assert!(text.contains(from), "{from} in {text}");
            let error = Lockfile::parse(&text.replacen(from, to, 1)).unwrap_err();
            assert_eq!(error.kind(), model::Kind::Recipe);
            assert!(error.to_string().contains(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn comparing_names_what_came_went_and_changed() {
        let old = [package("a", "1"), package("b", "1"), package("c", "1")];
        let new = [package("a", "1"), package("b", "2"), package("d", "1")];
        let changes = Lockfile::compare(&old, &new);
        assert_eq!(
            changes,
            [
                Change::Changed(Box::new(package("b", "1")), Box::new(package("b", "2"))),
                Change::Removed(package("c", "1")),
                Change::Added(package("d", "1"))
            ]
        );
    }
}
