//! RPM packages: headers, payloads, and the way of a whole file into a pack and a tree.

use crate::random::Random;
use crate::rpm_file::{FILES, Item, Rpm, Value, assemble, compress, cpio, texts};
use crate::{Answer, Subject, fuzz, inside, scratch};
use atomic_image::inspect::package;
use filesystems::cpio::{CpioEntry, CpioReader};
use model::tree::NodeKind;
use model::{Digest, Error, Facts, Silent};
use packages::rpm;
use rootfs::compose_tools;
use std::io::Read;
use std::path::Path;
use supply::fetch::{FoundPack, Keyring, Pack, Trust, verify};
use supply::repos::deb::{public_key, sign_detached};

const WORDS: &[&[u8]] = &[b"../", b"/", b"07070X", b"070701", b"TRAILER!!!", b"\x8e\xad\xe8\x01", b"\x00\x00\x00\x3f", b"\x00\x00\x00\x3e"];

fn changed(random: &mut Random, compressor: &'static str) -> Rpm {
    let mut rpm = Rpm::of(&FILES, compressor);
    for _ in 0..1 + random.below(3) {
        rpm.change(random);
    }
    rpm
}

#[cfg_attr(test, test)]
pub fn a_header_is_read_or_refused() {
    let make = |random: &mut Random| {
        let rpm = changed(random, "none");
        let mut header = rpm.header.encode(63);
        if random.one_in(2) {
            random.change(&mut header, WORDS, b"");
        }
        assemble(&rpm.signature, &header, b"")
    };
    fuzz(Subject {
        name: "header",
        seeds: vec![assemble(&Default::default(), &Rpm::of(&FILES, "gzip").header.encode(63), b"")],
        words: WORDS,
        make: Some(&make),
        change: None,
        read: &|bytes| match rpm::parse(bytes) {
            Ok(package) => {
                package.files.iter().try_for_each(|file| inside(&file.path))?;
                if package.payload_offset > bytes.len() as u64 {
                    return Err(format!("a payload at {} of {} bytes", package.payload_offset, bytes.len()));
                }
                for tag in 0..6000 {
                    package.header.strings(tag).ok();
                    package.header.bin(tag).ok();
                    package.header.u64s(tag).ok();
                }
                Ok(Ok(()))
            }
            Err(error) if format!("{error:#}").contains("offset") => Ok(Err(error)),
            Err(error) => Err(format!("a refusal without an offset: {error:#}")),
        },
    });
}

#[cfg_attr(test, test)]
pub fn a_cpio_archive_is_read_or_refused() {
    let items = || Rpm::of(&FILES, "none").items;
    let stripped = || items().into_iter().zip(0..).map(|(item, n)| Item { stripped: Some(n), ..item }).collect::<Vec<_>>();
    fuzz(Subject {
        name: "cpio",
        seeds: vec![
            cpio(&items()),
            cpio(&[]),
            cpio(&stripped()[2..3].iter().map(|item| Item { stripped: Some(0), ..item.clone() }).collect::<Vec<_>>()),
        ],
        words: &[b"07070X", b"070701", b"070702", b"TRAILER!!!", b"00000000", b"ffffffff", b"00001000"],
        make: None,
        change: None,
        read: &|bytes| {
            let mut archive = CpioReader::new(bytes);
            let mut total = 0;
            loop {
                match archive.next_entry() {
                    Ok(Some(CpioEntry::Stripped { file_index })) => archive.set_size(u64::from(file_index % 9)),
                    Ok(Some(CpioEntry::Named(entry))) if entry.ino % 2 == 0 => continue,
                    Ok(Some(CpioEntry::Named(_))) => {}
                    Ok(None) => break,
                    Err(error) if format!("{error:#}").contains("offset") => return Ok(Err(error)),
                    Err(error) => return Err(format!("a refusal without an offset: {error:#}")),
                }
                match std::io::copy(&mut archive.data(), &mut std::io::sink()) {
                    Ok(n) => total += n,
                    Err(error) => return Ok(Err(Error::integrity(format!("{error:#}")))),
                }
            }
            if archive.position() > bytes.len() as u64 || total > bytes.len() as u64 {
                return Err(format!("{total} bytes of contents up to {} in {} bytes", archive.position(), bytes.len()));
            }
            Ok(Ok(()))
        },
    });
}

