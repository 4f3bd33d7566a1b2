//! ISO 9660 (ECMA-119, 4th edition) with Rock Ridge names (IEEE P1282 RRIP 1.12 and P1281 SUSP 1.12): one flat folder of small files,
//! as cloud-init's NoCloud seed needs. We write interchange level 2, one extent a file, no Joliet, no boot record; we read nothing.
//!
//! ```text
//! sector  0 system area, zero
//!        16 primary volume descriptor      §8.4
//!        17 descriptor set terminator      §8.3
//!        18 path table, little-endian      §9.4
//!        19 path table, big-endian
//!        20 root directory                 §9.1
//!         … files, each from a sector's start
//! ```

mod records;

use model::{Error, Result};
use records::{DirectoryRecord, PathTableRecord, PosixAttributes, PrimaryVolumeDescriptor};
use zerocopy::byteorder::{BE, ByteOrder, LE};
use zerocopy::{FromZeros, IntoBytes};

/// Bytes in a logical sector and block.
const SECTOR: usize = 2048;
const PRIMARY: u32 = 16;
const TABLE_LITTLE: u32 = 18;
const TABLE_BIG: u32 = 19;
const ROOT: u32 = 20;
/// §9.1.5, years since 1900 first: 1970-01-01 00:00:00 UTC. Nobody reads a seed's dates, so they are constant.
const DATE: [u8; 7] = [70, 1, 1, 0, 0, 0, 0];
/// §9.1.6: the record is a directory.
const DIRECTORY: u8 = 2;

struct File<'a> {
    name: &'a str,
    /// `USER_DATA.;1`: §7.5.
    identifier: Vec<u8>,
    bytes: &'a [u8],
    sector: u32,
}

/// The whole image, the same for the same input. `label` has at most 32 bytes, names are of letters, digits, `-`, `_` and `.`.
pub fn write(label: &str, files: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let bad = |what: String| Err(Error::recipe(format!("iso 9660: {what}")));
    if label.len() > 32 || !label.is_ascii() {
        return bad(format!("label {label:?} is not of at most 32 ASCII characters"));
    }
    let mut planned: Vec<File> = Vec::new();
    for &(name, bytes) in files {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !plain || name.is_empty() || name.len() > 27 {
            return bad(format!("file name {name:?} is not of 1 to 27 letters, digits, -, _ and ."));
        }
        planned.push(File { name, identifier: identifier(name), bytes, sector: 0 });
    }
    planned.sort_by(|a, b| a.identifier.cmp(&b.identifier));
    if let Some(pair) = planned.windows(2).find(|pair| pair[0].identifier == pair[1].identifier) {
        return bad(format!("names {:?} and {:?} fall together", pair[0].name, pair[1].name));
    }

    // The directory's size does not depend on the sectors it names, so one pass with zeros measures it.
    let root_size = directory(&planned, 0)?.len();
    let mut next = ROOT as usize + root_size / SECTOR;
    for file in &mut planned {
        file.sector = sector(next)?;
        next += file.bytes.len().div_ceil(SECTOR);
    }
    let total = sector(next)?;

    let mut image = vec![0; PRIMARY as usize * SECTOR];
    image.extend(primary(label, total, sector(root_size)?).as_bytes());
    image.extend(padded(b"\xffCD001\x01".to_vec()));
    image.extend(padded(path_table::<LE>().as_bytes().to_vec()));
    image.extend(padded(path_table::<BE>().as_bytes().to_vec()));
    image.extend(directory(&planned, root_size)?);
    for file in &planned {
        image.extend(padded(file.bytes.to_vec()));
    }
    Ok(image)
}

fn sector(number: usize) -> Result<u32> {
    u32::try_from(number).map_err(|_| Error::recipe("iso 9660: more than 2^32 sectors"))
}

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
    bytes
}

/// §7.5.1: d-characters, one dot at most, a version.
fn identifier(name: &str) -> Vec<u8> {
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let clean =
        |text: &str| text.bytes().map(|b| if b.is_ascii_alphanumeric() { b.to_ascii_uppercase() } else { b'_' }).collect::<Vec<u8>>();
    [clean(stem), b".".to_vec(), clean(extension), b";1".to_vec()].concat()
}

/// The root is its own parent, by the number 1.
fn path_table<O: ByteOrder>() -> PathTableRecord<O> {
    let (extent, parent) = (ROOT.into(), 1.into());
    PathTableRecord { identifier_length: 1, extended_attribute_length: 0, extent, parent, identifier: 0, padding: 0 }
}

/// A directory record of `length` bytes, whatever follows its fields.
fn directory_record(length: usize, identifier_length: usize, extent: u32, size: u32, flags: u8) -> DirectoryRecord {
    DirectoryRecord {
        length: length as u8,
        extended_attribute_length: 0,
        extent: extent.into(),
        data_length: size.into(),
        recording_date: DATE,
        flags,
        file_unit_size: 0,
        interleave_gap: 0,
        volume_sequence_number: 1.into(),
        identifier_length: identifier_length as u8,
    }
}

/// §9.1, with the system use area at the end.
fn record(identifier: &[u8], extent: u32, size: u32, flags: u8, system_use: &[u8]) -> Vec<u8> {
    let fields = (size_of::<DirectoryRecord>() + identifier.len()).next_multiple_of(2);
    let length = (fields + system_use.len()).next_multiple_of(2);
    let mut record = directory_record(length, identifier.len(), extent, size, flags).as_bytes().to_vec();
    record.extend(identifier);
    record.resize(fields, 0);
    record.extend(system_use);
    record.resize(length, 0);
    record
}

