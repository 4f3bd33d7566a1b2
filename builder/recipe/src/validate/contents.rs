//! What is in the root besides packages: scriptlet rules, fixes to files, units, overlays, tuning.

use super::super::raw::{Faults, Node, Value, nearest};
use super::super::reader::{At, Reader};
use super::{names, path_patterns, siblings};
use crate::recipe::*;
use conf::account::{AccountId, AccountName};
use model::ImagePath;
use std::collections::BTreeMap;
use std::path::Path;

pub(super) fn scriptlet(mut row: Reader<'_>) -> Option<ScriptletRule> {
    let package = row.required_typed("package", names::package_pattern);
    const PHASES: [Phase; 8] = [
        Phase::Pretrans,
        Phase::Pre,
        Phase::Post,
        Phase::Posttrans,
        Phase::Triggerprein,
        Phase::Triggerin,
        Phase::Filetriggerin,
        Phase::Transfiletriggerin,
    ];
    let phase = row.choice("phase", &PHASES.map(|phase| (phase.name(), phase)));
    let digest = row.text("digest").filter(|digest| {
        let hex = digest.value.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let good = hex && matches!(digest.value.len(), 16 | 64);
        if !good {
            row.faults.add(
                &digest.at,
                format!("`digest` must be the first 16 or all 64 hex digits of a sha256, found {:?}", digest.value),
                None,
            );
        }
        good
    });
    let is_missing = !row.has("policy");
    let policy = row.choice("policy", &[("native", Policy::Native), ("sandbox", Policy::Sandbox), ("skip", Policy::Skip)]);
    if is_missing {
        row.missing("policy", Some("\"native\", \"sandbox\" or \"skip\"".into()));
    }
    let reason = row.required_prose("reason");
    row.finish();
    Some(ScriptletRule { package: package?.value, phase, digest: digest.map(|d| d.value), policy: policy?, reason: reason? })
}

pub(super) fn conflict(mut row: Reader<'_>) -> Option<ConflictRule> {
    let path = row.required_typed("path", names::path_pattern);
    let package = row.required_typed("package", names::package);
    let reason = row.required_prose("reason");
    row.finish();
    Some(ConflictRule { path: path?.value, package: package?.value, reason: reason? })
}

pub(super) fn scriptlet_default(mut section: Reader<'_>) -> DefaultPolicy {
    let default = section.choice("default", &[("refuse", DefaultPolicy::Refuse), ("sandbox", DefaultPolicy::Sandbox)]);
    section.finish();
    default.unwrap_or(DefaultPolicy::Refuse)
}

pub(super) fn attribute(mut row: Reader<'_>) -> Option<AttributeRule> {
    // A number is an owner, too, of files whose account is none of the image's.
    let owner = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
        true => AccountId::parse(text).map(|id| id.to_string()),
        false => AccountName::parse_relaxed(text).map(|name| name.to_string()),
    };
    let path = row.image_path("path");
    let mode = row.mode("mode");
    let user = row.typed("user", owner).map(|user| user.value);
    let group = row.typed("group", owner).map(|group| group.value);
    if !["mode", "user", "group"].iter().any(|key| row.was_given(key)) {
        row.missing("mode", Some("or `user`, or `group`: else the row changes nothing".into()));
    }
    row.finish();
    Some(AttributeRule { path: path?.value, mode, user, group })
}

pub(super) fn links(rows: Vec<Reader<'_>>) -> Vec<LinkRule> {
    let mut links: Vec<LinkRule> = Vec::new();
    for mut row in rows {
        let path = row.image_path("path");
        let target = row.required_text("target");
        if let Some(path) = &path
            && let Some(other) = links.iter().find(|link| link.path == path.value)
            && target.as_ref().is_some_and(|target| target.value != other.target)
        {
            row.faults.add(&path.at, format!("two links at {}, to different targets", path.value), Some("keep one".into()));
        }
        row.finish();
        if let (Some(path), Some(target)) = (path, target) {
            links.push(LinkRule { path: path.value, target: target.value });
        }
    }
    links
}

pub(super) fn copy(mut row: Reader<'_>) -> Option<CopyRule> {
    let from = row.image_path("from");
    let to = row.image_path("to");
    let mode = row.mode("mode");
    if let (Some(from), Some(to)) = (&from, &to)
        && from.value == to.value
    {
        row.faults.add(&to.at, format!("a copy of {} to itself", to.value), None);
    }
    row.finish();
    Some(CopyRule { from: from?.value, to: to?.value, mode })
}

