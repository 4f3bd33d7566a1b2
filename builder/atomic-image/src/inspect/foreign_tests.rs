//! Images that other tools make, against the bytes that qemu-img reads from them; and the same images damaged.

use super::disk;
use super::sample::{self, committed, tree};
use disks::export::raw;
use model::{Digest, Error, Hasher, Kind, Result, Silent};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a foreign tool in `folder`; `None` where it is absent or does not know the format.
fn tool(folder: &Path, line: &[&str]) -> Option<()> {
    match Command::new(line[0]).args(&line[1..]).current_dir(folder).output() {
        Ok(out) if out.status.success() => Some(()),
        Ok(out) => {
            // Not for CI=1: what a program of this version cannot do is no matter of installing it.
            fixtures::skip(format_args!("{}: {}", line.join(" "), String::from_utf8_lossy(&out.stderr)));
            None
        }
        Err(_) => {
            fixtures::missing(format_args!("no {}", line[0]));
            None
        }
    }
}

/// A disk with GPT in a new folder, as `d.raw`.
fn sample() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tree = tree();
    let disk = sample::disk(&tree, &committed(&tree), 512);
    raw::write(&disk, "raw", None, &folder.path().join("d.raw"), &Silent).unwrap().name().unwrap();
    folder
}

/// Size and digest of the disk that we read.
fn ours(path: &Path) -> Result<(u64, Digest)> {
    disk::open(path, |size, source| {
        let (mut hasher, mut buffer, mut at) = (Hasher::new(), vec![0; 1 << 20], 0);
        while at < size {
            // Pieces that begin in the middle of clusters.
            let n = (size - at).min(buffer.len() as u64 - 513) as usize;
            source(at, &mut buffer[..n])?;
            hasher.update(&buffer[..n]);
            at += n as u64;
        }
        Ok((size, hasher.finish()))
    })
}

/// The same by `qemu-img convert -O raw`.
fn theirs(folder: &Path, format: &str, name: &str) -> Option<(u64, Digest)> {
    tool(folder, &["qemu-img", "convert", "-f", format, "-O", "raw", name, "theirs.raw"])?;
    let bytes = fs::read(folder.join("theirs.raw")).unwrap();
    Some((bytes.len() as u64, Digest::of(&bytes)))
}

fn damaged(folder: &Path, name: &str, damage: impl Fn(&File, u64)) -> PathBuf {
    let twin = folder.join(format!("twin-{name}"));
    fs::copy(folder.join(name), &twin).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(&twin).unwrap();
    damage(&file, file.metadata().unwrap().len());
    twin
}

/// Each is read as qemu-img reads it; with its first half alone, and with its tables overwritten, it is refused as damaged.
#[test]
fn images_of_qemu_img_hold_what_qemu_img_reads_from_them() {
    let folder = sample();
    let at = folder.path();
    for (name, format, options) in [
        ("v2.qcow2", "qcow2", "compat=0.10"),
        ("v3.qcow2", "qcow2", "compat=1.1"),
        ("small.qcow2", "qcow2", "cluster_size=512"),
        ("large.qcow2", "qcow2", "cluster_size=2M"),
        ("lazy.qcow2", "qcow2", "lazy_refcounts=on"),
        ("full.qcow2", "qcow2", "preallocation=full"),
        ("narrow.qcow2", "qcow2", "refcount_bits=1"),
        ("sub.qcow2", "qcow2", "extended_l2=on,cluster_size=128k"),
        ("sub-small.qcow2", "qcow2", "extended_l2=on,cluster_size=16k"),
        ("sparse.vmdk", "vmdk", "subformat=monolithicSparse"),
        ("stream.vmdk", "vmdk", "subformat=streamOptimized"),
        ("dynamic.vdi", "vdi", "static=off"),
        ("static.vdi", "vdi", "static=on"),
        ("dynamic.vhd", "vpc", "subformat=dynamic,force_size=on"),
        ("fixed.vhd", "vpc", "subformat=fixed,force_size=on"),
        ("chs.vhd", "vpc", "subformat=dynamic"),
        ("dynamic.vhdx", "vhdx", "subformat=dynamic"),
        ("fixed.vhdx", "vhdx", "subformat=fixed"),
        ("small.vhdx", "vhdx", "subformat=dynamic,block_size=1M"),
    ] {
        if tool(at, &["qemu-img", "convert", "-f", "raw", "-O", format, "-o", options, "d.raw", name]).is_none() {
            continue;
        }
        let Some(expected) = theirs(at, format, name) else { return };
        assert_eq!(ours(&at.join(name)).map_err(|e| format!("{name}: {e:#}")), Ok(expected), "{name}");
        let twin = damaged(at, name, |file, length| file.set_len(length / 2).unwrap());
        let error = ours(&twin).expect_err(name);
        assert!(error.kind() == Kind::Integrity && error.to_string().contains("offset"), "{name} cut in half: {error:#}");
        fs::remove_file(twin).unwrap();
        fs::remove_file(at.join(name)).unwrap();
    }
}

