//! A .deb in memory as a signed .rpm in memory: a pure function, equal bytes for equal input.
//!
//! Times are the .deb's own: files keep theirs, the build time is the newest of them. No build host. The cookie is the .deb's digest.

use super::metadata::evr_text;
use super::scripts::{Phase, scriptlet};
use super::signing;
use crate::repos::PackageMeta;
use crate::repos::deb::elf;
use model::{Digest, Error, ImagePath, Result};
use packages::capability::{Capability, Comparison};
use packages::deb::control::Stanza;
use packages::deb::{Deb, Entry, EntryKind};
use rpm::{BuildConfig, CompressionWithLevel, Dependency, DependencyFlags, FileOptions, FileOptionsBuilder, PackageBuilder, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// zstd's level of the payload: fast, and 12 % bigger than rpm's usual 19. The bytes depend on it.
const ZSTD_LEVEL: i32 = 3;

/// `meta` is the mapping of the .deb's own control file.
pub(super) fn build(deb: Deb, control: &Stanza<'_>, meta: &PackageMeta, deb_digest: &Digest) -> Result<Vec<u8>> {
    let Deb { control: files, entries } = deb;
    let newest = newest(&entries)?;
    let mut builder =
        PackageBuilder::new(&meta.nevra.name, &meta.nevra.evr.version, &meta.license, &meta.nevra.arch, &one_line(&meta.summary));
    builder
        .using_config(BuildConfig::v4().compression(CompressionWithLevel::Zstd(ZSTD_LEVEL)).source_date(newest))
        .release(&meta.nevra.evr.release)
        .description(description(control.get("Description").unwrap_or("")))
        .packager(one_line(control.get("Maintainer").unwrap_or("")))
        .group(one_line(control.get("Section").unwrap_or("unknown")))
        .vendor("Debian")
        .cookie(format!("deb sha256 {deb_digest}"));
    if meta.nevra.evr.epoch != 0 {
        builder.epoch(meta.nevra.evr.epoch);
    }
    if let Some(url) = control.get("Homepage") {
        builder.url(one_line(url));
    }
    dependencies(&mut builder, meta);
    sonames(&mut builder, &entries);
    for phase in Phase::ALL {
        if let Some(bytes) = files.get(phase.file()) {
            let script = scriptlet(&meta.nevra.name, phase, bytes)?;
            match phase {
                Phase::PreInstall => builder.pre_install_script(script),
                Phase::PostInstall => builder.post_install_script(script),
                Phase::PreRemove => builder.pre_uninstall_script(script),
                Phase::PostRemove => builder.post_uninstall_script(script),
            };
        }
    }
    payload(&mut builder, entries, &conffiles(files.get("conffiles").map_or(&[], Vec::as_slice))?)?;

    let mut package = builder.build().map_err(failed)?;
    let signer = rpm::signature::pgp::Signer::new(signing::secret_key()?).map_err(failed)?;
    package.sign_with_timestamp(signer, Timestamp(signing::signature_time(newest))).map_err(failed)?;
    let mut bytes = Vec::new();
    package.write(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn failed(error: rpm::Error) -> Error {
    Error::integrity("build the rpm").source(error)
}

/// Headers refuse control characters.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// deb822's continuation lines without their space, and ` .` as an empty line.
fn description(field: &str) -> String {
    let lines = field.lines().map(|line| {
        let line = line.strip_prefix(' ').unwrap_or(line).trim_end();
        if line == "." { String::new() } else { line.chars().filter(|c| !c.is_control() || *c == '\t').collect() }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn newest(entries: &[Entry]) -> Result<u32> {
    entries.iter().try_fold(0, |newest: u32, entry| Ok(newest.max(mtime(entry)?)))
}

fn mtime(entry: &Entry) -> Result<u32> {
    u32::try_from(entry.mtime).map_err(|_| Error::integrity(format!("{}: the time {} is past 2106", entry.path, entry.mtime)))
}

/// The paths of `conffiles` that are shipped; lines marked remove-on-upgrade name what an older package had.
fn conffiles(bytes: &[u8]) -> Result<BTreeSet<ImagePath>> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::integrity("conffiles: not UTF-8"))?;
    text.lines().map(str::trim).filter(|line| line.starts_with('/')).map(ImagePath::parse).collect()
}

fn dependencies(builder: &mut PackageBuilder, meta: &PackageMeta) {
    for dep in &meta.provides {
        // The builder adds the package's own name.
        if dep.name != meta.nevra.name {
            builder.provides(dependency(dep, DependencyFlags::ANY));
        }
    }
    for dep in &meta.requires {
        let early =
            if meta.requires_pre.contains(dep) { DependencyFlags::SCRIPT_PRE | DependencyFlags::SCRIPT_POST } else { DependencyFlags::ANY };
        builder.requires(dependency(dep, early));
    }
    for dep in &meta.conflicts {
        builder.conflicts(dependency(dep, DependencyFlags::ANY));
    }
    for dep in &meta.obsoletes {
        builder.obsoletes(dependency(dep, DependencyFlags::ANY));
    }
    for dep in &meta.recommends {
        builder.recommends(dependency(dep, DependencyFlags::ANY));
    }
    for dep in &meta.suggests {
        builder.suggests(dependency(dep, DependencyFlags::ANY));
    }
    for dep in &meta.enhances {
        builder.enhances(dependency(dep, DependencyFlags::ANY));
    }
}

fn dependency(dep: &Capability, flags: DependencyFlags) -> Dependency {
    let compare = match dep.compare {
        None => DependencyFlags::ANY,
        Some(Comparison::Less) => DependencyFlags::LESS,
        Some(Comparison::LessEqual) => DependencyFlags::LE,
        Some(Comparison::Equal) => DependencyFlags::EQUAL,
        Some(Comparison::GreaterEqual) => DependencyFlags::GE,
        Some(Comparison::Greater) => DependencyFlags::GREATER,
    };
    Dependency { name: dep.name.to_string(), flags: flags | compare, version: evr_text(dep) }
}

/// `libx.so.1()(64bit)`, as rpm's generators name them, less what the package provides to itself.
fn sonames(builder: &mut PackageBuilder, entries: &[Entry]) {
    let (mut provided, mut needed) = (BTreeSet::new(), BTreeSet::new());
    for entry in entries {
        let EntryKind::File(bytes) = &entry.kind else { continue };
        let Some(dynamic) = elf::dynamic(bytes) else { continue };
        // A program's soname provides nothing; a library is one by its name or its soname.
        provided.extend(dynamic.soname.filter(|name| name.contains(".so")));
        needed.extend(dynamic.needed);
    }
    for name in &provided {
        builder.provides(Dependency { name: format!("{name}()(64bit)"), flags: DependencyFlags::FIND_PROVIDES, version: String::new() });
    }
    for name in needed.difference(&provided) {
        builder.requires(Dependency { name: format!("{name}()(64bit)"), flags: DependencyFlags::FIND_REQUIRES, version: String::new() });
    }
}

/// The entry that a chain of hard links ends at.
fn link_target<'a>(links: &'a BTreeMap<ImagePath, ImagePath>, path: &'a ImagePath) -> &'a ImagePath {
    let mut at = path;
    // A chain longer than there are links is a cycle.
    for _ in 0..=links.len() {
        match links.get(at) {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}

fn payload(builder: &mut PackageBuilder, entries: Vec<Entry>, conffiles: &BTreeSet<ImagePath>) -> Result<()> {
    let links: BTreeMap<ImagePath, ImagePath> = entries
        .iter()
        .filter_map(|e| if let EntryKind::HardLink(target) = &e.kind { Some((e.path.clone(), target.clone())) } else { None })
        .collect();
    let targets: BTreeSet<ImagePath> = links.keys().map(|path| link_target(&links, path).clone()).collect();
    // All names of a file share its first name's contents and attributes.
    let mut shared: BTreeMap<ImagePath, (Vec<u8>, Entry)> = BTreeMap::new();
    let mut seen: BTreeMap<ImagePath, u16> = BTreeMap::new();
    for mut entry in entries {
        let path = entry.path.to_string();
        match (seen.insert(entry.path.clone(), entry.mode), &entry.kind) {
            (None, _) => {}
            // An archive may list a folder twice.
            (Some(mode), EntryKind::Directory) if mode == entry.mode => continue,
            _ => return Err(Error::integrity(format!("{path}: twice in data.tar"))),
        }
        let config = conffiles.contains(&entry.path);
        // Contents move into the builder; what stays is the attributes.
        match std::mem::replace(&mut entry.kind, EntryKind::Fifo) {
            EntryKind::Directory => builder.with_dir_entry(attributes(FileOptions::dir(&path), &entry)?).map_err(failed)?,
            // Links have mode 0777 everywhere; ownership and time are theirs.
            EntryKind::Symlink(target) => builder
                .with_symlink(attributes(FileOptions::symlink(&path, target), &Entry { mode: 0o777, ..entry.clone() })?)
                .map_err(failed)?,
            EntryKind::File(bytes) => {
                let mut options = attributes(FileOptions::new(&path), &entry)?;
                if targets.contains(&entry.path) {
                    options = options.hardlink(&path);
                    shared.insert(entry.path.clone(), (bytes.clone(), entry.clone()));
                }
                builder.with_file_contents(bytes, if config { options.config().noreplace() } else { options }).map_err(failed)?
            }
            EntryKind::HardLink(_) => {
                let target = link_target(&links, &entry.path);
                let (bytes, first) = shared
                    .get(target)
                    .ok_or_else(|| Error::integrity(format!("{path}: a hard link to {target}, which is no file before it")))?;
                let options = attributes(FileOptions::new(&path), first)?.hardlink(target.to_string());
                builder.with_file_contents(bytes.clone(), options).map_err(failed)?
            }
            EntryKind::CharacterDevice(major, minor) => {
                let (major, minor) = device(&path, major, minor)?;
                builder.with_special_file(attributes(FileOptions::character_device(&path, major, minor), &entry)?).map_err(failed)?
            }
            EntryKind::BlockDevice(major, minor) => {
                let (major, minor) = device(&path, major, minor)?;
                builder.with_special_file(attributes(FileOptions::block_device(&path, major, minor), &entry)?).map_err(failed)?
            }
            EntryKind::Fifo => builder.with_special_file(attributes(FileOptions::fifo(&path), &entry)?).map_err(failed)?,
        };
    }
    Ok(())
}

/// RPM headers hold 16 bits of a device.
fn device(path: &str, major: u32, minor: u32) -> Result<(u8, u8)> {
    match (u8::try_from(major), u8::try_from(minor)) {
        (Ok(major), Ok(minor)) => Ok((major, minor)),
        _ => Err(Error::integrity(format!("{path}: the device {major}:{minor} does not fit into an RPM"))),
    }
}

fn attributes(options: FileOptionsBuilder, entry: &Entry) -> Result<FileOptionsBuilder> {
    Ok(options.permissions(entry.mode).user(&entry.user).group(&entry.group).modified_at(Timestamp(mtime(entry)?)))
}
