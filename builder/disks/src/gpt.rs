//! The GUID partition table: UEFI specification 2.10, §5.3. Sectors of 512 or 4096 bytes, 128 entries of 128 bytes, as every firmware expects.
//!
//! ```text
//! LBA 0 protective MBR | 1 header | 2..34 entries | 34.. partitions | last-32..last entries | last header      (6 for 34, 4 for 32 with large sectors)
//! ```
//!
//! On disk all positions count the disk's own sectors; in memory they are [`Lba`], sectors of 512 bytes, whatever the disk has.
//!
//! Written by hand: the table is 200 bytes of fixed layout, and nothing random may reach it.

use crate::mbr;
use model::{Error, Lba, Result, Segment};
use std::fmt;

const SIGNATURE: &[u8; 8] = b"EFI PART";
const REVISION: u32 = 0x0001_0000;
/// Bytes of the header that its checksum covers.
const HEADER: u32 = 92;
/// Bytes of a partition entry, and how many entries there are.
const ENTRY: u32 = 128;
const ENTRIES: u32 = 128;
/// Bytes of all entries.
const ENTRIES_SIZE: u64 = ENTRY as u64 * ENTRIES as u64;
/// UTF-16 units of a partition's name.
const NAME_UNITS: usize = 36;
/// Entries accepted when reading: what other tools make, and some more.
const ENTRIES_MAX: u32 = 1024;

