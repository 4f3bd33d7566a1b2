//! What is in the root besides packages: scriptlet rules, accounts, fixes to files, units, overlays, tuning.

use super::super::model::*;
use super::super::raw::{Faults, Node, Value, nearest};
use super::super::reader::{At, Reader};
use super::siblings;
use crate::base::ImagePath;
use std::collections::BTreeMap;
use std::path::Path;

pub(super) fn scriptlet(mut row: Reader<'_>) -> Option<ScriptletRule> {
    let package = row.required_text("package");
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
    let policy = row.choice("policy", &[("native", Policy::Native), ("sandbox", Policy::Sandbox), ("skip", Policy::Skip)]);
    if policy.is_none() {
        row.missing("policy", Some("\"native\", \"sandbox\" or \"skip\"".into()));
    }
    let reason = row.required_text("reason");
    row.finish();
    Some(ScriptletRule { package: package?.value, phase, digest: digest.map(|d| d.value), policy: policy?, reason: reason?.value })
}

pub(super) fn conflict(mut row: Reader<'_>) -> Option<ConflictRule> {
    let path = row.required_text("path").filter(|path| {
        let good = path.value.starts_with('/');
        if !good {
            row.faults.add(&path.at, format!("`path` must be an absolute path or a pattern of such, found {:?}", path.value), None);
        }
        good
    });
    let package = row.required_text("package");
    let reason = row.required_text("reason");
    row.finish();
    Some(ConflictRule { path: path?.value, package: package?.value, reason: reason?.value })
}

pub(super) fn scriptlet_default(mut section: Reader<'_>) -> DefaultPolicy {
    let default = section.choice("default", &[("refuse", DefaultPolicy::Refuse), ("sandbox", DefaultPolicy::Sandbox)]);
    section.finish();
    default.unwrap_or(DefaultPolicy::Refuse)
}

pub(super) fn accounts(mut section: Reader<'_>, faults: &Faults) -> Accounts {
    let mut accounts = Accounts::default();
    for mut row in section.rows("users") {
        let at = row.at.clone();
        let name = row.required_text("name");
        let uid = row.required_number("uid");
        let gid = row.number("gid");
        let group = row.text("group").map(|group| group.value);
        let mut free = |key, default: &str| row.text(key).map_or_else(|| default.to_owned(), |text| text.value);
        let (home, shell, gecos) = (free("home", "/"), free("shell", "/usr/sbin/nologin"), free("gecos", ""));
        row.finish();
        let (Some(name), Some(uid)) = (name, uid) else { continue };
        let group = match (gid, group) {
            (Some(_), Some(_)) => {
                faults.add(&at, format!("both `gid` and `group` for user `{}`", name.value), Some("keep one".into()));
                continue;
            }
            (Some(gid), None) => PrimaryGroup::Gid(gid),
            (None, Some(group)) => PrimaryGroup::Name(group),
            (None, None) => PrimaryGroup::Name(name.value.clone()),
        };
        if accounts.users.iter().any(|user| user.name == name.value || user.uid == uid) {
            faults.add(&name.at, format!("user `{}` or uid {uid} is pinned twice", name.value), None);
        }
        accounts.users.push(User { name: name.value, uid, group, home, shell, gecos });
    }
    for mut row in section.rows("groups") {
        let name = row.required_text("name");
        let gid = row.required_number("gid");
        row.finish();
        let (Some(name), Some(gid)) = (name, gid) else { continue };
        if accounts.groups.iter().any(|group| group.name == name.value || group.gid == gid) {
            faults.add(&name.at, format!("group `{}` or gid {gid} is pinned twice", name.value), None);
        }
        accounts.groups.push(Group { name: name.value, gid });
    }
    section.finish();
    accounts
}

pub(super) fn attribute(mut row: Reader<'_>) -> Option<AttributeRule> {
    let path = row.image_path("path");
    let mode = row.mode("mode");
    let user = row.text("user").map(|user| user.value);
    let group = row.text("group").map(|group| group.value);
    row.finish();
    Some(AttributeRule { path: path?, mode, user, group })
}

pub(super) fn link(mut row: Reader<'_>) -> Option<LinkRule> {
    let path = row.image_path("path");
    let target = row.required_text("target");
    row.finish();
    Some(LinkRule { path: path?, target: target?.value })
}

pub(super) fn copy(mut row: Reader<'_>) -> Option<CopyRule> {
    let from = row.image_path("from");
    let to = row.image_path("to");
    let mode = row.mode("mode");
    row.finish();
    Some(CopyRule { from: from?, to: to?, mode })
}

/// systemd.unit(5).
const UNIT_SUFFIXES: [&str; 11] =
    [".service", ".socket", ".timer", ".target", ".path", ".mount", ".automount", ".swap", ".slice", ".scope", ".device"];

fn check_unit(unit: &At<String>, faults: &Faults) {
    if !UNIT_SUFFIXES.iter().any(|suffix| unit.value.ends_with(suffix)) || unit.value.contains('/') {
        faults.add(&unit.at, format!("{:?} is not a unit's name", unit.value), Some(format!("did you mean `{}.service`", unit.value)));
    }
}

pub(super) fn units(mut section: Reader<'_>, faults: &Faults) -> Units {
    let mut list = |key| {
        let units = section.texts(key);
        units.iter().for_each(|unit| check_unit(unit, faults));
        units.into_iter().map(|unit| unit.value).collect()
    };
    let (enable, disable, mask) = (list("enable"), list("disable"), list("mask"));
    let default = section.text("default");
    if let Some(default) = &default {
        check_unit(default, faults);
    }
    section.finish();
    Units { enable, disable, mask, default: default.map_or_else(|| "multi-user.target".to_owned(), |default| default.value) }
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

pub(super) fn tuning(mut section: Reader<'_>, faults: &Faults) -> BTreeMap<String, String> {
    let mut tuning = BTreeMap::new();
    for (key, entry) in section.rest() {
        let Node { at, value } = entry.node;
        match value {
            Value::Text(text) if !text.contains('\n') => tuning.insert(key, text),
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
                faults.add(&at, format!("`{key}` must be a string of one line or an integer, found {}", other.kind()), None);
                None
            }
        };
    }
    section.finish();
    tuning
}

pub(super) fn rpmdb(mut section: Reader<'_>) -> Option<ImagePath> {
    let wanted = section.has("path");
    let path = if wanted { section.image_path("path") } else { None };
    if let Some(path) = &path
        && path.components().next() != Some(b"usr")
    {
        let hint = "Fedora has it at \"/usr/lib/sysimage/rpm\"; what is in /var does not come with an update";
        section.faults.add(&section.at, format!("`path` must be below /usr, found {path}"), Some(hint.into()));
        return None;
    }
    section.finish();
    path
}
