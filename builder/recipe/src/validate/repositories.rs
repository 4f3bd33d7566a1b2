//! `[[repo]]`, `[packages]` and `[tools]`: where packages come from, whom they are trusted from, which are wanted.

use super::super::Weakness;
use super::super::raw::{Faults, nearest};
use super::super::reader::{At, Reader};
use super::{absolute, names, siblings};
use crate::recipe::*;
use model::{Arch, Digest, OptionJudged, read_regular};
use std::path::{Path, PathBuf};

/// With the id of every row, also of those that have faults.
pub(super) fn repos(top: &mut Reader<'_>, folder: &Path, faults: &Faults) -> (Vec<Repo>, Vec<String>) {
    let rows = top.rows("repo");
    if rows.is_empty() {
        top.missing("repo", Some("add a [[repo]] with id, type, url or metalink, and keys".into()));
    }
    let mut ids: Vec<String> = Vec::new();
    let mut repos = Vec::new();
    for mut row in rows {
        let at = row.at.clone();
        let id = row.required_typed("id", names::own_name);
        if let Some(id) = &id {
            if ids.contains(&id.value) {
                faults.add(&id.at, format!("two repositories with id `{}`", id.value), None);
            }
            ids.push(id.value.clone());
        }
        let is_missing = !row.has("type");
        let deb = row.choice("type", &[("rpm-md", false), ("deb", true)]);
        if is_missing {
            row.missing("type", Some("\"rpm-md\" or \"deb\"".into()));
        }
        let source = source(&mut row, deb);
        if deb == Some(true)
            && let Some(keys) = row.place_of("keys", Some("unsigned"))
        {
            faults.add(&keys, "`keys` must name key files for a repository of type \"deb\": such an archive is always signed", None);
        }
        let snapshots = snapshots(&mut row, deb == Some(true));
        let trust = trust(&mut row, folder, faults);
        let kind = deb_kind(&mut row, deb == Some(true), faults);
        let priority = row.number("priority").map_or(99, |priority| priority.value);
        let packages = patterns(&mut row, "packages");
        let exclude = patterns(&mut row, "exclude");
        let metadata = metadata_trust(&mut row, source.as_ref(), trust.as_ref());
        let allow_expired = row.flag("allow-expired", false);
        let mut relax = row.choices("relax", &Weakness::ALL.map(|weakness| (weakness.name(), weakness)));
        relax.sort();
        relax.dedup();
        if deb == Some(true) && !relax.is_empty() {
            row.faults.add(&at, "`relax` is for repositories of type \"rpm-md\" only", None);
        }
        row.finish();
        if let (Some(id), Some(source), Some(trust), Some(kind)) = (id, source, trust, kind) {
            repos.push(Repo { id: id.value, kind, source, snapshots, trust, priority, packages, exclude, metadata, allow_expired, relax });
        } else if faults.is_empty() {
            faults.add(&at, "this repository cannot be used", None);
        }
    }
    (repos, ids)
}

/// Exactly one of `url`, `metalink`, `mirrorlist` and `mirror`.
fn source(row: &mut Reader<'_>, deb: Option<bool>) -> Option<RepoSource> {
    let found: Vec<(&str, At<String>)> =
        ["url", "metalink", "mirrorlist", "mirror"].into_iter().filter_map(|key| Some((key, row.text(key)?))).collect();
    let [(key, text)] = found.as_slice() else {
        match found.get(1) {
            Some((second, text)) => {
                row.faults.add(&text.at, format!("both `{}` and `{second}`", found.first().map_or("", |f| f.0)), Some("keep one".into()))
            }
            None => row.missing("url", Some("or `metalink`, `mirrorlist`, and for type \"deb\" `mirror = \"apt\"`".into())),
        }
        return None;
    };
    if *key == "mirror" {
        if text.value != "apt" {
            row.faults.add(&text.at, format!("`mirror` must be \"apt\", found {:?}", text.value), None);
        } else if deb == Some(false) {
            row.faults.add(&text.at, "`mirror` is for repositories of type \"deb\" only", Some("give a `url`".into()));
        }
        return Some(RepoSource::AptMirror);
    }
    if *key != "url" && deb == Some(true) {
        row.faults.add(&text.at, format!("`{key}` is for repositories of type \"rpm-md\" only"), Some("give a `url`".into()));
    }
    let address = address(row, key, text)?;
    Some(match *key {
        "metalink" => RepoSource::Metalink(address),
        "mirrorlist" => RepoSource::Mirrorlist(address),
        _ => RepoSource::Url(address),
    })
}

/// Where the time of the locked metadata goes in a `snapshots` URL.
const TIME: &str = "{time}";

