//! Writes converted packages as an rpm-md repository that dnf reads: primary and filelists, gzip, and a signed repomd.xml.
//!
//! Packages are hard links (or copies) of the cache's files under `packages/`. Order is by file name, the revision is the newest build time.

use super::{ConvertedRpm, signing};
use model::{AtomicFile, Digest, Error, Result, ResultExt};
use rpm::{DependencyFlags, FileMode, FileType, PackageMetadata};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// Writes `folder` anew: `packages/*.rpm`, `repodata/*`, and `key.asc` for `gpgkey=`.
pub fn write_repository(packages: &[ConvertedRpm], folder: &Path) -> Result<()> {
    let mut entries = Vec::new();
    for package in packages {
        let header = PackageMetadata::open(&package.path).map_err(|e| failed(&package.path, e))?;
        let nevra = header.get_nevra().map_err(|e| failed(&package.path, e))?;
        let location = format!("packages/{}-{}-{}.{}.rpm", nevra.name(), nevra.version(), nevra.release(), nevra.arch());
        entries.push((location, header, package));
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries.dedup_by(|a, b| a.0 == b.0);
    let mut primary = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metadata xmlns=\"http://linux.duke.edu/metadata/common\" xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\" packages=\"{}\">\n",
        entries.len()
    );
    let mut filelists = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<filelists xmlns=\"http://linux.duke.edu/metadata/filelists\" packages=\"{}\">\n",
        entries.len()
    );
    let mut newest = 0;
    std::fs::create_dir_all(folder.join("packages")).context(|| format!("create directory {}", folder.display()))?;
    for (location, header, package) in &entries {
        newest = newest.max(header.get_build_time().map_err(|e| failed(&package.path, e))?);
        describe(header, package, location, &mut primary, &mut filelists).map_err(|e| failed(&package.path, e))?;
        let to = folder.join(location);
        match std::fs::remove_file(&to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).context(|| format!("remove {}", to.display())),
            _ => {}
        }
        if std::fs::hard_link(&package.path, &to).is_err() {
            std::fs::copy(&package.path, &to).context(|| format!("copy to {}", to.display()))?;
        }
    }
    primary.push_str("</metadata>\n");
    filelists.push_str("</filelists>\n");
    let newest = u32::try_from(newest).unwrap_or(u32::MAX);
    let mut repomd = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<repomd xmlns=\"http://linux.duke.edu/metadata/repo\">\n<revision>{newest}</revision>\n"
    );
    for (kind, text) in [("primary", primary), ("filelists", filelists)] {
        let packed = gzip(text.as_bytes()).context(|| format!("compress {kind}"))?;
        let (digest, open) = (Digest::of(&packed), Digest::of(text.as_bytes()));
        let name = format!("repodata/{digest}-{kind}.xml.gz");
        AtomicFile::write(&folder.join(&name), &packed)?;
        _ = writeln!(
            repomd,
            "<data type=\"{kind}\"><checksum type=\"sha256\">{digest}</checksum><open-checksum type=\"sha256\">{open}</open-checksum><location href=\"{name}\"/>\
             <timestamp>{newest}</timestamp><size>{}</size><open-size>{}</open-size></data>",
            packed.len(),
            text.len()
        );
    }
    repomd.push_str("</repomd>\n");
    AtomicFile::write(&folder.join("key.asc"), signing::public_key()?.as_bytes())?;
    AtomicFile::write(&folder.join("repodata/repomd.xml.asc"), signing::sign_detached(repomd.as_bytes(), newest)?.as_bytes())?;
    AtomicFile::write(&folder.join("repodata/repomd.xml"), repomd.as_bytes())
}

