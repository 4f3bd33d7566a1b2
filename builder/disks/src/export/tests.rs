//! Every format of one small disk: golden digests, and what foreign tools say of it and of a damaged twin.

use super::*;
use model::{Blob, Digest, ImageSeed, Segment, Segments, Silent, SourceDateEpoch};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Numbers that look random and are the same every time: xorshift32 from 1.
pub(super) fn noise() -> impl Iterator<Item = u32> {
    let mut state = 1u32;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    })
}

/// 71 MiB with text, noise that does not compress, zeros inside data, an extent of a file, a long hole, and something at the very end.
fn disk(folder: &Path) -> Segments {
    let mut state = noise();
    let mut noise = |n: usize| -> Vec<u8> { state.by_ref().take(n).map(|word| word as u8).collect() };
    let text: Vec<u8> = (0..200_000u32).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    let path = folder.join("pack");
    let mut pack = File::create(&path).unwrap();
    pack.write_all(&text).unwrap();
    pack.write_all(&noise(1_000_000)).unwrap();
    let len = pack.metadata().unwrap().len() - 4096;
    let extent = Blob::Extent { file: Arc::new(File::open(&path).unwrap()), path: path.as_path().into(), offset: 4096, len };
    let at = |offset, bytes: Vec<u8>| Segment { offset, data: bytes.into() };
    let size = 71 << 20;
    let list = vec![
        at(0, vec![1; 512]),
        at(600, vec![2; 10]),
        at(65_000, noise(200_000)),
        at(1 << 20, [text, vec![0; 3_000_000], noise(70_000)].concat()),
        Segment { offset: 40 << 20, data: extent },
        at(size - 700, vec![9; 700]),
    ];
    Segments::new(size, list).unwrap()
}

fn wrapping(compression: Compression) -> ExportOptions<'static> {
    ExportOptions {
        name: "disk",
        title: "A <Disk>",
        version: "1.0",
        compression,
        sector: 512,
        uefi: true,
        seed: ImageSeed::new(Digest::of(b"golden")),
        epoch: SourceDateEpoch(1_700_000_000),
        checkpoints: None,
    }
}

fn exported(folder: &Path, threads: usize, formats: &[OutputFormat], compression: Compression) -> Vec<Artifact> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    publish(pool.install(|| export(&disk(folder), formats, &wrapping(compression), folder, &Silent)).unwrap(), folder, false).unwrap()
}

/// A change here is a change of every user's images: the CHANGELOG says why.
const GOLDEN: [(&str, &str); 10] = [
    ("raw", "fbfbab308cc29492cb56c5fa39c0486de50407622d4dc4c496d582e38db091b7"),
    ("raw.zst", "9be886d7ed98275d45f9ee37729a7a7fdd94e26259ca1e687c4bf15c378c6c77"),
    ("raw.xz", "c981340918d2a57273d871d1e30540ced71633a8722a6ecaf60146d3cb08a778"),
    ("qcow2", "c32b7ad4723b53c24c90f4af8e9072262bea29da0da8362900aeb9e40c777869"),
    ("vmdk", "900e6bc2f1967251462649829a627b8568163d651a2b1774f5f66269ae2d7f54"),
    ("ova", "47b709d45da320d30987cf2d171395b2e70c04cdd7b0fb7586ca004541172c69"),
    ("vhd", "f00876ec1c49813fc25e770c6f21d0c7efbf2f237d200ebbea0aa129564dc649"),
    ("vhd-dynamic", "8d6a1a40ff723452bb71f6ffe19aa468cd5ad0c3d369036dddfe184dd14ebad7"),
    ("vhdx", "45ee7a3f733c01eb85dece25f5cda864d9ae9f307637f8f6a92d3e1c6c3e8d83"),
    ("gce", "ffb3c922d89c580b6356fb78d851797d838c2d9652d08dbbc993d0d19a07357b"),
];

#[test]
fn the_bytes_of_every_format_are_the_golden_ones_with_one_thread_and_with_five() {
    for threads in [1, 5] {
        let folder = tempfile::tempdir().unwrap();
        let made = exported(folder.path(), threads, &OutputFormat::ALL, Compression::Zstd);
        for artifact in &made {
            let bytes = std::fs::read(&artifact.path).unwrap();
            assert_eq!((Digest::of(&bytes), bytes.len() as u64), (artifact.sha256, artifact.size), "{}", artifact.format);
        }
        let found: Vec<_> = made.iter().map(|a| (a.format, a.sha256.to_string())).collect();
        assert_eq!(found, GOLDEN.map(|(format, digest)| (format, digest.to_owned())), "{threads} threads");
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), made.len() + 1, "{left:?}");
    }
}

