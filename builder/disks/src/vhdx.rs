//! Hyper-V's disk images, dynamic: "[MS-VHDX]: Virtual Hard Disk v2 (VHDX) File Format", revision 8.0.
//!
//! ```text
//! 0 file identifier | 64 KiB, 128 KiB headers | 192 KiB, 256 KiB region tables | 1 MiB log | 2 MiB metadata | 3 MiB block allocation table | blocks
//! ```
//!
//! Little-endian; regions and blocks are aligned to 1 MiB. The log is empty and no log GUID is set, so there is nothing to replay. A file is planned from the
//! disk's segments, so it is written as fast as a raw one.

mod reader;
mod records;

pub use reader::Reader;

use crate::gpt::{EfiGuid, Guid};
use model::{Error, ImageSeed, Result, Segment, Segments};
use records::{
    BatEntry, FILE_SIGNATURE, FileParameters, FileTypeIdentifier, HEADER_SIGNATURE, Header, METADATA_SIGNATURE, MIB, MetadataTable,
    REGION_SIGNATURE, RegionTable, checksum,
};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromZeros, IntoBytes};

const KIB: u64 = 1 << 10;
/// §2.2.1 to §2.2.3: where identifier, headers and region tables are.
const HEADERS: [u64; 2] = [64 * KIB, 128 * KIB];
const REGION_TABLES: [u64; 2] = [192 * KIB, 256 * KIB];
/// §2.2.2: each 1 MiB long.
const LOG_AT: u64 = MIB;
const METADATA_AT: u64 = 2 * MIB;
const BAT_AT: u64 = 3 * MIB;
/// §2.6.2.1: a payload block, the smallest that there may be, so that little is stored but content.
const BLOCK: u64 = MIB;
/// §2.6.2.2: 64 TiB.
const MAX: u64 = 64 << 40;
/// §2.2.3.2: known regions.
const REGION_BAT: Guid = Guid::from_u128(0x2dc27766_f623_4200_9d64_115e9bfd4a08);
const REGION_METADATA: Guid = Guid::from_u128(0x8b7ca206_4790_4b9a_b8fe_575f050f886e);
/// §2.6.2: known metadata items.
const ITEM_FILE_PARAMETERS: Guid = Guid::from_u128(0xcaa16737_fa36_4d43_b3b6_33f0aa44e76b);
const ITEM_DISK_SIZE: Guid = Guid::from_u128(0x2fa54224_cd1b_4876_b211_5dbed83bf4b8);
const ITEM_DISK_ID: Guid = Guid::from_u128(0xbeca12ab_b2e6_4523_93ef_c309e000c746);
const ITEM_LOGICAL_SECTOR: Guid = Guid::from_u128(0x8141bf1d_a96f_4709_ba47_f233a8faab5f);
const ITEM_PHYSICAL_SECTOR: Guid = Guid::from_u128(0xcda348c7_445d_4471_9cc9_e9885251c556);
/// §2.6.1.2: flags of a metadata item.
const IS_VIRTUAL_DISK: u32 = 2;
const IS_REQUIRED: u32 = 4;

/// The file's bytes; `sector` is the disk's, 512 or 4096 bytes.
pub fn plan(disk: &Segments, sector: u64, seed: &ImageSeed) -> Result<Segments> {
    if !disk.size().is_multiple_of(sector) || disk.size() > MAX || ![512, 4096].contains(&sector) {
        return Err(Error::recipe(format!("a VHDX is a multiple of its sector of at most 64 TiB, not {} bytes", disk.size())));
    }
    let numbers = disk.touched_pieces(BLOCK);
    // §2.5: behind each so many payload entries stands one for a sector bitmap, which only a differencing disk has.
    let ratio = (1 << 23) * sector / BLOCK;
    let payload = disk.size().div_ceil(BLOCK);
    let entries = payload + payload.saturating_sub(1) / ratio;
    let blocks_at = BAT_AT + (entries * 8).next_multiple_of(MIB);
    let mut table = vec![BatEntry::new_zeroed(); entries as usize];
    let mut list = Vec::new();
    for (n, &number) in (0u64..).zip(&numbers) {
        table[(number + number / ratio) as usize] = BatEntry::present_at(blocks_at + n * BLOCK);
    }
    for s in disk.iter() {
        let mut done = 0;
        while done < s.data.len() {
            let at = s.offset + done;
            let n = (BLOCK - at % BLOCK).min(s.data.len() - done);
            let number = at / BLOCK;
            let block = table[(number + number / ratio) as usize].file_offset();
            list.push(Segment { offset: block + at % BLOCK, data: s.data.slice(done, n)? });
            done += n;
        }
    }
    let mut put = |offset: u64, bytes: &[u8]| list.push(Segment { offset, data: bytes.to_vec().into() });
    put(0, identifier().as_bytes());
    for (n, at) in (0..).zip(HEADERS) {
        put(at, header(n, seed).as_bytes());
    }
    for at in REGION_TABLES {
        put(at, region_table(blocks_at - BAT_AT).as_bytes());
    }
    put(METADATA_AT, &metadata(disk.size(), sector, seed));
    put(BAT_AT, table.as_bytes());
    Segments::new(blocks_at + numbers.len() as u64 * BLOCK, list)
}

