//! RPM packages put together piece by piece, every length and digest right however wrong the pieces are; and cpio archives alike.

use crate::random::Random;
use md5::Digest as _;
use std::io::Write;

#[derive(Debug, Clone)]
pub enum Value {
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
    Text(Vec<u8>),
    Texts(Vec<Vec<u8>>),
    Bytes(Vec<u8>),
}

impl Value {
    /// rpm's number of the type, the count, the alignment, and the bytes.
    fn encode(&self) -> (u32, usize, usize, Vec<u8>) {
        match self {
            Value::U16(v) => (3, v.len(), 2, v.iter().flat_map(|n| n.to_be_bytes()).collect()),
            Value::U32(v) => (4, v.len(), 4, v.iter().flat_map(|n| n.to_be_bytes()).collect()),
            Value::U64(v) => (5, v.len(), 8, v.iter().flat_map(|n| n.to_be_bytes()).collect()),
            Value::Text(v) => (6, 1, 1, [v, &b"\0"[..]].concat()),
            Value::Texts(v) => (8, v.len(), 1, v.iter().flat_map(|text| [text, &b"\0"[..]].concat()).collect()),
            Value::Bytes(v) => (7, v.len(), 1, v.clone()),
        }
    }
}

pub fn text(text: impl AsRef<[u8]>) -> Value {
    Value::Text(text.as_ref().to_vec())
}

pub fn texts<T: AsRef<[u8]>>(list: impl IntoIterator<Item = T>) -> Value {
    Value::Texts(list.into_iter().map(|t| t.as_ref().to_vec()).collect())
}

/// Entries in the order of the data; the index is written in the same.
#[derive(Debug, Clone, Default)]
pub struct Entries(pub Vec<(u32, Value)>);

impl Entries {
    pub fn set(&mut self, tag: u32, value: Value) {
        match self.0.iter_mut().find(|(t, _)| *t == tag) {
            Some((_, old)) => *old = value,
            None => self.0.push((tag, value)),
        }
    }

    /// With the region that `region` is the tag of.
    pub fn encode(&self, region: u32) -> Vec<u8> {
        let count = self.0.len() as u32 + 1;
        let (mut index, mut data) = (Vec::new(), Vec::new());
        for (tag, value) in &self.0 {
            let (kind, number, align, bytes) = value.encode();
            data.resize(data.len().next_multiple_of(align), 0);
            index.extend([*tag, kind, data.len() as u32, number as u32].iter().flat_map(|n| n.to_be_bytes()));
            data.extend(bytes);
        }
        let first = [region, 7, data.len() as u32, 16].map(u32::to_be_bytes).concat();
        let trailer = [region, 7, (count * 16).wrapping_neg(), 16].map(u32::to_be_bytes).concat();
        data.extend(trailer);
        let intro = [0x8ead_e801, 0, count, data.len() as u32].map(u32::to_be_bytes).concat();
        [intro, first, index, data].concat()
    }
}

/// One entry of a payload. `size` is what the entry says, where it does not say the truth.
#[derive(Debug, Clone)]
pub struct Item {
    pub name: Vec<u8>,
    pub mode: u32,
    pub data: Vec<u8>,
    pub size: Option<u32>,
    /// Write the stripped form, with this index.
    pub stripped: Option<u32>,
}

