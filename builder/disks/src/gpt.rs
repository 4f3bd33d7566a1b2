//! The GUID partition table: UEFI specification 2.10, §5.3. Sectors of 512 or 4096 bytes, 128 entries of 128 bytes, as every firmware expects.
//!
//! ```text
//! LBA 0 protective MBR | 1 header | 2..34 entries | 34.. partitions | last-32..last entries | last header      (6 for 34, 4 for 32 with large sectors)
//! ```
//!
//! On disk all positions count the disk's own sectors; in memory they are [`Lba`], sectors of 512 bytes, whatever the disk has.
//!
//! Written by hand: the table is 200 bytes of fixed layout, and nothing random may reach it.

mod guid;
mod records;

pub use guid::Guid;

pub(crate) use guid::EfiGuid;

use crate::{mbr, record};
use model::{Error, Lba, Result, Segment};
use records::{Entry, HEADER_SIZE, Header, REVISION, SIGNATURE};
use zerocopy::{FromZeros, IntoBytes};

/// Bytes of a partition entry, and how many entries there are.
const ENTRY: u32 = size_of::<Entry>() as u32;
const ENTRIES: u32 = 128;
/// Bytes of all entries.
const ENTRIES_SIZE: u64 = ENTRY as u64 * ENTRIES as u64;
/// Entries accepted when reading: what other tools make, and some more.
const ENTRIES_MAX: u32 = 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    pub kind: Guid,
    pub id: Guid,
    pub first: Lba,
    /// Inclusive, as on disk.
    pub last: Lba,
    /// §5.3.3, table 5-8.
    pub attributes: u64,
    /// At most 36 UTF-16 units.
    pub name: String,
}

impl Partition {
    pub fn offset(&self) -> u64 {
        self.first.byte_offset()
    }

    /// In bytes.
    pub fn size(&self) -> u64 {
        (self.last.0 + 1 - self.first.0) * Lba::SECTOR
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub disk: Guid,
    /// Bytes in a sector of the disk: 512 or 4096.
    pub sector: u64,
    /// Of the whole disk, in bytes.
    pub size: u64,
    /// In the order of the entries; the first is partition 1.
    pub partitions: Vec<Partition>,
}

impl Table {
    /// Bytes at the end of a disk for the backup: entries and header.
    pub fn backup_size(sector: u64) -> u64 {
        ENTRIES_SIZE + sector
    }

    /// All in the disk's sectors.
    fn first_usable(&self) -> u64 {
        2 + ENTRIES_SIZE / self.sector
    }

    fn last_usable(&self) -> u64 {
        (self.size / self.sector).saturating_sub(Self::backup_size(self.sector) / self.sector + 1)
    }

    /// The protective MBR with `boot_code`, and both copies of the table.
    pub fn encode(&self, boot_code: &[u8; mbr::CODE]) -> Result<Vec<Segment>> {
        if ![512, 4096].contains(&self.sector) || !self.size.is_multiple_of(self.sector) {
            return Err(Error::internal(format!("GPT: a disk of {} bytes in sectors of {}", self.size, self.sector)));
        }
        let entries = self.entries()?;
        let last = self.size / self.sector - 1;
        let backup_entries = last - ENTRIES_SIZE / self.sector;
        let primary = self.header(1, last, 2, &entries);
        let backup = self.header(last, 1, backup_entries, &entries);
        let mut front = mbr::protective(boot_code, self.size / self.sector).as_bytes().to_vec();
        front.resize(self.sector as usize, 0);
        front.extend_from_slice(primary.as_bytes());
        front.resize(2 * self.sector as usize, 0);
        front.extend_from_slice(entries.as_bytes());
        let mut back = [entries.as_bytes(), backup.as_bytes()].concat();
        back.resize(Self::backup_size(self.sector) as usize, 0);
        Ok(vec![Segment { offset: 0, data: front.into() }, Segment { offset: backup_entries * self.sector, data: back.into() }])
    }

    fn entries(&self) -> Result<[Entry; ENTRIES as usize]> {
        if self.partitions.len() > ENTRIES as usize {
            return Err(Error::internal(format!("{} partitions, the table holds {ENTRIES}", self.partitions.len())));
        }
        let mut end = self.first_usable();
        let mut out = [Entry::new_zeroed(); ENTRIES as usize];
        for (entry, p) in out.iter_mut().zip(&self.partitions) {
            let (first, last) = (p.offset() / self.sector, (p.offset() + p.size()) / self.sector - 1);
            let aligned = p.offset().is_multiple_of(self.sector) && p.size().is_multiple_of(self.sector);
            if !aligned || p.last < p.first || first < end || last > self.last_usable() {
                return Err(Error::internal(format!(
                    "partition {:?} at sectors {first} to {last} does not fit after sector {end}",
                    p.name
                )));
            }
            end = last + 1;
            entry.partition_type_guid = p.kind.into();
            entry.unique_partition_guid = p.id.into();
            entry.starting_lba = first.into();
            entry.ending_lba = last.into();
            entry.attributes = p.attributes.into();
            let units = entry.partition_name.len();
            if p.name.encode_utf16().count() > units {
                return Err(Error::internal(format!("the partition name {:?} has more than {units} UTF-16 units", p.name)));
            }
            for (unit, value) in entry.partition_name.iter_mut().zip(p.name.encode_utf16()) {
                *unit = value.into();
            }
        }
        Ok(out)
    }