/// Parses the URL templates of archives that forget nothing. The archive of a Debian suite has one folder for each time, so `{time}` is added
/// at the end where it is left out.
fn snapshots(row: &mut Reader<'_>, deb: bool) -> Vec<String> {
    // A time as the archive writes it, which is valid in a URL and in a path.
    const STAND_IN: &str = "00000101T000000Z";
    let mut templates = Vec::new();
    for text in row.text_or_texts("snapshots") {
        let known = At { at: text.at.clone(), value: text.value.replace(TIME, STAND_IN) };
        let Some(address) = address(row, "snapshots", &known) else { continue };
        let template = address.trim_end_matches('/').replace(STAND_IN, TIME);
        templates.push(if deb && !template.contains(TIME) { format!("{template}/{TIME}") } else { template });
    }
    templates
}

/// An http, https or file URL; a path is relative to the file that has it.
fn address(row: &Reader<'_>, key: &str, text: &At<String>) -> Option<String> {
    let value = if key == "url" && !text.value.contains('?') { text.value.trim_end_matches('/') } else { text.value.as_str() };
    if value.contains("://")
        && value.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}'))
    {
        row.faults.add(
            &text.at,
            format!("`{key}` holds a character that no URL has, found {:?}", text.value),
            Some("write it as %XX".into()),
        );
        return None;
    }
    if ["http://", "https://", "file:///"].iter().any(|scheme| value.starts_with(scheme)) {
        return Some(value.to_owned());
    }
    if value.contains("://") {
        // The rest may hold a password.
        let scheme = value.split("://").next().unwrap_or(value);
        row.faults.add(&text.at, format!("`{key}` must start with http://, https:// or file:///, found \"{scheme}://\""), None);
        return None;
    }
    let local = absolute(&text.at.file).parent().unwrap_or(Path::new("/")).join(value);
    // A path is no URL: what would mean something in one is escaped.
    let escaped = local.display().to_string().replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    Some(format!("file://{escaped}"))
}

/// By default a signature, or the digest of a metalink where there is one: its publishers sign packages only.
fn metadata_trust(row: &mut Reader<'_>, source: Option<&RepoSource>, trust: Option<&Trust>) -> MetadataTrust {
    let at = row.at.clone();
    let choices = [("signed", MetadataTrust::Signed), ("metalink", MetadataTrust::Metalink), ("unsigned", MetadataTrust::Unsigned)];
    let chosen = row.choice("metadata", &choices);
    if matches!(trust, Some(Trust::Unsigned)) && chosen == Some(MetadataTrust::Signed) {
        row.faults.add(&at, "`metadata = \"signed\"` without keys", Some("name the key files in `keys`".into()));
    }
    match (chosen, source) {
        (Some(MetadataTrust::Metalink), Some(RepoSource::Metalink(_))) | (None, Some(RepoSource::Metalink(_))) => {
            if let Some(RepoSource::Metalink(address)) = source
                && address.starts_with("http://")
                && !matches!(trust, Some(Trust::Unsigned))
            {
                let hint = "use https, or write `metadata = \"unsigned\"`: packages are checked against the keys in any case";
                row.faults.add(&at, "a metalink over http proves nothing about the metadata", Some(hint.into()));
            }
            MetadataTrust::Metalink
        }
        (Some(MetadataTrust::Metalink), _) => {
            row.faults.add(&at, "`metadata = \"metalink\"` without a metalink", None);
            MetadataTrust::Metalink
        }
        (Some(chosen), _) => chosen,
        (None, _) if matches!(trust, Some(Trust::Unsigned)) => MetadataTrust::Unsigned,
        (None, _) => MetadataTrust::Signed,
    }
}

/// Where a key file is: beside the file that names it, else beside the recipe, so that includes can share recipes/keys.
pub(super) fn key_path(name: &At<String>, folder: &Path) -> PathBuf {
    let beside = absolute(&name.at.file).parent().unwrap_or(Path::new("/")).join(&name.value);
    let shared = folder.join(&name.value);
    if shared.exists() && !beside.exists() { shared } else { beside }
}