#[test]
fn the_compression_decides_the_bytes_of_qcow2() {
    let folder = tempfile::tempdir().unwrap();
    let of = |compression| exported(folder.path(), 2, &[OutputFormat::Qcow2], compression).remove(0);
    let (zstd, zlib, none) = (of(Compression::Zstd), of(Compression::Zlib), of(Compression::None));
    assert!(zstd.size < none.size && zlib.size < none.size && zstd.sha256 != zlib.sha256, "{zstd:?} {zlib:?} {none:?}");
}

#[test]
fn what_compresses_fine_holes_take_no_room_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    for artifact in exported(folder.path(), 2, &OutputFormat::ALL, Compression::Zstd) {
        assert!(artifact.disk_usage < 16 << 20, "{artifact:?}");
    }
}

/// Success and all that was said; `None` if the program is not installed.
fn run(program: &str, arguments: &[&OsStr]) -> Option<(bool, Vec<u8>, String)> {
    match Command::new(program).args(arguments).stdin(Stdio::null()).output() {
        Ok(out) => {
            let said = String::from_utf8_lossy(&[&out.stdout[..out.stdout.len().min(2000)], &out.stderr].concat()).into_owned();
            Some((out.status.success(), out.stdout, said))
        }
        Err(_) => {
            fixtures::missing(format_args!("{program} is not installed"));
            None
        }
    }
}

fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
}

fn copy(path: &Path, name: &str) -> PathBuf {
    let twin = path.with_file_name(name);
    std::fs::copy(path, &twin).unwrap();
    twin
}

#[test]
fn qemu_finds_every_disk_format_identical_to_raw_and_complains_about_a_damaged_twin() {
    let folder = tempfile::tempdir().unwrap();
    let raw = exported(folder.path(), 2, &[OutputFormat::Raw], Compression::Zstd).remove(0).path;
    let compare = |driver: &str, path: &Path| {
        run(
            "qemu-img",
            &["compare".as_ref(), "-f".as_ref(), "raw".as_ref(), "-F".as_ref(), driver.as_ref(), raw.as_os_str(), path.as_os_str()],
        )
    };
    let check = |driver: &str, path: &Path| run("qemu-img", &["check".as_ref(), "-f".as_ref(), driver.as_ref(), path.as_os_str()]).unwrap();
    use Compression::{None as Stored, Zlib, Zstd};
    // Format, compression, QEMU's name, whether it can check, and where a flipped byte is content and where it is structure.
    for (format, compression, driver, checks, content, structure) in [
        (OutputFormat::Qcow2, Zstd, "qcow2", true, 65_540, 71),
        (OutputFormat::Qcow2, Zlib, "qcow2", true, 65_540, 20),
        (OutputFormat::Qcow2, Stored, "qcow2", true, 65_540, 40),
        (OutputFormat::Vmdk, Zstd, "vmdk", true, 65_536 + 20, 2),
        (OutputFormat::Vhd, Zstd, "vpc", false, 1 << 20, 71 << 20),
        (OutputFormat::VhdDynamic, Zstd, "vpc", false, 4096, 512),
        (OutputFormat::Vhdx, Zstd, "vhdx", true, 4 << 20, 2 << 20),
    ] {
        let path = exported(folder.path(), 2, &[format], compression).remove(0).path;
        let Some((same, _, said)) = compare(driver, &path) else { return };
        assert!(same, "{format:?} {compression:?}: {said}");
        if checks {
            let (clean, _, said) = check(driver, &path);
            assert!(clean, "{format:?} {compression:?}: {said}");
        }
        for at in [content, structure] {
            let twin = copy(&path, "twin");
            flip(&twin, at);
            let (same, _, said) = compare(driver, &twin).unwrap();
            assert!(!same, "{format:?} {compression:?} with another byte at {at}: {said}");
        }
    }
}