    fn header(&self, own: u64, other: u64, entries_at: u64, entries: &[Entry]) -> Header {
        let header = Header {
            signature: SIGNATURE,
            revision: REVISION.into(),
            header_size: HEADER_SIZE.into(),
            my_lba: own.into(),
            alternate_lba: other.into(),
            first_usable_lba: self.first_usable().into(),
            last_usable_lba: self.last_usable().into(),
            disk_guid: self.disk.into(),
            partition_entry_lba: entries_at.into(),
            number_of_partition_entries: ENTRIES.into(),
            size_of_partition_entry: ENTRY.into(),
            partition_entry_array_crc32: crc32fast::hash(entries.as_bytes()).into(),
            ..Header::new_zeroed()
        };
        Header { header_crc32: header.checksum().into(), ..header }
    }

    /// Reads the primary table of a disk of `size` bytes through a function that fills a buffer from a byte offset. Refuses wrong checksums,
    /// partitions that overlap or leave the disk, and a disk without the backup that the primary table names.
    pub fn read(size: u64, source: &dyn Fn(u64, &mut [u8]) -> Result<()>) -> Result<Table> {
        let bad = |what: String| Error::integrity(format!("GPT header at sector 1: {what}"));
        if size < 2 * 512 + ENTRIES_SIZE {
            return Err(bad(format!("a disk of {size} bytes is too small to have one")));
        }
        // The signature says how large sectors are.
        let mut sector = 512;
        let mut header: Header = record::read(&source, sector)?;
        if header.signature != SIGNATURE {
            let at_4096: Header = record::read(&source, 4096)?;
            if at_4096.signature == SIGNATURE {
                (sector, header) = (4096, at_4096);
            }
        }
        if header.signature != SIGNATURE {
            return Err(bad(format!("expected the signature \"EFI PART\", found {}", hex::encode(header.signature))));
        }
        let length = header.header_size.get();
        if !(HEADER_SIZE..=512).contains(&length) {
            return Err(bad(format!("expected a length of {HEADER_SIZE} to 512, found {length}")));
        }
        let (expected, found) = (header.header_crc32.get(), header.checksum());
        if found != expected {
            return Err(bad(format!("expected the checksum {expected:08x}, found {found:08x}")));
        }
        let (count, entry) = (header.number_of_partition_entries.get(), header.size_of_partition_entry.get());
        if !(1..=ENTRIES_MAX).contains(&count) || !(ENTRY..=4096).contains(&entry) || entry % ENTRY != 0 {
            return Err(bad(format!("{count} entries of {entry} bytes are not supported")));
        }
        let (at, sectors) = (header.partition_entry_lba.get(), size / sector);
        if at < 2 || at >= sectors {
            return Err(bad(format!("entries at sector {at} of {sectors}")));
        }
        // An entry may be as long as several of ours: its fields stand in the first.
        let step = (entry / ENTRY) as usize;
        let entries: Vec<Entry> = record::read_table(&source, at * sector, count as usize * step)?;
        let (expected, found) = (header.partition_entry_array_crc32.get(), crc32fast::hash(entries.as_bytes()));
        if found != expected {
            return Err(bad(format!("expected the entries' checksum {expected:08x}, found {found:08x}")));
        }
        // Not always the last sector: a disk may have grown.
        let backup = header.alternate_lba.get();
        let mut signature = [0; 8];
        if backup < sectors {
            source(backup * sector, &mut signature)?;
        }
        if signature != SIGNATURE {
            let message = format!(
                "expected the backup header at sector {backup}, offset {}, of a disk of {size} bytes",
                backup.saturating_mul(sector)
            );
            return Err(Error::integrity(format!("GPT: {message}")).hint("the image was cut short: copy or download it again"));
        }
        let scale = sector / Lba::SECTOR;
        let mut partitions = Vec::new();
        for e in entries.iter().step_by(step).filter(|e| e.partition_type_guid != EfiGuid::ZERO) {
            let units: Vec<u16> = e.partition_name.iter().map(|unit| unit.get()).take_while(|&unit| unit != 0).collect();
            let (first, last) = (e.starting_lba.get(), e.ending_lba.get());
            if first > last || last >= sectors || first < 2 {
                return Err(Error::integrity(format!("GPT partition {}: sectors {first} to {last} of {sectors}", partitions.len() + 1)));
            }
            partitions.push(Partition {
                kind: e.partition_type_guid.get(),
                id: e.unique_partition_guid.get(),
                first: Lba(first * scale),
                last: Lba((last + 1) * scale - 1),
                attributes: e.attributes.get(),
                name: String::from_utf16_lossy(&units),
            });
        }
        let mut sorted: Vec<&Partition> = partitions.iter().collect();
        sorted.sort_by_key(|p| p.first);
        if let Some(pair) = sorted.windows(2).find(|w| w[1].first <= w[0].last) {
            return Err(Error::integrity(format!("GPT partitions {:?} and {:?} overlap", pair[0].name, pair[1].name)));
        }
        Ok(Table { disk: header.disk_guid.get(), sector, size, partitions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Segments;
    use std::os::unix::fs::FileExt;
    use std::process::Command;

    fn sample(sector: u64) -> Table {
        let part = |first, last, name: &str| Partition {
            kind: Guid::from_u128(0x0fc63daf_8483_4772_8e79_3d69d8477de4),
            id: Guid::from_u128(u128::from(first) | (0x8000_8000 << 64)),
            first: Lba(first),
            last: Lba(last),
            attributes: 0,
            name: name.into(),
        };
        let disk = Guid::from_u128(0x01234567_89ab_cdef_8123_456789abcdef);
        Table { disk, sector, size: 65_536 * 512, partitions: vec![part(2048, 4095, "one"), part(4096, 63_487, "zwei ü")] }
    }

    fn sgdisk(path: &std::path::Path, arguments: &[&str]) -> String {
        let out = Command::new("sgdisk").args(arguments).arg(path).output().unwrap();
        String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()
    }

    #[test]
    fn sgdisk_finds_no_problem_and_finds_one_in_a_corrupted_twin() {
        let path = tempfile::tempdir().unwrap().keep().join("disk.img");
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(65_536 * 512).unwrap();
        for s in sample(512).encode(&[0x90; 440]).unwrap() {
            file.write_all_at(&s.data.to_vec().unwrap(), s.offset).unwrap();
        }
        let said = sgdisk(&path, &["-v"]);
        assert!(said.contains("No problems found"), "{said}");
        let said = sgdisk(&path, &["-i", "2"]);
        assert!(
            said.contains("'zwei ü'") && said.contains("0FC63DAF-8483-4772-8E79-3D69D8477DE4") && said.contains("First sector: 4096"),
            "{said}"
        );
        assert!(sgdisk(&path, &["-p"]).contains("01234567-89AB-CDEF-8123-456789ABCDEF"));
        file.write_all_at(&[1], 1024 + 40).unwrap();
        let said = sgdisk(&path, &["-v"]);
        assert!(!said.contains("No problems found"), "{said}");
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn the_reader_returns_what_was_written_and_refuses_any_flipped_bit() {
        let disk = Segments::new(65_536 * 512, sample(512).encode(&[0; 440]).unwrap()).unwrap();
        let source = |offset: u64, buffer: &mut [u8]| disk.read_at(buffer, offset).map(drop);
        assert_eq!(Table::read(disk.size(), &source).unwrap(), sample(512));
        for at in (512..512 + 92u64).chain(1024..1024 + 256) {
            let flipped = |offset: u64, buffer: &mut [u8]| {
                disk.read_at(buffer, offset)?;
                if let Some(b) = at.checked_sub(offset).and_then(|n| buffer.get_mut(n as usize)) {
                    *b ^= 0x10;
                }
                Ok(())
            };
            assert!(Table::read(disk.size(), &flipped).is_err(), "byte {at}");
        }
        let mut overlapping = sample(512);
        overlapping.partitions[1].first = Lba(4000);
        assert!(overlapping.encode(&[0; 440]).is_err());
    }
    #[test]
    fn sectors_of_4096_bytes_have_the_same_partitions_elsewhere() {
        let table = sample(4096);
        let disk = Segments::new(table.size, table.encode(&[0; 440]).unwrap()).unwrap();
        let source = |offset: u64, buffer: &mut [u8]| disk.read_at(buffer, offset).map(drop);
        assert_eq!(Table::read(disk.size(), &source).unwrap(), table);
        let mut bytes = [0; 48];
        source(4096, &mut bytes).unwrap();
        // The first usable sector: behind the MBR, the header and 4 sectors of entries.
        assert_eq!(bytes[40], 6);
        source(8192 + 32, &mut bytes[..16]).unwrap();
        assert_eq!(bytes[..16], [0, 1, 0, 0, 0, 0, 0, 0, 0xff, 1, 0, 0, 0, 0, 0, 0]);
        let mut odd = sample(4096);
        odd.partitions[0].first = Lba(2049);
        assert!(odd.encode(&[0; 440]).is_err());
    }

    #[test]
    fn a_disk_that_was_cut_short_lacks_its_backup() {
        let disk = Segments::new(65_536 * 512, sample(512).encode(&[0; 440]).unwrap()).unwrap();
        let source = |offset: u64, buffer: &mut [u8]| disk.read_at(buffer, offset).map(drop);
        let error = Table::read(disk.size() - 512, &source).unwrap_err();
        assert!(error.to_string().contains("backup header at sector 65535, offset 33553920"), "{error}");
        let grown = |offset: u64, buffer: &mut [u8]| {
            buffer.fill(0);
            if offset + buffer.len() as u64 <= disk.size() { source(offset, buffer) } else { Ok(()) }
        };
        assert!(Table::read(disk.size() + 4096, &grown).is_ok());
    }
}
