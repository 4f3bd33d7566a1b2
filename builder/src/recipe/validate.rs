//! From the merged tables to a [`Recipe`]: every key is known, every value makes sense, every named file is there.

use super::include::Merged;
use super::model::*;
use super::output::{Compression, Output, OutputFormat};
use super::raw::{Faults, Node, Place, Value, nearest};
use super::reader::{At, Reader};
use crate::base::{ByteSize, Digest, SourceDateEpoch};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// `None` when a required value is missing or unusable; then there is a fault too.
pub(super) fn recipe(path: &Path, merged: Merged, faults: &Faults) -> Option<Recipe> {
    let path = absolute(path);
    let folder = path.parent().unwrap_or(Path::new("/")).to_path_buf();
    let start = Place { file: merged.files.first().map_or(path.as_path(), |file| file.as_path()).into(), line: 1, column: 1 };
    let mut top = Reader::new("", start, merged.table, faults);

    let name = top.required_text("name").filter(|name| check_name(name, faults));
    let title = top.text("title").map(|title| title.value);
    let reference = top.required_text("ref").filter(|reference| check_reference(reference, faults));
    let version = top.text("version").map(|version| version.value);
    let epoch = top.number("epoch").map(SourceDateEpoch);
    let repos = repos(&mut top, &folder, faults);
    let packages = package_set(top.section("packages"), false);
    let tools = package_set(top.section("tools"), true);
    if packages.install.is_empty() {
        top.missing("packages.install", Some("name at least one package to install".into()));
    }
    let scriptlets = top.rows("scriptlet").into_iter().filter_map(scriptlet).collect();
    let accounts = accounts(top.section("accounts"), faults);
    let attributes = top.rows("attribute").into_iter().filter_map(attribute).collect();
    let links = top.rows("link").into_iter().filter_map(link).collect();
    let copies = top.rows("copy").into_iter().filter_map(copy).collect();
    let units = units(top.section("units"), faults);
    let overlays = overlays(top.section("overlay"), &folder, faults);
    let tuning = tuning(top.section("tuning"), faults);
    let kernel = kernel(top.section("kernel"), faults);
    let initramfs = initramfs(top.section("initramfs"));
    let selinux = selinux(top.section("selinux"));
    let root = root(top.section("root"));
    let (disk, large_sectors) = disk(top.section("disk"));
    let deployments = deployments(top.section("deployments"), faults);
    let output = output(top.section("output"));
    let small: Vec<&str> = output.formats.iter().filter(|format| !format.takes_large_sectors()).map(|format| format.name()).collect();
    if let Some(at) = large_sectors.filter(|_| !small.is_empty()) {
        faults.add(&at, format!("{}: such disks always have sectors of 512 bytes", small.join(", ")), None);
    }
    top.finish();

    let name = name?.value;
    Some(Recipe {
        title: title.unwrap_or_else(|| name.clone()),
        reference: reference?.value,
        version,
        epoch,
        repos,
        packages,
        tools,
        scriptlets,
        accounts,
        attributes,
        links,
        copies,
        units,
        overlays,
        tuning,
        kernel,
        initramfs,
        selinux,
        root,
        disk,
        deployments: Deployments { os: deployments.0.unwrap_or_else(|| name.clone()), rollback: deployments.1 },
        output,
        name,
        sources: merged.files.iter().map(|file| absolute(file)).collect(),
        path,
    })
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

fn check_name(name: &At<String>, faults: &Faults) -> bool {
    let good = name.value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') && !name.value.starts_with('-');
    if !good {
        faults.add(&name.at, format!("a name is made of a-z, 0-9 and -, found {:?}", name.value), None);
    }
    good
}

/// OSTree's rule for refs: words of letters, digits, `-`, `.` and `_` that start with a letter, digit or `_`, joined by `/`.
fn check_reference(reference: &At<String>, faults: &Faults) -> bool {
    let word = |word: &str| {
        word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) && !word.is_empty() && !word.starts_with(['-', '.'])
    };
    let good = reference.value.split('/').all(word);
    if !good {
        faults.add(
            &reference.at,
            format!("`ref` must be words joined by /, found {:?}", reference.value),
            Some("such as \"atomic-host/x86_64/stable\"".into()),
        );
    }
    good
}

