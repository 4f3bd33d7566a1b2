//! primary.xml: one record a package, handed out one at a time.

use crate::capability::{Capability, Comparison};
use crate::rpmmd::Checksum;
use crate::rpmmd::xml::{Events, Tag, Xml, attributes, number};
use model::{Error, Result};
use quick_xml::events::BytesStart;
use std::io::BufRead;

/// In messages.
const WHAT: &str = "primary.xml";

/// The parts that are read; texts are as the file has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    pub arch: String,
    pub epoch: u32,
    pub version: String,
    pub release: String,
    pub checksum: Checksum,
    pub summary: String,
    pub license: String,
    pub source_rpm: String,
    /// Bytes of the file, and of what it installs.
    pub size: u64,
    pub installed_size: u64,
    /// Below `base`, or below the repository's URL when that is empty.
    pub location: String,
    pub base: String,
    pub provides: Vec<Relation>,
    pub requires: Vec<Relation>,
    pub conflicts: Vec<Relation>,
    pub obsoletes: Vec<Relation>,
    pub recommends: Vec<Relation>,
    pub suggests: Vec<Relation>,
    pub supplements: Vec<Relation>,
    pub enhances: Vec<Relation>,
    /// Only those that createrepo_c takes for likely requirements: /etc, bin folders.
    pub files: Vec<String>,
}

/// `rpm:entry`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relation {
    pub capability: Capability,
    /// Needed before scriptlets run.
    pub pre: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum List {
    Provides,
    Requires,
    Conflicts,
    Obsoletes,
    Recommends,
    Suggests,
    Supplements,
    Enhances,
}

/// Calls `each` with every package, in the file's order.
pub fn read_primary(input: impl BufRead, mut each: impl FnMut(Package)) -> Result<()> {
    let mut seen = 0u64;
    let announced = read(Xml::new(input, WHAT), false, |package| {
        seen += 1;
        each(package);
    })?;
    match announced {
        Some(announced) if announced != seen => {
            Err(Error::integrity(format!("primary.xml: expected {announced} packages as announced, found {seen}")))
        }
        _ => Ok(()),
    }
}

/// A file without its packages: how many it announces.
pub(super) fn read_document(input: impl BufRead) -> Result<Option<u64>> {
    read(Xml::new(input, WHAT), false, drop)
}

/// Packages alone, without what stands around them all.
pub(super) fn read_fragment(text: &[u8], each: impl FnMut(Package)) -> Result<()> {
    read(Xml::of(text, WHAT), true, each).map(drop)
}

fn read<E: Events>(mut xml: Xml<E>, mut root: bool, mut each: impl FnMut(Package)) -> Result<Option<u64>> {
    let mut announced: Option<u64> = None;
    let mut seen = 0u64;
    let mut package: Option<Package> = None;
    let mut list: Option<List> = None;
    xml.each(|tag, text| {
        match (tag, &mut package) {
            (Tag::Start(start), None) => match start.local_name().as_ref() {
                b"metadata" if !root => {
                    root = true;
                    attributes(start, |key, value| {
                        if key == b"packages" {
                            announced = Some(number("packages", &value)?);
                        }
                        Ok(())
                    })?;
                }
                b"package" if root => package = Some(Package::default()),
                _ if !root => return Err("expected the element metadata".into()),
                _ => {}
            },
            (Tag::Start(start), Some(package)) => return begin(start, package, &mut list),
            (Tag::End(b"package"), some) => {
                if let Some(package) = some.take() {
                    if package.name.is_empty() || package.location.is_empty() {
                        return Err(format!("package {seen} ({:?}) has no name or no location", package.name));
                    }
                    seen += 1;
                    each(package);
                }
            }
            (Tag::End(name), Some(package)) => match name {
                // Most of all, and nothing is left to do.
                b"entry" => {}
                b"name" => package.name = text.to_owned(),
                b"arch" => package.arch = text.to_owned(),
                b"summary" => package.summary = text.to_owned(),
                b"checksum" => package.checksum.hex = text.to_owned(),
                b"license" => package.license = text.to_owned(),
                b"sourcerpm" => package.source_rpm = text.to_owned(),
                b"file" if text.starts_with('/') => package.files.push(text.to_owned()),
                _ => {
                    if list_of(name).is_some() {
                        list = None;
                    }
                }
            },
            (Tag::End(_), None) => {}
        }
        Ok(false)
    })?;
    if root { Ok(announced) } else { Err(Error::integrity("primary.xml: expected the element metadata, found nothing")) }
}

