//! repomd.xml: the root of a repository's metadata, and the only file of it that is signed.

use crate::rpmmd::xml::{Tag, Xml, attributes, number};
use model::{Digest, Error, Result, ResultJudged};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repomd {
    /// A counter or a time, as the publisher likes.
    pub revision: String,
    pub data: Vec<Data>,
}

/// One file of the metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Data {
    /// `primary`, `filelists`, …
    pub kind: String,
    pub checksum: Checksum,
    /// Of the plain text.
    pub open_checksum: Checksum,
    /// Below the repository's URL.
    pub location: String,
    /// Bytes.
    pub size: Option<u64>,
    /// Bytes of the plain text.
    pub open_size: Option<u64>,
    /// Seconds since 1970, when it can be one.
    pub timestamp: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checksum {
    /// `sha256`, or another that is not trusted here.
    pub kind: String,
    pub hex: String,
}

impl Checksum {
    pub fn sha256(&self, of: &str) -> Result<Digest> {
        if self.kind != "sha256" {
            let kind = if self.kind.is_empty() { "none" } else { &self.kind };
            return Err(Error::integrity(format!("expected a sha256 checksum for {of}, found {kind}"))
                .hint("the repository must be made with `createrepo_c --checksum sha256`"));
        }
        Digest::parse(self.hex.trim()).map_err(|e| e.context(of))
    }
}

impl Repomd {
    pub fn find(&self, kind: &str) -> Option<&Data> {
        self.data.iter().find(|d| d.kind == kind)
    }
}

pub fn parse_repomd(bytes: &[u8]) -> Result<Repomd> {
    let mut repomd = Repomd::default();
    let mut current: Option<Data> = None;
    let mut root = false;
    Xml::new(bytes, "repomd.xml").each(|tag, text| {
        match tag {
            Tag::Start(start) => {
                let name = start.local_name();
                if !root {
                    if name.as_ref() != b"repomd" {
                        return Err("expected the element repomd".into());
                    }
                    root = true;
                }
                match (name.as_ref(), &mut current) {
                    (b"data", none) => {
                        let mut data = Data::default();
                        attributes(start, |key, value| {
                            if key == b"type" {
                                data.kind = value.into_owned();
                            }
                            Ok(())
                        })?;
                        *none = Some(data);
                    }
                    (which @ (b"checksum" | b"open-checksum"), Some(data)) => {
                        let checksum = if which == b"checksum" { &mut data.checksum } else { &mut data.open_checksum };
                        attributes(start, |key, value| {
                            if key == b"type" {
                                checksum.kind = value.into_owned();
                            }
                            Ok(())
                        })?;
                    }
                    (b"location", Some(data)) => attributes(start, |key, value| {
                        if key == b"href" {
                            data.location = value.into_owned();
                        }
                        Ok(())
                    })?,
                    _ => {}
                }
            }
            Tag::End(name) => match (name, &mut current) {
                (b"revision", None) => repomd.revision = text.trim().to_owned(),
                (b"checksum", Some(data)) => data.checksum.hex = text.trim().to_owned(),
                (b"open-checksum", Some(data)) => data.open_checksum.hex = text.trim().to_owned(),
                (b"size", Some(data)) => data.size = Some(number("size", text)?),
                (b"open-size", Some(data)) => data.open_size = Some(number("open-size", text)?),
                (b"timestamp", Some(data)) => data.timestamp = seconds(text),
                (b"data", some) => repomd.data.extend(some.take()),
                _ => {}
            },
        }
        Ok(true)
    })?;
    if !root {
        return Err(Error::integrity("repomd.xml: expected the element repomd, found nothing"));
    }
    Ok(repomd)
}

/// Some publishers write fractions, some microseconds.
fn seconds(text: &str) -> u32 {
    let whole: u64 = text.trim().split('.').next().unwrap_or("").parse().unwrap_or(0);
    [1, 1_000, 1_000_000].iter().find_map(|unit| u32::try_from(whole / unit).none_because("the next unit may fit")).unwrap_or(0)
}
