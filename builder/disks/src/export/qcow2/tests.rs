use super::*;
use crate::export::raw;
use crate::export::tests::noise;
use crate::qcow2::Reader;
use model::{Blob, Error, Segment, Silent};
use std::io::Write;
use std::process::Command;
use std::sync::Arc;

/// 1.2 GiB (three L2 tables) with text, noise that does not compress, zeros inside data, an extent of a file, and an end within a cluster.
fn sample(folder: &Path) -> Segments {
    let mut state = noise();
    let mut noise = |n: usize| -> Vec<u8> { state.by_ref().take(n).map(|word| word as u8).collect() };
    let path = folder.join("pack");
    let mut pack = File::create_new(&path).unwrap();
    let text: Vec<u8> = (0..400_000u32).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    pack.write_all(&text).unwrap();
    pack.write_all(&noise(3_000_000)).unwrap();
    let len = pack.metadata().unwrap().len() - 100;
    let extent = Blob::Extent { file: Arc::new(File::open(&path).unwrap()), path: path.as_path().into(), offset: 100, len };
    let size = (1200 << 20) + 512 * 3;
    let at = |offset, bytes: Vec<u8>| Segment { offset, data: bytes.into() };
    let list = vec![
        at(0, vec![1; 512]),
        at(600, vec![2; 10]),
        at(65_000, noise(200_000)),
        at(1 << 20, [text.clone(), vec![0; 300_000], noise(70_000), text].concat()),
        Segment { offset: 700 << 20, data: extent },
        at(size - 700, vec![9; 700]),
    ];
    Segments::new(size, list).unwrap()
}

/// `None` if the tool is not installed.
fn qemu_img(arguments: &[&std::ffi::OsStr]) -> Option<(bool, String)> {
    match Command::new("qemu-img").args(arguments).output() {
        Ok(out) => Some((out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())),
        Err(_) => {
            fixtures::missing("qemu-img is not installed");
            None
        }
    }
}

#[test]
fn qemu_finds_both_formats_identical_and_complains_about_a_corrupted_twin() {
    let folder = tempfile::tempdir().unwrap();
    let disk = sample(folder.path());
    let (raw_path, path) = (folder.path().join("disk.raw"), folder.path().join("disk.qcow2"));
    let raw = raw::write(&disk, "raw", None, &raw_path, &Silent).unwrap().name().unwrap();
    let image = write(&disk, Compression::Zstd, &path, &Silent).unwrap().name().unwrap();
    for artifact in [&raw, &image] {
        let out = Command::new("sha256sum").arg(&artifact.path).output().unwrap();
        assert!(String::from_utf8_lossy(&out.stdout).starts_with(&artifact.sha256.to_string()), "{artifact:?}");
        assert_eq!(artifact.size, std::fs::metadata(&artifact.path).unwrap().len());
    }
    assert!(raw.size == disk.size() && raw.disk_usage < 40 << 20, "{raw:?}");
    assert!(image.size < 12 << 20, "{image:?}");

    let Some((clean, said)) = qemu_img(&["check".as_ref(), path.as_os_str()]) else { return };
    assert!(clean && said.contains("No errors"), "{said}");
    let compare = || {
        qemu_img(&[
            "compare".as_ref(),
            "-f".as_ref(),
            "raw".as_ref(),
            "-F".as_ref(),
            "qcow2".as_ref(),
            raw_path.as_os_str(),
            path.as_os_str(),
        ])
        .unwrap()
    };
    let (same, said) = compare();
    assert!(same, "{said}");

    // One compressed cluster's first byte: a wrong zstd magic. Then a reference count.
    let file = File::options().read(true).write(true).open(&path).unwrap();
    file.write_all_at(&[0xff], CLUSTER).unwrap();
    let (same, said) = compare();
    assert!(!same, "{said}");
    let mut field = [0; 8];
    file.read_exact_at(&mut field, 48).unwrap();
    let refcount_table = u64::from_be_bytes(field);
    file.read_exact_at(&mut field, refcount_table).unwrap();
    file.write_all_at(&[0, 7], u64::from_be_bytes(field) + 2).unwrap();
    let (clean, said) = qemu_img(&["check".as_ref(), path.as_os_str()]).unwrap();
    assert!(!clean, "{said}");
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let disk = sample(folder.path());
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            write(&disk, Compression::Zstd, &folder.path().join(format!("{threads}.qcow2")), &Silent).unwrap().artifact().sha256
        })
    };
    assert_eq!(with(1), with(5));
}

fn reads_the_same(disk: &Segments, path: &Path) {
    let file = File::open(path).unwrap();
    let source = |offset: u64, buffer: &mut [u8]| file.read_exact_at(buffer, offset).context(|| "read");
    let reader = Reader::open(file.metadata().unwrap().len(), &source).unwrap();
    assert_eq!(reader.size(), disk.size());
    let (mut expected, mut found) = (vec![0; 99_999], vec![0; 99_999]);
    for start in [0, 60_000, 1 << 20, 4 << 20, 9 << 20, (700 << 20) - 50_000, 705 << 20, 600 << 20, disk.size() - 99_999] {
        for offset in (0..30).map(|n| start + n * 99_999).filter(|o| o + 99_999 <= disk.size()) {
            disk.read_at(&mut expected, offset).unwrap();
            reader.read_at(offset, &mut found).unwrap();
            assert!(expected == found, "{} at {offset}", path.display());
        }
    }
    assert!(reader.read_at(disk.size(), &mut [0]).is_err());
}

#[test]
fn the_reader_returns_our_disk_and_qemus_own_zlib_image_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let disk = sample(folder.path());
    let path = folder.path().join("disk.qcow2");
    write(&disk, Compression::Zstd, &path, &Silent).unwrap().name().unwrap();
    reads_the_same(&disk, &path);
    let zlib = folder.path().join("zlib.qcow2");
    let convert: [&std::ffi::OsStr; 8] = [
        "convert".as_ref(),
        "-c".as_ref(),
        "-O".as_ref(),
        "qcow2".as_ref(),
        "-o".as_ref(),
        "cluster_size=32k".as_ref(),
        path.as_os_str(),
        zlib.as_os_str(),
    ];
    let Some((done, said)) = qemu_img(&convert) else { return };
    assert!(done, "{said}");
    reads_the_same(&disk, &zlib);
}

#[test]
fn a_hostile_file_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let disk = sample(folder.path());
    let path = folder.path().join("disk.qcow2");
    write(&disk, Compression::Zstd, &path, &Silent).unwrap().name().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let mut refused = 0;
    for at in (0..112).chain((0..400).map(|n| bytes.len() - 1 - n * 997)) {
        let mut twin = bytes.clone();
        twin[at] ^= 0xa5;
        let source = |offset: u64, buffer: &mut [u8]| -> Result<()> {
            let part = twin.get(offset as usize..).and_then(|b| b.get(..buffer.len())).ok_or_else(|| Error::integrity("past the end"))?;
            buffer.copy_from_slice(part);
            Ok(())
        };
        match Reader::open(twin.len() as u64, &source) {
            Err(_) => refused += 1,
            Ok(reader) => {
                reader.read_at(1 << 20, &mut [0; 4096]).ok();
                reader.read_at(0, &mut [0; 4096]).ok();
            }
        }
    }
    assert!(refused > 15, "{refused}");
}