/// Clusters of images that [`qcow2`] makes, in bytes.
const CLUSTER: usize = 64 << 10;

/// A qcow2 image of a disk of two clusters: header, L1 table, no reference counts, L2 table with these big-endian words, a cluster full of 0x5a.
fn qcow2(version: u32, features: u64, l2: &[u64]) -> Vec<u8> {
    let mut image = b"QFI\xfb".to_vec();
    image.extend(version.to_be_bytes());
    image.extend([0; 12]); // no backing file
    image.extend(16u32.to_be_bytes());
    image.extend((2 * CLUSTER as u64).to_be_bytes());
    image.extend([0; 4]); // no encryption
    image.extend(1u32.to_be_bytes()); // L1 entries, and where they are
    image.extend((CLUSTER as u64).to_be_bytes());
    image.extend((2 * CLUSTER as u64).to_be_bytes()); // the table of reference counts, one cluster
    image.extend(1u32.to_be_bytes());
    image.extend([0; 12]); // no snapshots
    if version == 3 {
        image.extend(features.to_be_bytes());
        image.extend([0; 16]); // compatible and autoclear features
        image.extend([4u32.to_be_bytes(), 104u32.to_be_bytes()].concat()); // 16 bits a reference count; the header's length
    }
    image.resize(CLUSTER, 0);
    image.extend(((3 * CLUSTER as u64) | (1 << 63)).to_be_bytes());
    image.resize(3 * CLUSTER, 0);
    image.extend(l2.iter().flat_map(|word| word.to_be_bytes()));
    image.resize(4 * CLUSTER, 0);
    image.resize(5 * CLUSTER, 0x5a);
    image
}

/// A dynamic VDI image of two blocks of 1 MiB: the first is full of 0x5a, the second is not there.
fn vdi() -> Vec<u8> {
    let mut image = vec![0; 2 << 20];
    let mut put = |at: usize, value: u32| image[at..at + 4].copy_from_slice(&value.to_le_bytes());
    for (at, value) in [
        (0x40, 0xbeda_107f),
        (0x44, 0x0001_0001),
        (0x48, 0x190),
        (0x4c, 1),
        (0x154, 0x200),   // the block map
        (0x158, 1 << 20), // the first block
        (0x168, 512),
        (0x170, 2 << 20), // the disk's size, in bytes; then a block's, and the number of blocks
        (0x178, 1 << 20),
        (0x180, 2),
        (0x184, 1),
        (0x200, 0),
        (0x204, u32::MAX),
    ] {
        put(at, value);
    }
    image[1 << 20..].fill(0x5a);
    image
}

/// A zstd frame (RFC 8878) of blocks that are not compressed, which says that its window is 2 GiB: what `zstd --long=31` says.
fn zstd_of_long_window(content: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (31 - 10) << 3];
    let blocks = content.chunks(128 << 10);
    let last = blocks.len() - 1;
    for (number, block) in blocks.enumerate() {
        let header = (block.len() as u32) << 3 | u32::from(number == last);
        frame.extend(&header.to_le_bytes()[..3]);
        frame.extend(block);
    }
    frame
}

