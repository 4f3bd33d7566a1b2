//! The header of an installed package: the one of the package file as it was signed, and behind it what the signature header and the
//! installation add. (rpm, `lib/header.c`, `headerMergeLegacySigs`.)
//!
//! ```text
//! u32 entries · u32 data bytes · index of the package's own header · index of the added entries, by tag · its data · the added data
//! ```

use crate::rpm::{EntryInfo, Header, kind, tags};
use model::{Error, Result};
use zerocopy::big_endian::U32;
use zerocopy::{Immutable, IntoBytes};

/// Tags of installed headers alone.
pub(super) const SIG_MD5: u32 = 261;
pub(super) const SHA1_HEADER: u32 = 269;
pub(super) const INSTALL_TID: u32 = 1128;
const INSTALL_TIME: u32 = 1008;
const FILE_STATES: u32 = 1029;
const INSTALL_COLOR: u32 = 1127;

/// Tag in the signature header, tag in the installed one, and whether the package's own header goes first.
const MERGED: [(u32, u32, bool); 15] = [
    (1000, 257, false),
    (1002, 259, false),
    (1004, SIG_MD5, false),
    (1005, 262, false),
    (1007, 1046, true),
    (267, 267, false),
    (268, 268, false),
    (SHA1_HEADER, SHA1_HEADER, false),
    (270, 270, false),
    (271, 271, false),
    (273, 273, false),
    (274, 5090, true),
    (275, 5091, true),
    (276, 276, false),
    (277, 277, false),
];

const ENTRY_SIZE: usize = size_of::<EntryInfo>();

/// What stands before the index (rpm, `lib/header.c`, `hdrblob_s`).
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Intro {
    il: U32,
    dl: U32,
}
const _: () = assert!(size_of::<Intro>() == 8);

/// A package's two headers.
#[derive(Clone, Copy)]
pub struct Installed<'a> {
    pub signature_header: &'a Header,
    pub header: &'a Header,
}

/// What is the same for all packages.
#[derive(Debug, Clone, Copy)]
pub struct Installation {
    /// Seconds since 1970 UTC; also the number of the transaction.
    pub time: u32,
    /// The colours of ELF files that the machine runs: 3 where it runs those of 32 and of 64 bits, 0 where there is one kind.
    pub color: u32,
}

struct Added {
    tag: u32,
    kind: u32,
    count: u32,
    data: Vec<u8>,
}

impl Installed<'_> {
    pub(super) fn blob(&self, how: &Installation) -> Result<Vec<u8>> {
        let (index, data) = self.header.index_and_data();
        let (mut index, mut data) = (index.to_vec(), data.to_vec());
        if !self.header.has_region() {
            add_region(&mut index, &mut data)?;
        }
        for added in self.added(how)? {
            let align = match added.kind {
                kind::INT16 => 2,
                kind::INT32 => 4,
                kind::INT64 => 8,
                _ => 1,
            };
            data.resize(data.len().next_multiple_of(align), 0);
            let offset = size(data.len())?;
            index.extend_from_slice(entry(added.tag, added.kind, offset, added.count).as_bytes());
            data.extend_from_slice(&added.data);
        }
        let intro = Intro { il: size(index.len() / ENTRY_SIZE)?.into(), dl: size(data.len())?.into() };
        Ok([intro.as_bytes(), &index, &data].concat())
    }

    /// In ascending order of tags.
    fn added(&self, how: &Installation) -> Result<Vec<Added>> {
        let mut added = Vec::new();
        for (from, tag, own_first) in MERGED {
            if own_first && self.header.has(tag) {
                continue;
            }
            added.extend(self.signature_header.raw(from).map(|(kind, count, data)| Added { tag, kind, count, data: data.to_vec() }));
        }
        let mut number = |tag: u32, value: u32| added.push(Added { tag, kind: kind::INT32, count: 1, data: value.to_be_bytes().to_vec() });
        number(INSTALL_TIME, how.time);
        number(INSTALL_COLOR, how.color);
        number(INSTALL_TID, how.time);
        let files = self.header.raw(tags::BASENAMES).or(self.header.raw(tags::OLD_FILENAMES)).map_or(0, |(_, count, _)| count);
        if files > 0 {
            // RPMFILE_STATE_NORMAL, each.
            added.push(Added { tag: FILE_STATES, kind: kind::CHAR, count: files, data: vec![0; files as usize] });
        }
        added.sort_by_key(|entry| entry.tag);
        Ok(added)
    }
}

/// rpm 3 wrote headers without a region, and refuses to have them in its database.
fn add_region(index: &mut Vec<u8>, data: &mut Vec<u8>) -> Result<()> {
    let region = |offset| entry(tags::HEADER_IMMUTABLE, kind::BIN, offset, ENTRY_SIZE as u32);
    index.splice(0..0, region(size(data.len())?).as_bytes().iter().copied());
    data.extend_from_slice(region(size(index.len())?.wrapping_neg()).as_bytes());
    Ok(())
}

fn entry(tag: u32, kind: u32, offset: u32, count: u32) -> EntryInfo {
    EntryInfo { tag: tag.into(), kind: kind.into(), offset: offset.into(), count: count.into() }
}

fn size(bytes: usize) -> Result<u32> {
    u32::try_from(bytes).map_err(|_| Error::integrity("an installed header of more than 4 GiB"))
}
