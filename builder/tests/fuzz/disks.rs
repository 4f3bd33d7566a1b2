//! Disk images and what is on them: each reader over a small image that we write.

use crate::random::Random;
use crate::{Answer, Subject, fuzz, inside, scratch};
use atomic_image::base::{Digest, Error, ImagePath, ImageSeed, Lba, Result, Segment, Segments, Silent, SourceDateEpoch};
use atomic_image::formats::gpt::{Guid, Partition, Table};
use atomic_image::formats::{ext4, fat, gpt, qcow2, tar, vhd, vhdx, vmdk};
use atomic_image::image::{Compression, OutputFormat, Wrapping, export};
use atomic_image::tree::{Attributes, Edit, FileTree, Inode};

type Source<'a> = Box<dyn Fn(u64, &mut [u8]) -> Result<()> + Sync + 'a>;

/// The bytes as readers take them; a read past the end is refused.
fn source(bytes: &[u8]) -> Source<'_> {
    Box::new(|offset, buffer| {
        let part = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)?.get(..buffer.len()));
        buffer.copy_from_slice(part.ok_or_else(|| Error::integrity(format!("a read of {} bytes at offset {offset} past the end", buffer.len())))?);
        Ok(())
    })
}

fn flat(plan: &Segments) -> Vec<u8> {
    let mut bytes = vec![0; plan.size() as usize];
    plan.read_at(&mut bytes, 0).unwrap();
    bytes
}

/// A disk of 2 MiB with something at its start and at its end.
fn disk() -> Segments {
    let noise = |n: u64| Random::new(n).next().to_le_bytes().repeat(700);
    let at = |offset, n| Segment { offset, data: noise(n).into() };
    Segments::new(2 << 20, vec![at(0, 1), at(70_000, 2), at((2 << 20) - 8192, 3)]).unwrap()
}

fn exported(format: OutputFormat, compression: Compression) -> Vec<u8> {
    let folder = scratch();
    let wrapping = Wrapping {
        name: "d",
        title: "d",
        version: "1",
        compression,
        sector: 512,
        uefi: false,
        seed: ImageSeed::new(Digest::of(b"fuzz")),
        epoch: SourceDateEpoch(1_600_000_000),
        known_start: None,
    };
    let path = export(&disk(), &[format], &wrapping, folder.path(), &Silent).unwrap();
    drop(path);
    let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    std::fs::read(file).unwrap()
}

/// Reads a disk in pieces of 192 KiB, of which none begins where a cluster does; at most 64 of them.
fn drain(size: u64, read_at: &dyn Fn(u64, &mut [u8]) -> Result<()>) -> Answer {
    let mut buffer = vec![0; 192 << 10];
    let mut at = 0;
    for _ in 0..64 {
        let n = buffer.len().min(usize::try_from(size - at).unwrap_or(usize::MAX));
        if let Err(error) = read_at(at, &mut buffer[..n]) {
            return Ok(Err(error));
        }
        at += n as u64;
        if at == size {
            break;
        }
    }
    match read_at(size, &mut [0]) {
        Ok(()) => Err(format!("a read past the end of a disk of {size} bytes")),
        Err(_) => Ok(Ok(())),
    }
}

fn image(name: &'static str, seeds: Vec<Vec<u8>>, words: &'static [&'static [u8]], repair: Option<&dyn Fn(&mut Vec<u8>)>, read: &dyn Fn(&[u8]) -> Answer) {
    // Most of an image is content: changes go where the tables are.
    let starts: Vec<Vec<u8>> = seeds.clone();
    let make = |random: &mut Random| {
        let mut bytes = random.pick(&starts).clone();
        let used: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] != 0).collect();
        for _ in 0..1 + random.below(4) {
            let reach = 1 << (6 + random.below(16));
            let at = used[random.below(used.len().min(reach))];
            let at = if random.one_in(2) { at } else { bytes.len().saturating_sub(1 + random.below(4096)) };
            let width = (*random.pick(&[1usize, 2, 4, 8])).min(bytes.len() - at);
            let at = if random.one_in(2) { at - at % width } else { at };
            let value = random.number();
            let text = if random.one_in(2) { value.to_le_bytes()[..width].to_vec() } else { value.to_be_bytes()[8 - width..].to_vec() };
            bytes[at..at + width].copy_from_slice(&text);
        }
        if random.one_in(10) {
            bytes.truncate(random.below(bytes.len()));
        }
        if let Some(repair) = repair
            && !random.one_in(8)
        {
            repair(&mut bytes);
        }
        bytes
    };
    fuzz(Subject { name, seeds, words, make: Some(&make), repair, read });
}