fn failed(path: &Path, error: rpm::Error) -> Error {
    Error::integrity(format!("{}: read the header", path.display())).source(error)
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Text and attributes of XML 1.0, which has no control characters but tab and line ends.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() && c != '\n' && c != '\t' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// `[epoch:]version[-release]` as the attributes of `rpm:entry`.
fn version_attributes(evr: &str) -> String {
    let (epoch, rest) = evr.split_once(':').unwrap_or(("0", evr));
    let (version, release) = rest.rsplit_once('-').unwrap_or((rest, ""));
    let release = if release.is_empty() { String::new() } else { format!(" rel=\"{}\"", escape(release)) };
    format!(" epoch=\"{}\" ver=\"{}\"{release}", escape(epoch), escape(version))
}

fn relations(kind: &str, deps: &[rpm::Dependency], out: &mut String) {
    let early = DependencyFlags::SCRIPT_PRE | DependencyFlags::SCRIPT_POST;
    // rpm's own features are no packages.
    let lines: std::collections::BTreeSet<String> = deps
        .iter()
        .filter(|dep| !dep.flags.contains(DependencyFlags::RPMLIB))
        .map(|dep| {
            let compare = match dep.flags.comparator_str() {
                "<" => "LT",
                "<=" => "LE",
                "=" => "EQ",
                ">=" => "GE",
                ">" => "GT",
                _ => "",
            };
            let version =
                if compare.is_empty() { String::new() } else { format!(" flags=\"{compare}\"{}", version_attributes(&dep.version)) };
            let pre = if kind == "requires" && dep.flags.intersects(early) { " pre=\"1\"" } else { "" };
            format!("<rpm:entry name=\"{}\"{version}{pre}/>\n", escape(&dep.name))
        })
        .collect();
    if !lines.is_empty() {
        _ = writeln!(out, "<rpm:{kind}>\n{}</rpm:{kind}>", lines.into_iter().collect::<String>());
    }
}

/// What dnf looks for without filelists: programs and configuration.
fn is_primary(path: &str) -> bool {
    path.starts_with("/etc/") || path.contains("/bin/") || path.contains("/sbin/") || path == "/usr/lib/sendmail"
}

fn describe(
    header: &PackageMetadata,
    package: &ConvertedRpm,
    location: &str,
    primary: &mut String,
    filelists: &mut String,
) -> Result<(), rpm::Error> {
    let nevra = header.get_nevra()?;
    let epoch = if nevra.epoch().is_empty() { "0" } else { nevra.epoch() };
    let version = format!("<version epoch=\"{epoch}\" ver=\"{}\" rel=\"{}\"/>", escape(nevra.version()), escape(nevra.release()));
    let offsets = header.get_package_segment_offsets();
    let time = header.get_build_time()?;
    _ = writeln!(
        primary,
        "<package type=\"rpm\"><name>{}</name><arch>{}</arch>{version}<checksum type=\"sha256\" pkgid=\"YES\">{}</checksum>\n<summary>{}</summary><description>{}</description>\
         <packager/><url/><time file=\"{time}\" build=\"{time}\"/><size package=\"{}\" installed=\"{}\" archive=\"0\"/><location href=\"{}\"/>\n<format><rpm:license>{}</rpm:license>\
         <rpm:vendor>Debian</rpm:vendor><rpm:group/><rpm:buildhost/><rpm:sourcerpm/><rpm:header-range start=\"{}\" end=\"{}\"/>",
        escape(nevra.name()),
        escape(nevra.arch()),
        package.sha256,
        escape(header.get_summary()?),
        escape(header.get_description()?),
        package.size,
        header.get_installed_size()?,
        escape(location),
        escape(header.get_license()?),
        offsets.header,
        offsets.payload
    );
    relations("provides", &header.get_provides()?, primary);
    relations("requires", &header.get_requires()?, primary);
    relations("conflicts", &header.get_conflicts()?, primary);
    relations("obsoletes", &header.get_obsoletes()?, primary);
    relations("recommends", &header.get_recommends()?, primary);
    relations("suggests", &header.get_suggests()?, primary);
    relations("enhances", &header.get_enhances()?, primary);
    _ = writeln!(
        filelists,
        "<package pkgid=\"{}\" name=\"{}\" arch=\"{}\">{version}",
        package.sha256,
        escape(nevra.name()),
        escape(nevra.arch())
    );
    for file in header.get_file_entries()? {
        let path = file.path().to_string_lossy().into_owned();
        let mode: FileMode = file.mode();
        let kind = if mode.file_type() == FileType::Dir { " type=\"dir\"" } else { "" };
        let line = format!("<file{kind}>{}</file>\n", escape(&path));
        if is_primary(&path) {
            primary.push_str(&line);
        }
        filelists.push_str(&line);
    }
    primary.push_str("</format></package>\n");
    filelists.push_str("</package>\n");
    Ok(())
}
