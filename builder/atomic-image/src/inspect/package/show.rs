//! A package's header, dependencies, scriptlets and signatures, with a verdict on each of the last.

use super::shown;
use compression::Compression;
use model::{Digest, OptionJudged, Result, ResultExt, ResultJudged};
use packages::rpm::{Dependency, Package, tags};
use recipe::Weakness;
use serde::Serialize;
use std::path::Path;
use supply::fetch::keyring::{self, Refusal};
use supply::fetch::signatures::{self, Coverage};
use supply::fetch::{self, Keyring};

#[derive(Debug, Clone, Serialize)]
pub struct PackageReport {
    pub nevra: String,
    pub name: String,
    pub epoch: u32,
    pub version: String,
    pub release: String,
    /// `src` for a source package.
    pub arch: String,
    pub summary: String,
    pub description: String,
    pub license: String,
    pub vendor: String,
    pub url: String,
    pub source_rpm: String,
    /// Seconds since 1970 UTC.
    pub build_time: u32,
    pub compression: &'static str,
    /// In bytes from the start of the file.
    pub header_offset: u64,
    pub payload_offset: u64,
    /// Number of paths, and what regular files among them hold, in bytes.
    pub files: usize,
    pub installed_size: u64,
    pub requires: Vec<DependencyRow>,
    pub provides: Vec<DependencyRow>,
    pub conflicts: Vec<DependencyRow>,
    pub obsoletes: Vec<DependencyRow>,
    pub recommends: Vec<DependencyRow>,
    pub suggests: Vec<DependencyRow>,
    pub supplements: Vec<DependencyRow>,
    pub enhances: Vec<DependencyRow>,
    pub scriptlets: Vec<ScriptletRow>,
    /// On packages or on files.
    pub has_triggers: bool,
    pub digests: Vec<DigestRow>,
    pub signatures: Vec<SignatureRow>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DependencyRow {
    pub name: String,
    /// `<`, `<=`, `=`, `>=`, `>`, or empty.
    pub comparison: &'static str,
    pub version: String,
    /// Needed before the package's own scriptlets run.
    pub pre: bool,
}

#[derive(Debug, Clone, Serialize)]
pub struct ScriptletRow {
    pub phase: &'static str,
    pub interpreter: Vec<String>,
    /// What a recipe names it by.
    pub sha256: Digest,
    pub text: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct DigestRow {
    pub name: &'static str,
    /// `header` or `header and payload`.
    pub covers: &'static str,
    /// `good` or `bad`.
    pub verdict: &'static str,
}

#[derive(Debug, Clone, Serialize)]
pub struct SignatureRow {
    /// rpm's name of the tag.
    pub tag: &'static str,
    pub covers: &'static str,
    /// What it says of itself; `None` if it cannot be read.
    pub algorithm: Option<String>,
    pub hash: Option<String>,
    pub key: Option<String>,
    pub made: Option<u32>,
    /// `good`; `bad`: over other bytes; `refused`: by another key, or too weak; `unchecked`: no key was given.
    pub verdict: &'static str,
    /// Why it is not good.
    pub reason: Option<String>,
    /// What had to be relaxed for it to be good.
    pub relaxed: Vec<Weakness>,
}

/// Reads the package at `path`. With an empty keyring signatures are listed, not checked.
pub fn show(path: &Path, keys: &Keyring) -> Result<PackageReport> {
    let (file, package) = fetch::open_package(path)?;
    let name = || path.display();
    let digests = signatures::digests(&package, &file, path).context(name)?;
    let claims = signatures::claims(&package).context(name)?;
    let m = &package.metadata;
    let evr = &m.nevra.evr;
    Ok(PackageReport {
        nevra: m.nevra.to_string(),
        name: m.nevra.name.clone(),
        epoch: evr.epoch,
        version: evr.version.clone(),
        release: evr.release.clone(),
        arch: m.nevra.arch.clone(),
        summary: m.summary.clone(),
        description: package.header.text(tags::DESCRIPTION).context(name)?.default_because("an absent tag is an empty text"),
        license: m.license.clone(),
        vendor: m.vendor.clone(),
        url: m.url.clone(),
        source_rpm: m.source_rpm.clone(),
        build_time: m.build_time,
        compression: compression_name(package.compression),
        header_offset: package.header_offset,
        payload_offset: package.payload_offset,
        files: package.files.len(),
        installed_size: installed_size(&package),
        requires: dependencies(&m.requires),
        provides: dependencies(&m.provides),
        conflicts: dependencies(&m.conflicts),
        obsoletes: dependencies(&m.obsoletes),
        recommends: dependencies(&m.recommends),
        suggests: dependencies(&m.suggests),
        supplements: dependencies(&m.supplements),
        enhances: dependencies(&m.enhances),
        scriptlets: package
            .scriptlets
            .iter()
            .map(|s| ScriptletRow { phase: s.phase.name(), interpreter: s.interpreter.clone(), sha256: s.digest(), text: s.text.clone() })
            .collect(),
        has_triggers: m.has_triggers,
        digests: digests
            .iter()
            .map(|d| DigestRow { name: d.name, covers: covers(d.coverage), verdict: if d.good { "good" } else { "bad" } })
            .collect(),
        signatures: claims
            .iter()
            .map(|claim| {
                let verdict = (!keys.is_empty()).then(|| claim.check(&package, &file, path, keys));
                signature(claim, verdict)
            })
            .collect(),
    })
}

fn signature(claim: &signatures::Claim, verdict: Option<Result<fetch::Signer, Refusal>>) -> SignatureRow {
    let facts = keyring::describe(&claim.packet);
    let (verdict, reason, relaxed) = match verdict {
        Some(Ok(signer)) => ("good", None, signer.relaxed),
        Some(Err(Refusal::Bad(e))) => ("bad", Some(format!("{e:#}")), Vec::new()),
        Some(Err(Refusal::Unaccepted(e))) => ("refused", Some(format!("{e:#}")), Vec::new()),
        None => ("unchecked", facts.as_ref().err().map(|e| format!("{e:#}")), Vec::new()),
    };
    let facts = facts.none_because("facts are shown where they can be had");
    SignatureRow {
        tag: claim.tag,
        covers: covers(claim.coverage),
        algorithm: facts.as_ref().map(|f| f.algorithm.clone()),
        hash: facts.as_ref().map(|f| f.hash.clone()),
        key: facts.as_ref().and_then(|f| f.key.clone()),
        made: facts.as_ref().and_then(|f| f.made),
        verdict,
        reason,
        relaxed,
    }
}

fn covers(coverage: Coverage) -> &'static str {
    match coverage {
        Coverage::Header => "header",
        Coverage::HeaderAndPayload => "header and payload",
    }
}

fn dependencies(list: &[Dependency]) -> Vec<DependencyRow> {
    list.iter()
        .map(|d| DependencyRow {
            name: shown(d.name.as_bytes()),
            comparison: d.comparison(),
            version: d.version.clone(),
            pre: d.is_before_scriptlets(),
        })
        .collect()
}

/// Of hard links once.
fn installed_size(package: &Package) -> u64 {
    let counts = |(i, f): &(usize, &packages::rpm::FileEntry)| {
        f.kind == packages::rpm::FileKind::File && !f.flags.is_ghost() && f.link_group.is_none_or(|last| last as usize == *i)
    };
    package.files.iter().enumerate().filter(counts).fold(0, |sum, (_, f)| sum.saturating_add(f.size))
}

fn compression_name(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Xz => "xz",
        Compression::Lzma => "lzma",
        Compression::Zstd => "zstd",
        Compression::Bzip2 => "bzip2",
    }
}
