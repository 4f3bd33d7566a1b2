//! A `Packages` index: tens of thousands of stanzas, parsed on every core, order kept.

use super::metadata;
use crate::repos::PackageMeta;
use model::{Error, Result};
use packages::deb::control::{Stanza, Stanzas};
use packages::deb::decompress;
use rayon::prelude::*;
use std::io::Read;

/// Bytes of text parsed as one task.
const CHUNK: usize = 1 << 20;
/// Bytes of an uncompressed index whose size the Release does not tell. Debian's main is 57 MB.
const MAX_INDEX: u64 = 128 << 20;

/// The text, and where in it each package's stanza begins.
pub(super) struct Packages {
    text: String,
    offsets: Vec<usize>,
}

impl Packages {
    /// `name` tells the compression by its suffix; `size` is what the Release says of the uncompressed text.
    pub(super) fn parse(name: &str, bytes: &[u8], size: Option<u64>) -> Result<(Self, Vec<PackageMeta>)> {
        let limit = size.unwrap_or(MAX_INDEX).min(MAX_INDEX);
        let mut raw = Vec::new();
        decompress(name, bytes)?
            .take(limit + 1)
            .read_to_end(&mut raw)
            .map_err(|e| Error::integrity(format!("decompress {name}")).source(e))?;
        if raw.len() as u64 > limit {
            return Err(Error::integrity(format!("{name}: expected at most {limit} bytes of text")));
        }
        let text = String::from_utf8(raw)
            .map_err(|e| Error::integrity(format!("{name} at offset {}: not UTF-8", e.utf8_error().valid_up_to())))?;
        let parsed = chunks(&text)
            .into_par_iter()
            .map(|(base, chunk)| {
                Stanzas::new(chunk)
                    .map(|stanza| stanza.and_then(|(offset, stanza)| Ok((base + offset, metadata::meta(&stanza)?))))
                    .collect::<Result<Vec<_>>>()
            })
            .collect::<Result<Vec<_>>>()
            .map_err(|e| e.context(name))?;
        let (offsets, packages) = parsed.into_iter().flatten().unzip();
        Ok((Packages { text, offsets }, packages))
    }

    /// The stanza of the `index`th package.
    pub(super) fn stanza(&self, index: usize) -> Result<Stanza<'_>> {
        let rest = self
            .offsets
            .get(index)
            .and_then(|&at| self.text.get(at..))
            .ok_or_else(|| Error::internal(format!("no package {index} in the index")))?;
        Stanza::parse(rest)
    }
}

/// Cuts at empty lines.
fn chunks(text: &str) -> Vec<(usize, &str)> {
    let mut chunks = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let mut from = (start + CHUNK).min(text.len());
        while !text.is_char_boundary(from) {
            from += 1;
        }
        let end = text[from..].find("\n\n").map_or(text.len(), |at| from + at + 2);
        chunks.push((start, &text[start..end]));
        start = end;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_stanzas_come_back_in_order_and_by_number() {
        let count = 20_000;
        let text: String =
            (0..count).map(|i| format!("Package: p{i}\nVersion: {i}-1\nArchitecture: amd64\nDescription: très\u{301} {i}\n\n")).collect();
        assert!(text.len() > CHUNK);
        let (index, packages) = Packages::parse("Packages", text.as_bytes(), Some(text.len() as u64)).unwrap();
        assert_eq!(packages.len(), count);
        for i in [0, 1, 12_345, count - 1] {
            assert_eq!(packages[i].nevra.name, format!("p{i}"));
            assert_eq!(index.stanza(i).unwrap().get("Package"), Some(packages[i].nevra.name.as_str()));
        }
        assert!(index.stanza(count).is_err());
        assert!(Packages::parse("Packages", text.as_bytes(), Some(text.len() as u64 - 1)).is_err());
    }
}
