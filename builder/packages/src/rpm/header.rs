//! rpm's header structure: an index of typed entries and the data that they point into. All integers are big-endian.
//!
//! ```text
//! intro  magic, number of entries, bytes of data
//! index  entries: tag, type, offset, count
//! data   the first entry (the region, tag 62 or 63) points to a trailer there, which says how many entries belong to the region
//! ```
//!
//! (rpm, `lib/header.c`.) Refused when reading: more entries than rpm's own limits, more data than the biggest packages have, entries that overlap, are unaligned or reach past the data,
//! duplicate tags, and main headers with entries outside the immutable region, since no signature of rpm's covers those.

use super::tags;
use model::{Error, Result, ResultExt, ResultJudged};
use std::io::Read;
use zerocopy::big_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What stands before the index.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Intro {
    magic: [u8; 4],
    reserved: [u8; 4],
    il: U32,
    dl: U32,
}
const _: () = assert!(size_of::<Intro>() == INTRO_SIZE);

/// An entry of the index, or the region's trailer (`struct entryInfo_s`).
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct EntryInfo {
    pub(crate) tag: U32,
    pub(crate) kind: U32,
    pub(crate) offset: U32,
    pub(crate) count: U32,
}
const _: () = assert!(size_of::<EntryInfo>() == ENTRY_SIZE);

impl EntryInfo {
    /// As a region and its trailer are: the bytes of one entry.
    fn is_of_region(&self) -> bool {
        self.kind == kind::BIN && self.count == ENTRY_SIZE as u32
    }
}

const MAGIC: [u8; 4] = [0x8e, 0xad, 0xe8, 0x01];
const INTRO_SIZE: usize = 16;
pub(crate) const ENTRY_SIZE: usize = 16;
/// Strings in one entry; each costs memory beside its bytes.
const STRINGS_MAX: usize = 1 << 20;

/// What a header is for: rpm's region tag, and rpm's limits (`hdrblobRead`) but for the bytes, of which rpm takes 64 and 256 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderKind {
    /// At most 32 entries and 16 MiB.
    Signature,
    /// At most 65,535 entries and 32 MiB: 100,000 files take about 17.
    Main,
}

impl HeaderKind {
    fn name(self) -> &'static str {
        match self {
            HeaderKind::Signature => "signature header",
            HeaderKind::Main => "header",
        }
    }

    fn limits(self) -> (u32, u32) {
        match self {
            HeaderKind::Signature => (32, 16 << 20),
            HeaderKind::Main => (0xffff, 32 << 20),
        }
    }

    fn region_tag(self) -> u32 {
        match self {
            HeaderKind::Signature => tags::HEADER_SIGNATURES,
            HeaderKind::Main => tags::HEADER_IMMUTABLE,
        }
    }
}

/// Types of entries; the number is rpm's.
pub(crate) mod kind {
    pub(crate) const CHAR: u32 = 1;
    pub(crate) const INT8: u32 = 2;
    pub(crate) const INT16: u32 = 3;
    pub(crate) const INT32: u32 = 4;
    pub(crate) const INT64: u32 = 5;
    pub(crate) const STRING: u32 = 6;
    pub(crate) const BIN: u32 = 7;
    pub(crate) const STRING_ARRAY: u32 = 8;
    pub(crate) const I18N_STRING: u32 = 9;
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    tag: u32,
    kind: u32,
    /// Into the data; checked, with `len`, to be within.
    offset: usize,
    len: usize,
    count: usize,
}

/// A header whose entries are all known to lie within its data.
#[derive(Debug, Clone)]
pub struct Header {
    header_kind: HeaderKind,
    /// Intro, index and data, as in the file: what signatures and digests cover.
    bytes: Vec<u8>,
    data_start: usize,
    /// In ascending order of tags.
    entries: Vec<Entry>,
}

impl Header {
    /// Reads exactly one header, without the padding that follows a signature header.
    pub fn read(reader: &mut impl Read, header_kind: HeaderKind) -> Result<Self> {
        let what = header_kind.name();
        let mut bytes = Vec::with_capacity(INTRO_SIZE);
        take(reader, INTRO_SIZE, &mut bytes, what)?;
        let intro = Intro::read_from_bytes(&bytes).map_err(|_| Error::internal(format!("an intro of {} bytes", bytes.len())))?;
        if intro.magic != MAGIC {
            return Err(Error::integrity(format!(
                "expected the magic 8eade801 at the start of the {what}, found {}",
                hex::encode(intro.magic)
            )));
        }
        let (count, data_len) = (intro.il.get(), intro.dl.get());
        let (count_max, data_max) = header_kind.limits();
        if count == 0 || count > count_max {
            return Err(Error::integrity(format!("expected 1 to {count_max} entries in the {what}, found {count}")));
        }
        if data_len > data_max {
            return Err(Error::integrity(format!("expected at most {data_max} bytes of data in the {what}, found {data_len}")));
        }
        let index_len = count as usize * ENTRY_SIZE;
        take(reader, index_len + data_len as usize, &mut bytes, what)?;
        let mut header = Header { header_kind, bytes, data_start: INTRO_SIZE + index_len, entries: Vec::new() };
        if let Some(region) = header.region() {
            header.check_region(region)?;
        }
        header.entries = header.checked_entries()?;
        Ok(header)
    }