#[test]
fn images_written_by_hand_are_read_on_a_machine_without_qemu_img() {
    let folder = sample();
    let at = folder.path();
    let raw = fs::read(at.join("d.raw")).unwrap();
    let data = (4 * CLUSTER as u64) | (1 << 63);
    let v2 = qcow2(2, 0, &[data]);
    let half = [vec![0x5a; CLUSTER], vec![0; CLUSTER]].concat();
    let mut snapshot = qcow2(3, 0, &[data]);
    snapshot[63] = 1; // one snapshot, whose entry is in the last cluster
    snapshot[64..72].copy_from_slice(&(4 * CLUSTER as u64).to_be_bytes());
    // An overlay that has the second cluster itself.
    let mut overlay = qcow2(3, 0, &[0, data]);
    overlay[8..16].copy_from_slice(&200u64.to_be_bytes());
    overlay[16..20].copy_from_slice(&8u32.to_be_bytes());
    overlay[200..208].copy_from_slice(b"v2.qcow2");
    // Subclusters of 2 KiB: the first 16 are there, the others are zeros.
    let subclusters = qcow2(3, 1 << 4, &[data, 0xffff_0000_0000_ffff, 0, 0]);
    let descriptor = format!(
        "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW {} FLAT \"d.raw\" 0\n",
        raw.len() / 512
    );
    for (name, image, expected) in [
        ("v2.qcow2", v2, &half),
        ("snap.qcow2", snapshot, &half),
        ("over.qcow2", overlay, &vec![0x5a; 2 * CLUSTER]),
        ("subcl.qcow2", subclusters, &[vec![0x5a; CLUSTER / 2], vec![0; 3 * CLUSTER / 2]].concat()),
        ("a.vdi", vdi(), &[vec![0x5a; 1 << 20], vec![0; 1 << 20]].concat()),
        ("flat.vmdk", descriptor.into_bytes(), &raw),
        ("long.raw.zst", zstd_of_long_window(&raw), &raw),
    ] {
        fs::write(at.join(name), image).unwrap();
        let expected = (expected.len() as u64, Digest::of(expected));
        assert_eq!(ours(&at.join(name)).map_err(|e| format!("{name}: {e:#}")), Ok(expected), "{name}");
    }
}

