//! What a package says of itself: identity, dependencies, files, scriptlets.

use super::dependency::Dependency;
use super::files::{self, FileEntry};
use super::header::{Header, HeaderKind};
use super::lead::Lead;
use super::scriptlets::{self, Scriptlet};
use super::tags;
use super::triggers::{self, Trigger};
use crate::evr::{Evr, Nevra};
use compression::Compression;
use model::{Digest, Error, OptionJudged, Result, ResultExt};
use serde::{Deserialize, Serialize};
use std::io::Read;
use zerocopy::{FromZeros, IntoBytes};

const LEAD_SIZE: usize = size_of::<Lead>();

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    pub nevra: Nevra,
    pub is_source: bool,
    pub summary: String,
    pub license: String,
    pub vendor: String,
    pub url: String,
    /// The source package's file name; empty for a source package.
    pub source_rpm: String,
    /// Seconds since 1970 UTC; 0 if it does not say.
    pub build_time: u32,
    pub provides: Vec<Dependency>,
    pub requires: Vec<Dependency>,
    pub conflicts: Vec<Dependency>,
    pub obsoletes: Vec<Dependency>,
    pub recommends: Vec<Dependency>,
    pub suggests: Vec<Dependency>,
    pub supplements: Vec<Dependency>,
    pub enhances: Vec<Dependency>,
    /// Not needed, but to be installed before this one if it is installed at all.
    pub order: Vec<Dependency>,
    /// Has triggers on packages or on files.
    pub has_triggers: bool,
}

#[derive(Debug, Clone)]
pub struct Package {
    pub metadata: Metadata,
    /// In the header's order.
    pub files: Vec<FileEntry>,
    pub scriptlets: Vec<Scriptlet>,
    pub triggers: Vec<Trigger>,
    pub compression: Compression,
    /// Of the compressed payload.
    pub payload_sha256: Option<Digest>,
    /// In bytes from the start of the package.
    pub payload_offset: u64,
    /// In bytes from the start of the package; where header-and-payload signatures begin.
    pub header_offset: u64,
    pub signature_header: Header,
    pub header: Header,
}

/// Reads a package up to its payload, which `reader` is left at.
pub fn parse(mut reader: impl Read) -> Result<Package> {
    let mut lead = Lead::new_zeroed();
    read_exact(&mut reader, lead.as_mut_bytes(), "the rpm lead", LEAD_SIZE)?;
    lead.check().context(|| "at offset 0")?;
    let signature_header = Header::read(&mut reader, HeaderKind::Signature).context(|| format!("at offset {LEAD_SIZE}"))?;
    let padding = signature_header.bytes().len().wrapping_neg() & 7;
    let end = LEAD_SIZE + signature_header.bytes().len() + padding;
    read_exact(&mut reader, &mut [0; 7][..padding], "the signature header's padding", end)?;
    let header_offset = end as u64;
    let at_header = || format!("at offset {header_offset}");
    let header = Header::read(&mut reader, HeaderKind::Main).context(at_header)?;
    let payload_offset = header_offset + header.bytes().len() as u64;

    let metadata = metadata(&header).context(at_header)?;
    let name = metadata.nevra.clone();
    let doing = || format!("read the header of {name} at offset {header_offset}");
    Ok(Package {
        files: files::read(&header, metadata.is_source).context(doing)?,
        scriptlets: scriptlets::read(&header).context(doing)?,
        triggers: triggers::read(&header).context(doing)?,
        compression: compression(&header).context(doing)?,
        payload_sha256: payload_sha256(&header).context(doing)?,
        metadata,
        payload_offset,
        header_offset,
        signature_header,
        header,
    })
}

/// `end`: where in the file the buffer ends.
fn read_exact(reader: &mut impl Read, buffer: &mut [u8], what: &str, end: usize) -> Result<()> {
    reader.read_exact(buffer).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::integrity(format!("the file ends within {what}, before offset {end}")),
        _ => Error::internal(format!("read {what}")).source(e),
    })
}

