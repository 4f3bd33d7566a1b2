//! A descriptor in a file of its own, and the extents that it names: "The Descriptor File".

use super::SECTOR;
use model::{Error, Result, ResultJudged};

/// Bytes of a descriptor file at most: a line for each of the extents, and a page of settings.
pub const DESCRIPTOR_MAX: u64 = 256 << 10;
/// Extents at most, each of which is an open file: 1 TiB in pieces of 2 GiB.
const EXTENTS_MAX: usize = 512;
/// Sectors of a disk at most, as in a sparse extent's header.
const SECTORS_MAX: u64 = 1 << 40;
/// The comment that every writer puts in the first line.
const FIRST_LINE: &[u8] = b"# Disk DescriptorFile";

/// A part of the disk; they follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Of the disk's part, in bytes.
    pub size: u64,
    pub kind: ExtentKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtentKind {
    Zero,
    /// Bytes of the file of this name, from a byte offset.
    Flat(String, u64),
    /// A sparse extent, the whole file of this name.
    Sparse(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    pub extents: Vec<Extent>,
}

/// True for the first bytes of a descriptor file.
pub fn is_descriptor(start: &[u8]) -> bool {
    start.starts_with(FIRST_LINE)
}

impl Descriptor {
    pub fn parse(text: &str) -> Result<Self> {
        refuse_parent(text)?;
        let mut extents: Vec<Extent> = Vec::new();
        let mut sectors = 0u64;
        for (number, line) in (1..).zip(text.lines()) {
            let Some(extent) = extent(number, line)? else { continue };
            sectors = sectors.saturating_add(extent.size / SECTOR);
            if extents.len() == EXTENTS_MAX || sectors > SECTORS_MAX {
                return Err(Error::integrity(format!(
                    "vmdk descriptor line {number}: more than {EXTENTS_MAX} extents or {SECTORS_MAX} sectors"
                )));
            }
            extents.push(extent);
        }
        if extents.is_empty() {
            return Err(
                Error::integrity("vmdk descriptor: no line names an extent").hint("the file was cut short: copy or download it again")
            );
        }
        Ok(Descriptor { extents })
    }
}

/// `ACCESS SECTORS TYPE "NAME" [SECTOR]`; `None` for any other line.
fn extent(number: usize, line: &str) -> Result<Option<Extent>> {
    let bad = |what: &str| Error::integrity(format!("vmdk descriptor line {number}: {what}"));
    let (before, name, after) = match line.split_once('"') {
        Some((before, rest)) => match rest.split_once('"') {
            Some((name, after)) => (before, Some(name), after),
            None => (before, None, ""),
        },
        None => (line, None, ""),
    };
    let mut words = before.split_ascii_whitespace();
    if !matches!(words.next(), Some("RW" | "RDONLY" | "NOACCESS")) {
        return Ok(None);
    }
    let sectors: u64 = words
        .next()
        .and_then(|word| word.parse().none_because("the caller's sentence says what was expected"))
        .ok_or_else(|| bad("expected the extent's number of sectors"))?;
    let size = sectors.checked_mul(SECTOR).filter(|_| sectors <= SECTORS_MAX).ok_or_else(|| bad("more sectors than a disk has"))?;
    let kind = words.next().unwrap_or("");
    let named = || name.filter(|name| !name.is_empty()).map(str::to_owned).ok_or_else(|| bad("expected the extent's file in quotes"));
    let kind = match kind {
        "ZERO" => ExtentKind::Zero,
        // VMFS is what ESX calls a flat extent.
        "FLAT" | "VMFS" => {
            let sector: u64 = match after.split_ascii_whitespace().next() {
                None => 0,
                Some(word) => word.parse().map_err(|_| bad("expected a sector behind the file's name"))?,
            };
            ExtentKind::Flat(named()?, sector.checked_mul(SECTOR).ok_or_else(|| bad("a sector past any file's end"))?)
        }
        "SPARSE" => ExtentKind::Sparse(named()?),
        "VMFSSPARSE" | "VMFSRDM" | "VMFSRAW" | "SESPARSE" => {
            return Err(Error::recipe(format!("a VMDK image with an extent of type {kind}, which is not read")));
        }
        _ => return Err(bad(&format!("extent type {kind:?} is not known"))),
    };
    Ok(Some(Extent { size, kind }))
}

/// A disk with a parent has only what differs from it.
pub(super) fn refuse_parent(text: &str) -> Result<()> {
    let value = |key: &str| {
        let found = text.lines().find_map(|line| line.split_once('=').filter(|(name, _)| name.trim() == key));
        found.map(|(_, value)| value.trim().trim_matches('"').to_owned())
    };
    match value("parentCID") {
        Some(id) if !id.eq_ignore_ascii_case("ffffffff") => {
            let parent = value("parentFileNameHint").map_or(String::new(), |name| format!(" {name:?}"));
            Err(Error::recipe(format!("a VMDK image that needs its parent{parent}, which is not read")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Kind;

    #[test]
    fn a_descriptor_names_its_extents_or_is_refused() {
        let check = |lines: &str, expected: Result<Vec<Extent>, (Kind, &str)>| {
            let found = Descriptor::parse(&format!("# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\n{lines}\n"));
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.extents, expected, "{lines}"),
                (Err(error), Err((kind, part))) => assert!(error.kind() == kind && error.to_string().contains(part), "{lines}: {error}"),
                (found, expected) => panic!("{lines}: expected {expected:?}, found {found:?}"),
            }
        };
        let flat = |size, name: &str, at| Extent { size, kind: ExtentKind::Flat(name.into(), at) };
        check("RW 8 FLAT \"a-flat.vmdk\" 0", Ok(vec![flat(4096, "a-flat.vmdk", 0)]));
        check("RW 8 FLAT \"a b.vmdk\" 2\nRDONLY 1 VMFS \"c\"", Ok(vec![flat(4096, "a b.vmdk", 1024), flat(512, "c", 0)]));
        check(
            "RW 2 ZERO\nRW 2 SPARSE \"s.vmdk\"",
            Ok(vec![Extent { size: 1024, kind: ExtentKind::Zero }, Extent { size: 1024, kind: ExtentKind::Sparse("s.vmdk".into()) }]),
        );
        check("ddb.adapterType = \"ide\"", Err((Kind::Integrity, "no line names an extent")));
        check("RW x FLAT \"a\" 0", Err((Kind::Integrity, "line 4: expected the extent's number")));
        check("RW 18446744073709551615 FLAT \"a\" 0", Err((Kind::Integrity, "line 4: more sectors")));
        check("RW 8 FLAT", Err((Kind::Integrity, "line 4: expected the extent's file")));
        check("RW 8 FLAT \"a", Err((Kind::Integrity, "line 4: expected the extent's file")));
        check("RW 8 FLAT \"a\" x", Err((Kind::Integrity, "line 4: expected a sector")));
        check("RW 8 ROUND \"a\"", Err((Kind::Integrity, "\"ROUND\" is not known")));
        check("RW 8 SESPARSE \"a\"", Err((Kind::Recipe, "SESPARSE")));
        check(&"RW 1 ZERO\n".repeat(513), Err((Kind::Integrity, "more than 512 extents")));
        let delta = Descriptor::parse("parentCID=12345678\nparentFileNameHint=\"base.vmdk\"\nRW 8 SPARSE \"a\"").unwrap_err();
        assert!(delta.kind() == Kind::Recipe && delta.to_string().contains("needs its parent \"base.vmdk\""), "{delta}");
    }
}