/// With a signature by the repackager's key, which everyone has.
fn signed(rpm: &Rpm) -> Vec<u8> {
    let header = rpm.header.encode(63);
    let armored = sign_detached(&header, 1_600_000_000).unwrap();
    let (_, body) = armored.split_once("\n\n").unwrap();
    let packet = body.split("\n=").next().unwrap().replace('\n', "");
    let mut signature = rpm.signature.clone();
    signature.set(278, texts([packet]));
    assemble(&signature, &header, &compress(rpm.compressor, &rpm.payload()))
}

/// The whole way of a package from its file to a tree.
pub fn import(folder: &Path, bytes: &[u8], trust: Trust<'_>) -> Answer {
    let (file, packs) = (folder.join("in.rpm"), folder.join("packs"));
    std::fs::write(&file, bytes).unwrap();
    let facts = Facts::none();
    let answer = (|| {
        let verified = verify(&file, &Digest::of(bytes), bytes.len() as u64, trust)?;
        Pack::import(&packs, &verified, &facts)
    })();
    let judged = answer.map_or_else(|error| Ok(Err(error)), |pack| judge(&packs, pack, &facts));
    std::fs::remove_dir_all(&packs).ok();
    std::fs::remove_file(&file).ok();
    std::fs::remove_file(folder.join("in.rpm.rejected")).ok();
    if let Some(stranger) = std::fs::read_dir(folder).unwrap().next() {
        return Err(format!("a file outside its place: {stranger:?}"));
    }
    judged
}

fn judge(packs: &Path, pack: Pack, facts: &Facts) -> Answer {
    for entry in std::fs::read_dir(packs).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if ![format!("{}.pack", pack.digest()), format!("{}.index", pack.digest())].contains(&name) {
            return Err(format!("a file beside the pack: {name}"));
        }
    }
    pack.entries().iter().try_for_each(|entry| inside(&entry.path))?;
    let Ok(FoundPack::Whole(opened)) = Pack::open(packs, pack.digest(), facts) else { return Err("an imported pack does not open".into()) };
    if opened.entries() != pack.entries() {
        return Err("an imported pack opens as another".into());
    }
    let tree = match compose_tools(&[opened], &Silent) {
        Ok(tree) => tree,
        Err(error) => return Ok(Err(error)),
    };
    for entry in tree.walk() {
        inside(&entry.path)?;
        if let NodeKind::File(blob) = &tree.inode(entry.id).kind
            && let Err(error) = blob.to_vec()
        {
            return Err(format!("the contents of {} are not in the pack: {error}", entry.path));
        }
    }
    Ok(Ok(()))
}

