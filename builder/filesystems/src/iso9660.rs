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

use model::{Error, Result};

/// Bytes in a logical sector and block.
const SECTOR: usize = 2048;
const PRIMARY: u32 = 16;
const TABLE_LITTLE: u32 = 18;
const TABLE_BIG: u32 = 19;
const ROOT: u32 = 20;
/// A path table with the root alone: §9.4, 8 bytes, the one-byte name and its padding.
const TABLE_SIZE: u32 = 10;
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
    image.extend(primary(label, total, root_size)?);
    image.extend(padded(b"\xffCD001\x01".to_vec()));
    image.extend(padded(path_table(ROOT.to_le_bytes(), 1u16.to_le_bytes())));
    image.extend(padded(path_table(ROOT.to_be_bytes(), 1u16.to_be_bytes())));
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

/// §7.3.3: little-endian, then big-endian.
fn both32(value: u32) -> [u8; 8] {
    let (little, big) = (value.to_le_bytes(), value.to_be_bytes());
    std::array::from_fn(|i| if i < 4 { little[i] } else { big[i - 4] })
}

/// §7.2.3.
fn both16(value: u16) -> [u8; 4] {
    let (little, big) = (value.to_le_bytes(), value.to_be_bytes());
    [little[0], little[1], big[0], big[1]]
}

/// §9.4 for the root: its own parent, by the number 1.
fn path_table(location: [u8; 4], parent: [u8; 2]) -> Vec<u8> {
    [&[1, 0][..], &location, &parent, &[0, 0]].concat()
}

/// §9.1, with the system use area at the end.
fn record(identifier: &[u8], location: u32, size: u32, flags: u8, system_use: &[u8]) -> Vec<u8> {
    let mut record = vec![0, 0];
    record.extend(both32(location));
    record.extend(both32(size));
    record.extend(DATE);
    record.extend([flags, 0, 0]);
    record.extend(both16(1));
    record.push(identifier.len() as u8);
    record.extend(identifier);
    if record.len() % 2 == 1 {
        record.push(0);
    }
    record.extend(system_use);
    if record.len() % 2 == 1 {
        record.push(0);
    }
    record[0] = record.len() as u8;
    record
}

/// RRIP §4.1.1: mode, links, user, group; owned by root.
fn posix(mode: u32, links: u32) -> Vec<u8> {
    [b"PX\x24\x01".as_slice(), &both32(mode), &both32(links), &both32(0), &both32(0)].concat()
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
    let own = [announce.as_slice(), &posix(0o040_555, 2), extension].concat();
    let mut records = vec![record(&[0], ROOT, size, DIRECTORY, &own), record(&[1], ROOT, size, DIRECTORY, &posix(0o040_555, 2))];
    for file in files {
        let length = u32::try_from(file.bytes.len()).map_err(|_| Error::recipe(format!("iso 9660: {} has 4 GiB or more", file.name)))?;
        let system_use = [posix(0o100_444, 1), alternate_name(file.name)].concat();
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

/// §8.4.
fn primary(label: &str, total: u32, root_size: usize) -> Result<Vec<u8>> {
    let spaces = |count: usize| vec![b' '; count];
    // §8.4.26.1: digits zero and offset zero mean "not given".
    let no_date = [[b'0'; 16].as_slice(), &[0]].concat();
    let mut label = label.as_bytes().to_vec();
    label.resize(32, b' ');
    let descriptor = [
        b"\x01CD001\x01\x00".to_vec(),
        spaces(32),
        label,
        vec![0; 8],
        both32(total).to_vec(),
        vec![0; 32],
        both16(1).to_vec(),
        both16(1).to_vec(),
        both16(SECTOR as u16).to_vec(),
        both32(TABLE_SIZE).to_vec(),
        TABLE_LITTLE.to_le_bytes().to_vec(),
        vec![0; 4],
        TABLE_BIG.to_be_bytes().to_vec(),
        vec![0; 4],
        record(&[0], ROOT, sector(root_size)?, DIRECTORY, &[]),
        // Volume set, publisher, preparer, application: 128 each; copyright, abstract, bibliography: 37 each.
        spaces(4 * 128 + 3 * 37),
        no_date.clone(),
        no_date.clone(),
        no_date.clone(),
        no_date,
        vec![1],
    ]
    .concat();
    Ok(padded(descriptor))
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
