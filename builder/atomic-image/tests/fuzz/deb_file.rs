//! Debian packages: made of pieces, read, and converted.

use crate::random::Random;
use crate::rpm_file::compress;
use crate::{Answer, Subject, fuzz, inside, scratch};
use packages::deb::control::{Stanza, Stanzas};
use packages::deb::{Deb, EntryKind};
use supply::repos::deb;

const CONTROL: &str = "Package: sample\nVersion: 1:1.0~rc1-2\nArchitecture: amd64\nMaintainer: A <a@b>\nInstalled-Size: 10\nPre-Depends: dpkg (>= 1.17.5)\n\
    Depends: libc6 (>= 2.4), a | b (<< 3), perl:any\nProvides: virtual (= 1)\nBreaks: old (<< 1)\nReplaces: old (<< 1)\nDescription: a sample\n long\n .\n text\n";

#[derive(Debug, Clone)]
pub struct Member {
    pub name: Vec<u8>,
    pub kind: u8,
    pub mode: u32,
    pub link: Vec<u8>,
    pub data: Vec<u8>,
    /// In place of the data's length.
    pub size: Option<u64>,
}

pub fn member(name: &str, kind: u8, link: &str, data: &[u8]) -> Member {
    let mode = if kind == b'5' { 0o755 } else { 0o644 };
    Member { name: name.into(), kind, mode, link: link.into(), data: data.to_vec(), size: None }
}

