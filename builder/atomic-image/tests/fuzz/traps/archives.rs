//! Debian packages, and texts that nest.

use super::Expected::{self, Read, Refused};
use super::check;
use crate::deb_file::{self, member, tar};
use crate::packages::import;
use crate::scratch;
use filesystems::tar as tar_format;
use packages::deb::Deb;
use packages::rpmmd;
use recipe::lock;
use supply::fetch::Trust;
use supply::repos::deb;
use supply::resolve::parse_rich;

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
        let many = tar(&vec![member("./a", b'0', "", b""); 400_000]);
        read(
            "400,000 entries in a small package",
            Refused(&["data.tar", "a tar of more than"]),
            deb_file::package(suffix, &control, &many),
        );
    }
    // What links lead to is decided where the package is composed: see the RPMs above. The converter keeps the paths.
    let text = "Package: a\nVersion: 1\nArchitecture: all\nMaintainer: a\nDescription: a\n";
    let meta = deb::meta(&packages::deb::control::Stanza::parse(text).unwrap()).unwrap();
    let folder = scratch();
    let control = tar(&[member("./control", b'0', "", text.as_bytes())]);
    let through = tar(&[member("./evil", b'2', "/etc", b""), member("./evil/passwd", b'0', "", b"root::0:0")]);
    let path = folder.path().join("a.deb");
    std::fs::write(&path, deb_file::package(".gz", &control, &through)).unwrap();
    let converted = deb::convert(&path, &meta, &folder.path().join("out"), &model::Facts::none()).unwrap();
    let rpm = std::fs::read(converted.path).unwrap();
    let empty = scratch();
    check("a file through a link, which lies inside the tree", Read, || import(empty.path(), &rpm, Trust::Unsigned));
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

/// What changed bytes found once.
#[test]
fn a_deb_without_a_name_is_refused() {
    for name in ["", "a/b", "../a", "-a", "a b"] {
        let text = format!("Package: {name}\nVersion: 1\nArchitecture: all\n");
        let meta = || deb::meta(&packages::deb::control::Stanza::parse(&text)?).map(drop);
        check(&format!("a package {name:?}"), Refused(&["expected a package's name"]), || Ok(meta()));
    }
}

/// What changed bytes found once.
#[test]
fn a_tar_header_with_a_binary_checksum_is_refused() {
    let mut header = [0; 512];
    header[257..262].copy_from_slice(b"ustar");
    header[148..156].fill(0x80);
    check("a binary checksum", Refused(&["tar header: its checksum is wrong"]), || Ok(tar_format::Member::decode(&header).map(drop)));
}
