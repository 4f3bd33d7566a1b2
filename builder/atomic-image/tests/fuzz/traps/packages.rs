//! RPMs.

use super::Expected::{Read, Refused};
use super::{Expected, check};
use crate::memory::measured;
use crate::packages::import;
use crate::rpm_file::{Entries, FILES, Item, Rpm, TestFile, Value, assemble, cpio, text, texts};
use crate::{Answer, inside, scratch};
use model::{Digest, Silent};
use packages::rpm;
use rootfs::compose_tools;
use supply::fetch::{Pack, Trust, verify};

fn package(name: &str, expected: Expected, rpm: &Rpm) {
    let (folder, bytes) = (scratch(), rpm.encode());
    check(name, expected, || import(folder.path(), &bytes, Trust::Unsigned));
}

fn changed(change: impl FnOnce(&mut Rpm)) -> Rpm {
    let mut rpm = Rpm::of(&FILES, "zstd");
    change(&mut rpm);
    rpm
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    let names = |name: &str| texts([name, "twin", "dir", "link", "tool.conf", "null", "pipe"]);
    let folders = |folder: &str| texts([folder, "/usr/lib/", "/etc/", "/dev/", "/run/"]);
    let item = |name: &str| changed(|rpm| rpm.items[0].name = name.into());
    let rows = [
        (
            "a name ..",
            Refused(&["a .. component", "header of sample-1.0-1.x86_64 at offset"]),
            changed(|r| r.header.set(1117, names(".."))),
        ),
        ("a name with a slash", Refused(&["a slash in the base name", "at offset"]), changed(|r| r.header.set(1117, names("../../x")))),
        ("a folder with ..", Refused(&["a .. component", "at offset"]), changed(|r| r.header.set(1118, folders("/usr/../../bin/")))),
        (
            "a folder that is not absolute",
            Refused(&["expected an absolute directory", "at offset"]),
            changed(|r| r.header.set(1118, folders("usr/bin/"))),
        ),
        ("a payload's name with ..", Refused(&["the payload at offset", "a .. component"]), item("../../usr/bin/tool")),
        (
            "a payload's name that the header lacks",
            Refused(&["the payload at offset", "/etc/shadow is in the payload, but not in the header"]),
            item("/etc/shadow"),
        ),
        ("a payload's absolute name, which is the header's", Read, item("/usr/bin/tool")),
    ];
    for (name, expected, rpm) in rows {
        package(name, expected, &rpm);
    }
}

#[test]
fn links_and_devices_lead_nowhere() {
    let link = TestFile { path: "/usr/lib/evil", mode: 0o120_777, data: b"/etc" };
    let through = TestFile { path: "/usr/lib/evil/passwd", mode: 0o100_644, data: b"root::0:0" };
    package("a file through a link of its package", Read, &Rpm::of(&[link.clone(), through.clone()], "gzip"));
    let folder = TestFile { path: "/usr/lib/evil", mode: 0o040_755, data: b"" };
    package(
        "a folder and a link of one name",
        Refused(&["file conflicts", "/usr/lib/evil: sample-1.0-1.x86_64", "a directory and a link"]),
        &Rpm::of(&[folder.clone(), link.clone()], "gzip"),
    );
    // Of two packages.
    let tree = |first: &[TestFile], second: &[TestFile]| -> Answer {
        let place = scratch();
        let packs: Vec<Pack> = [first, second]
            .iter()
            .zip(["a", "b"])
            .map(|(files, name)| {
                let mut rpm = Rpm::of(files, "none");
                rpm.header.set(1000, text(name));
                let (path, bytes) = (place.path().join(name), rpm.encode());
                std::fs::write(&path, &bytes).unwrap();
                let verified = verify(&path, &Digest::of(&bytes), bytes.len() as u64, Trust::Unsigned).unwrap();
                Pack::import(&place.path().join("packs"), &verified, &model::Facts::none()).unwrap()
            })
            .collect();
        let composed = match compose_tools(&packs, &Silent) {
            Ok(composed) => composed,
            Err(error) => return Ok(Err(error)),
        };
        composed.walk().iter().try_for_each(|entry| inside(&entry.path))?;
        // As in rpm, a link leads where it leads in the image, whose root nothing leaves.
        let through_link = second.iter().any(|file| file.path == "/usr/lib/evil/passwd");
        match composed.at("/etc/passwd") {
            None if through_link => Err("the file did not come to lie where the link leads in the tree".into()),
            _ => Ok(Ok(())),
        }
    };
    let below = [folder.clone(), through.clone()];
    check(
        "a folder replaced by a link",
        Refused(&["file conflicts", "/usr/lib/evil: ", "a-1.0-1.x86_64", "b-1.0-1.x86_64", "a directory"]),
        || tree(&below, std::slice::from_ref(&link)),
    );
    check("a file through another package's link", Read, || tree(std::slice::from_ref(&link), std::slice::from_ref(&through)));
    let far = TestFile { data: b"../../../../../../../../etc", ..link.clone() };
    check("a file through a link that climbs above the root", Read, || tree(std::slice::from_ref(&far), std::slice::from_ref(&through)));
    let own = TestFile { data: b"/usr/lib/evil", ..link.clone() };
    check("a file through a link to itself", Refused(&["/usr/lib/evil/passwd", "links on the way to it"]), || {
        tree(std::slice::from_ref(&own), std::slice::from_ref(&through))
    });
    check("a folder where a link to nowhere is", Refused(&["file conflicts", "/usr/lib/evil: ", "a directory"]), || {
        tree(std::slice::from_ref(&link), std::slice::from_ref(&folder))
    });
    // Nodes of devices are entries of the tree, nothing of this machine.
    package("a device", Read, &Rpm::of(&[TestFile { path: "/dev/sda", mode: 0o060_660, data: b"" }], "none"));
    package(
        "a device with contents",
        Refused(&["/dev/null: no regular file, yet 4 bytes in the payload"]),
        &changed(|r| r.items[5].data = b"data".to_vec()),
    );
    package(
        "a link's target of 5000 bytes",
        Refused(&["expected a link target of 1 to 4095 bytes, found 5000"]),
        &changed(|r| {
            let long = "a".repeat(5000);
            r.header.set(1036, texts(["", "", "", &long, "", "", ""]));
        }),
    );
}