pub(super) fn check_unit(unit: &At<String>, faults: &Faults) {
    if !names::is_unit(&unit.value) {
        let hint = format!("did you mean `{}.service`", unit.value);
        let hint = Some(hint).filter(|_| names::is_unit(&format!("{}.service", unit.value)) && !unit.value.contains('.'));
        faults.add(&unit.at, format!("{:?} is not a unit's name", unit.value), hint);
    }
}

pub(super) fn units(mut section: Reader<'_>, faults: &Faults) -> Units {
    let mut list = |key| {
        let units = section.texts(key);
        units.iter().for_each(|unit| check_unit(unit, faults));
        units
    };
    let (enable, disable, mask) = (list("enable"), list("disable"), list("mask"));
    for unit in disable.iter().chain(&mask) {
        if enable.iter().any(|enabled| enabled.value == unit.value) {
            faults.add(&unit.at, format!("the unit {} is in `enable`, too", unit.value), Some("keep one".into()));
        }
    }
    let default = section.text("default");
    if let Some(default) = &default {
        match default.value.ends_with(".target") {
            true => check_unit(default, faults),
            false => faults.add(&default.at, format!("`default` must be a target, found {:?}", default.value), None),
        }
    }
    section.finish();
    let plain = |units: Vec<At<String>>| units.into_iter().map(|unit| unit.value).collect();
    Units {
        enable: plain(enable),
        disable: plain(disable),
        mask: plain(mask),
        default: default.map_or_else(|| "multi-user.target".to_owned(), |default| default.value),
    }
}

/// Folders below `rootfs-overlay/`, which stands beside the recipe's folder.
pub(super) fn overlays(mut section: Reader<'_>, folder: &Path, faults: &Faults) -> Vec<Overlay> {
    let above = folder.parent().unwrap_or(folder).join("rootfs-overlay");
    let mut overlays: Vec<Overlay> = Vec::new();
    for name in section.texts("folders") {
        let path = above.join(&name.value);
        let inside = Path::new(&name.value).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !inside || !path.is_dir() {
            let near = siblings(&path);
            let hint = nearest(&name.value, near.iter().map(String::as_str));
            faults.add(&name.at, format!("no overlay folder `{}` in {}", name.value, above.display()), hint);
        } else if !overlays.iter().any(|overlay| overlay.name == name.value) {
            overlays.push(Overlay { name: name.value, path });
        }
    }
    section.finish();
    overlays
}

/// Of a sysctl's value, in bytes: a page, which is what the kernel reads.
const MAX_TUNING: usize = 4096;

pub(super) fn tuning(mut section: Reader<'_>, faults: &Faults) -> BTreeMap<String, String> {
    let mut tuning = BTreeMap::new();
    for (key, entry) in section.rest() {
        let Node { at, value } = entry.node;
        if let (Err(why), false) = (names::sysctl(&key), matches!(value, Value::Table(_))) {
            faults.add(&entry.key_at, format!("bad sysctl name {key:?}: {why}"), None);
        }
        match value {
            Value::Text(text) if !text.contains(char::is_control) && text.len() <= MAX_TUNING => tuning.insert(key, text),
            Value::Integer(number) => tuning.insert(key, number.to_string()),
            // An unquoted dotted key nests: `net.ipv4.ip_forward = 1`.
            Value::Table(_) => {
                faults.add(
                    &entry.key_at,
                    format!("sysctl name `{key}…` must be quoted"),
                    Some("such as \"net.ipv4.ip_forward\" = 1".into()),
                );
                None
            }
            other => {
                faults.add(
                    &at,
                    format!("`{key}` must be a string of one line without control characters or an integer, found {}", other.kind()),
                    None,
                );
                None
            }
        };
    }
    section.finish();
    tuning
}

pub(super) fn trim(mut section: Reader<'_>) -> Trim {
    let trim = Trim { paths: path_patterns(&mut section, "paths"), keep: path_patterns(&mut section, "keep") };
    section.finish();
    trim
}

pub(super) fn rpmdb(mut section: Reader<'_>) -> Option<ImagePath> {
    let path = if section.has("path") { section.image_path("path") } else { None };
    let below_usr = |path: &ImagePath| path.components().next() == Some(b"usr") && path.components().count() > 1;
    if let Some(path) = path.as_ref().filter(|path| !below_usr(&path.value)) {
        let hint = "Fedora has it at \"/usr/lib/sysimage/rpm\"; what is in /var does not come with an update";
        section.faults.add(&path.at, format!("`path` must be below /usr, found {}", path.value), Some(hint.into()));
    }
    section.finish();
    path.map(|path| path.value)
}