#[test]
fn compressed_clusters_and_snapshots_hold_what_qemu_img_reads_from_them() {
    let folder = sample();
    let at = folder.path();
    for (name, options) in [
        ("zlib.qcow2", "compression_type=zlib"),
        ("zstd.qcow2", "compression_type=zstd"),
        ("zlib-small.qcow2", "compression_type=zlib,cluster_size=4k"),
        ("zlib-sub.qcow2", "compression_type=zlib,extended_l2=on,cluster_size=64k"),
    ] {
        if tool(at, &["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, "d.raw", name]).is_none() {
            continue;
        }
        // The snapshot has what is now; what is written after it is what counts.
        tool(at, &["qemu-img", "snapshot", "-c", "before", name]).unwrap();
        tool(at, &["qemu-io", "-f", "qcow2", "-c", "write -P 0x5a 70000k 300k", "-c", "write -z 1M 64k", name]);
        let Some(expected) = theirs(at, "qcow2", name) else { return };
        assert_eq!(ours(&at.join(name)).map_err(|e| format!("{name}: {e:#}")), Ok(expected), "{name}");
    }
}

#[test]
fn overlays_read_through_to_their_backing_files() {
    let folder = sample();
    let at = folder.path();
    fs::create_dir(at.join("base")).unwrap();
    let made = tool(at, &["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", "compat=0.10", "d.raw", "base/base.qcow2"]);
    if made.is_none() {
        return;
    }
    let grown = (fs::metadata(at.join("d.raw")).unwrap().len() + (3 << 20) + 512).to_string();
    // An overlay larger than its backing file, one with subclusters over that, one over a raw file; each with writes of its own.
    for (name, backing, format, options, size) in [
        ("one.qcow2", "base/base.qcow2", "qcow2", "cluster_size=64k", Some(grown.as_str())),
        ("two.qcow2", "one.qcow2", "qcow2", "extended_l2=on,cluster_size=128k", None),
        ("old.qcow2", "two.qcow2", "qcow2", "compat=0.10", None),
        ("over-raw.qcow2", "d.raw", "raw", "cluster_size=4k", None),
    ] {
        let mut line = vec!["qemu-img", "create", "-q", "-f", "qcow2", "-b", backing, "-F", format, "-o", options, name];
        line.extend(size);
        tool(at, &line).unwrap();
        tool(
            at,
            &["qemu-io", "-f", "qcow2", "-c", "write -P 0x33 5000k 12k", "-c", "write -z 2M 192k", "-c", "write -P 1 70000k 4k", name],
        );
        let expected = theirs(at, "qcow2", name).unwrap();
        assert_eq!(ours(&at.join(name)).map_err(|e| format!("{name}: {e:#}")), Ok(expected), "{name}");
    }
    // Damage below is told with the name of the file.
    OpenOptions::new().write(true).open(at.join("base/base.qcow2")).unwrap().set_len(1 << 20).unwrap();
    let error = ours(&at.join("old.qcow2")).unwrap_err();
    assert!(error.kind() == Kind::Integrity && error.to_string().contains("backing file \"base/base.qcow2\""), "{error:#}");
}

#[test]
fn a_backing_file_is_followed_only_below_the_folder_of_the_image() {
    let (folder, outside) = (sample(), tempfile::tempdir().unwrap());
    let at = folder.path();
    fs::write(outside.path().join("secret"), [b's'; 1024]).unwrap();
    fs::create_dir(at.join("images")).unwrap();
    fs::copy(at.join("d.raw"), at.join("images/in.raw")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), at.join("images/link")).unwrap();
    let secret = outside.path().join("secret").display().to_string();
    let create = |name: &str, backing: &str| {
        tool(&at.join("images"), &["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", backing, "-F", "raw", name, "1M"])
    };
    for (backing, expected) in [
        (secret.as_str(), "outside of the image's folder"),
        ("../d.raw", "outside of the image's folder"),
        ("link", "outside of the image's folder"),
        ("/etc/passwd", "outside of the image's folder"),
        ("/dev/zero", "outside of the image's folder"),
        (".", "no regular file"),
        ("absent.raw", "is not there"),
        ("nbd:localhost:10809", "no path of a file"),
        ("json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}", "no path of a file"),
    ] {
        if create("over.qcow2", backing).is_none() {
            return;
        }
        let error = ours(&at.join("images/over.qcow2")).expect_err(backing);
        assert!(error.kind() == Kind::Recipe && error.to_string().contains(expected), "{backing}: {error:#}");
        let hint = error.hint_text().unwrap_or("");
        assert!(hint.contains("qemu-img convert -O raw") || hint.contains("beside the image"), "{backing}: {hint}");
        fs::remove_file(at.join("images/over.qcow2")).unwrap();
    }
    for backing in ["in.raw", "file:in.raw", "./in.raw", "../images/in.raw"] {
        create("over.qcow2", backing).unwrap();
        assert!(ours(&at.join("images/over.qcow2")).is_ok(), "{backing}");
        fs::remove_file(at.join("images/over.qcow2")).unwrap();
    }
    // A loop of two, and a chain without an end in sight.
    for (name, backing) in [("a.qcow2", "b.qcow2"), ("b.qcow2", "a.qcow2")] {
        tool(at, &["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", backing, "-F", "qcow2", name, "1M"]).unwrap();
    }
    let error = ours(&at.join("a.qcow2")).unwrap_err();
    assert!(error.kind() == Kind::Integrity && error.to_string().contains("comes back to this file"), "{error:#}");
    for n in 0..40 {
        let (name, backing) = (format!("c{n}.qcow2"), format!("c{}.qcow2", n + 1));
        tool(at, &["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", &backing, "-F", "qcow2", &name, "1M"]).unwrap();
    }
    let error = ours(&at.join("c0.qcow2")).unwrap_err();
    assert!(error.kind() == Kind::Recipe && error.to_string().contains("more than 32 backing files"), "{error:#}");
}