/// ustar, checksums right.
pub fn tar(members: &[Member]) -> Vec<u8> {
    let mut out = Vec::new();
    for m in members {
        let mut h = [0u8; 512];
        let put = |h: &mut [u8; 512], at: usize, max: usize, bytes: &[u8]| {
            let n = bytes.len().min(max);
            h[at..at + n].copy_from_slice(&bytes[..n]);
        };
        put(&mut h, 0, 100, &m.name);
        put(&mut h, 100, 8, format!("{:07o}", m.mode & 0o7_777_777).as_bytes());
        put(&mut h, 108, 8, b"0000000");
        put(&mut h, 116, 8, b"0000000");
        match m.size.unwrap_or(m.data.len() as u64) {
            size if size >> 33 == 0 => put(&mut h, 124, 12, format!("{size:011o}").as_bytes()),
            size => {
                h[124] = 0x80;
                put(&mut h, 128, 8, &size.to_be_bytes());
            }
        }
        put(&mut h, 136, 12, b"13500000000");
        h[156] = m.kind;
        put(&mut h, 157, 100, &m.link);
        put(&mut h, 257, 8, b"ustar\x0000");
        put(&mut h, 265, 32, b"root");
        put(&mut h, 297, 32, b"root");
        put(&mut h, 329, 8, b"0000010");
        put(&mut h, 337, 8, b"0000001");
        seal(&mut h);
        out.extend(h);
        out.extend(&m.data);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

fn seal(h: &mut [u8]) {
    h[148..156].fill(b' ');
    let sum: u32 = h[..512].iter().map(|&b| u32::from(b)).sum();
    h[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Every header's checksum, as far as headers can be found.
fn seal_all(tar: &mut [u8]) {
    for block in tar.chunks_exact_mut(512).filter(|b| &b[257..262] == b"ustar") {
        seal(block);
    }
}

pub fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, data) in members {
        out.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, data.len()).bytes());
        out.extend(*data);
        if data.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}

pub fn sample() -> Vec<Member> {
    let mut members = vec![
        member("./", b'5', "", b""),
        member("./usr/bin/", b'5', "", b""),
        member("./usr/bin/tool", b'0', "", b"#!/bin/sh\nexit 0\n"),
        member("./usr/bin/twin", b'1', "./usr/bin/tool", b""),
        member("./usr/lib/link", b'2', "../bin/tool", b""),
        member("././@LongLink", b'L', "", format!("./usr/share/{}\0", "long/".repeat(30)).as_bytes()),
        member("./usr/share/long", b'0', "", b"data"),
        member("./etc/sample.conf", b'0', "", b"a = b\n"),
        member("pax", b'x', "", b"19 mtime=1600000000\n"),
        member("./run/pipe", b'6', "", b""),
    ];
    members[2].mode = 0o4755;
    members
}

fn control(text: &[u8]) -> Vec<Member> {
    vec![
        member("./", b'5', "", b""),
        member("./control", b'0', "", text),
        member("./conffiles", b'0', "", b"/etc/sample.conf\n"),
        member("./postinst", b'0', "", b"#!/bin/sh\nset -e\nexit 0\n"),
    ]
}

/// A package of these tars; the suffix says how both are compressed.
pub fn package(suffix: &str, control: &[u8], data: &[u8]) -> Vec<u8> {
    let compressor = match suffix {
        ".gz" => "gzip",
        ".xz" => "xz",
        ".zst" => "zstd",
        _ => "none",
    };
    let names = [format!("control.tar{suffix}"), format!("data.tar{suffix}")];
    ar(&[("debian-binary", b"2.0\n"), (&names[0], &compress(compressor, control)), (&names[1], &compress(compressor, data))])
}

const SUFFIXES: [&str; 4] = ["", ".gz", ".xz", ".zst"];
const WORDS: &[&[u8]] = &[
    b"../",
    b"/",
    b"ustar\x0000",
    b"././@LongLink",
    b"`\n",
    b"17 path=../../etc\n",
    b"GNU.sparse.major=1",
    b"data.tar",
    b"control.tar.xz",
];

fn read(bytes: &[u8]) -> Answer {
    let deb = match Deb::parse(bytes) {
        Ok(deb) => deb,
        Err(error) => return Ok(Err(error)),
    };
    for entry in &deb.entries {
        inside(&entry.path)?;
        if let EntryKind::HardLink(target) = &entry.kind {
            inside(target)?;
        }
    }
    Ok(Ok(()))
}

fn made(random: &mut Random) -> Vec<u8> {
    let mut members = sample();
    let at = random.below(members.len());
    match random.below(8) {
        0 => members[at].kind = *random.pick(b"01234567LKxgS\0DMVA"),
        1 => members[at].size = Some(random.number()),
        2 => random.change(&mut members[at].name, WORDS, b""),
        3 => random.change(&mut members[at].link, WORDS, b""),
        4 => random.change(&mut members[at].data, WORDS, b""),
        5 => drop(members.remove(at)),
        6 => members.push(members[at].clone()),
        _ => members[at].mode = random.number() as u32,
    }
    let mut data = tar(&members);
    let mut text = CONTROL.as_bytes().to_vec();
    if random.one_in(3) {
        random.change(&mut text, &[b"\n", b": ", b" | ", b"(>= ", b"\n ", b"Package: x\n"], b"");
    }
    let mut control = tar(&control(&text));
    match random.below(5) {
        0 => random.change(&mut data, WORDS, &control),
        1 => random.change(&mut control, WORDS, &data),
        _ => {}
    }
    seal_all(&mut data);
    seal_all(&mut control);
    let suffix = *random.pick(&SUFFIXES);
    package(suffix, &control, &data)
}

#[cfg_attr(test, test)]
pub fn a_deb_is_read_or_refused() {
    fuzz(Subject {
        name: "deb",
        seeds: SUFFIXES.iter().map(|suffix| package(suffix, &tar(&control(CONTROL.as_bytes())), &tar(&sample()))).collect(),
        words: WORDS,
        make: Some(&made),
        change: None,
        read: &read,
    });
}

#[cfg_attr(test, test)]
pub fn a_control_file_is_read_or_refused() {
    fuzz(Subject {
        name: "control",
        seeds: vec![CONTROL.into(), format!("{CONTROL}\n\n{}", CONTROL.replace("sample", "other")).into()],
        words: &[b"\n\n", b"\r\n", b": ", b"\n ", b"\n#", b"(>= 1:2-3)", b" | ", b", ", b"[amd64]", b"<!nocheck>", b"\xcc\x81"],
        make: None,
        change: None,
        read: &|bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else { return Ok(Stanza::parse("").map(drop)) };
            for stanza in Stanzas::new(text) {
                match stanza.and_then(|(offset, stanza)| deb::meta(&stanza).map(|meta| (offset, meta))) {
                    Ok((offset, meta)) if offset < text.len() && !meta.nevra.name.is_empty() => {}
                    Ok((offset, meta)) => return Err(format!("a package {:?} at {offset} of {} bytes", meta.nevra.name, text.len())),
                    Err(error) => return Ok(Err(error)),
                }
            }
            Ok(Ok(()))
        },
    });
}

#[cfg_attr(test, test)]
pub fn a_deb_is_converted_or_refused() {
    let folder = scratch();
    let path = folder.path().join("in.deb");
    let text = CONTROL;
    let expected = deb::meta(&Stanza::parse(text).unwrap()).unwrap();
    fuzz(Subject {
        name: "convert",
        seeds: vec![package(".gz", &tar(&control(text.as_bytes())), &tar(&sample()))],
        words: WORDS,
        make: Some(&made),
        change: None,
        read: &|bytes| {
            std::fs::write(&path, bytes).unwrap();
            let made = deb::convert(&path, &expected, &folder.path().join("out"), &model::Facts::none());
            let answer = made.map(|made| std::fs::read(&made.path).unwrap());
            std::fs::remove_dir_all(folder.path().join("out")).ok();
            match answer {
                // What we made ourselves must be a package that we import.
                Ok(rpm) => {
                    let place = tempfile::tempdir_in(folder.path()).unwrap();
                    crate::packages::import(place.path(), &rpm, supply::fetch::Trust::Unsigned)
                }
                Err(error) => Ok(Err(error)),
            }
        },
    });
}