    fn index(&self) -> &[EntryInfo] {
        // `read` took whole entries, so there is nothing else that this could be.
        <[EntryInfo]>::ref_from_bytes(&self.bytes[INTRO_SIZE..self.data_start]).unwrap_or(&[])
    }

    /// The first entry, if it is the region.
    fn region(&self) -> Option<&EntryInfo> {
        self.index().first().filter(|entry| entry.tag == self.header_kind.region_tag())
    }

    fn check_region(&self, region: &EntryInfo) -> Result<()> {
        let what = self.header_kind.name();
        let (data_len, count) = (self.data().len(), self.index().len());
        let bad = |why: String| Error::integrity(format!("the region of the {what} is damaged: {why}"));
        if !region.is_of_region() {
            return Err(bad(format!("type {}, {} bytes", region.kind, region.count)));
        }
        let offset = region.offset.get() as usize;
        let trailer = self
            .data()
            .get(offset..)
            .and_then(|rest| EntryInfo::ref_from_prefix(rest).none_because("the next line says what is wrong"))
            .map(|(trailer, _)| trailer)
            .ok_or_else(|| bad(format!("its trailer at {offset} is past the data's end, {data_len}")))?;
        // rpm itself once wrote tag 61 (HEADERIMAGE) into the trailers of signature headers.
        if trailer.tag != region.tag && !(self.header_kind == HeaderKind::Signature && trailer.tag == 61) {
            return Err(bad(format!("trailer of tag {}", trailer.tag)));
        }
        if !trailer.is_of_region() {
            return Err(bad("its trailer's type".into()));
        }
        let entries_len = trailer.offset.get().wrapping_neg() as usize;
        if !entries_len.is_multiple_of(ENTRY_SIZE) || entries_len > count * ENTRY_SIZE {
            return Err(bad(format!("it says {entries_len} bytes of index")));
        }
        let region_end = offset + ENTRY_SIZE;
        if self.header_kind == HeaderKind::Main && (entries_len != count * ENTRY_SIZE || region_end != data_len) {
            return Err(bad(format!("it covers {} of {count} entries and {region_end} of {data_len} bytes", entries_len / ENTRY_SIZE)));
        }
        Ok(())
    }