#[test]
fn a_qcow2_is_read_or_refused() {
    let seeds = [Compression::Zstd, Compression::Zlib].map(|c| exported(OutputFormat::Qcow2, c)).to_vec();
    image("qcow2", seeds, &[b"QFI\xfb"], None, &|bytes| {
        let source = source(bytes);
        match qcow2::Reader::open(bytes.len() as u64, &*source) {
            Ok(reader) => drain(reader.size(), &|at, buffer| reader.read_at(at, buffer)),
            Err(error) => Ok(Err(error)),
        }
    });
}

#[test]
fn a_vmdk_is_read_or_refused() {
    image("vmdk", vec![exported(OutputFormat::Vmdk, Compression::Zlib)], &[b"KDMV"], None, &|bytes| {
        let source = source(bytes);
        match vmdk::Reader::open(bytes.len() as u64, &*source) {
            Ok(reader) => drain(reader.size(), &|at, buffer| reader.read_at(at, buffer)),
            Err(error) => Ok(Err(error)),
        }
    });
}

#[test]
fn a_vhd_is_read_or_refused() {
    // The sums of both footers and of the dynamic header.
    let repair = |bytes: &mut Vec<u8>| {
        let last = bytes.len().saturating_sub(512);
        for (magic, at, len, sum) in [(b"conectix", last, 512, 64), (b"conectix", 0, 512, 64), (b"cxsparse", 512, 1024, 36)] {
            if let Some(record) = bytes.get_mut(at..at + len).filter(|r| r.starts_with(magic)) {
                record[sum..sum + 4].fill(0);
                let total = !record.iter().map(|&b| u32::from(b)).sum::<u32>();
                record[sum..sum + 4].copy_from_slice(&total.to_be_bytes());
            }
        }
    };
    let seeds = [OutputFormat::VhdDynamic, OutputFormat::Vhd].map(|format| exported(format, Compression::Zlib)).to_vec();
    image("vhd", seeds, &[b"conectix", b"cxsparse"], Some(&repair), &|bytes| {
        let source = source(bytes);
        match vhd::Reader::open(bytes.len() as u64, &*source) {
            Ok(reader) => drain(reader.size(), &|at, buffer| reader.read_at(at, buffer)),
            Err(error) => Ok(Err(error)),
        }
    });
}

#[test]
fn a_vhdx_is_read_or_refused() {
    let repair = |bytes: &mut Vec<u8>| {
        for (magic, at, len) in [(b"head", 0x10000, 4096), (b"head", 0x20000, 4096), (b"regi", 0x30000, 0x10000), (b"regi", 0x40000, 0x10000)] {
            if let Some(record) = bytes.get_mut(at..at + len).filter(|r| r.starts_with(magic)) {
                record[4..8].fill(0);
                let sum = crc32c::crc32c(record);
                record[4..8].copy_from_slice(&sum.to_le_bytes());
            }
        }
    };
    image("vhdx", vec![exported(OutputFormat::Vhdx, Compression::Zlib)], &[b"head", b"regi", b"metadata"], Some(&repair), &|bytes| {
        let source = source(bytes);
        match vhdx::Reader::open(bytes.len() as u64, &*source) {
            Ok(reader) => drain(reader.size(), &|at, buffer| reader.read_at(at, buffer)),
            Err(error) => Ok(Err(error)),
        }
    });
}

#[test]
fn a_partition_table_is_read_or_refused() {
    let guid = |n| Guid([n; 16]);
    let partition = |first: u64, sectors: u64| Partition {
        name: "root".into(),
        kind: guid(2),
        id: guid(3),
        first: Lba(first),
        last: Lba(first + sectors - 1),
        attributes: 0,
    };
    let table = Table { disk: guid(1), sector: 512, size: 2 << 20, partitions: vec![partition(64, 64), partition(1024, 512)] };
    let bytes = flat(&Segments::new(2 << 20, table.encode(&[0; 440]).unwrap()).unwrap());
    let repair = |bytes: &mut Vec<u8>| {
        let Some(entries) = bytes.get(1024..1024 + 16384).map(crc32fast::hash) else { return };
        if let Some(header) = bytes.get_mut(512..1024).filter(|h| h.starts_with(b"EFI PART")) {
            header[88..92].copy_from_slice(&entries.to_le_bytes());
            header[16..20].fill(0);
            let sum = crc32fast::hash(&header[..92]);
            header[16..20].copy_from_slice(&sum.to_le_bytes());
        }
    };
    image("gpt", vec![bytes], &[b"EFI PART"], Some(&repair), &|bytes| {
        let source = source(bytes);
        match gpt::Table::read(bytes.len() as u64, &*source) {
            Ok(table) => match table.partitions.iter().find(|p| p.offset() + p.size() > bytes.len() as u64) {
                Some(p) => Err(format!("a partition outside the disk: {p:?}")),
                None => Ok(Ok(())),
            },
            Err(error) => Ok(Err(error)),
        }
    });
}