#[cfg_attr(test, test)]
pub fn a_package_is_imported_or_refused() {
    let folder = scratch();
    let keys = Keyring::from_bytes("the test's key", public_key().unwrap().as_bytes()).unwrap();
    let make = |random: &mut Random| {
        let compressor = *random.pick(&["none", "gzip", "xz", "lzma", "zstd", "bzip2"]);
        let mut rpm = changed(random, compressor);
        if random.one_in(3) {
            let mut payload = rpm.payload();
            random.change(&mut payload, WORDS, b"");
            rpm.payload = Some(payload);
        }
        // A change of the compressed bytes, beyond which nothing checks them but the decoder.
        if random.one_in(4) {
            let mut packed = compress(rpm.compressor, &rpm.payload());
            random.change(&mut packed, &[], b"");
            return assemble(&rpm.signature, &rpm.header.encode(63), &packed);
        }
        if random.one_in(4) { signed(&rpm) } else { rpm.encode() }
    };
    let mut seeds: Vec<Vec<u8>> = ["none", "gzip", "xz", "lzma", "zstd", "bzip2"].iter().map(|c| Rpm::of(&FILES, c).encode()).collect();
    let mut long = Rpm::of(&FILES, "zstd");
    long.header.set(5008, Value::U64(FILES.iter().map(|f| f.data.len() as u64).collect()));
    long.header.0.retain(|(tag, _)| *tag != 1028);
    long.items.iter_mut().zip(0..).for_each(|(item, n)| item.stripped = Some(n));
    // Of hard links the last carries the data, and devices carry none.
    long.items[0].data.clear();
    seeds.extend([long.encode(), signed(&Rpm::of(&FILES, "zstd"))]);
    fuzz(Subject {
        name: "import",
        seeds,
        words: WORDS,
        make: Some(&make),
        change: None,
        read: &|bytes| {
            let unsigned = import(folder.path(), bytes, Trust::Unsigned)?;
            // A package that is signed says so, or is refused; unsigned ones always are.
            if bytes.windows(8).any(|part| part == b"iHUEABYI" || part == b"wnUEABYI")
                && let Err(error) = import(folder.path(), bytes, Trust::Keys(&keys))?
                && unsigned.is_ok()
            {
                return Ok(Err(error));
            }
            Ok(unsigned)
        },
    });
}

#[cfg_attr(test, test)]
pub fn a_package_is_shown_or_refused() {
    let folder = scratch();
    let file = folder.path().join("shown.rpm");
    let keys = Keyring::from_bytes("the test's key", public_key().unwrap().as_bytes()).unwrap();
    let seed = signed(&Rpm::of(&FILES, "gzip"));
    let make = |random: &mut Random| {
        let mut rpm = changed(random, "gzip");
        let mut packet = signed(&rpm);
        // The packet itself, as the binary tags have it.
        let at = packet.windows(4).position(|part| part == b"iHUE" || part == b"wnUE").unwrap_or(0);
        packet.drain(..at);
        let mut raw = decode_base64(&packet);
        random.change(&mut raw, &[b"\x88\x75\x04\x00\x16\x08", b"\xc2", b"\x05\x02"], b"");
        rpm.signature.set(*random.pick(&[267, 268, 1002, 1005]), Value::Bytes(raw));
        rpm.encode()
    };
    fuzz(Subject {
        name: "show",
        seeds: vec![seed],
        words: WORDS,
        make: Some(&make),
        change: None,
        read: &|bytes| {
            std::fs::write(&file, bytes).unwrap();
            Ok(package::show(&file, &keys).map(drop).and_then(|()| package::dump(&file).map(drop)))
        },
    });
}

/// As far as it is base64.
fn decode_base64(text: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let values: Vec<u8> = text.iter().map_while(|c| DIGITS.iter().position(|d| d == c)).map(|n| n as u8).collect();
    values.chunks_exact(4).flat_map(|v| [v[0] << 2 | v[1] >> 4, v[1] << 4 | v[2] >> 2, v[2] << 6 | v[3]]).collect()
}

#[test]
fn decompressed_payloads_of_every_sort_read_alike() {
    let folder = scratch();
    for compressor in ["none", "gzip", "xz", "lzma", "zstd", "bzip2"] {
        let rpm = Rpm::of(&FILES, compressor);
        let answer = import(folder.path(), &rpm.encode(), Trust::Unsigned);
        assert!(matches!(answer, Ok(Ok(()))), "{compressor}: {answer:?}");
        let package = rpm::parse(rpm.encode().as_slice()).unwrap();
        let mut bytes = Vec::new();
        package.compression.decoder(compress(compressor, &rpm.payload()).as_slice()).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, rpm.payload(), "{compressor}");
    }
}