/// Owned by root.
fn posix(mode: u32, links: u32) -> PosixAttributes {
    let (mode, links, root) = (mode.into(), links.into(), 0.into());
    PosixAttributes { signature: *b"PX", length: size_of::<PosixAttributes>() as u8, version: 1, mode, links, user: root, group: root }
}

/// RRIP §4.1.4.
fn alternate_name(name: &str) -> Vec<u8> {
    [b"NM".as_slice(), &[name.len() as u8 + 5, 1, 0], name.as_bytes()].concat()
}

fn directory(files: &[File<'_>], own_size: usize) -> Result<Vec<u8>> {
    let size = sector(own_size)?;
    // SUSP §5.3 and §5.5: the first record says that system use fields follow and which; the descriptive texts may be empty.
    let announce = b"SP\x07\x01\xbe\xef\x00";
    let extension = b"ER\x12\x01\x0a\x00\x00\x01RRIP_1991A";
    let posix_directory = posix(0o040_555, 2);
    let own = [announce.as_slice(), posix_directory.as_bytes(), extension].concat();
    let mut records = vec![record(&[0], ROOT, size, DIRECTORY, &own), record(&[1], ROOT, size, DIRECTORY, posix_directory.as_bytes())];
    for file in files {
        let length = u32::try_from(file.bytes.len()).map_err(|_| Error::recipe(format!("iso 9660: {} has 4 GiB or more", file.name)))?;
        let system_use = [posix(0o100_444, 1).as_bytes(), &alternate_name(file.name)].concat();
        records.push(record(&file.identifier, file.sector, length, 0, &system_use));
    }
    let mut bytes: Vec<u8> = Vec::new();
    for record in records {
        // §6.8.1.1: a record does not cross a sector's end.
        if bytes.len() % SECTOR + record.len() > SECTOR {
            bytes = padded(bytes);
        }
        bytes.extend(record);
    }
    Ok(padded(bytes))
}

/// `label` has at most 32 bytes.
fn primary(label: &str, total: u32, root_size: u32) -> PrimaryVolumeDescriptor {
    // §8.4.26.1: digits zero and offset zero mean "not given".
    let no_date = std::array::from_fn(|i| if i < 16 { b'0' } else { 0 });
    let label = label.as_bytes();
    // What is not named is 0.
    PrimaryVolumeDescriptor {
        descriptor_type: 1,
        standard_identifier: *b"CD001",
        version: 1,
        system_identifier: [b' '; 32],
        volume_identifier: std::array::from_fn(|i| label.get(i).copied().unwrap_or(b' ')),
        volume_space_size: total.into(),
        volume_set_size: 1.into(),
        volume_sequence_number: 1.into(),
        logical_block_size: (SECTOR as u16).into(),
        path_table_size: (size_of::<PathTableRecord<LE>>() as u32).into(),
        little_path_table: TABLE_LITTLE.into(),
        big_path_table: TABLE_BIG.into(),
        root: directory_record(size_of::<DirectoryRecord>() + 1, 1, ROOT, root_size, DIRECTORY),
        root_identifier: 0,
        volume_set_identifier: [b' '; 128],
        publisher_identifier: [b' '; 128],
        data_preparer_identifier: [b' '; 128],
        application_identifier: [b' '; 128],
        copyright_file: [b' '; 37],
        abstract_file: [b' '; 37],
        bibliographic_file: [b' '; 37],
        creation: no_date,
        modification: no_date,
        expiration: no_date,
        effective: no_date,
        file_structure_version: 1,
        ..PrimaryVolumeDescriptor::new_zeroed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn xorriso(arguments: &[&str]) -> Option<(bool, String)> {
        let output = Command::new("xorriso").args(arguments).output().ok()?;
        let text = [output.stdout, output.stderr].concat();
        Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
    }

    #[test]
    fn xorriso_reads_back_every_file_under_its_own_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let big: Vec<u8> = (0..5000u32).map(|i| i as u8).collect();
        let files: [(&str, &[u8]); 4] =
            [("user-data", b"#cloud-config\n"), ("meta-data", b""), ("network-config", &big), ("a.tar.gz", b"x")];
        let image = write("cidata", &files).unwrap();
        assert_eq!(image, write("cidata", &files).unwrap());
        std::fs::write(at("seed.iso"), &image).unwrap();
        let Some((good, text)) =
            xorriso(&["-abort_on", "WARNING", "-indev", &at("seed.iso"), "-osirrox", "on", "-extract", "/", &at("out")])
        else {
            fixtures::missing("no xorriso");
            return;
        };
        assert!(good, "{text}");
        assert!(text.contains("'cidata'"), "{text}");
        for (name, bytes) in files {
            assert_eq!(std::fs::read(folder.path().join("out").join(name)).unwrap(), bytes, "{name}");
        }
        let mut torn = image;
        torn[PRIMARY as usize * SECTOR + 1] ^= 1;
        std::fs::write(at("torn.iso"), &torn).unwrap();
        let (good, text) =
            xorriso(&["-abort_on", "WARNING", "-indev", &at("torn.iso"), "-osirrox", "on", "-extract", "/", &at("out2")]).unwrap();
        assert!(!good, "{text}");
    }

    #[test]
    fn names_that_the_format_cannot_hold_are_refused() {
        for files in
            [vec![("a/b", &b""[..])], vec![("", b"")], vec![("a-b", b""), ("a_b", b"")], vec![("abcdefghijklmnopqrstuvwxyz-abc", b"")]]
        {
            assert!(write("cidata", &files).is_err(), "{files:?}");
        }
        assert!(write(&"x".repeat(33), &[]).is_err());
    }
}
