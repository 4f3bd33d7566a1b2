//! Traps made by hand. Each is answered within ten seconds and 256 MiB, and a refusal says what is wrong and where.

use crate::deb_file::{self, member, tar};
use crate::memory::measured;
use crate::packages::import;
use crate::repositories::{FILELISTS, Files, PRIMARY, load};
use crate::rpm_file::{Entries, FILES, Item, Rpm, TestFile, Value, assemble, compress, cpio, text, texts};
use crate::{Answer, CASE_MAX, MEMORY_MAX, scratch};
use atomic_image::base::{Digest, Error, Silent};
use atomic_image::fetch::{Pack, Trust, verify};
use atomic_image::formats::deb::Deb;
use atomic_image::formats::{rpm, rpmmd};
use atomic_image::repos::deb;
use atomic_image::resolve::parse_rich;
use atomic_image::rootfs::compose_tools;
use atomic_image::{lock, recipe};
use std::time::Instant;

/// What a trap comes to.
enum Expected {
    Read,
    /// All of these are in the refusal.
    Refused(&'static [&'static str]),
}
use Expected::{Read, Refused};

fn check(name: &str, expected: Expected, case: impl FnOnce() -> Answer) {
    let began = Instant::now();
    let (answer, used) = measured(case);
    let took = began.elapsed();
    assert!(took < CASE_MAX, "{name}: took {took:?}");
    assert!(used.peak < MEMORY_MAX && used.greatest < MEMORY_MAX, "{name}: {used:?}");
    match (answer, expected) {
        (Ok(Ok(())), Read) => {}
        (Ok(Err(error)), Refused(parts)) => {
            let said = error.to_string();
            let missing: Vec<_> = parts.iter().filter(|part| !said.contains(**part)).collect();
            assert!(missing.is_empty(), "{name}: expected {missing:?} in the refusal {said:?}");
        }
        (Ok(Ok(())), Refused(parts)) => panic!("{name}: expected a refusal with {parts:?}, and it was read"),
        (other, _) => panic!("{name}: {other:?}"),
    }
}

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
    package(
        "a file through a link of its package",
        Refused(&["cannot place /usr/lib/evil/passwd: /usr/lib/evil is a symlink"]),
        &Rpm::of(&[link.clone(), through.clone()], "gzip"),
    );
    let folder = TestFile { path: "/usr/lib/evil", mode: 0o040_755, data: b"" };
    package(
        "a folder and a link of one name",
        Refused(&["cannot replace the directory /usr/lib/evil by a symlink"]),
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
                Pack::import(&place.path().join("packs"), &verified).unwrap()
            })
            .collect();
        Ok(compose_tools(&packs, &Silent).map(drop))
    };
    let below = [folder.clone(), through.clone()];
    check(
        "a folder replaced by a link",
        Refused(&["package b-1.0-1.x86_64: cannot replace the directory /usr/lib/evil by a symlink"]),
        || tree(&below, std::slice::from_ref(&link)),
    );
    check("a file through another package's link", Refused(&["cannot place /usr/lib/evil/passwd: /usr/lib/evil is a symlink"]), || {
        tree(std::slice::from_ref(&link), std::slice::from_ref(&through))
    });
    check("a folder where a link is stays the link", Read, || tree(std::slice::from_ref(&link), std::slice::from_ref(&folder)));
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
                Pack::import(&packs, &verified)
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

#[test]
fn decoders_that_ask_for_gigabytes_are_refused() {
    // A frame whose window is 2 GiB (RFC 8878, 3.1.1.1.2), with an empty last block.
    let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 1, 0, 0].to_vec();
    let mut xz = compress("xz", b"");
    if xz.len() < 40 {
        xz = compress("xz", &[0; 1000]);
    }
    // The block header (.xz format, 3.1): its size, flags, LZMA2's number, one byte of properties: the dictionary's size, 40 for 4 GiB.
    let len = (usize::from(xz[12]) + 1) * 4;
    assert_eq!(xz[14], 0x21, "the filter is LZMA2");
    xz[16] = 40;
    let sum = crc32fast::hash(&xz[12..12 + len - 4]);
    xz[12 + len - 4..12 + len].copy_from_slice(&sum.to_le_bytes());
    let mut lzma = compress("lzma", &[0; 1000]);
    lzma[1..5].copy_from_slice(&0xf000_0000u32.to_le_bytes());
    for (compressor, payload) in [("zstd", zstd), ("xz", xz), ("lzma", lzma)] {
        let rpm = Rpm::of(&FILES, compressor);
        let bytes = assemble(&rpm.signature, &rpm.header.encode(63), &payload);
        let folder = scratch();
        check(&format!("{compressor}: a package"), Refused(&["the payload at offset", "read an entry's magic at offset 0"]), || {
            import(folder.path(), &bytes, Trust::Unsigned)
        });
        if compressor != "lzma" {
            repository(
                &format!("{compressor}: metadata"),
                Refused(&["primary.xml at offset 0"]),
                &[("primary", "repodata/primary.xml.gz", payload)],
            );
        }
    }
}