/// A GUID in network byte order, as it is printed; on disk the first three fields are little-endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// `21686148-6449-6e6f-744e-656564454649` as a number.
    pub const fn from_u128(value: u128) -> Self {
        Guid(value.to_be_bytes())
    }

    /// The form on disk; the same function in both directions: swaps the bytes of the first three fields.
    pub fn swapped(self) -> [u8; 16] {
        let g = self.0;
        [g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]]
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let h = hex::encode(self.0);
        write!(f, "{}-{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20], &h[20..])
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

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
        let mut front = mbr::protective(boot_code, self.size / self.sector).to_vec();
        front.resize(self.sector as usize, 0);
        front.extend(primary);
        front.extend_from_slice(&entries);
        let back = [entries, backup].concat();
        Ok(vec![Segment { offset: 0, data: front.into() }, Segment { offset: backup_entries * self.sector, data: back.into() }])
    }

    fn entries(&self) -> Result<Vec<u8>> {
        if self.partitions.len() > ENTRIES as usize {
            return Err(Error::internal(format!("{} partitions, the table holds {ENTRIES}", self.partitions.len())));
        }
        let mut end = self.first_usable();
        let mut out = Vec::with_capacity(ENTRIES_SIZE as usize);
        for p in &self.partitions {
            let (first, last) = (p.offset() / self.sector, (p.offset() + p.size()) / self.sector - 1);
            let aligned = p.offset().is_multiple_of(self.sector) && p.size().is_multiple_of(self.sector);
            if !aligned || p.last < p.first || first < end || last > self.last_usable() {
                return Err(Error::internal(format!(
                    "partition {:?} at sectors {first} to {last} does not fit after sector {end}",
                    p.name
                )));
            }
            end = last + 1;
            let name: Vec<u16> = p.name.encode_utf16().collect();
            if name.len() > NAME_UNITS {
                return Err(Error::internal(format!("the partition name {:?} has more than {NAME_UNITS} UTF-16 units", p.name)));
            }
            let start = out.len();
            out.extend(p.kind.swapped());
            out.extend(p.id.swapped());
            out.extend(first.to_le_bytes());
            out.extend(last.to_le_bytes());
            out.extend(p.attributes.to_le_bytes());
            out.extend(name.iter().flat_map(|u| u.to_le_bytes()));
            out.resize(start + ENTRY as usize, 0);
        }
        out.resize(ENTRIES_SIZE as usize, 0);
        Ok(out)
    }

    /// One sector.
    fn header(&self, own: u64, other: u64, entries_at: u64, entries: &[u8]) -> Vec<u8> {
        let mut h = Vec::with_capacity(self.sector as usize);
        h.extend(SIGNATURE);
        h.extend(REVISION.to_le_bytes());
        h.extend(HEADER.to_le_bytes());
        h.extend([0; 8]); // the header's checksum, computed with zero in its place, and a reserved field
        h.extend(own.to_le_bytes());
        h.extend(other.to_le_bytes());
        h.extend(self.first_usable().to_le_bytes());
        h.extend(self.last_usable().to_le_bytes());
        h.extend(self.disk.swapped());
        h.extend(entries_at.to_le_bytes());
        h.extend(ENTRIES.to_le_bytes());
        h.extend(ENTRY.to_le_bytes());
        h.extend(crc32fast::hash(entries).to_le_bytes());
        let sum = crc32fast::hash(&h);
        h[16..20].copy_from_slice(&sum.to_le_bytes());
        h.resize(self.sector as usize, 0);
        h
    }

    /// Reads the primary table of a disk of `size` bytes through a function that fills a buffer from a byte offset. Refuses wrong checksums,
    /// partitions that overlap or leave the disk, and a disk without the backup that the primary table names.
    pub fn read(size: u64, source: &dyn Fn(u64, &mut [u8]) -> Result<()>) -> Result<Table> {
        let bad = |what: String| Error::integrity(format!("GPT header at sector 1: {what}"));
        let mut h = [0; 512];
        if size < 2 * 512 + ENTRIES_SIZE {
            return Err(bad(format!("a disk of {size} bytes is too small to have one")));
        }
        // The signature says how large sectors are.
        let mut sector = 512;
        source(sector, &mut h)?;
        if &h[..8] != SIGNATURE {
            let mut at_4096 = [0; 512];
            source(4096, &mut at_4096)?;
            if &at_4096[..8] == SIGNATURE {
                (sector, h) = (4096, at_4096);
            }
        }
        let u32_at = |b: &[u8], at: usize| u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        let u64_at = |b: &[u8], at: usize| u64::from(u32_at(b, at)) | u64::from(u32_at(b, at + 4)) << 32;
        let guid_at = |b: &[u8], at: usize| Guid(Guid(std::array::from_fn(|i| b[at + i])).swapped());
        if &h[..8] != SIGNATURE {
            return Err(bad(format!("expected the signature \"EFI PART\", found {}", hex::encode(&h[..8]))));
        }
        let (length, sum) = (u32_at(&h, 12), u32_at(&h, 16));
        if !(HEADER..=512).contains(&length) {
            return Err(bad(format!("expected a length of {HEADER} to 512, found {length}")));
        }
        let mut zeroed = h;
        zeroed[16..20].fill(0);
        let found = crc32fast::hash(&zeroed[..length as usize]);
        if found != sum {
            return Err(bad(format!("expected the checksum {sum:08x}, found {found:08x}")));
        }
        let (at, count, entry) = (u64_at(&h, 72), u32_at(&h, 80), u32_at(&h, 84));
        if !(1..=ENTRIES_MAX).contains(&count) || !(ENTRY..=4096).contains(&entry) || entry % ENTRY != 0 {
            return Err(bad(format!("{count} entries of {entry} bytes are not supported")));
        }
        let sectors = size / sector;
        if at < 2 || at >= sectors {
            return Err(bad(format!("entries at sector {at} of {sectors}")));
        }
        let mut bytes = vec![0; (count * entry) as usize];
        source(at * sector, &mut bytes)?;
        let (expected, found) = (u32_at(&h, 88), crc32fast::hash(&bytes));
        if found != expected {
            return Err(bad(format!("expected the entries' checksum {expected:08x}, found {found:08x}")));
        }
        // Not always the last sector: a disk may have grown.
        let backup = u64_at(&h, 32);
        let mut signature = [0; 8];
        if backup < sectors {
            source(backup * sector, &mut signature)?;
        }
        if &signature != SIGNATURE {
            let message = format!(
                "expected the backup header at sector {backup}, offset {}, of a disk of {size} bytes",
                backup.saturating_mul(sector)
            );
            return Err(Error::integrity(format!("GPT: {message}")).hint("the image was cut short: copy or download it again"));
        }
        let scale = sector / Lba::SECTOR;
        let mut partitions = Vec::new();
        for e in bytes.chunks_exact(entry as usize).filter(|e| e[..16] != [0; 16]) {
            let units: Vec<u16> = e[56..128].as_chunks::<2>().0.iter().map(|c| u16::from_le_bytes(*c)).take_while(|&u| u != 0).collect();
            let (first, last) = (u64_at(e, 32), u64_at(e, 40));
            if first > last || last >= sectors || first < 2 {
                return Err(Error::integrity(format!("GPT partition {}: sectors {first} to {last} of {sectors}", partitions.len() + 1)));
            }
            partitions.push(Partition {
                kind: guid_at(e, 0),
                id: guid_at(e, 16),
                first: Lba(first * scale),
                last: Lba((last + 1) * scale - 1),
                attributes: u64_at(e, 48),
                name: String::from_utf16_lossy(&units),
            });
        }
        let mut sorted: Vec<&Partition> = partitions.iter().collect();
        sorted.sort_by_key(|p| p.first);
        if let Some(pair) = sorted.windows(2).find(|w| w[1].first <= w[0].last) {
            return Err(Error::integrity(format!("GPT partitions {:?} and {:?} overlap", pair[0].name, pair[1].name)));
        }
        Ok(Table { disk: guid_at(&h, 56), sector, size, partitions })
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
