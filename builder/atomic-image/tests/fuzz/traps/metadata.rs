//! rpm-md: bombs, XML without end, decoders that ask for too much.

use super::Expected::{self, Refused};
use super::check;
use crate::memory::measured;
use crate::packages::import;
use crate::repositories::{FILELISTS, Files, PRIMARY, load};
use crate::rpm_file::{FILES, Rpm, assemble, compress};
use crate::scratch;
use model::Error;
use packages::rpmmd;
use supply::fetch::Trust;

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

#[test]
fn metadata_bombs_are_refused() {
    let head = &PRIMARY[..PRIMARY.find("<package").unwrap()];
    let one = "<package type=\"rpm\"><name>a</name><location href=\"b\"/></package>\n";
    let packages = format!("{head}{}", one.repeat((64 << 20) / one.len()));
    let blank = format!("{head}{}", " ".repeat(64 << 20));
    let lists = format!("{}{}", &FILELISTS[..FILELISTS.find("<file>").unwrap()], "<file>/a</file>".repeat((64 << 20) / 15));
    let modules = format!("a:\n{}", "- b\n".repeat(16 << 20));
    for compressor in ["gzip", "xz", "zstd"] {
        let packed = |text: &str| compress(compressor, text.as_bytes());
        let named = |what: &str| format!("{compressor}: {what}");
        repository(
            &named("a million packages"),
            Refused(&["primary.xml at offset", "bytes of plain text, found more"]),
            &[("primary", "repodata/p", packed(&packages))],
        );
        repository(&named("64 MiB of blanks"), Refused(&["primary.xml at offset", "more"]), &[("primary", "repodata/p", packed(&blank))]);
        repository(
            // Not kept, so it may be long: refused for its length or for its missing end.
            &named("64 MiB of paths"),
            Refused(&["filelists.xml at offset"]),
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
            let said = format!("{:#}", answer.expect_err(name));
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
        let said = format!("{:#}", rpmmd::read_primary(primary(inside).as_bytes(), drop).unwrap_err());
        assert!(said.contains("primary.xml at offset") && said.contains(expected), "{said}");
    }
}

/// What changed bytes found once: a file that does not decompress is not this program's fault.
#[test]
fn modules_that_do_not_decompress_are_refused() {
    let whole = compress("xz", b"---\ndocument: modulemd\n...\n");
    let mut changed = whole.clone();
    changed[30] ^= 1;
    for bytes in [whole[..whole.len() / 2].to_vec(), changed, b"\xff\xfe".to_vec()] {
        repository("modules", Refused(&["modules.yaml: "]), &[("modules", "repodata/m", bytes)]);
    }
}