fn trust(row: &mut Reader<'_>, folder: &Path, faults: &Faults) -> Option<Trust> {
    let hint = "name the key files, or write `keys = \"unsigned\"`";
    if let Some(at) = row.place_of("keys", None) {
        faults.add(&at, "`keys` is empty", Some(hint.into()));
    }
    let is_missing = !row.has("keys");
    let names = match row.word_or_texts("keys", "unsigned") {
        Some(Ok(())) => {
            if let Some(from) = row.text("keys-from") {
                row.faults.add(&from.at, "`keys-from` without keys", None);
            }
            return Some(Trust::Unsigned);
        }
        Some(Err(names)) if !names.is_empty() => names,
        Some(Err(_)) | None => {
            if is_missing {
                row.missing("keys", Some(hint.into()));
            }
            return None;
        }
    };
    let from = row.text("keys-from");
    if let Some(from) = from.as_ref().filter(|from| !from.value.starts_with("https://")) {
        row.faults.add(&from.at, format!("`keys-from` must start with https://, found {:?}", from.value), None);
    }
    let mut keys = Vec::new();
    for name in &names {
        let path = key_path(name, folder);
        match read_regular(&path, KeyFile::MAX) {
            Ok(bytes) => keys.push(KeyFile { path, digest: Digest::of(&bytes) }),
            Err(e) => {
                let near = siblings(&path)
                    .into_iter()
                    .map(|sibling| Path::new(&name.value).with_file_name(sibling).display().to_string())
                    .collect::<Vec<_>>();
                faults.add(
                    &name.at,
                    format!("cannot read key file {:?}: {e}", name.value),
                    match &from {
                        Some(from) => Some(how_to_get(&from.value, &path)),
                        None => nearest(&name.value, near.iter().map(String::as_str)),
                    },
                );
            }
        }
    }
    (keys.len() == names.len()).then_some(Trust::Keys(keys))
}

/// Keys come to the recipe by hand, once: what fetched them by itself would trust whoever answers.
fn how_to_get(from: &str, path: &Path) -> String {
    let stem =
        path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).default_because("a file without a name has no stem to compare");
    let fingerprint = stem.len() >= 40 && stem.bytes().all(|b| b.is_ascii_hexdigit());
    let compare = match fingerprint {
        true => format!("; `gpg --show-keys` must say the fingerprint {stem}"),
        false => "; compare its fingerprint with what the publisher says".to_owned(),
    };
    format!("download it from {from} to {}{compare}", path.display())
}

fn deb_kind(row: &mut Reader<'_>, deb: bool, faults: &Faults) -> Option<RepoKind> {
    let is_missing = !row.has("suite");
    let suite = row.typed("suite", names::archive_word);
    let components = row.typed_texts("components", names::archive_word);
    let arch = row.typed("arch", names::component);
    if deb {
        if is_missing {
            row.missing("suite", Some("such as \"trixie\"".into()));
        }
        let components = if components.is_empty() { vec!["main".to_owned()] } else { components.into_iter().map(|c| c.value).collect() };
        return Some(RepoKind::Deb {
            suite: suite?.value,
            components,
            arch: arch.map_or_else(|| Arch::TARGET.deb().to_owned(), |arch| arch.value),
        });
    }
    for at in [suite.map(|s| s.at), components.first().map(|c| c.at.clone()), arch.map(|a| a.at)].into_iter().flatten() {
        faults.add(&at, "`suite`, `components` and `arch` are for repositories of type \"deb\" only", None);
    }
    Some(RepoKind::RpmMd)
}

fn patterns(section: &mut Reader<'_>, key: &'static str) -> Vec<String> {
    section.typed_texts(key, names::package_pattern).into_iter().map(|pattern| pattern.value).collect()
}

/// `[tools]`; `ids`: of the recipe's repositories.
pub(super) fn tool_set(mut section: Reader<'_>, ids: &[&str]) -> PackageSet {
    let mut repos = Vec::new();
    for repo in section.texts("repos") {
        if !ids.contains(&repo.value.as_str()) {
            let hint = nearest(&repo.value, ids.iter().copied());
            section.faults.add(&repo.at, format!("no [[repo]] has the id {:?}", repo.value), hint);
        }
        repos.push(repo.value);
    }
    PackageSet { repos, ..package_set(section) }
}

pub(super) fn package_set(mut section: Reader<'_>) -> PackageSet {
    let mut install = section.plain_texts("install");
    let mut exclude = patterns(&mut section, "exclude");
    for list in [&mut install, &mut exclude] {
        list.sort();
        list.dedup();
    }
    let weak = section.flag("weak", false);
    let multilib = section.flag("multilib", false);
    let modules = modules(&mut section);
    let installonly = patterns(&mut section, "installonly");
    section.finish();
    PackageSet { install, exclude, weak, multilib, modules, installonly, repos: Vec::new() }
}

/// `name:stream`, sorted.
fn modules(section: &mut Reader<'_>) -> Vec<String> {
    let mut modules: Vec<String> = Vec::new();
    for module in section.texts("modules") {
        match names::module(&module.value) {
            Some((name, stream)) => {
                if modules.iter().any(|other| other.split_once(':').is_some_and(|(n, s)| n == name && s != stream)) {
                    section.faults.add(&module.at, format!("two streams of the module {name}"), Some("keep one".into()));
                }
                modules.push(module.value);
            }
            _ => section.faults.add(
                &module.at,
                format!("`modules` must be name:stream, found {:?}", module.value),
                Some("such as \"nodejs:20\"".into()),
            ),
        }
    }
    modules.sort();
    modules.dedup();
    modules
}
