//! `[[repo]]`, `[packages]` and `[tools]`: where packages come from, whom they are trusted from, which are wanted.

use super::super::model::*;
use super::super::raw::{Faults, nearest};
use super::super::reader::Reader;
use super::{absolute, check_name, siblings};
use crate::base::Digest;
use std::path::Path;

pub(super) fn repos(top: &mut Reader<'_>, folder: &Path, faults: &Faults) -> Vec<Repo> {
    let rows = top.rows("repo");
    if rows.is_empty() {
        top.missing("repo", Some("add a [[repo]] with id, type, url and keys".into()));
    }
    let mut ids: Vec<String> = Vec::new();
    let mut repos = Vec::new();
    for mut row in rows {
        let at = row.at.clone();
        let id = row.required_text("id").filter(|id| check_name(id, faults));
        if let Some(id) = &id {
            if ids.contains(&id.value) {
                faults.add(&id.at, format!("two repositories with id `{}`", id.value), None);
            }
            ids.push(id.value.clone());
        }
        let deb = row.choice("type", &[("rpm-md", false), ("deb", true)]);
        if deb.is_none() {
            row.missing("type", Some("\"rpm-md\" or \"deb\"".into()));
        }
        let source = source(&mut row, deb);
        let trust = trust(&mut row, folder, faults);
        let kind = deb_kind(&mut row, deb == Some(true), faults);
        let priority = row.number("priority").unwrap_or(99);
        let packages = row.plain_texts("packages");
        let allow_expired = row.flag("allow-expired", false);
        row.finish();
        if let (Some(id), Some(source), Some(trust), Some(kind)) = (id, source, trust, kind) {
            repos.push(Repo { id: id.value, kind, source, trust, priority, packages, allow_expired });
        } else if faults.is_empty() {
            faults.add(&at, "this repository cannot be used", None);
        }
    }
    repos
}

fn source(row: &mut Reader<'_>, deb: Option<bool>) -> Option<RepoSource> {
    let mirror_at = row.text("mirror");
    let url = row.text("url");
    match (mirror_at, url) {
        (Some(mirror), None) => {
            if mirror.value != "apt" {
                row.faults.add(&mirror.at, format!("`mirror` must be \"apt\", found {:?}", mirror.value), None);
            } else if deb == Some(false) {
                row.faults.add(&mirror.at, "`mirror` is for repositories of type \"deb\" only", Some("give a `url`".into()));
            }
            Some(RepoSource::AptMirror)
        }
        (None, Some(url)) => {
            let text = url.value.trim_end_matches('/');
            if ["http://", "https://", "file:///"].iter().any(|scheme| text.starts_with(scheme)) {
                return Some(RepoSource::Url(text.to_owned()));
            }
            if text.contains("://") {
                row.faults.add(&url.at, format!("`url` must start with http://, https:// or file:///, found {:?}", url.value), None);
                return None;
            }
            let local = absolute(&url.at.file).parent().unwrap_or(Path::new("/")).join(text);
            Some(RepoSource::Url(format!("file://{}", local.display())))
        }
        (Some(mirror), Some(_)) => {
            row.faults.add(&mirror.at, "both `mirror` and `url`", Some("keep one".into()));
            None
        }
        (None, None) => {
            row.missing("url", Some("or `mirror = \"apt\"` for type \"deb\"".into()));
            None
        }
    }
}

/// Key files are looked for beside the file that names them, then beside the recipe, so that includes can share recipes/keys.
fn trust(row: &mut Reader<'_>, folder: &Path, faults: &Faults) -> Option<Trust> {
    let hint = "name the key files, or write `keys = \"unsigned\"`";
    let names = match row.word_or_texts("keys", "unsigned") {
        Some(Ok(())) => return Some(Trust::Unsigned),
        Some(Err(names)) if !names.is_empty() => names,
        Some(Err(_)) | None => {
            row.missing("keys", Some(hint.into()));
            return None;
        }
    };
    let mut keys = Vec::new();
    for name in &names {
        let beside = absolute(&name.at.file).parent().unwrap_or(Path::new("/")).join(&name.value);
        let path = if beside.exists() { beside } else { folder.join(&name.value) };
        match std::fs::read(&path) {
            Ok(bytes) => keys.push(KeyFile { path, digest: Digest::of(&bytes) }),
            Err(e) => {
                let near = siblings(&path)
                    .into_iter()
                    .map(|sibling| Path::new(&name.value).with_file_name(sibling).display().to_string())
                    .collect::<Vec<_>>();
                faults.add(
                    &name.at,
                    format!("cannot read key file {:?}: {e}", name.value),
                    nearest(&name.value, near.iter().map(String::as_str)),
                );
            }
        }
    }
    (keys.len() == names.len()).then_some(Trust::Keys(keys))
}

fn deb_kind(row: &mut Reader<'_>, deb: bool, faults: &Faults) -> Option<RepoKind> {
    let suite = row.text("suite");
    let components = row.texts("components");
    let arch = row.text("arch");
    if deb {
        if suite.is_none() {
            row.missing("suite", Some("such as \"trixie\"".into()));
        }
        let components = if components.is_empty() { vec!["main".to_owned()] } else { components.into_iter().map(|c| c.value).collect() };
        return Some(RepoKind::Deb { suite: suite?.value, components, arch: arch.map_or_else(|| "amd64".to_owned(), |arch| arch.value) });
    }
    for at in [suite.map(|s| s.at), components.first().map(|c| c.at.clone()), arch.map(|a| a.at)].into_iter().flatten() {
        faults.add(&at, "`suite`, `components` and `arch` are for repositories of type \"deb\" only", None);
    }
    Some(RepoKind::RpmMd)
}

pub(super) fn package_set(mut section: Reader<'_>, claims_repos: bool) -> PackageSet {
    let mut install = section.plain_texts("install");
    let mut exclude = section.plain_texts("exclude");
    for list in [&mut install, &mut exclude] {
        list.sort();
        list.dedup();
    }
    let weak = section.flag("weak", false);
    let repos = if claims_repos { section.plain_texts("repos") } else { Vec::new() };
    section.finish();
    PackageSet { install, exclude, weak, repos }
}