fn repository(name: &str, expected: Expected, changes: &[(&'static str, &'static str, Vec<u8>)]) {
    let folder = scratch();
    let mut files = Files::sample();
    for change in changes {
        files.0.retain(|(kind, _, _)| *kind != change.0);
        files.0.push(change.clone());
    }
    // Without a word of how long the plain text is.
    let repomd = files.repomd().replace("<open-size>100000</open-size>", "");
    files.write(&folder.path().join("repo"), repomd.as_bytes());
    check(name, expected, || load(folder.path()));
}

#[test]
fn metadata_bombs_are_refused() {
    let head = &PRIMARY[..PRIMARY.find("<package").unwrap()];
    let one = "<package type=\"rpm\"><name>a</name><location href=\"b\"/></package>\n";
    let packages = format!("{head}{}", one.repeat((64 << 20) / one.len()));
    let blank = format!("{head}{}", " ".repeat(64 << 20));
    let lists = format!("{}{}", &FILELISTS[..FILELISTS.find("<file>").unwrap()], "<file>/a</file>".repeat((64 << 20) / 15));
    let modules = format!("a:\n{}", "- b\n".repeat(16 << 20));
    for compressor in ["gzip", "xz", "zstd", "bzip2"] {
        let packed = |text: &str| compress(compressor, text.as_bytes());
        let named = |what: &str| format!("{compressor}: {what}");
        repository(
            &named("a million packages"),
            Refused(&["primary.xml at offset", "bytes of plain text, found more"]),
            &[("primary", "repodata/p", packed(&packages))],
        );
        repository(
            &named("64 MiB of blanks"),
            Refused(&["primary.xml at offset", "a tag or text of more than 4194304 bytes"]),
            &[("primary", "repodata/p", packed(&blank))],
        );
        repository(
            &named("64 MiB of paths"),
            Refused(&["filelists.xml at offset", "bytes of plain text, found more"]),
            &[("filelists", "repodata/f", packed(&lists))],
        );
        repository(
            &named("64 MiB of modules"),
            Refused(&["modules.yaml", "bytes of plain text, found more"]),
            &[("modules", "repodata/m", packed(&modules))],
        );
    }
}

#[test]
fn xml_that_nests_expands_or_never_ends_is_refused_with_its_offset() {
    type Reader = fn(&[u8]) -> Result<(), Error>;
    let readers: [(&str, &str, Reader); 5] = [
        ("repomd.xml", "repomd", |b| rpmmd::parse_repomd(b).map(drop)),
        ("primary.xml", "metadata", |b| rpmmd::read_primary(b, drop)),
        ("filelists.xml", "filelists", |b| rpmmd::read_filelists(b, |_, _| {})),
        ("comps.xml", "comps", |b| rpmmd::read_comps(b).map(drop)),
        ("metalink", "metalink", |b| rpmmd::parse_metalink(b).map(drop)),
    ];
    let entities: String = (1..30).map(|n| format!("<!ENTITY e{n} \"{}\">", format!("&e{};", n - 1).repeat(10))).collect();
    for (file, root, read) in readers {
        let at = format!("{file} at offset");
        let run = |name: &str, text: String, parts: &[&'static str]| {
            let (answer, used) = measured(|| read(text.as_bytes()));
            assert!(used.peak < 16 << 20, "{file}: {name}: {used:?}");
            let said = answer.expect_err(name).to_string();
            assert!(said.contains(&at) && parts.iter().all(|part| said.contains(part)), "{file}: {name}: {said}");
            assert!(said.len() < 1000, "{file}: {name}: {} bytes of refusal", said.len());
        };
        run(
            "10^6 elements within each other",
            format!("<{root}>{}", "<a>".repeat(1_000_000)),
            &["more than 64 elements within each other"],
        );
        // Nobody expands them; whoever wants the text that one stands in refuses it.
        let doctype = format!("<!DOCTYPE x [<!ENTITY e0 \"ha\">{entities}]>");
        let text =
            format!("{doctype}<{root}><name>&e29;</name><a b=\"&e29;\"><file>&e29;</file><id>&e29;</id><url>&e29;</url></a></{root}>");
        let (_, used) = measured(|| read(text.as_bytes()));
        assert!(used.peak < 1 << 20, "{file}: entities: {used:?}");
        run("an attribute of 32 MiB", format!("<{root} a=\"{}\"/>", "x".repeat(32 << 20)), &["a tag or text of more than 4194304 bytes"]);
        run("a text of 32 MiB", format!("<{root}>{}</{root}>", "x".repeat(32 << 20)), &["a tag or text of more than 4194304 bytes"]);
        run("a comment of 32 MiB", format!("<{root}><!--{}", "x".repeat(32 << 20)), &["a tag or text of more than 4194304 bytes"]);
        run("an end that never comes", format!("<{root}"), &[]);
    }
    let primary = |inside: &str| format!("<!DOCTYPE x [<!ENTITY e0 \"ha\">{entities}]><metadata><package>{inside}</package></metadata>");
    for (inside, expected) in [("<name>&e29;</name>", "an entity that XML does not define"), ("<version ver=\"&e29;\"/>", "e29")] {
        let said = rpmmd::read_primary(primary(inside).as_bytes(), drop).unwrap_err().to_string();
        assert!(said.contains("primary.xml at offset") && said.contains(expected), "{said}");
    }
}