fn identifier() -> FileTypeIdentifier {
    let mut identifier = FileTypeIdentifier { signature: FILE_SIGNATURE, ..FileTypeIdentifier::new_zeroed() };
    for (unit, value) in identifier.creator.iter_mut().zip("atomic-image".encode_utf16()) {
        *unit = value.into();
    }
    identifier
}

fn header(number: u64, seed: &ImageSeed) -> Header {
    let header = Header {
        signature: HEADER_SIGNATURE,
        sequence_number: (number + 1).into(),
        file_write_guid: Guid(seed.uuid("vhdx-file-write")).into(),
        data_write_guid: Guid(seed.uuid("vhdx-data-write")).into(),
        version: U16::new(1),
        log_length: (MIB as u32).into(),
        log_offset: LOG_AT.into(),
        ..Header::new_zeroed()
    };
    Header { checksum: checksum(&header).into(), ..header }
}

fn region_table(bat: u64) -> RegionTable {
    let regions = [(REGION_BAT, BAT_AT, bat), (REGION_METADATA, METADATA_AT, MIB)];
    let mut table = RegionTable { signature: REGION_SIGNATURE, ..RegionTable::new_zeroed() };
    table.entry_count = (regions.len() as u32).into();
    for (entry, (region, at, length)) in table.entries.iter_mut().zip(regions) {
        entry.guid = region.into();
        entry.file_offset = at.into();
        entry.length = (length as u32).into();
        entry.required = U32::new(1);
    }
    table.checksum = checksum(&table).into();
    table
}

/// §2.6: the table of items, and the items behind it.
fn metadata(size: u64, sector: u64, seed: &ImageSeed) -> Vec<u8> {
    // Flags: blocks may be freed, no parent.
    let parameters = FileParameters { block_size: (BLOCK as u32).into(), flags: U32::ZERO };
    let (size, id) = (U64::new(size), EfiGuid::from(Guid(seed.uuid("vhdx-disk-id"))));
    let (logical, physical) = (U32::new(sector as u32), U32::new(4096));
    let items = [
        (ITEM_FILE_PARAMETERS, parameters.as_bytes(), IS_REQUIRED),
        (ITEM_DISK_SIZE, size.as_bytes(), IS_REQUIRED | IS_VIRTUAL_DISK),
        (ITEM_DISK_ID, id.as_bytes(), IS_REQUIRED | IS_VIRTUAL_DISK),
        (ITEM_LOGICAL_SECTOR, logical.as_bytes(), IS_REQUIRED | IS_VIRTUAL_DISK),
        (ITEM_PHYSICAL_SECTOR, physical.as_bytes(), IS_REQUIRED | IS_VIRTUAL_DISK),
    ];
    let mut table = MetadataTable { signature: METADATA_SIGNATURE, ..MetadataTable::new_zeroed() };
    table.entry_count = (items.len() as u16).into();
    let mut values = Vec::new();
    for (entry, (item, value, flags)) in table.entries.iter_mut().zip(items) {
        entry.item_id = item.into();
        entry.offset = ((size_of::<MetadataTable>() + values.len()) as u32).into();
        entry.length = (value.len() as u32).into();
        entry.flags = flags.into();
        values.extend_from_slice(value);
    }
    [table.as_bytes(), &values].concat()
}