fn metadata(header: &Header) -> Result<Metadata> {
    let required = |tag, what: &str| -> Result<String> {
        let text = header.text(tag)?.default_because("an absent tag is an empty text");
        // What ends up in file names and in NEVRAs must not be able to break out of them.
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic() && b != b'/') {
            return Err(Error::integrity(format!(
                "expected a package {what} of printable ASCII, found {:?}",
                text.chars().take(80).collect::<String>()
            )));
        }
        Ok(text)
    };
    let optional = |tag| Ok::<_, Error>(header.text(tag)?.default_because("an absent tag is an empty text"));
    let evr = Evr::new(header.number(tags::EPOCH)?.unwrap_or(0), required(tags::VERSION, "version")?, required(tags::RELEASE, "release")?);
    let name = required(tags::NAME, "name")?;
    let arch = required(tags::ARCH, "architecture")?;
    let source_rpm = optional(tags::SOURCE_RPM)?;
    // rpm's own rule: a source package is one that came from none.
    let is_source = header.has(tags::SOURCE_PACKAGE) || !header.has(tags::SOURCE_RPM);
    let nevra = Nevra::new(name, evr, if is_source { "src".into() } else { arch });
    // What is written as one text, here and in indexes, must be told apart again.
    if !Nevra::parse(&nevra.to_string()).is_ok_and(|read| read == nevra) {
        return Err(Error::integrity(format!("expected a name, version, release and architecture that can be told apart, found {nevra}")));
    }
    let list = |tags| dependencies(header, tags);
    Ok(Metadata {
        is_source,
        summary: optional(tags::SUMMARY)?,
        license: optional(tags::LICENSE)?,
        vendor: optional(tags::VENDOR)?,
        url: optional(tags::URL)?,
        source_rpm,
        build_time: header.number(tags::BUILD_TIME)?.unwrap_or(0),
        provides: list(tags::PROVIDES)?,
        requires: list(tags::REQUIRES)?,
        conflicts: list(tags::CONFLICTS)?,
        obsoletes: list(tags::OBSOLETES)?,
        recommends: list(tags::RECOMMENDS)?,
        suggests: list(tags::SUGGESTS)?,
        supplements: list(tags::SUPPLEMENTS)?,
        enhances: list(tags::ENHANCES)?,
        order: list(tags::ORDER)?,
        has_triggers: tags::TRIGGER_SCRIPTS.iter().any(|&tag| header.has(tag)),
        nevra,
    })
}

fn dependencies(header: &Header, [names, flags, versions]: [u32; 3]) -> Result<Vec<Dependency>> {
    let name_list = header.strings(names)?.default_because("an absent tag is an empty list");
    let count = name_list.len();
    // Packages older than rpm 4 leave out flags and versions where none has any.
    let flag_list = header.u32s(flags)?.unwrap_or_else(|| vec![0; count]);
    let version_list = header.strings(versions)?.unwrap_or_else(|| vec![b"".as_slice(); count]);
    if flag_list.len() != count || version_list.len() != count {
        return Err(Error::integrity(format!(
            "dependencies of tag {names}: {count} names, {} flags and {} versions",
            flag_list.len(),
            version_list.len()
        )));
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(name_list
        .into_iter()
        .zip(flag_list)
        .zip(version_list)
        .map(|((name, flags), version)| Dependency { name: text(name), flags, version: text(version) })
        .collect())
}

fn compression(header: &Header) -> Result<Compression> {
    let format = header.text(tags::PAYLOAD_FORMAT)?;
    if let Some(format) = format.filter(|f| f != "cpio") {
        return Err(Error::integrity(format!("expected a cpio payload, found {format:?}"))
            .hint("delta and other special packages cannot be installed"));
    }
    match header.text(tags::PAYLOAD_COMPRESSOR)? {
        // rpm's own default.
        None => Ok(Compression::Gzip),
        Some(name) => Compression::from_name(&name).ok_or_else(|| Error::integrity(format!("unknown payload compression {name:?}"))),
    }
}

fn payload_sha256(header: &Header) -> Result<Option<Digest>> {
    /// PGPHASHALGO_SHA256.
    const SHA256: u32 = 8;
    let Some(text) = header.text(tags::PAYLOAD_SHA256)? else { return Ok(None) };
    if header.number(tags::PAYLOAD_DIGEST_ALGO)?.is_some_and(|algorithm| algorithm != SHA256) {
        return Ok(None);
    }
    Digest::parse(&text).context(|| "payload digest").map(Some)
}
