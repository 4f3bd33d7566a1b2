//! `rpm`: looks into a package file, without installing anything.

use super::args::{RpmCommand, RpmFileArguments, RpmShowArguments, RpmVerifyArguments};
use super::{environment, render};
use crate::inspect::package::{self, DependencyRow, PackageReport, PathRow};
use model::Result;
use recipe::Weakness;
use std::path::PathBuf;
use supply::fetch::{Keyring, Policy};

pub(super) fn run(command: &RpmCommand) -> Result<()> {
    match command {
        RpmCommand::Show(arguments) => show(arguments),
        RpmCommand::Dump(arguments) => dump(arguments),
        RpmCommand::Verify(arguments) => verify(arguments),
    }
}

fn keyring(keys: &[PathBuf], relax: &[Weakness]) -> Result<Keyring> {
    Ok(Keyring::load(keys)?.with_policy(Policy { relax: relax.to_vec(), now: Some(environment::now()) }))
}

fn show(arguments: &RpmShowArguments) -> Result<()> {
    let report = package::show(&arguments.file, &keyring(&arguments.key, &arguments.relax)?)?;
    if arguments.json { render::json(&report) } else { render::print(&show_text(&report)) }
}

fn show_text(report: &PackageReport) -> String {
    let fact = |name: &str, value: &str| vec![name.to_owned(), value.trim_end().to_owned()];
    let facts = [
        fact("package", &report.nevra),
        fact("summary", &report.summary),
        fact("license", &report.license),
        fact("vendor", &report.vendor),
        fact("url", &report.url),
        fact("source", &report.source_rpm),
        fact("built", &report.build_time.to_string()),
        fact("contents", &format!("{} paths, {} bytes, {}", report.files, report.installed_size, report.compression)),
        fact("offsets", &format!("header {}, payload {}", report.header_offset, report.payload_offset)),
    ];
    let mut text = render::table(&facts.into_iter().filter(|row| !row[1].is_empty()).collect::<Vec<_>>());
    for (name, list) in [
        ("requires", &report.requires),
        ("provides", &report.provides),
        ("conflicts", &report.conflicts),
        ("obsoletes", &report.obsoletes),
        ("recommends", &report.recommends),
        ("suggests", &report.suggests),
        ("supplements", &report.supplements),
        ("enhances", &report.enhances),
    ] {
        if !list.is_empty() {
            text.push_str(&format!("\n{name}\n"));
            list.iter().for_each(|row| text.push_str(&format!("  {}\n", dependency(row))));
        }
    }
    for script in &report.scriptlets {
        text.push_str(&format!("\n%{} {} (sha256 {})\n", script.phase, script.interpreter.join(" "), script.sha256));
        script.text.lines().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    if report.has_triggers {
        text.push_str("\nhas triggers\n");
    }
    text.push('\n');
    for digest in &report.digests {
        text.push_str(&format!("digest {} over {}: {}\n", digest.name, digest.covers, digest.verdict));
    }
    for row in &report.signatures {
        let what = [row.algorithm.as_deref(), row.hash.as_deref()].into_iter().flatten().collect::<Vec<_>>().join("/");
        let by = row.key.as_deref().map_or_else(String::new, |key| format!(" by {key}"));
        let reason = row.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
        text.push_str(&format!("signature {} {what} over {}{by}: {}{reason}\n", row.tag, row.covers, row.verdict));
    }
    if report.signatures.is_empty() {
        text.push_str("not signed\n");
    }
    text
}

fn dependency(row: &DependencyRow) -> String {
    let version = if row.comparison.is_empty() { String::new() } else { format!(" {} {}", row.comparison, row.version) };
    format!("{}{version}{}", row.name, if row.pre { "  (pre)" } else { "" })
}

fn dump(arguments: &RpmFileArguments) -> Result<()> {
    let rows = package::dump(&arguments.file)?;
    if arguments.json {
        return render::json(&rows);
    }
    render::print(&rows.iter().map(line).collect::<String>())
}

/// One line whatever the path: control characters and backslashes are escaped.
fn line(row: &PathRow) -> String {
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_control() || c == '\\' { c.escape_default().to_string() } else { c.to_string() }).collect()
    };
    let sha256 = row.sha256.map_or("-".to_owned(), |digest| digest.to_string());
    let flags = if row.flags.is_empty() { "-".to_owned() } else { row.flags.join(",") };
    let caps = row.caps.as_deref().map_or("-".to_owned(), |caps| caps.replace(' ', "_"));
    let target = row.target.as_deref().map_or_else(String::new, |target| format!(" -> {}", plain(target)));
    let PathRow { kind, mode, user, group, size, .. } = row;
    format!("{kind} {mode} {user} {group} {size} {sha256} {caps} {flags} {}{target}\n", plain(&row.path))
}

fn verify(arguments: &RpmVerifyArguments) -> Result<()> {
    let report = package::verify(&arguments.file, &keyring(&arguments.key, &arguments.relax)?)?;
    if arguments.json {
        return render::json(&report);
    }
    let relaxed = report.signer.relaxed.iter().map(|weakness| weakness.name()).collect::<Vec<_>>();
    let note = if relaxed.is_empty() { String::new() } else { format!(", relaxed: {}", relaxed.join(", ")) };
    let shown = arguments.file.display();
    render::print(&format!("{shown}: {} is good: signed by {}, {} files{note}\n", report.nevra, report.signer.fingerprint, report.files))
}