fn tree() -> FileTree {
    let mut tree = FileTree::new();
    let path = |text: &str| ImagePath::parse(text).unwrap();
    for n in 0..40 {
        let inode = Inode::file(vec![n; usize::from(n) * 300], Attributes::root(0o644));
        tree.insert(&path(&format!("/EFI/folder {}/file number {n}.txt", n % 3)), inode, Edit::Create).unwrap();
    }
    tree
}

#[test]
fn a_fat_volume_is_read_or_refused() {
    let options = fat::Options { label: "ESP".into(), volume_id: 7, epoch: SourceDateEpoch(1_600_000_000), size: 8 << 20, sector: 512 };
    image("fat", vec![flat(&fat::plan(&tree(), &options).unwrap())], &[b"FAT16   ", b".          "], None, &|bytes| {
        let source = source(bytes);
        let read = || {
            let reader = fat::Reader::open(&*source)?;
            for entry in reader.list()?.iter().filter(|e| !e.is_directory).take(100) {
                reader.read_entry(entry, 1 << 20)?;
            }
            reader.free()?;
            (0..40).try_for_each(|n| reader.owner(n * 50_000).map(drop))
        };
        Ok(read())
    });
}

#[test]
fn an_ext4_filesystem_is_read_or_refused() {
    let mut tree = tree();
    let path = |text: &str| ImagePath::parse(text).unwrap();
    tree.insert(&path("/link"), Inode::symlink("a".repeat(100)), Edit::Create).unwrap();
    let mut attributes = Attributes::root(0o755);
    attributes.xattrs.insert(b"security.capability".as_slice().into(), vec![1; 20].into());
    attributes.xattrs.insert(b"user.large".as_slice().into(), vec![2; 3000].into());
    tree.insert(&path("/xattrs"), Inode::file(vec![1], attributes), Edit::Create).unwrap();
    let options = ext4::Options { journal: false, ..ext4::Options::new("root", [5; 16], SourceDateEpoch(1_600_000_000)) };
    image("ext4", vec![flat(&ext4::plan(&tree, &options).unwrap())], &[b"\x0a\xf3", b"\x53\xef"], None, &|bytes| {
        let source = source(bytes);
        let reader = match ext4::Reader::open(&*source) {
            Ok(reader) => reader,
            Err(error) => return Ok(Err(error)),
        };
        let mut answer = Ok(());
        for (path, stat) in match reader.entries() {
            Ok(entries) => entries,
            Err(error) => return Ok(Err(error)),
        } {
            inside(&path)?;
            let read = || {
                reader.xattrs_of(&stat)?;
                reader.content_digest(&stat)?;
                if stat.is_file() {
                    reader.read_file(&path)?;
                }
                if stat.is_symlink() {
                    reader.read_link(&path)?;
                }
                Ok(())
            };
            answer = answer.and_then(|()| if stat.is_directory() { Ok(()) } else { read() });
        }
        for block in 0..60 {
            answer = answer.and_then(|()| reader.owner(block * 7).map(drop));
        }
        Ok(answer)
    });
}

#[test]
fn a_tar_header_is_read_or_refused() {
    let archive = flat(&tar::sparse_archive("disk.raw", &disk(), SourceDateEpoch(1)).unwrap());
    let repair = |bytes: &mut Vec<u8>| {
        if let Some(h) = bytes.get_mut(..512) {
            h[148..156].fill(b' ');
            let sum: u32 = h.iter().map(|&b| u32::from(b)).sum();
            h[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    };
    image("tar", vec![archive[..4096].to_vec()], &[b"ustar  \0", b"S", b"\x80"], Some(&repair), &|bytes| {
        let source = source(bytes);
        let read = || {
            let mut header = [0; 512];
            source(0, &mut header)?;
            let Some(member) = tar::Member::decode(&header)? else { return Err(Error::integrity("no header")) };
            let mut at = 512;
            member.parts(&mut |block| {
                source(at, block)?;
                at += 512;
                Ok(())
            })
        };
        match read() {
            Ok(parts) if parts.windows(2).any(|w| w[0].0 + w[0].1 > w[1].0) => Err("parts overlap".into()),
            Ok(_) => Ok(Ok(())),
            Err(error) => Ok(Err(error)),
        }
    });
}