pub fn cpio(items: &[Item]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::new();
    let pad = |out: &mut Vec<u8>| out.resize(out.len().next_multiple_of(4), 0);
    let newc = |out: &mut Vec<u8>, name: &[u8], mode: u32, size: u32| {
        let fields = [1, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        out.extend(b"070701");
        fields.iter().for_each(|n| out.extend(format!("{n:08x}").bytes()));
        out.extend(name);
        out.push(0);
        pad(out);
    };
    for item in items {
        match item.stripped {
            Some(index) => {
                out.extend(format!("07070X{index:08x}").bytes());
                pad(&mut out);
            }
            None => newc(&mut out, &item.name, item.mode, item.size.unwrap_or(item.data.len() as u32)),
        }
        out.extend(&item.data);
        pad(&mut out);
    }
    newc(&mut out, b"TRAILER!!!", 0, 0);
    out
}

/// By rpm's name of the compressor.
pub fn compress(compressor: &str, bytes: &[u8]) -> Vec<u8> {
    match compressor {
        "gzip" => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
        "bzip2" => {
            let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(1));
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
        "xz" | "lzma" => {
            let options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
            let stream = match compressor {
                "lzma" => liblzma::stream::Stream::new_lzma_encoder(&options).unwrap(),
                _ => liblzma::stream::Stream::new_easy_encoder(0, liblzma::stream::Check::Crc32).unwrap(),
            };
            let mut writer = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
        "zstd" => zstd::stream::encode_all(bytes, 1).unwrap(),
        _ => bytes.to_vec(),
    }
}

/// A package in pieces.
#[derive(Debug, Clone)]
pub struct Rpm {
    pub signature: Entries,
    pub header: Entries,
    pub items: Vec<Item>,
    pub compressor: &'static str,
    /// Bytes of the payload before compression, in place of `items`.
    pub payload: Option<Vec<u8>>,
}

/// What a sample package is made of.
#[derive(Debug, Clone)]
pub struct TestFile {
    pub path: &'static str,
    /// With the type's bits.
    pub mode: u16,
    /// Contents, or a link's target.
    pub data: &'static [u8],
}

pub const FILES: [TestFile; 7] = [
    TestFile { path: "/usr/bin/tool", mode: 0o100_755, data: b"#!/bin/sh\nexit 0\n" },
    TestFile { path: "/usr/bin/twin", mode: 0o100_755, data: b"#!/bin/sh\nexit 0\n" },
    TestFile { path: "/usr/lib/dir", mode: 0o040_755, data: b"" },
    TestFile { path: "/usr/lib/link", mode: 0o120_777, data: b"../bin/tool" },
    TestFile { path: "/etc/tool.conf", mode: 0o100_644, data: b"key = value\n" },
    TestFile { path: "/dev/null", mode: 0o020_666, data: b"" },
    TestFile { path: "/run/pipe", mode: 0o010_644, data: b"" },
];

impl Rpm {
    pub fn of(files: &[TestFile], compressor: &'static str) -> Self {
        let mut header = Entries::default();
        let mut put = |tag, value| header.set(tag, value);
        put(1000, text("sample"));
        put(1001, text("1.0"));
        put(1002, text("1"));
        put(1004, text("a sample"));
        put(1005, text("made by a test"));
        put(1006, Value::U32(vec![1_600_000_000]));
        put(1014, text("MIT"));
        put(1022, text("x86_64"));
        put(1023, text("exit 0"));
        put(1024, text("ldconfig"));
        put(1028, Value::U32(files.iter().map(|f| f.data.len() as u32).collect()));
        put(1030, Value::U16(files.iter().map(|f| f.mode).collect()));
        put(1033, Value::U16(vec![0x103; files.len()]));
        put(1034, Value::U32(vec![1_500_000_000; files.len()]));
        let is_file = |f: &TestFile| f.mode & 0o170_000 == 0o100_000;
        let sum = |f: &TestFile| if is_file(f) { hex::encode(sha2::Sha256::digest(f.data)) } else { String::new() };
        put(1035, texts(files.iter().map(sum)));
        let target = |f: &TestFile| if f.mode & 0o170_000 == 0o120_000 { f.data } else { b"" };
        put(1036, texts(files.iter().map(target)));
        put(1037, Value::U32(files.iter().map(|f| u32::from(f.path.starts_with("/etc")) * 17).collect()));
        put(1039, texts(files.iter().map(|_| "root")));
        put(1040, texts(files.iter().map(|_| "root")));
        put(1044, text("sample-1.0-1.src.rpm"));
        put(1047, texts(["sample", "sample(x86-64)"]));
        put(1048, Value::U32(vec![0, 1 << 9 | 12]));
        put(1049, texts(["/bin/sh", "libc.so.6"]));
        put(1050, texts(["", "2.4"]));
        put(1085, text("/bin/sh"));
        put(1086, texts(["/sbin/ldconfig"]));
        put(1095, Value::U32(vec![1; files.len()]));
        put(1096, Value::U32((1..=files.len() as u32).map(|n| if n == 2 { 1 } else { n }).collect()));
        put(1112, Value::U32(vec![8, 8]));
        put(1113, texts(["1.0-1", "1.0-1"]));
        let split = |f: &TestFile| f.path.rsplit_once('/').map(|(folder, name)| (format!("{folder}/"), name)).unwrap();
        let mut folders: Vec<String> = files.iter().map(|f| split(f).0).collect();
        folders.dedup();
        let place = |f: &TestFile| folders.iter().position(|folder| *folder == split(f).0).unwrap_or(0) as u32;
        put(1116, Value::U32(files.iter().map(place).collect()));
        put(1117, texts(files.iter().map(|f| split(f).1)));
        put(1118, texts(&folders));
        put(1124, text("cpio"));
        put(1125, text(compressor));
        put(5010, texts(files.iter().map(|f| if f.path == "/usr/bin/tool" { "cap_net_raw=ep" } else { "" })));
        put(5011, Value::U32(vec![8]));
        let items = files.iter().map(|f| Item {
            name: format!(".{}", f.path).into_bytes(),
            mode: f.mode.into(),
            data: f.data.to_vec(),
            size: None,
            stripped: None,
        });
        Rpm { signature: Entries::default(), header, items: items.collect(), compressor, payload: None }
    }

    pub fn payload(&self) -> Vec<u8> {
        self.payload.clone().unwrap_or_else(|| cpio(&self.items))
    }

    pub fn encode(&self) -> Vec<u8> {
        assemble(&self.signature, &self.header.encode(63), &compress(self.compressor, &self.payload()))
    }

    /// A change of one piece, all others whole.
    pub fn change(&mut self, random: &mut Random) {
        match random.below(10) {
            0..=5 => change_entries(&mut self.header, random),
            6 => change_entries(&mut self.signature, random),
            7 | 8 if !self.items.is_empty() => {
                let at = random.below(self.items.len());
                match random.below(7) {
                    0 => change_text(&mut self.items[at].name, random),
                    1 => self.items[at].mode = random.number() as u32,
                    2 => self.items[at].size = Some(random.number() as u32),
                    3 => self.items[at].stripped = Some(if random.one_in(2) { at as u32 } else { random.number() as u32 }),
                    4 => drop(self.items.remove(at)),
                    5 => self.items.push(self.items[at].clone()),
                    _ => self.items.iter_mut().zip(0..).for_each(|(item, n)| item.stripped = Some(n)),
                }
            }
            _ => self.compressor = *random.pick(&["none", "gzip", "xz", "lzma", "zstd", "bzip2"]),
        }
    }
}

/// Lead, signature header with right digests, and what follows it.
pub fn assemble(signature: &Entries, header: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut signature = signature.clone();
    signature.set(273, text(hex::encode(sha2::Sha256::digest(header))));
    signature.set(1004, Value::Bytes(md5::Md5::new().chain_update(header).chain_update(payload).finalize().to_vec()));
    let mut out = vec![0; 96];
    out[..6].copy_from_slice(&[0xed, 0xab, 0xee, 0xdb, 3, 0]);
    out[79] = 5;
    out.extend(signature.encode(62));
    out.resize(out.len().next_multiple_of(8), 0);
    out.extend(header);
    out.extend(payload);
    out
}

const TEXTS: [&[u8]; 16] = [
    b"",
    b"..",
    b"../",
    b"/../../",
    b"/",
    b"//",
    b".",
    b"a/b",
    b"/etc/passwd",
    b"\xff\xfe",
    b"=ep",
    b"cap_chown,cap_setuid+eip",
    b"root",
    b"(a or b)",
    b"none",
    b"07070X",
];

fn change_text(bytes: &mut Vec<u8>, random: &mut Random) {
    match random.below(6) {
        0 => *bytes = random.pick(&TEXTS).to_vec(),
        1 => *bytes = vec![b'a'; random.below(5000)],
        2 => *bytes = bytes.repeat(1 + random.below(300)),
        _ => random.change(bytes, &TEXTS, b""),
    }
    bytes.truncate(1 << 16);
}

fn change_entries(entries: &mut Entries, random: &mut Random) {
    if entries.0.is_empty() {
        entries.0.push((random.number() as u32, Value::Bytes(vec![0; random.below(100)])));
        return;
    }
    let at = random.below(entries.0.len());
    let number = random.number();
    fn list<T: Clone>(v: &mut Vec<T>, value: T, random: &mut Random) {
        let at = random.below(v.len());
        match random.below(6) {
            0 => v.push(value),
            1 if !v.is_empty() => drop(v.remove(at)),
            2 => v.resize(random.below(2000), value),
            _ if !v.is_empty() => v[at] = value,
            _ => {}
        }
    }
    match random.below(12) {
        0 => drop(entries.0.remove(at)),
        1 => entries.0.push(entries.0[at].clone()),
        2 => entries.0[at].0 = number as u32,
        3 => entries.0[at].0 = 900 + random.below(400) as u32,
        4 => {
            let other = entries.0[random.below(entries.0.len())].1.clone();
            entries.0[at].1 = other;
        }
        _ => match &mut entries.0[at].1 {
            Value::U16(v) => list(v, number as u16, random),
            Value::U32(v) => list(v, number as u32, random),
            Value::U64(v) => list(v, number, random),
            Value::Text(v) => change_text(v, random),
            Value::Bytes(v) => random.change(v, &TEXTS, b""),
            Value::Texts(v) if v.is_empty() || random.one_in(4) => {
                let value = v.first().cloned().unwrap_or_default();
                list(v, value, random);
            }
            Value::Texts(v) => {
                let which = random.below(v.len());
                change_text(&mut v[which], random);
            }
        },
    }
}