#[test]
fn a_vmdk_descriptor_names_files_that_hold_the_disk() {
    let folder = sample();
    let at = folder.path();
    for subformat in ["monolithicFlat", "twoGbMaxExtentFlat", "twoGbMaxExtentSparse"] {
        let name = format!("{subformat}.vmdk");
        let options = format!("subformat={subformat}");
        if tool(at, &["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", &options, "d.raw", &name]).is_none() {
            return;
        }
        let expected = theirs(at, "vmdk", &name).unwrap();
        assert_eq!(ours(&at.join(&name)).map_err(|e| format!("{name}: {e:#}")), Ok(expected), "{name}");
        let extent = fs::read_dir(at).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let extent = extent.into_iter().find(|n| n.starts_with(&format!("{subformat}-"))).unwrap();
        let length = fs::metadata(at.join(&extent)).unwrap().len();
        OpenOptions::new().write(true).open(at.join(&extent)).unwrap().set_len(length / 2).unwrap();
        let error = ours(&at.join(&name)).unwrap_err();
        assert!(error.kind() == Kind::Integrity && error.to_string().contains(&extent), "{name}: {error:#}");
        fs::remove_file(at.join(&extent)).unwrap();
        let error = ours(&at.join(&name)).unwrap_err();
        assert!(error.kind() == Kind::Recipe && error.to_string().contains("is not there"), "{name}: {error:#}");
        // A descriptor from elsewhere must not name a file of this machine.
        let text = fs::read_to_string(at.join(&name)).unwrap().replace(&extent, "/etc/passwd");
        fs::write(at.join(&name), text).unwrap();
        let error = ours(&at.join(&name)).unwrap_err();
        assert!(error.kind() == Kind::Recipe && error.to_string().contains("outside of the image's folder"), "{name}: {error:#}");
    }
}

#[test]
fn a_compressed_disk_is_read_whatever_its_window_and_format() {
    let folder = sample();
    let at = folder.path();
    let expected = ours(&at.join("d.raw")).unwrap();
    tool(at, &["qemu-img", "convert", "-f", "raw", "-O", "qcow2", "d.raw", "d.qcow2"]);
    for (line, name) in [
        (&["zstd", "-q", "--ultra", "-1", "--long=31", "d.raw", "-o", "long.raw.zst"][..], "long.raw.zst"),
        (&["sh", "-c", "zstd -q -1 --long=31 < d.raw > stream.raw.zst"], "stream.raw.zst"),
        (&["sh", "-c", "xz -0 --lzma2=preset=0,dict=256MiB -c d.raw > large.raw.xz"], "large.raw.xz"),
        (&["sh", "-c", "xz -T2 -0 --block-size=1MiB --check=sha256 -c d.raw > blocks.raw.xz"], "blocks.raw.xz"),
        (&["sh", "-c", "gzip -1 -c d.raw > d.raw.gz"], "d.raw.gz"),
        (&["sh", "-c", "bzip2 -1 -c d.raw > d.raw.bz2"], "d.raw.bz2"),
        (&["sh", "-c", "gzip -1 -c d.qcow2 > d.qcow2.gz"], "d.qcow2.gz"),
        (&["sh", "-c", "xz -T2 -0 --block-size=1MiB -c d.qcow2 > d.qcow2.xz"], "d.qcow2.xz"),
    ] {
        if tool(at, line).is_none() || !at.join(name).exists() {
            continue;
        }
        assert_eq!(ours(&at.join(name)).map_err(|e| format!("{name}: {e:#}")), Ok(expected), "{name}");
        let twin = damaged(at, name, |file, length| file.set_len(length - length / 3).unwrap());
        let error = ours(&twin).expect_err(name);
        assert!(error.kind() == Kind::Integrity, "{name} cut short: {error:#}");
    }
    tool(at, &["sh", "-c", "gzip -c d.raw.gz > twice.raw.gz"]).unwrap();
    let error = ours(&at.join("twice.raw.gz")).unwrap_err();
    assert!(error.kind() == Kind::Recipe && error.to_string().contains("in a compressed file"), "{error:#}");
}

