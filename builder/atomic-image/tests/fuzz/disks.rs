//! Disk images and what is on them: each reader over a small image that we write.

use crate::random::Random;
use crate::{Answer, Subject, fuzz, inside, scratch};
use ::disks::export::{ExportOptions, export, publish};
use ::disks::{Compression, OutputFormat};
use disks::gpt::{self, Guid, Partition, Table};
use disks::{qcow2, vdi, vhd, vhdx, vmdk};
use filesystems::{ext4, fat, tar};
use model::tree::{Attributes, Edit, FileTree, Inode};
use model::{Digest, Error, ImagePath, ImageSeed, Lba, Result, Segment, Segments, Silent, SourceDateEpoch};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

type Source<'a> = Box<dyn Fn(u64, &mut [u8]) -> Result<()> + Sync + 'a>;

/// The bytes as readers take them; a read past the end is refused.
fn source(bytes: &[u8]) -> Source<'_> {
    Box::new(|offset, buffer| {
        let part = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)?.get(..buffer.len()));
        buffer.copy_from_slice(
            part.ok_or_else(|| Error::integrity(format!("a read of {} bytes at offset {offset} past the end", buffer.len())))?,
        );
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
    let options = ExportOptions {
        name: "d",
        title: "d",
        version: "1",
        compression,
        sector: 512,
        uefi: false,
        seed: ImageSeed::new(Digest::of(b"fuzz")),
        epoch: SourceDateEpoch(1_600_000_000),
        checkpoints: None,
    };
    let finished = export(&disk(), &[format], &options, folder.path(), &Silent).unwrap();
    let artifacts = publish(finished, folder.path(), false).unwrap();
    std::fs::read(&artifacts[0].path).unwrap()
}

