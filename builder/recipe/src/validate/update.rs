//! `[update]` and `[budget]`.

use super::super::reader::{At, Reader};
use super::{names, repositories};
use crate::recipe::KeyFile;
use crate::{Budget, Update};
use model::read_regular_text;
use signing::Certificate;
use std::path::Path;

/// `None` where the recipe has no such section, or where it has faults.
pub(super) fn update(top: &mut Reader<'_>, folder: &Path) -> Option<Update> {
    let wanted = top.has("update");
    let mut section = top.section("update");
    if !wanted {
        return None;
    }
    let url = section.required_typed("url", |text| address(text, &["https://", "http://", "file:///"]));
    let mirrors: Vec<String> =
        section.typed_texts("mirrors", |text| address(text, &["https://", "http://"])).into_iter().map(|mirror| mirror.value).collect();
    if let Some(url) = url.as_ref().filter(|url| !mirrors.is_empty() && url.value.starts_with("file:")) {
        section.faults.add(&url.at, "`url` must start with https:// or http:// if there are mirrors", None);
    }
    let channel = section.typed_or("channel", "stable", names::own_name);
    let has_keys = section.has("keys");
    let named = section.texts("keys");
    if named.is_empty() {
        let hint = "`atomic-image keygen release` makes release.key, which signs, and release.pub, which goes here".to_owned();
        if has_keys {
            section.faults.add(&section.at, "`keys` is empty", Some(hint));
        } else {
            section.missing("keys", Some(hint));
        }
    }
    let keys: Vec<Certificate> = named.iter().filter_map(|name| key(&section, name, folder)).collect();
    let deltas = section.number("deltas");
    if let Some(deltas) = deltas.as_ref().filter(|deltas| deltas.value > Update::MAX_DELTAS) {
        section.faults.add(&deltas.at, format!("`deltas` must be at most {}, found {}", Update::MAX_DELTAS, deltas.value), None);
    }
    let from_nothing = section.flag("from_nothing", false);
    section.finish();
    let deltas = deltas.map_or(Update::DELTAS, |deltas| deltas.value);
    (!keys.is_empty() && keys.len() == named.len()).then_some(Update {
        url: url?.value,
        mirrors,
        channel: channel?,
        keys,
        deltas,
        from_nothing,
    })
}

pub(super) fn budget(mut section: Reader<'_>) -> Budget {
    let budget = Budget { update: section.size("update").map(|size| size.value), size: section.size("size").map(|size| size.value) };
    section.finish();
    budget
}

/// An address stands in every image, in a file of lines.
fn address(text: &str, schemes: &[&str]) -> Result<String, &'static str> {
    let Some(scheme) = schemes.iter().find(|scheme| text.starts_with(**scheme)) else {
        return Err(if schemes.len() > 2 {
            "it must start with https://, http:// or file:///"
        } else {
            "it must start with https:// or http://"
        });
    };
    let host = text.get(scheme.len()..).unwrap_or("").split('/').next().unwrap_or("");
    if !text.bytes().all(|b| b.is_ascii_graphic()) || text.contains([';', '"', '\'', '\\', '#', '?']) {
        return Err("it is a URL without blanks, quotes, query and fragment");
    }
    if host.contains('@') {
        return Err("it must not hold a user or a password, which everybody could read in the image");
    }
    if host.is_empty() && *scheme != "file:///" {
        return Err("it has no host");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn key(section: &Reader<'_>, name: &At<String>, folder: &Path) -> Option<Certificate> {
    let path = repositories::key_path(name, folder);
    let text = match read_regular_text(&path, KeyFile::MAX) {
        Ok(text) => text,
        Err(e) => {
            let hint = "`atomic-image keygen NAME` makes NAME.key, which signs, and NAME.pub, which goes here".to_owned();
            section.faults.add(&name.at, format!("cannot read key file {:?}: {e}", name.value), Some(hint));
            return None;
        }
    };
    match Certificate::parse(&text) {
        Ok(key) => Some(key),
        Err(error) => {
            section.faults.add(&name.at, format!("{:?}: {error}", name.value), None);
            None
        }
    }
}
