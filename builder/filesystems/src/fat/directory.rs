//! Directory entries: §6 (short) and §7 (long) of the specification; 32 bytes each.

use super::names::{self, ShortName};
use model::SourceDateEpoch;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned, transmute, transmute_ref};

/// Bytes of an entry of either kind.
pub(super) const ENTRY: usize = 32;

/// §6: a file or a directory under its short name.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct ShortEntry {
    dir_name: ShortName,
    dir_attr: u8,
    dir_nt_res: u8,
    dir_crt_time_tenth: u8,
    dir_crt_time: U16,
    dir_crt_date: U16,
    dir_lst_acc_date: U16,
    dir_fst_clus_hi: U16,
    dir_wrt_time: U16,
    dir_wrt_date: U16,
    dir_fst_clus_lo: U16,
    dir_file_size: U32,
}
const _: () = assert!(size_of::<ShortEntry>() == ENTRY);

/// §7: thirteen UTF-16 units of a long name.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct LongEntry {
    ldir_ord: u8,
    ldir_name1: [U16; 5],
    ldir_attr: u8,
    ldir_type: u8,
    ldir_chksum: u8,
    ldir_name2: [U16; 6],
    ldir_fst_clus_lo: U16,
    ldir_name3: [U16; 2],
}
const _: () = assert!(size_of::<LongEntry>() == ENTRY);

pub(super) const ATTR_VOLUME_ID: u8 = 0x08;
pub(super) const ATTR_DIRECTORY: u8 = 0x10;
pub(super) const ATTR_ARCHIVE: u8 = 0x20;
/// Read-only, hidden, system and volume id together mark a part of a long name.
pub(super) const ATTR_LONG: u8 = 0x0f;
/// UTF-16 units in a long entry.
const UNITS: usize = 5 + 6 + 2;
/// In ldir_ord of the entry that comes first on disk, which holds the name's end.
const LAST_LONG: u8 = 0x40;

/// FAT's date and time of two seconds' resolution; years before 1980 become its first second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    date: U16,
    time: U16,
}

impl Stamp {
    pub fn new(epoch: SourceDateEpoch) -> Self {
        let (year, month, day, hour, minute, second) = epoch.civil();
        if year < 1980 {
            return Stamp { date: ((1 << 5) | 1).into(), time: U16::ZERO };
        }
        let date = ((year - 1980) << 9) | (month << 5) | day;
        let time = (hour << 11) | (minute << 5) | (second / 2);
        Stamp { date: (date as u16).into(), time: (time as u16).into() }
    }
}

/// A short entry.
pub(super) fn short(name: &ShortName, attributes: u8, cluster: u32, size: u32, stamp: Stamp) -> [u8; ENTRY] {
    transmute!(ShortEntry {
        dir_name: *name,
        dir_attr: attributes,
        dir_nt_res: 0, // case bits, outside the specification
        dir_crt_time_tenth: 0,
        dir_crt_time: stamp.time,
        dir_crt_date: stamp.date,
        dir_lst_acc_date: stamp.date,
        dir_fst_clus_hi: ((cluster >> 16) as u16).into(),
        dir_wrt_time: stamp.time,
        dir_wrt_date: stamp.date,
        dir_fst_clus_lo: (cluster as u16).into(),
        dir_file_size: size.into(),
    })
}

impl LongEntry {
    fn units_mut(&mut self) -> impl Iterator<Item = &mut U16> {
        self.ldir_name1.iter_mut().chain(&mut self.ldir_name2).chain(&mut self.ldir_name3)
    }

    fn units(&self) -> impl Iterator<Item = u16> {
        self.ldir_name1.iter().chain(&self.ldir_name2).chain(&self.ldir_name3).map(|unit| unit.get())
    }
}

/// The entries of a long name in disk order: the name's end first.
pub(super) fn long(name: &[u16], short: &ShortName) -> Vec<u8> {
    let sum = names::checksum(short);
    let count = name.len().div_ceil(UNITS);
    let mut out = Vec::with_capacity(count * ENTRY);
    for n in (0..count).rev() {
        let ldir_ord = (n + 1) as u8 | if n + 1 == count { LAST_LONG } else { 0 };
        let mut entry = LongEntry { ldir_ord, ldir_attr: ATTR_LONG, ldir_chksum: sum, ..LongEntry::new_zeroed() };
        for (place, position) in entry.units_mut().zip(n * UNITS..) {
            // A NUL ends the name, 0xffff pads the rest.
            *place = name.get(position).copied().unwrap_or(if position == name.len() { 0 } else { 0xffff }).into();
        }
        out.extend_from_slice(entry.as_bytes());
    }
    out
}

/// Entries that a name takes.
pub(super) fn entries_for(name: &[u16], needs_long: bool) -> usize {
    1 + if needs_long { name.len().div_ceil(UNITS) } else { 0 }
}

/// One name as read.
#[derive(Debug, Clone)]
pub(super) struct Decoded {
    pub name: String,
    pub attributes: u8,
    pub cluster: u32,
    pub size: u32,
}

/// The names in a directory's bytes; labels, deleted entries, `.` and `..` are left out, a long name that does not belong to its short one is ignored.
pub(super) fn decode(bytes: &[u8]) -> Vec<Decoded> {
    let mut out = Vec::new();
    let mut long: Vec<&LongEntry> = Vec::new();
    let mut sum = 0;
    for e in bytes.as_chunks::<ENTRY>().0 {
        let (short, part): (&ShortEntry, &LongEntry) = (transmute_ref!(e), transmute_ref!(e));
        match (short.dir_name[0], short.dir_attr) {
            (0, _) => break,
            (0xe5, _) => long.clear(),
            (order, ATTR_LONG) => {
                if order & LAST_LONG != 0 {
                    long.clear();
                    sum = part.ldir_chksum;
                }
                if part.ldir_chksum == sum && long.len() < names::LONG_MAX.div_ceil(UNITS) {
                    long.push(part);
                }
            }
            (first, attributes) => {
                let parts = std::mem::take(&mut long);
                if attributes & ATTR_VOLUME_ID != 0 || first == b'.' {
                    continue;
                }
                let in_order = parts.iter().rev().enumerate().all(|(n, part)| usize::from(part.ldir_ord & !LAST_LONG) == n + 1);
                let name = if !parts.is_empty() && in_order && sum == names::checksum(&short.dir_name) {
                    let units: Vec<u16> = parts.iter().rev().flat_map(|part| part.units()).take_while(|&u| u != 0).collect();
                    String::from_utf16_lossy(&units)
                } else {
                    names::short_text(&short.dir_name)
                };
                let cluster = u32::from(short.dir_fst_clus_hi) << 16 | u32::from(short.dir_fst_clus_lo);
                out.push(Decoded { name, attributes, cluster, size: short.dir_file_size.get() });
            }
        }
    }
    out
}