    /// The entries behind the region, in ascending order of tags.
    fn checked_entries(&self) -> Result<Vec<Entry>> {
        let what = self.header_kind.name();
        let data_len = self.data().len();
        let mut entries: Vec<Entry> = Vec::with_capacity(self.index().len());
        let mut end = 0;
        for (i, info) in self.index().iter().enumerate().skip(usize::from(self.has_region())) {
            let [tag, kind, offset, number] = [info.tag, info.kind, info.offset, info.count].map(U32::get);
            let bad = |why: String| Error::integrity(format!("entry {i} (tag {tag}) of the {what}: {why}"));
            if tag < tags::FIRST_TAG {
                return Err(bad("a tag that belongs to the header itself".into()));
            }
            let (offset, number) = (offset as usize, number as usize);
            // rpm's own check: entries lie in the data in the order of the index, so the work here is linear.
            if offset < end || offset > data_len {
                return Err(bad(format!("its offset {offset} is not between {end}, its predecessor's end, and {data_len}")));
            }
            let data = &self.data()[offset..];
            let align = match kind {
                kind::INT16 => 2,
                kind::INT32 => 4,
                kind::INT64 => 8,
                _ => 1,
            };
            if !offset.is_multiple_of(align) {
                return Err(bad(format!("its offset {offset} is not a multiple of {align}")));
            }
            let len = match kind {
                kind::CHAR | kind::INT8 | kind::BIN | kind::INT16 | kind::INT32 | kind::INT64 => number.checked_mul(align),
                kind::STRING | kind::STRING_ARRAY | kind::I18N_STRING if number > STRINGS_MAX => {
                    return Err(bad(format!("expected at most {STRINGS_MAX} strings, found {number}")));
                }
                kind::STRING if number != 1 => return Err(bad(format!("expected one string, found {number}"))),
                kind::STRING | kind::STRING_ARRAY | kind::I18N_STRING => strings_len(data, number),
                _ => return Err(bad(format!("unknown type {kind}"))),
            };
            let len = len
                .filter(|&len| len > 0 && len <= data.len())
                .ok_or_else(|| bad(format!("{number} values of type {kind} at offset {offset} do not fit the data of {data_len} bytes")))?;
            end = offset + len;
            entries.push(Entry { tag, kind, offset, len, count: number });
        }
        entries.sort_by_key(|e| e.tag);
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].tag == pair[1].tag) {
            return Err(Error::integrity(format!("tag {} occurs twice in the {what}", pair[0].tag)));
        }
        Ok(entries)
    }

    /// The whole header as in the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn data(&self) -> &[u8] {
        &self.bytes[self.data_start..]
    }

    fn find(&self, tag: u32) -> Option<(Entry, &[u8])> {
        let entry = self.entries[self.entries.binary_search_by_key(&tag, |e| e.tag).none_because("a tag that is not found is absent")?];
        Some((entry, &self.data()[entry.offset..entry.offset + entry.len]))
    }

    /// The type's number, the number of values, and the values as they are, to be copied into another header.
    pub fn raw(&self, tag: u32) -> Option<(u32, u32, &[u8])> {
        self.find(tag).map(|(entry, data)| (entry.kind, entry.count as u32, data))
    }

    /// Opens with the region entry that says what the package's builder wrote.
    pub fn has_region(&self) -> bool {
        self.region().is_some()
    }

    /// Index and data, as in the file.
    pub fn index_and_data(&self) -> (&[u8], &[u8]) {
        self.bytes[INTRO_SIZE..].split_at(self.data_start - INTRO_SIZE)
    }

    pub fn has(&self, tag: u32) -> bool {
        self.find(tag).is_some()
    }

    fn typed(&self, tag: u32, expected: &[u32], name: &str) -> Result<Option<(Entry, &[u8])>> {
        match self.find(tag) {
            Some((entry, _)) if !expected.contains(&entry.kind) => {
                Err(Error::integrity(format!("expected {name} in tag {tag} of the {}, found type {}", self.header_kind.name(), entry.kind)))
            }
            found => Ok(found),
        }
    }

    pub fn bin(&self, tag: u32) -> Result<Option<&[u8]>> {
        Ok(self.typed(tag, &[kind::BIN, kind::CHAR, kind::INT8], "bytes")?.map(|(_, data)| data))
    }

    pub fn u16s(&self, tag: u32) -> Result<Option<Vec<u16>>> {
        Ok(self
            .typed(tag, &[kind::INT16], "16-bit integers")?
            .map(|(_, data)| data.as_chunks().0.iter().map(|&b| u16::from_be_bytes(b)).collect()))
    }

    pub fn u32s(&self, tag: u32) -> Result<Option<Vec<u32>>> {
        Ok(self
            .typed(tag, &[kind::INT32], "32-bit integers")?
            .map(|(_, data)| data.as_chunks().0.iter().map(|&b| u32::from_be_bytes(b)).collect()))
    }

    pub fn u64s(&self, tag: u32) -> Result<Option<Vec<u64>>> {
        Ok(self
            .typed(tag, &[kind::INT64], "64-bit integers")?
            .map(|(_, data)| data.as_chunks().0.iter().map(|&b| u64::from_be_bytes(b)).collect()))
    }

    /// The first of the integers of an entry.
    pub fn number(&self, tag: u32) -> Result<Option<u32>> {
        Ok(self.u32s(tag)?.and_then(|numbers| numbers.first().copied()))
    }

    /// The strings of an entry, without their NULs. A single string is an array of one.
    pub fn strings(&self, tag: u32) -> Result<Option<Vec<&[u8]>>> {
        Ok(self
            .typed(tag, &[kind::STRING, kind::STRING_ARRAY, kind::I18N_STRING], "strings")?
            .map(|(entry, data)| data.split(|&b| b == 0).take(entry.count).collect()))
    }

    /// The first string of an entry, the untranslated one if there are several. What is not UTF-8 is replaced.
    pub fn text(&self, tag: u32) -> Result<Option<String>> {
        Ok(self.strings(tag)?.and_then(|strings| strings.first().map(|s| String::from_utf8_lossy(s).into_owned())))
    }
}

/// Bytes that `count` strings with their NULs take at the start of `data`.
fn strings_len(data: &[u8], count: usize) -> Option<usize> {
    let last = count.checked_sub(1)?;
    Some(data.iter().enumerate().filter(|&(_, &b)| b == 0).nth(last)?.0 + 1)
}

fn take(reader: &mut impl Read, len: usize, into: &mut Vec<u8>, what: &str) -> Result<()> {
    // Grows as bytes arrive, so that a claimed length allocates nothing.
    let read = reader.take(len as u64).read_to_end(into).context(|| format!("read the {what}"))?;
    if read != len {
        return Err(Error::integrity(format!("expected {len} more bytes of the {what}, found only {read}")));
    }
    Ok(())
}