#[test]
fn zstd_xz_and_gnu_tar_give_the_raw_disk_and_refuse_a_damaged_twin() {
    let folder = tempfile::tempdir().unwrap();
    let formats = [OutputFormat::Raw, OutputFormat::RawZstd, OutputFormat::RawXz, OutputFormat::Gce];
    let made = exported(folder.path(), 2, &formats, Compression::Zstd);
    let raw = std::fs::read(&made[0].path).unwrap();
    for (artifact, program, arguments) in
        [(&made[1], "zstd", &["-dcq"][..]), (&made[2], "xz", &["-dc", "-T2"]), (&made[3], "tar", &["-xzO", "disk.raw", "-f"])]
    {
        let read = |path: &Path| {
            let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).chain([path.as_os_str()]).collect();
            run(program, &arguments)
        };
        let Some((good, found, said)) = read(&artifact.path) else { continue };
        assert!(good && found == raw, "{program}: {said}");
        let twin = copy(&artifact.path, "twin");
        flip(&twin, artifact.size / 2);
        let (good, found, _) = read(&twin).unwrap();
        assert!(!good && found != raw, "{program} took a damaged twin");
    }
    let Some((_, listing, said)) = run("xz", &["--robot".as_ref(), "-l".as_ref(), made[2].path.as_os_str()]) else { return };
    // One stream of 18 blocks of 4 MiB.
    assert!(String::from_utf8_lossy(&listing).contains("file\t1\t18\t"), "{said}");
}

#[test]
fn gnu_tar_sees_one_sparse_file_of_the_old_dialect_with_the_epochs_time() {
    let folder = tempfile::tempdir().unwrap();
    let made = exported(folder.path(), 2, &[OutputFormat::Gce], Compression::Zstd).remove(0);
    let list = ["--numeric-owner", "--utc", "-tvzf"].map(OsStr::new);
    let Some((_, listing, said)) = run("tar", &[&list[..], &[made.path.as_os_str()]].concat()) else { return };
    let expected = format!("-rw-r--r-- 0/0 {} 2023-11-14 22:13 disk.raw\n", 71 << 20);
    assert_eq!(
        String::from_utf8_lossy(&listing).split_whitespace().collect::<Vec<_>>(),
        expected.split_whitespace().collect::<Vec<_>>(),
        "{said}"
    );
    let extract = ["-xzf".as_ref(), made.path.as_os_str(), "-C".as_ref(), folder.path().as_os_str()];
    assert!(run("tar", &extract).unwrap().0);
    let usage = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(folder.path().join("disk.raw")).unwrap()) * 512;
    assert!(usage < 16 << 20, "extracted to {usage} bytes");
    let Some((_, start, _)) = run("gzip", &["-dc".as_ref(), made.path.as_os_str()]) else { return };
    assert_eq!((&start[156..157], &start[257..265]), (&b"S"[..], &b"ustar  \0"[..]));
}

#[test]
fn the_digests_in_an_ovas_manifest_hold_and_its_vmdk_is_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let made = exported(folder.path(), 2, &[OutputFormat::Raw, OutputFormat::Vmdk, OutputFormat::Ova], Compression::Zstd);
    let inside = folder.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    let Some((_, listing, said)) = run("tar", &["-tf".as_ref(), made[2].path.as_os_str()]) else { return };
    assert_eq!(String::from_utf8_lossy(&listing), "disk.ovf\ndisk-disk1.vmdk\ndisk.mf\n", "{said}");
    assert!(run("tar", &["-xf".as_ref(), made[2].path.as_os_str(), "-C".as_ref(), inside.as_os_str()]).unwrap().0);
    assert!(std::fs::read(inside.join("disk-disk1.vmdk")).unwrap() == std::fs::read(&made[1].path).unwrap());
    let descriptor = std::fs::read_to_string(inside.join("disk.ovf")).unwrap();
    for part in [format!("ovf:size=\"{}\"", made[1].size), format!("ovf:capacity=\"{}\"", 71 << 20), "A &lt;Disk&gt;".to_owned()] {
        assert!(descriptor.contains(&part), "{part} is not in {descriptor}");
    }
    let mut reader = quick_xml::Reader::from_str(&descriptor);
    while reader.read_event().unwrap() != quick_xml::events::Event::Eof {}
    // sha256sum's own form of the manifest.
    let manifest = std::fs::read_to_string(inside.join("disk.mf")).unwrap();
    let sums: String = manifest
        .lines()
        .map(|line| {
            let (file, digest) = line.strip_prefix("SHA256(").unwrap().split_once(")= ").unwrap();
            format!("{digest}  {file}\n")
        })
        .collect();
    std::fs::write(inside.join("sums"), sums).unwrap();
    let hold = || {
        let out = Command::new("sha256sum").args(["-c", "sums"]).current_dir(&inside).output().unwrap();
        (out.status.success(), String::from_utf8_lossy(&out.stdout).lines().filter(|line| line.ends_with(": OK")).count())
    };
    assert_eq!(hold(), (true, 2));
    flip(&inside.join("disk-disk1.vmdk"), 70_000);
    assert_eq!(hold(), (false, 1));
}