#[test]
fn sizes_that_cannot_be_are_refused_before_anything_is_allocated() {
    let huge = |size: u64| {
        changed(|r| {
            r.header.0.retain(|(tag, _)| *tag != 1028);
            let mut sizes = vec![0; FILES.len()];
            (sizes[0], sizes[1], sizes[4]) = (size, size, 12);
            r.header.set(5008, Value::U64(sizes));
        })
    };
    for size in [1 << 40, 1 << 63, u64::MAX] {
        package(
            "a file of 2^40 bytes and more",
            Refused(&["the header at offset", "announces", "bytes of contents, expected at most"]),
            &huge(size),
        );
    }
    package(
        "a file of 100 MiB that is not there",
        Refused(&["the payload at offset", "/usr/bin/tool: expected 104857600 bytes in the payload, found 17"]),
        &huge(100 << 20),
    );
    package("a stripped entry of 100 MiB that is not there", Refused(&["the payload at offset", "the archive ends at offset"]), &{
        let mut rpm = huge(100 << 20);
        rpm.items.iter_mut().zip(0..).for_each(|(item, n)| item.stripped = Some(n));
        rpm.items.swap(0, 1);
        rpm
    });
    package(
        "an entry of 4 GiB",
        Refused(&["expected 17 bytes in the payload, found 4294967295"]),
        &changed(|r| r.items[0].size = Some(u32::MAX)),
    );
    // Numbers in the header's own frame.
    let frame = |at: usize, value: u32| {
        let mut header = Rpm::of(&FILES, "none").header.encode(63);
        header[at..at + 4].copy_from_slice(&value.to_be_bytes());
        assemble(&Entries::default(), &header, b"")
    };
    let rows = [
        ("10^6 tags", 8, 1_000_000, &["at offset", "expected 1 to 65535 entries in the header, found 1000000"][..]),
        ("no tags", 8, 0, &["expected 1 to 65535 entries"]),
        ("2 GiB of data", 12, 0x7fff_ffff, &["at offset", "expected at most 33554432 bytes of data"]),
        ("32 MiB of data that are not there", 12, 32 << 20, &["more bytes of the header, found only"]),
        ("an offset of 2^31", 16 + 16 + 8, 1 << 31, &["entry 1 (tag 1000)", "its offset 2147483648"]),
        ("a count of 2^32 - 1", 16 + 6 * 16 + 12, u32::MAX, &["do not fit the data"]),
    ];
    for (name, at, value, parts) in rows {
        let bytes = frame(at, value);
        check(name, Refused(parts), || Ok(rpm::parse(bytes.as_slice()).map(drop)));
    }
}