/// Reads a disk in pieces of 192 KiB, of which none begins where a cluster does; at most 64 of them.
pub fn drain(size: u64, read_at: &dyn Fn(u64, &mut [u8]) -> Result<()>) -> Answer {
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

/// A part of an image whose checksum `repair` puts right, where it is what it should be.
struct Sealed {
    at: usize,
    len: usize,
    magic: &'static [u8],
    repair: fn(&mut [u8]),
}

/// Bytes of one change of an image: which image, where, how wide, and a number.
const PATCH: usize = 16;

/// Inputs are lists of changes of the whole images `bases`, applied before and taken back after each.
fn image(name: &'static str, bases: Vec<Vec<u8>>, sealed: &[Sealed], whole: &dyn Fn(&[u8]) -> Answer) {
    let used: Vec<Vec<usize>> = bases.iter().map(|bytes| (0..bytes.len()).filter(|&at| bytes[at] != 0).collect()).collect();
    let images = RefCell::new(bases.clone());
    let patch = |random: &mut Random| {
        let mut patch = random.next().to_le_bytes().to_vec();
        patch.extend(random.number().to_le_bytes());
        patch
    };
    let make = |random: &mut Random| (0..1 + random.below(4)).flat_map(|_| patch(random)).collect();
    let change = |random: &mut Random, bytes: &mut Vec<u8>| bytes.extend(patch(random));
    let read = |input: &[u8]| {
        let which = usize::from(*input.first().unwrap_or(&0)) % bases.len();
        let (base, used, image) = (&bases[which], &used[which], &mut images.borrow_mut()[which]);
        let (mut end, mut spoilt) = (base.len(), Vec::new());
        for patch in input.as_chunks::<PATCH>().0 {
            let [_, mode, width, reach, a, b, c, d, value @ ..] = patch;
            let place = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
            // Most of an image is content; tables stand at its beginning and its end, and change where they are not zero.
            let at = match mode % 8 {
                0 => base.len() - 1 - place % base.len().min(1 << 14),
                1 => base.len() - 1 - place % base.len().min(512),
                2 => place % base.len(),
                3 => place % base.len().min(4096),
                _ => used[place % used.len().min(1 << (5 + reach % 16))],
            };
            if *mode >= 250 {
                end = at;
                continue;
            }
            let width = (1 << (width % 4)).min(base.len() - at);
            let at = if reach & 0x40 == 0 { at } else { at - at % width };
            let mut value = *value;
            if reach & 0x80 != 0 {
                value.reverse();
                value.rotate_left(8 - width);
            }
            image[at..at + width].copy_from_slice(&value[..width]);
            spoilt.push((at, width));
        }
        // One in eight stays unrepaired.
        for seal in sealed.iter().filter(|_| input.last().is_none_or(|b| b % 8 != 7)) {
            if let Some(record) = image.get_mut(seal.at..seal.at + seal.len).filter(|record| record.starts_with(seal.magic)) {
                (seal.repair)(record);
                spoilt.push((seal.at, seal.len));
            }
        }
        let answer = catch_unwind(AssertUnwindSafe(|| whole(&image[..end])));
        for (at, len) in spoilt {
            image[at..at + len].copy_from_slice(&base[at..at + len]);
        }
        answer.unwrap_or_else(|panic| resume_unwind(panic))
    };
    for base in &bases {
        let answer = whole(base);
        assert!(matches!(answer, Ok(Ok(()))), "{name}: a whole image is not read: {answer:?}");
    }
    fuzz(Subject { name, seeds: vec![], words: &[], make: Some(&make), change: Some(&change), read: &read });
}

#[cfg_attr(test, test)]
pub fn a_qcow2_is_read_or_refused() {
    let seeds = [Compression::Zstd, Compression::Zlib].map(|c| exported(OutputFormat::Qcow2, c)).to_vec();
    image("qcow2", seeds, &[], &|bytes| {
        let source = source(bytes);
        match qcow2::Reader::open(bytes.len() as u64, &*source) {
            Ok(reader) => drain(reader.size(), &|at, buffer| reader.read_at(at, buffer)),
            Err(error) => Ok(Err(error)),
        }
    });
}

#[cfg_attr(test, test)]
pub fn a_vmdk_is_read_or_refused() {
    image("vmdk", vec![exported(OutputFormat::Vmdk, Compression::Zlib)], &[], &|bytes| {
        let source = source(bytes);
        match vmdk::Reader::open(bytes.len() as u64, &*source) {
            Ok(reader) => drain(reader.size(), &|at, buffer| reader.read_at(at, buffer)),
            Err(error) => Ok(Err(error)),
        }
    });
}

/// Puts `bytes` at an offset.
fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

/// An overlay with subclusters over a file that reads as ones, and the same in version 2: no program of ours writes them.
#[cfg_attr(test, test)]
pub fn a_qcow2_overlay_is_read_or_refused() {
    const CLUSTER: usize = 64 << 10;
    let overlay = |has_subclusters: bool| {
        let mut image = vec![0; 6 * CLUSTER];
        put(&mut image, 0, b"QFI\xfb");
        for (at, value) in [(4, if has_subclusters { 3 } else { 2 }), (16, 8), (20, 16), (36, 1), (56, 1)] {
            put(&mut image, at, &u32::to_be_bytes(value));
        }
        for (at, value) in [(8, 0x200), (24, 2 << 20), (40, CLUSTER as u64), (48, 5 * CLUSTER as u64)] {
            put(&mut image, at, &u64::to_be_bytes(value));
        }
        if has_subclusters {
            put(&mut image, 72, &u64::to_be_bytes(1 << 4));
            put(&mut image, 96, &[0, 0, 0, 4, 0, 0, 0, 112]);
        }
        put(&mut image, if has_subclusters { 112 } else { 72 }, b"\xe2\x79\x2a\xca\0\0\0\x05qcow2\0\0\0");
        put(&mut image, 0x200, b"base.img");
        put(&mut image, CLUSTER, &u64::to_be_bytes(2 * CLUSTER as u64));
        for (index, host, bitmap) in [(0, 3u64, 0xf_0000_00f0u64), (5, 4, u64::from(u32::MAX))] {
            let at = 2 * CLUSTER + index * if has_subclusters { 16 } else { 8 };
            put(&mut image, at, &(host * CLUSTER as u64).to_be_bytes());
            if has_subclusters {
                put(&mut image, at + 8, &bitmap.to_be_bytes());
            }
        }
        image
    };
    image("overlay", vec![overlay(true), overlay(false)], &[], &|bytes| {
        let source = source(bytes);
        match qcow2::Reader::open(bytes.len() as u64, &*source) {
            Ok(mut reader) => {
                if reader.backing().is_some() {
                    reader.set_backing(Box::new(|_, buffer| {
                        buffer.fill(1);
                        Ok(())
                    }));
                }
                drain(reader.size(), &|at, buffer| reader.read_at(at, buffer))
            }
            Err(error) => Ok(Err(error)),
        }
    });
}

/// A sparse extent without compression, with an embedded descriptor.
#[cfg_attr(test, test)]
pub fn a_sparse_vmdk_is_read_or_refused() {
    let mut extent = vec![0; 512 << 10];
    put(&mut extent, 0, b"KDMV\x01\0\0\0\x01\0\0\0");
    // Capacity, grain, descriptor, grain directory, overhead in sectors.
    for (at, value) in [(12, 4096u64), (20, 128), (28, 1), (36, 20), (56, 21), (64, 128)] {
        put(&mut extent, at, &value.to_le_bytes());
    }
    put(&mut extent, 44, &512u32.to_le_bytes());
    put(&mut extent, 73, b"\n \r\n");
    put(&mut extent, 512, b"# Disk DescriptorFile\nparentCID=ffffffff\nRW 4096 SPARSE \"a.vmdk\"\n");
    put(&mut extent, 21 * 512, &22u32.to_le_bytes());
    for (index, sector) in [(0, 128u32), (3, 256), (31, 384)] {
        put(&mut extent, 22 * 512 + index * 4, &sector.to_le_bytes());
    }
    image("vmdk-sparse", vec![extent], &[], &|bytes| {
        let source = source(bytes);
        match vmdk::Reader::open(bytes.len() as u64, &*source) {
            Ok(reader) => drain(reader.size(), &|at, buffer| reader.read_at(at, buffer)),
            Err(error) => Ok(Err(error)),
        }
    });
}

#[cfg_attr(test, test)]
pub fn a_vmdk_descriptor_is_read_or_refused() {
    let seed = "# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\nRW 8 FLAT \"a-flat.vmdk\" 0\nRDONLY 8 SPARSE \"b.vmdk\"\nRW 8 ZERO\n";
    let words: &[&[u8]] =
        &[b"\nRW 8 VMFS \"", b"\" 18446744073709551615", b"SESPARSE", b"parentCID=1", b"\"", b"NOACCESS 1099511627776 ZERO\n"];
    let read = |bytes: &[u8]| match vmdk::Descriptor::parse(&String::from_utf8_lossy(bytes)) {
        Ok(found) if found.extents.iter().any(|extent| extent.size > 1 << 50) => Err("an extent larger than any disk".to_owned()),
        Ok(_) => Ok(Ok(())),
        Err(error) => Ok(Err(error)),
    };
    fuzz(Subject { name: "vmdk-text", seeds: vec![seed.as_bytes().to_vec()], words, make: None, change: None, read: &read });
}

#[cfg_attr(test, test)]
pub fn a_vdi_is_read_or_refused() {
    let mut disk = vec![0; 128 << 10];
    // Version 1.1, header of 400 bytes, dynamic; block map and data; sectors of 512; blocks of 16 KiB, 128 of them, 3 in the file.
    for (at, value) in [(0x40, 0xbeda_107f_u32), (0x44, 0x1_0001), (0x48, 400), (0x4c, 1), (0x154, 1024), (0x158, 4096), (0x168, 512)] {
        put(&mut disk, at, &value.to_le_bytes());
    }
    for (at, value) in [(0x170, 2u32 << 20), (0x178, 16 << 10), (0x180, 128), (0x184, 3)] {
        put(&mut disk, at, &value.to_le_bytes());
    }
    for block in 0..128usize {
        let entry = match block {
            0 => 0,
            5 => 2,
            9 => 1,
            10 => 0xffff_fffe,
            _ => u32::MAX,
        };
        put(&mut disk, 1024 + block * 4, &entry.to_le_bytes());
    }
    image("vdi", vec![disk], &[], &|bytes| {
        let source = source(bytes);
        match vdi::Reader::open(bytes.len() as u64, &*source) {
            Ok(reader) => drain(reader.size(), &|at, buffer| reader.read_at(at, buffer)),
            Err(error) => Ok(Err(error)),
        }
    });
}

#[cfg_attr(test, test)]
pub fn a_vhd_is_read_or_refused() {
    fn sum(record: &mut [u8], at: usize) {
        record[at..at + 4].fill(0);
        let total = !record.iter().map(|&b| u32::from(b)).sum::<u32>();
        record[at..at + 4].copy_from_slice(&total.to_be_bytes());
    }
    let seeds = [OutputFormat::VhdDynamic, OutputFormat::Vhd].map(|format| exported(format, Compression::Zlib)).to_vec();
    let footer = |image: &Vec<u8>| Sealed { at: image.len() - 512, len: 512, magic: b"conectix", repair: |record| sum(record, 64) };
    let header = Sealed { at: 512, len: 1024, magic: b"cxsparse", repair: |record| sum(record, 36) };
    let sealed = [footer(&seeds[0]), footer(&seeds[1]), header];
    image("vhd", seeds, &sealed, &|bytes| {
        let source = source(bytes);
        match vhd::Reader::open(bytes.len() as u64, &*source) {
            Ok(reader) => drain(reader.size(), &|at, buffer| reader.read_at(at, buffer)),
            Err(error) => Ok(Err(error)),
        }
    });
}

#[cfg_attr(test, test)]
pub fn a_vhdx_is_read_or_refused() {
    fn sum(record: &mut [u8]) {
        record[4..8].fill(0);
        let sum = crc32c::crc32c(record);
        record[4..8].copy_from_slice(&sum.to_le_bytes());
    }
    let sealed = [(0x10000, 4096, b"head"), (0x20000, 4096, b"head"), (0x30000, 0x10000, b"regi"), (0x40000, 0x10000, b"regi")]
        .map(|(at, len, magic)| Sealed { at, len, magic, repair: sum });
    image("vhdx", vec![exported(OutputFormat::Vhdx, Compression::Zlib)], &sealed, &|bytes| {
        let source = source(bytes);
        match vhdx::Reader::open(bytes.len() as u64, &*source) {
            Ok(reader) => drain(reader.size(), &|at, buffer| reader.read_at(at, buffer)),
            Err(error) => Ok(Err(error)),
        }
    });
}

#[cfg_attr(test, test)]
pub fn a_partition_table_is_read_or_refused() {
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
    // Header and entries together.
    fn sums(record: &mut [u8]) {
        let entries = crc32fast::hash(&record[512..]);
        record[88..92].copy_from_slice(&entries.to_le_bytes());
        record[16..20].fill(0);
        let sum = crc32fast::hash(&record[..92]);
        record[16..20].copy_from_slice(&sum.to_le_bytes());
    }
    let sealed = [Sealed { at: 512, len: 512 + 16384, magic: b"EFI PART", repair: sums }];
    image("gpt", vec![bytes], &sealed, &|bytes| {
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

#[cfg_attr(test, test)]
pub fn a_fat_volume_is_read_or_refused() {
    let options = fat::Options { label: "ESP".into(), volume_id: 7, epoch: SourceDateEpoch(1_600_000_000), size: 4 << 20, sector: 512 };
    image("fat", vec![flat(&fat::plan(&tree(), &options).unwrap())], &[], &|bytes| {
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

#[cfg_attr(test, test)]
pub fn an_ext4_filesystem_is_read_or_refused() {
    let mut tree = tree();
    let path = |text: &str| ImagePath::parse(text).unwrap();
    tree.insert(&path("/link"), Inode::symlink("a".repeat(100)), Edit::Create).unwrap();
    let mut attributes = Attributes::root(0o755);
    attributes.xattrs.insert(b"security.capability".as_slice().into(), vec![1; 20].into());
    attributes.xattrs.insert(b"user.large".as_slice().into(), vec![2; 3000].into());
    tree.insert(&path("/xattrs"), Inode::file(vec![1], attributes), Edit::Create).unwrap();
    let options = ext4::Options { journal: false, ..ext4::Options::new("root", [5; 16], SourceDateEpoch(1_600_000_000)) };
    image("ext4", vec![flat(&ext4::plan(&tree, &options).unwrap())], &[], &|bytes| {
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

#[cfg_attr(test, test)]
pub fn a_tar_header_is_read_or_refused() {
    let archive = flat(&tar::sparse_archive("disk.raw", &disk(), SourceDateEpoch(1)).unwrap());
    fn sum(h: &mut [u8]) {
        h[148..156].fill(b' ');
        let sum: u32 = h.iter().map(|&b| u32::from(b)).sum();
        h[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    let sealed = [Sealed { at: 0, len: 512, magic: b"", repair: sum }];
    image("tar", vec![archive[..4096].to_vec()], &sealed, &|bytes| {
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