fn repos(top: &mut Reader<'_>, folder: &Path, faults: &Faults) -> Vec<Repo> {
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

/// The names beside `path`, sorted.
fn siblings(path: &Path) -> Vec<String> {
    let entries = path.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    let mut names: Vec<String> =
        entries.into_iter().flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
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

fn package_set(mut section: Reader<'_>, claims_repos: bool) -> PackageSet {
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

fn scriptlet(mut row: Reader<'_>) -> Option<ScriptletRule> {
    let package = row.required_text("package");
    let phase =
        row.choice("phase", &[("pre", Phase::Pre), ("post", Phase::Post), ("pretrans", Phase::Pretrans), ("posttrans", Phase::Posttrans)]);
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

fn accounts(mut section: Reader<'_>, faults: &Faults) -> Accounts {
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

fn attribute(mut row: Reader<'_>) -> Option<AttributeRule> {
    let path = row.image_path("path");
    let mode = row.mode("mode");
    let user = row.text("user").map(|user| user.value);
    let group = row.text("group").map(|group| group.value);
    row.finish();
    Some(AttributeRule { path: path?, mode, user, group })
}

fn link(mut row: Reader<'_>) -> Option<LinkRule> {
    let path = row.image_path("path");
    let target = row.required_text("target");
    row.finish();
    Some(LinkRule { path: path?, target: target?.value })
}

fn copy(mut row: Reader<'_>) -> Option<CopyRule> {
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

fn units(mut section: Reader<'_>, faults: &Faults) -> Units {
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
fn overlays(mut section: Reader<'_>, folder: &Path, faults: &Faults) -> Vec<Overlay> {
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

fn tuning(mut section: Reader<'_>, faults: &Faults) -> BTreeMap<String, String> {
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

fn kernel(mut section: Reader<'_>, faults: &Faults) -> Kernel {
    let package = section.text("package").map(|package| package.value);
    let args = section.texts("args");
    for arg in &args {
        if arg.value.contains(char::is_whitespace) && !arg.value.contains('"') {
            faults.add(&arg.at, format!("kernel argument {:?} contains a space", arg.value), Some("write one argument a string".into()));
        }
        if arg.value.starts_with("ostree=") {
            faults.add(&arg.at, "`ostree=` is written by the builder for each deployment", None);
        }
    }
    section.finish();
    Kernel { package, args: args.into_iter().map(|arg| arg.value).collect() }
}

fn initramfs(mut section: Reader<'_>) -> Initramfs {
    let generator = section.choice("generator", &[("dracut", InitramfsGenerator::Dracut), ("none", InitramfsGenerator::None)]);
    let initramfs = Initramfs {
        generator: generator.unwrap_or(InitramfsGenerator::Dracut),
        modules: section.plain_texts("modules"),
        drivers: section.plain_texts("drivers"),
        omit: section.plain_texts("omit"),
    };
    section.finish();
    initramfs
}

fn selinux(mut section: Reader<'_>) -> Selinux {
    let modes = [("disabled", SelinuxMode::Disabled), ("permissive", SelinuxMode::Permissive), ("enforcing", SelinuxMode::Enforcing)];
    let mode = section.choice("mode", &modes).unwrap_or(SelinuxMode::Disabled);
    let policy = section.text("policy").map_or_else(|| "default".to_owned(), |policy| policy.value);
    section.finish();
    Selinux { mode, policy }
}

fn root(mut section: Reader<'_>) -> RootModel {
    let model = section.choice("model", &[("ostree", RootModel::Ostree), ("composefs", RootModel::Composefs)]);
    section.finish();
    model.unwrap_or(RootModel::Ostree)
}

/// With the place where sectors of 4096 bytes are asked for.
fn disk(mut section: Reader<'_>) -> (Disk, Option<Place>) {
    let size = section.size_or_auto("size");
    let esp = section.size("esp").unwrap_or(ByteSize::mib(64));
    let boot = section.size("boot").unwrap_or(ByteSize::mib(512));
    let reserve = section.size("reserve").unwrap_or(ByteSize::mib(1024));
    section.choice("filesystem", &[("ext4", Filesystem::Ext4)]);
    let mut firmware = section.choices("firmware", &[("bios", Firmware::Bios), ("uefi", Firmware::Uefi)]);
    if firmware.is_empty() {
        firmware = vec![Firmware::Bios, Firmware::Uefi];
    }
    firmware.sort();
    firmware.dedup();
    let grow = section.flag("grow", true);
    let sector = section.sector("sector");
    if let Some(at) = sector.as_ref().filter(|sector| sector.value == 4096 && firmware.contains(&Firmware::Bios)) {
        section.faults.add(&at.at, "no BIOS starts from a disk with sectors of 4096 bytes", Some("set firmware = [\"uefi\"]".into()));
    }
    section.finish();
    let large = sector.as_ref().filter(|sector| sector.value == 4096).map(|sector| sector.at.clone());
    let sector = sector.map_or(512, |sector| sector.value);
    (Disk { size, esp, boot, reserve, sector, filesystem: Filesystem::Ext4, firmware, grow }, large)
}

fn deployments(mut section: Reader<'_>, faults: &Faults) -> (Option<String>, Rollback) {
    let os = section.text("os").filter(|os| check_name(os, faults)).map(|os| os.value);
    let rollback = section.choice("rollback", &[("same", Rollback::Same), ("previous", Rollback::Previous)]);
    section.finish();
    (os, rollback.unwrap_or(Rollback::Same))
}

fn output(mut section: Reader<'_>) -> Output {
    let mut formats = section.choices("formats", &OutputFormat::ALL.map(|format| (format.name(), format)));
    if formats.is_empty() {
        formats = vec![OutputFormat::Raw, OutputFormat::Qcow2];
    }
    formats.sort();
    formats.dedup();
    let compression =
        section.choice("compression", &[("zstd", Compression::Zstd), ("zlib", Compression::Zlib), ("none", Compression::None)]);
    section.finish();
    Output { formats, compression: compression.unwrap_or(Compression::Zstd) }
}
