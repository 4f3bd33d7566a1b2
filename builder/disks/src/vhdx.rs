//! Hyper-V's disk images, dynamic: "[MS-VHDX]: Virtual Hard Disk v2 (VHDX) File Format", revision 8.0.
//!
//! ```text
//! 0 file identifier | 64 KiB, 128 KiB headers | 192 KiB, 256 KiB region tables | 1 MiB log | 2 MiB metadata | 3 MiB block allocation table | blocks
//! ```
//!
//! Little-endian; regions and blocks are aligned to 1 MiB. The log is empty and no log GUID is set, so there is nothing to replay. A file is planned from the
//! disk's segments, so it is written as fast as a raw one.

mod reader;

pub use reader::Reader;

use crate::gpt::Guid;
use model::{Error, ImageSeed, Result, Segment, Segments};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// §2.2.1 to §2.2.3: where identifier, headers and region tables are.
const HEADERS: [u64; 2] = [64 * KIB, 128 * KIB];
const HEADER: usize = 4096;
const REGION_TABLES: [u64; 2] = [192 * KIB, 256 * KIB];
const REGION_TABLE: usize = 64 << 10;
/// §2.2.2: each 1 MiB long.
const LOG_AT: u64 = MIB;
const METADATA_AT: u64 = 2 * MIB;
const BAT_AT: u64 = 3 * MIB;
/// §2.6.2.1: a payload block, the smallest that there may be, so that little is stored but content.
const BLOCK: u64 = MIB;
/// §2.5.1.1: payload block states.
const FULLY_PRESENT: u64 = 6;
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
/// Items stand behind the metadata table.
const ITEMS_AT: u32 = 64 << 10;

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
    let mut table = vec![0u64; entries as usize];
    let mut list = Vec::new();
    for (n, &number) in (0u64..).zip(&numbers) {
        table[(number + number / ratio) as usize] = (blocks_at / MIB + n * (BLOCK / MIB)) << 20 | FULLY_PRESENT;
    }
    for s in disk.iter() {
        let mut done = 0;
        while done < s.data.len() {
            let at = s.offset + done;
            let n = (BLOCK - at % BLOCK).min(s.data.len() - done);
            let number = at / BLOCK;
            let block = (table[(number + number / ratio) as usize] >> 20) * MIB;
            list.push(Segment { offset: block + at % BLOCK, data: s.data.slice(done, n)? });
            done += n;
        }
    }
    let mut put = |offset: u64, bytes: Vec<u8>| list.push(Segment { offset, data: bytes.into() });
    put(0, identifier());
    for (n, at) in (0..).zip(HEADERS) {
        put(at, header(n, seed));
    }
    for at in REGION_TABLES {
        put(at, region_table(blocks_at - BAT_AT));
    }
    put(METADATA_AT, metadata(disk.size(), sector, seed));
    put(BAT_AT, table.iter().flat_map(|entry| entry.to_le_bytes()).collect());
    Segments::new(blocks_at + numbers.len() as u64 * BLOCK, list)
}

/// §2.2.1: the signature, and who made the file in UTF-16.
fn identifier() -> Vec<u8> {
    let mut b = b"vhdxfile".to_vec();
    b.extend("atomic-image".encode_utf16().flat_map(|unit| unit.to_le_bytes()));
    b
}

/// §2.2.2. Of the two, the one with the higher sequence number is current.
fn header(number: u64, seed: &ImageSeed) -> Vec<u8> {
    let mut h = b"head".to_vec();
    h.extend([0; 4]); // the checksum
    h.extend((number + 1).to_le_bytes());
    h.extend(Guid(seed.uuid("vhdx-file-write")).swapped());
    h.extend(Guid(seed.uuid("vhdx-data-write")).swapped());
    h.extend([0; 16]); // log GUID: the log is empty
    h.extend(0u16.to_le_bytes()); // log version
    h.extend(1u16.to_le_bytes()); // version
    h.extend((MIB as u32).to_le_bytes());
    h.extend(LOG_AT.to_le_bytes());
    h.resize(HEADER, 0);
    sealed(h)
}

/// §2.2.3.
fn region_table(bat: u64) -> Vec<u8> {
    let mut t = b"regi".to_vec();
    t.extend([0; 4]); // the checksum
    t.extend(2u32.to_le_bytes()); // entries
    t.extend([0; 4]); // reserved
    for (region, at, length) in [(REGION_BAT, BAT_AT, bat), (REGION_METADATA, METADATA_AT, MIB)] {
        t.extend(region.swapped());
        t.extend(at.to_le_bytes());
        t.extend((length as u32).to_le_bytes());
        t.extend(1u32.to_le_bytes()); // required
    }
    t.resize(REGION_TABLE, 0);
    sealed(t)
}

/// CRC-32C of the whole record, with zero in its own place.
fn sealed(mut record: Vec<u8>) -> Vec<u8> {
    let sum = crc32c::crc32c(&record);
    record[4..8].copy_from_slice(&sum.to_le_bytes());
    record
}

/// §2.6: the table of items, and the items.
fn metadata(size: u64, sector: u64, seed: &ImageSeed) -> Vec<u8> {
    // File parameters: the block size, and flags: blocks may be freed, no parent.
    let parameters = [(BLOCK as u32).to_le_bytes(), [0; 4]].concat();
    let items = [
        (ITEM_FILE_PARAMETERS, parameters, IS_REQUIRED),
        (ITEM_DISK_SIZE, size.to_le_bytes().to_vec(), IS_REQUIRED | IS_VIRTUAL_DISK),
        (ITEM_DISK_ID, Guid(seed.uuid("vhdx-disk-id")).swapped().to_vec(), IS_REQUIRED | IS_VIRTUAL_DISK),
        (ITEM_LOGICAL_SECTOR, (sector as u32).to_le_bytes().to_vec(), IS_REQUIRED | IS_VIRTUAL_DISK),
        (ITEM_PHYSICAL_SECTOR, 4096u32.to_le_bytes().to_vec(), IS_REQUIRED | IS_VIRTUAL_DISK),
    ];
    let mut table = b"metadata".to_vec();
    table.extend([0; 2]); // reserved
    table.extend((items.len() as u16).to_le_bytes());
    table.extend([0; 20]); // reserved
    let mut values = Vec::new();
    for (item, value, flags) in items {
        table.extend(item.swapped());
        table.extend((ITEMS_AT + values.len() as u32).to_le_bytes());
        table.extend((value.len() as u32).to_le_bytes());
        table.extend(flags.to_le_bytes());
        table.extend([0; 4]); // reserved
        values.extend(value);
    }
    table.resize(ITEMS_AT as usize, 0);
    table.extend(values);
    table
}