#[test]
fn debian_packages_made_to_trap_are_refused() {
    let control = tar(&[member("./control", b'0', "", b"Package: a\n")]);
    let deb = |members: &[deb_file::Member]| deb_file::package(".xz", &control, &tar(members));
    let read = |name: &str, expected: Expected, bytes: Vec<u8>| check(name, expected, || Ok(Deb::parse(&bytes).map(drop)));
    read("a path with ..", Refused(&["data.tar.xz", "a .. component"]), deb(&[member("./../../etc/passwd", b'0', "", b"x")]));
    read("an absolute path, which is one inside", Read, deb(&[member("/etc/passwd", b'0', "", b"x")]));
    read("a hard link to elsewhere", Refused(&["data.tar.xz", "a .. component"]), deb(&[member("./a", b'1', "../../etc/passwd", b"")]));
    read("a device", Read, deb(&[member("./dev/sda", b'4', "", b"")]));
    let mut huge = member("./a", b'0', "", b"x");
    huge.size = Some(1 << 62);
    read("a file of 2^62 bytes", Refused(&["data.tar.xz", "/a: expected 4611686018427387904 bytes, found"]), deb(&[huge]));
    let zeros = vec![0; 80 << 20];
    for suffix in [".gz", ".xz", ".zst"] {
        let data = tar(&[member("./zeros", b'0', "", &zeros)]);
        let bomb = deb_file::package(suffix, &control, &data);
        read("a file of 80 MiB in a small package", Refused(&["data.tar", "read /zeros", "a tar of more than"]), bomb);
        let long = tar(&[member("././@LongLink", b'L', "", &vec![b'a'; 32 << 20]), member("./a", b'0', "", b"")]);
        read(
            "a name of 32 MiB",
            Refused(&["data.tar", "an entry's headers of more than 1048576 bytes"]),
            deb_file::package(suffix, &control, &long),
        );
        let many = tar(&vec![member("./a", b'0', "", b""); 160_000]);
        read(
            "160,000 entries in a small package",
            Refused(&["data.tar", "a tar of more than"]),
            deb_file::package(suffix, &control, &many),
        );
    }
    // What links lead to is decided where the package is composed: see the RPMs above. The converter keeps the paths.
    let text = "Package: a\nVersion: 1\nArchitecture: all\nMaintainer: a\nDescription: a\n";
    let meta = deb::meta(&atomic_image::formats::deb::control::Stanza::parse(text).unwrap()).unwrap();
    let folder = scratch();
    let control = tar(&[member("./control", b'0', "", text.as_bytes())]);
    let through = tar(&[member("./evil", b'2', "/etc", b""), member("./evil/passwd", b'0', "", b"root::0:0")]);
    let path = folder.path().join("a.deb");
    std::fs::write(&path, deb_file::package(".gz", &control, &through)).unwrap();
    let converted = deb::convert(&path, &meta, &folder.path().join("out")).unwrap();
    let rpm = std::fs::read(converted.path).unwrap();
    let empty = scratch();
    check("a file through a link", Refused(&["cannot place /evil/passwd: /evil is a symlink"]), || {
        import(empty.path(), &rpm, Trust::Unsigned)
    });
}

#[test]
fn texts_that_nest_or_never_end_are_refused() {
    let rich = |text: String| move || Ok(parse_rich(&text).map(drop));
    check("10^5 parentheses", Refused(&["nested deeper than 32"]), rich("(".repeat(100_000)));
    check("10^5 alternatives", Refused(&["more than 500 operands in one chain"]), rich(format!("(a{})", " or b".repeat(100_000))));
    check("a lockfile of 10^5 brackets", Refused(&["line 1: "]), || {
        Ok(lock::Lockfile::parse(&format!("a = {}", "[".repeat(100_000))).map(drop))
    });
    let folder = scratch();
    let path = folder.path().join("r.toml");
    std::fs::write(&path, format!("schema = 1\na = {}", "[".repeat(100_000))).unwrap();
    check("a recipe of 10^5 brackets", Refused(&["r.toml:2:"]), || Ok(recipe::load(&path).map(drop)));
    std::fs::write(&path, "schema = 1\ninclude = [\"r.toml\"]\n").unwrap();
    check("a recipe that includes itself", Refused(&["r.toml:2:"]), || Ok(recipe::load(&path).map(drop)));
    let yaml = |text: String| move || Ok(rpmmd::parse_modules(&text).map(drop));
    check("modules of 10^5 brackets", Refused(&["modules.yaml: recursion limit exceeded at byte"]), yaml("[".repeat(100_000)));
    check("modules with aliases", Refused(&["modules.yaml, line 2", "aliases are not read"]), yaml("a: &a [x, x]\nb: [*a, *a]\n".into()));
}