#[test]
fn what_is_merely_much_is_read_in_linear_time() {
    let parsed = |rpm: &Rpm| {
        let bytes = rpm.encode();
        move || Ok(rpm::parse(bytes.as_slice()).map(drop))
    };
    let mut many = Rpm::of(&FILES[..1], "none");
    many.header.0.extend((0..65_000).map(|n| (100_000 + n, Value::U32(vec![n]))));
    check("65,000 tags", Read, parsed(&many));
    let mut provides = Rpm::of(&FILES[..1], "none");
    let count = 1_000_000;
    provides.header.set(1047, texts(vec!["a"; count]));
    provides.header.set(1112, Value::U32(vec![8; count]));
    provides.header.set(1113, texts(vec!["1"; count]));
    check("10^6 provides", Read, parsed(&provides));
    provides.header.set(1047, texts(vec!["a"; (1 << 20) + 1]));
    check("more than 2^20 strings", Refused(&["tag 1047", "expected at most 1048576 strings"]), parsed(&provides));
    let mut files = Rpm::of(&[], "none");
    files.header.0.retain(|(tag, _)| !(1028..=1040).contains(tag) && ![1095, 1096, 5010].contains(tag));
    let count = (1 << 18) + 1;
    files.header.set(1116, Value::U32(vec![0; count]));
    files.header.set(1117, texts(vec!["a"; count]));
    files.header.set(1118, texts(["/"]));
    check("more than 2^18 files", Refused(&["expected at most 262144 files, found 262145"]), parsed(&files));
    let count = 100_000;
    files.header.set(1116, Value::U32(vec![0; count]));
    files.header.set(1117, texts((0..count).map(|n| n.to_string())));
    files.header.set(1118, texts(["/long".repeat(700)]));
    check("paths that take 350 MB of 1 MB", Refused(&["the paths of a header of", "take more than"]), parsed(&files));
}

/// 64 MiB of zeros as a file that the header announces, and behind and before what it announces.
#[test]
fn payload_bombs_of_every_compressor_are_streamed_or_refused() {
    const BOMB: usize = 64 << 20;
    let zeros = vec![0; BOMB];
    for compressor in ["none", "gzip", "xz", "lzma", "zstd", "bzip2"] {
        let announced = TestFile { path: "/usr/bin/zeros", mode: 0o100_644, data: b"" };
        let mut rpm = Rpm::of(&[announced], compressor);
        rpm.header.set(1028, Value::U32(vec![BOMB as u32]));
        rpm.header.set(1035, texts([Digest::of(&zeros).to_string()]));
        rpm.items[0].data.clone_from(&zeros);
        let (folder, bytes) = (scratch(), rpm.encode());
        let began = measured(|| import(folder.path(), &bytes, Trust::Unsigned));
        assert!(matches!(began.0, Ok(Ok(()))), "{compressor}: {:?}", began.0);
        // The judge reads the contents back whole; what counts is that importing does not.
        check(&format!("{compressor}: a file of 64 MiB"), Read, || {
            let (path, packs) = (folder.path().join("again.rpm"), folder.path().join("again"));
            std::fs::write(&path, &bytes).unwrap();
            let (pack, used) = measured(|| {
                let verified = verify(&path, &Digest::of(&bytes), bytes.len() as u64, Trust::Unsigned)?;
                Pack::import(&packs, &verified, &model::Facts::none())
            });
            match used.peak {
                0..0x200_0000 => Ok(pack.map(drop)),
                more => Err(format!("{more} bytes of memory for contents of {BOMB}")),
            }
        });
        let mut unannounced = Rpm::of(&FILES, compressor);
        unannounced.items[0].data.clone_from(&zeros);
        package(
            &format!("{compressor}: 64 MiB where 17 bytes are announced"),
            Refused(&["the payload at offset", "expected 17 bytes in the payload, found 67108864"]),
            &unannounced,
        );
        unannounced.payload = Some(zeros.clone());
        package(
            &format!("{compressor}: no archive"),
            Refused(&["the payload at offset", "expected a cpio magic", "at archive offset 0"]),
            &unannounced,
        );
        unannounced.payload = Some([cpio(&Rpm::of(&FILES, compressor).items), zeros.clone()].concat());
        package(&format!("{compressor}: 64 MiB behind the archive's end"), Read, &unannounced);
        let name = Item { name: vec![b'a'; 5000], mode: 0, data: vec![], size: None, stripped: None };
        unannounced.payload = Some(cpio(&[name]));
        package(
            &format!("{compressor}: a name of 5000 bytes"),
            Refused(&["expected a name of 1 to 4096 bytes in the cpio entry at offset 0, found 5001"]),
            &unannounced,
        );
    }
}

/// What changed bytes found once: its pack could not be opened again.
#[test]
fn a_package_whose_name_cannot_be_told_apart_is_refused() {
    for (tag, value) in [(1022, "."), (1022, "a.b"), (1001, "1-2"), (1002, "1-2"), (1001, "1:2")] {
        let refused = Refused(&["at offset", "name, version, release and architecture that can be told apart"]);
        package(&format!("tag {tag} {value:?}"), refused, &changed(|r| r.header.set(tag, text(value))));
    }
}
