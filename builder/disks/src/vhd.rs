//! Virtual Hard Disk images: "Virtual Hard Disk Image Format Specification" 1.0 (Microsoft, 2006), fixed and dynamic.
//!
//! ```text
//! fixed:   the disk | footer
//! dynamic: footer | dynamic header | block table | {sector bitmap, block of 2 MiB} … | footer
//! ```
//!
//! Big-endian; the block table has positions in sectors of 512 bytes. A file is planned from the disk's segments, so it is written as fast as a raw one.
//! Azure takes fixed ones whose size is a multiple of 1 MiB.

mod reader;
mod records;

pub use reader::{Reader, is_vhd};

use model::{Error, ImageSeed, Result, Segment, Segments, SourceDateEpoch};
use records::{DYNAMIC_COOKIE, DiskGeometry, DynamicHeader, FOOTER_COOKIE, Footer, NO_DATA, VERSION};
use zerocopy::big_endian::U32;
use zerocopy::{FromZeros, IntoBytes};

const SECTOR: u64 = 512;
/// Bytes of the footer, and of the dynamic header.
const FOOTER: u64 = size_of::<Footer>() as u64;
const DYNAMIC_HEADER: u64 = size_of::<DynamicHeader>() as u64;
/// Bytes in a block of a dynamic disk: the specification's default.
const BLOCK: u64 = 2 << 20;
/// Each block's bitmap stands in the last sector of a page, so that the block itself begins at a page and is copied as pages.
const PAGE: u64 = 4096;
/// Timestamps count from 2000-01-01 00:00:00 UTC, here in seconds since 1970.
const EPOCH_2000: u32 = 946_684_800;
/// The specification's largest disk, 2040 GiB.
const MAX: u64 = 2040 << 30;
/// "Creator Application" of Hyper-V, which means that the size is what the footer says and not cylinders times heads times sectors (as for Virtual PC's
/// "vpc "); readers know no other name as well as this one.
const CREATOR: [u8; 4] = *b"win ";
/// Windows 10's, and its host system.
const CREATOR_VERSION: u32 = 0x000a_0000;
const CREATOR_SYSTEM: [u8; 4] = *b"Wi2k";
const UNUSED: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Fixed = 2,
    Dynamic = 3,
}

/// The file's bytes.
pub fn plan(disk: &Segments, kind: Kind, seed: &ImageSeed, epoch: SourceDateEpoch) -> Result<Segments> {
    if !disk.size().is_multiple_of(1 << 20) || disk.size() > MAX {
        return Err(Error::recipe(format!("a VHD is a multiple of 1 MiB of at most 2040 GiB, not {} bytes", disk.size())));
    }
    let footer = footer(disk.size(), kind, seed, epoch);
    if kind == Kind::Fixed {
        let mut list: Vec<Segment> = disk.iter().cloned().collect();
        list.push(Segment { offset: disk.size(), data: footer.as_bytes().to_vec().into() });
        return Segments::new(disk.size() + FOOTER, list);
    }
    let numbers = disk.touched_pieces(BLOCK);
    let entries = disk.size().div_ceil(BLOCK);
    let mut table = vec![U32::new(UNUSED); (entries as usize).next_multiple_of(SECTOR as usize / 4)];
    let table_at = FOOTER + DYNAMIC_HEADER;
    let first = (table_at + table.len() as u64 * 4 + SECTOR).next_multiple_of(PAGE);
    let mut list = Vec::new();
    for (n, &number) in (0u64..).zip(&numbers) {
        let data_at = first + n * (BLOCK + PAGE);
        table[number as usize] = (((data_at - SECTOR) / SECTOR) as u32).into();
        // A set bit: the sector is in this file, which is all that a disk without parent can say.
        list.push(Segment { offset: data_at - SECTOR, data: vec![0xff; SECTOR as usize].into() });
    }
    for s in disk.iter() {
        let mut done = 0;
        while done < s.data.len() {
            let at = s.offset + done;
            let n = (BLOCK - at % BLOCK).min(s.data.len() - done);
            let block = u64::from(table[(at / BLOCK) as usize]) * SECTOR + SECTOR;
            list.push(Segment { offset: block + at % BLOCK, data: s.data.slice(done, n)? });
            done += n;
        }
    }
    let front = [footer.as_bytes(), dynamic_header(table_at, entries as u32).as_bytes(), table.as_bytes()].concat();
    list.push(Segment { offset: 0, data: front.into() });
    let end = first + numbers.len() as u64 * (BLOCK + PAGE);
    list.push(Segment { offset: end, data: footer.as_bytes().to_vec().into() });
    Segments::new(end + FOOTER, list)
}

fn footer(size: u64, kind: Kind, seed: &ImageSeed, epoch: SourceDateEpoch) -> Footer {
    let footer = Footer {
        cookie: FOOTER_COOKIE,
        // The reserved bit, which is always set.
        features: U32::new(2),
        file_format_version: VERSION.into(),
        data_offset: if kind == Kind::Dynamic { FOOTER } else { NO_DATA }.into(),
        time_stamp: epoch.0.saturating_sub(EPOCH_2000).into(),
        creator_application: CREATOR,
        creator_version: CREATOR_VERSION.into(),
        creator_host_os: CREATOR_SYSTEM,
        original_size: size.into(),
        current_size: size.into(),
        disk_geometry: geometry(size / SECTOR),
        disk_type: (kind as u32).into(),
        unique_id: seed.uuid("vhd-unique-id"),
        ..Footer::new_zeroed()
    };
    Footer { checksum: footer.checksum().into(), ..footer }
}

fn dynamic_header(table_at: u64, entries: u32) -> DynamicHeader {
    let header = DynamicHeader {
        cookie: DYNAMIC_COOKIE,
        data_offset: NO_DATA.into(),
        table_offset: table_at.into(),
        header_version: VERSION.into(),
        max_table_entries: entries.into(),
        block_size: (BLOCK as u32).into(),
        ..DynamicHeader::new_zeroed()
    };
    DynamicHeader { checksum: header.checksum().into(), ..header }
}

/// The geometry of a disk of `sectors` sectors: the specification's appendix "CHS Calculation".
fn geometry(sectors: u64) -> DiskGeometry {
    let geometry = |cylinders: u64, heads: u64, per_track: u64| DiskGeometry {
        cylinder: (cylinders as u16).into(),
        heads: heads as u8,
        sectors_per_track: per_track as u8,
    };
    let total = sectors.min(65_535 * 16 * 255);
    if total >= 65_535 * 16 * 63 {
        return geometry(total / 255 / 16, 16, 255);
    }
    let mut per_track = 17;
    let mut by_heads = total / per_track;
    let mut heads = by_heads.div_ceil(1024).max(4);
    if by_heads >= heads * 1024 || heads > 16 {
        (per_track, heads) = (31, 16);
        by_heads = total / per_track;
    }
    if by_heads >= heads * 1024 {
        (per_track, heads) = (63, 16);
        by_heads = total / per_track;
    }
    geometry(by_heads / heads, heads, per_track)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_geometry_is_that_of_the_specification() {
        // 3 MiB, 64 MiB, 1 GiB, 40 GiB, and past the largest.
        for (sectors, expected) in [
            (6144, (90, 4, 17)),
            (131_072, (963, 8, 17)),
            (2_097_152, (2080, 16, 63)),
            (83_886_080, (20_560, 16, 255)),
            (1 << 33, (65_535, 16, 255)),
        ] {
            let found = geometry(sectors);
            assert_eq!((found.cylinder.get(), found.heads, found.sectors_per_track), expected, "{sectors}");
        }
    }
}
