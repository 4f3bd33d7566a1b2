//! Directory entries: §6 (short) and §7 (long) of the specification; 32 bytes each.

use super::names::{self, ShortName};
use model::SourceDateEpoch;

pub(super) const ENTRY: usize = 32;
pub(super) const ATTR_VOLUME_ID: u8 = 0x08;
pub(super) const ATTR_DIRECTORY: u8 = 0x10;
pub(super) const ATTR_ARCHIVE: u8 = 0x20;
/// Read-only, hidden, system and volume id together mark a part of a long name.
pub(super) const ATTR_LONG: u8 = 0x0f;
/// A long entry holds 13 UTF-16 units, at these byte offsets.
const UNITS_AT: [usize; 13] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
/// In the order field of the entry that comes first on disk, which holds the name's end.
const LAST_LONG: u8 = 0x40;

/// FAT's date and time of two seconds' resolution; years before 1980 become its first second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    date: u16,
    time: u16,
}

impl Stamp {
    pub fn new(epoch: SourceDateEpoch) -> Self {
        let (year, month, day, hour, minute, second) = epoch.civil();
        if year < 1980 {
            return Stamp { date: (1 << 5) | 1, time: 0 };
        }
        Stamp { date: (((year - 1980) << 9) | (month << 5) | day) as u16, time: ((hour << 11) | (minute << 5) | (second / 2)) as u16 }
    }
}

/// A short entry.
pub(super) fn short(name: &ShortName, attributes: u8, cluster: u32, size: u32, stamp: Stamp) -> [u8; ENTRY] {
    let mut e = [0; ENTRY];
    e[..11].copy_from_slice(name);
    e[11] = attributes;
    // Byte 12 (case bits, outside the specification) and 13 (tenths of a second) stay 0.
    for at in [16, 18, 24] {
        e[at..at + 2].copy_from_slice(&stamp.date.to_le_bytes());
    }
    for at in [14, 22] {
        e[at..at + 2].copy_from_slice(&stamp.time.to_le_bytes());
    }
    e[20..22].copy_from_slice(&((cluster >> 16) as u16).to_le_bytes());
    e[26..28].copy_from_slice(&(cluster as u16).to_le_bytes());
    e[28..].copy_from_slice(&size.to_le_bytes());
    e
}

/// The entries of a long name in disk order: the name's end first.
pub(super) fn long(name: &[u16], short: &ShortName) -> Vec<u8> {
    let sum = names::checksum(short);
    let count = name.len().div_ceil(UNITS_AT.len());
    let mut out = Vec::with_capacity(count * ENTRY);
    for n in (0..count).rev() {
        let mut e = [0; ENTRY];
        e[0] = (n + 1) as u8 | if n + 1 == count { LAST_LONG } else { 0 };
        e[11] = ATTR_LONG;
        e[13] = sum;
        for (k, at) in UNITS_AT.into_iter().enumerate() {
            let position = n * UNITS_AT.len() + k;
            // A NUL ends the name, 0xffff pads the rest.
            let unit = name.get(position).copied().unwrap_or(if position == name.len() { 0 } else { 0xffff });
            e[at..at + 2].copy_from_slice(&unit.to_le_bytes());
        }
        out.extend_from_slice(&e);
    }
    out
}

/// Entries that a name takes.
pub(super) fn entries_for(name: &[u16], needs_long: bool) -> usize {
    1 + if needs_long { name.len().div_ceil(UNITS_AT.len()) } else { 0 }
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
    let mut long: Vec<(u8, [u16; 13])> = Vec::new();
    let mut sum = 0;
    for e in bytes.as_chunks::<ENTRY>().0 {
        match (e[0], e[11]) {
            (0, _) => break,
            (0xe5, _) => long.clear(),
            (order, ATTR_LONG) => {
                if order & LAST_LONG != 0 {
                    long.clear();
                    sum = e[13];
                }
                if e[13] == sum && long.len() < names::LONG_MAX.div_ceil(13) {
                    long.push((order & !LAST_LONG, UNITS_AT.map(|at| u16::from_le_bytes([e[at], e[at + 1]]))));
                }
            }
            (_, attributes) => {
                let mut short: ShortName = [0; 11];
                short.copy_from_slice(&e[..11]);
                let parts = std::mem::take(&mut long);
                if attributes & ATTR_VOLUME_ID != 0 || e[0] == b'.' {
                    continue;
                }
                let in_order = parts.iter().rev().enumerate().all(|(n, (order, _))| usize::from(*order) == n + 1);
                let name = if !parts.is_empty() && in_order && sum == names::checksum(&short) {
                    let units: Vec<u16> = parts.iter().rev().flat_map(|(_, units)| *units).take_while(|&u| u != 0).collect();
                    String::from_utf16_lossy(&units)
                } else {
                    names::short_text(&short)
                };
                let cluster = u32::from(u16::from_le_bytes([e[20], e[21]])) << 16 | u32::from(u16::from_le_bytes([e[26], e[27]]));
                out.push(Decoded { name, attributes, cluster, size: u32::from_le_bytes([e[28], e[29], e[30], e[31]]) });
            }
        }
    }
    out
}