/// One element of a package opens; true if its text is wanted.
fn begin(start: &BytesStart<'_>, package: &mut Package, list: &mut Option<List>) -> Result<bool, String> {
    match start.local_name().as_ref() {
        b"name" | b"arch" | b"summary" | b"license" | b"sourcerpm" | b"file" => return Ok(true),
        b"version" => attributes(start, |key, value| {
            match key {
                b"epoch" => package.epoch = number("epoch", &value)?,
                b"ver" => package.version = value.into_owned(),
                b"rel" => package.release = value.into_owned(),
                _ => {}
            }
            Ok(())
        })?,
        b"checksum" => {
            attributes(start, |key, value| {
                if key == b"type" {
                    package.checksum.kind = value.into_owned();
                }
                Ok(())
            })?;
            return Ok(true);
        }
        b"size" => attributes(start, |key, value| {
            match key {
                b"package" => package.size = number("package size", &value)?,
                b"installed" => package.installed_size = number("installed size", &value)?,
                _ => {}
            }
            Ok(())
        })?,
        b"location" => attributes(start, |key, value| {
            match key {
                b"href" => package.location = value.into_owned(),
                b"base" => package.base = value.into_owned(),
                _ => {}
            }
            Ok(())
        })?,
        b"entry" => {
            if let Some(list) = *list {
                let entry = relation(start)?;
                let entries = match list {
                    List::Provides => &mut package.provides,
                    List::Requires => &mut package.requires,
                    List::Conflicts => &mut package.conflicts,
                    List::Obsoletes => &mut package.obsoletes,
                    List::Recommends => &mut package.recommends,
                    List::Suggests => &mut package.suggests,
                    List::Supplements => &mut package.supplements,
                    List::Enhances => &mut package.enhances,
                };
                entries.push(entry);
            }
        }
        other => {
            if let Some(found) = list_of(other) {
                *list = Some(found);
            }
        }
    }
    Ok(false)
}

fn list_of(name: &[u8]) -> Option<List> {
    Some(match name {
        b"provides" => List::Provides,
        b"requires" => List::Requires,
        b"conflicts" => List::Conflicts,
        b"obsoletes" => List::Obsoletes,
        b"recommends" => List::Recommends,
        b"suggests" => List::Suggests,
        b"supplements" => List::Supplements,
        b"enhances" => List::Enhances,
        _ => return None,
    })
}

fn relation(start: &BytesStart<'_>) -> Result<Relation, String> {
    let mut entry = Relation::default();
    attributes(start, |key, value| {
        let wanted = &mut entry.capability;
        match key {
            b"name" => wanted.name = value.into(),
            b"flags" if value.is_empty() => {}
            b"flags" => {
                let expected = || format!("expected EQ, LT, LE, GT or GE as flags, found {:?}", value.get(..40).unwrap_or(&value));
                wanted.compare = Some(Comparison::from_rpmmd(&value).ok_or_else(expected)?);
            }
            b"epoch" => wanted.epoch = Some(number("epoch", &value)?),
            b"ver" => wanted.version = value.into(),
            b"rel" => wanted.release = value.into(),
            b"pre" => entry.pre = value == "1",
            _ => {}
        }
        Ok(())
    })?;
    if entry.capability.name.is_empty() {
        return Err("a dependency without a name".into());
    }
    // Without a comparison, what else it says of versions means nothing.
    if entry.capability.compare.is_none() {
        entry.capability = Capability::any(entry.capability.name);
    }
    Ok(entry)
}