#[test]
fn what_is_not_read_is_refused_by_name_with_the_command_that_converts_it() {
    let folder = sample();
    let at = folder.path();
    let check = |name: &str, error: Error, expected: &str, converts: bool| {
        assert!(error.kind() == Kind::Recipe && error.to_string().contains(expected), "{name}: {error:#}");
        let hint = error.hint_text().unwrap_or("");
        assert!(!converts || hint.contains("qemu-img convert -O raw ") && hint.contains(name), "{name}: {hint}");
    };
    for (name, line, expected) in [
        ("a.qed", &["convert", "-f", "raw", "-O", "qed", "d.raw", "a.qed"][..], "a QED disk image"),
        ("a.hds", &["convert", "-f", "raw", "-O", "parallels", "d.raw", "a.hds"], "a Parallels disk image"),
        ("a.qcow", &["convert", "-f", "raw", "-O", "qcow", "d.raw", "a.qcow"], "a qcow image of version 1"),
        (
            "data.qcow2",
            &["create", "-q", "-f", "qcow2", "-o", "data_file=data.bin", "data.qcow2", "1M"],
            "\"data.bin\", an external data file",
        ),
        (
            "luks.qcow2",
            &[
                "create",
                "-q",
                "--object",
                "secret,id=s,data=x",
                "-f",
                "qcow2",
                "-o",
                "encrypt.format=luks,encrypt.key-secret=s",
                "luks.qcow2",
                "1M",
            ],
            "encrypted with LUKS",
        ),
    ] {
        if tool(at, &[&["qemu-img"], line].concat()).is_some() {
            check(name, ours(&at.join(name)).expect_err(name), expected, true);
        }
    }
    for (name, bytes, expected, converts) in [
        (
            "delta.vmdk",
            &b"# Disk DescriptorFile\nparentCID=01234567\nparentFileNameHint=\"b.vmdk\"\n"[..],
            "needs its parent \"b.vmdk\"",
            true,
        ),
        ("b.qed", b"QED\0\0\0\x01\0", "a QED disk image", true),
        ("b.hds", b"WithoutFreeSpace", "a Parallels disk image", true),
        ("c.hds", b"WithouFreSpacExt", "a Parallels disk image", true),
        ("esx.vmdk", b"COWD\x01\0\0\0", "ESX (COWD)", true),
        ("se.vmdk", b"\xbe\xba\xfe\xca\0\0\0\0", "SESparse", true),
        ("a.zip", b"PK\x03\x04", "a zip file", false),
        ("a.html", b"<!DOCTYPE html><title>404</title>", "an HTML page", false),
        ("text", b"hello", "not a disk image", false),
        ("empty", b"", "the file is empty", false),
    ] {
        fs::write(at.join(name), bytes).unwrap();
        check(name, ours(&at.join(name)).expect_err(name), expected, converts);
    }
    // Bits of a good image's header that say what we do not read.
    if tool(at, &["qemu-img", "create", "-q", "-f", "qcow2", "plain.qcow2", "1M"]).is_none() {
        return;
    }
    for (offset, byte, kind, expected) in [
        (79, 1 << 5, Kind::Recipe, "incompatible features 0x20"),
        (79, 1 << 1, Kind::Integrity, "marked as corrupt"),
        (35, 1, Kind::Recipe, "encrypted with AES"),
        (35, 9, Kind::Integrity, "encryption method 9"),
        (7, 9, Kind::Integrity, "expected version 2 or 3"),
        (23, 22, Kind::Integrity, "cluster bits"),
        (103, 1, Kind::Integrity, "a length of at least"),
    ] {
        let twin = damaged(at, "plain.qcow2", |file, _| file.write_all_at(&[byte], offset).unwrap());
        let error = ours(&twin).unwrap_err();
        assert!(error.kind() == kind && error.to_string().contains(expected), "byte {offset} = {byte}: {error:#}");
    }
    let twin = damaged(at, "plain.qcow2", |file, _| file.write_all_at(&[1], 79).unwrap());
    assert!(ours(&twin).is_ok(), "reference counts that may be wrong do not concern a reader");
}
