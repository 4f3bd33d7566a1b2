//! What people and archives write: recipes, lockfiles, rich dependencies, and a Debian archive's InRelease.

use crate::random::Random;
use crate::{Answer, Subject, fuzz, scratch};
use model::{Digest, Error, SourceDateEpoch};
use packages::evr::{Evr, Nevra};
use recipe::lock::{LockedPackage, Lockfile};
use supply::repos::deb::{Release, public_key, sign_detached};
use supply::resolve::parse_rich;

const TOML: &[&[u8]] = &[
    b"[",
    b"]",
    b"[[",
    b"]]",
    b"{",
    b"}",
    b"=",
    b"\"",
    b"\"\"\"",
    b"'",
    b".",
    b"\n",
    b"#",
    b"0x",
    b"1e9",
    b"-1",
    b"true",
    b"1979-05-27T07:32:00Z",
    b"\\u0000",
    b"../",
    b"/etc/passwd",
    b"include",
    b"99999999999999999999",
];

fn with_text(bytes: &[u8], read: impl FnOnce(&str) -> Result<(), Error>) -> Answer {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(read(text)),
        Err(_) => Ok(Err(Error::recipe("not text"))),
    }
}

#[cfg_attr(test, test)]
pub fn a_lockfile_is_read_or_refused() {
    let package = |name: &str| LockedPackage {
        sha256: Some(Digest::of(name.as_bytes())),
        size: 10,
        location: format!("Packages/{name}.rpm"),
        ..LockedPackage::new(Nevra::new(name, Evr::new(0, "1", "1"), "x86_64"), "r")
    };
    let lock = Lockfile::new(SourceDateEpoch(1), Digest::of(b""), vec![package("a"), package("b")], vec![package("c")]).unwrap();
    let read = |bytes: &[u8]| {
        let out = |p: &LockedPackage| p.location.starts_with('/') || p.location.split('/').any(|part| part == "..");
        let mut stray = None;
        let answer = with_text(bytes, |text| {
            let lock = Lockfile::parse(text)?;
            stray = lock.packages.iter().chain(&lock.tools).find(|p| out(p)).map(|p| p.location.clone());
            Ok(())
        });
        stray.map_or(answer, |location| Err(format!("a location outside the repository: {location:?}")))
    };
    fuzz(Subject { name: "lockfile", seeds: vec![lock.text().unwrap().into()], words: TOML, make: None, change: None, read: &read });
}

#[cfg_attr(test, test)]
pub fn a_recipe_is_read_or_refused() {
    let folder = scratch();
    std::fs::write(folder.path().join("key.asc"), public_key().unwrap()).unwrap();
    let path = folder.path().join("r.toml");
    let text = "schema = 1\nname = \"a\"\nref = \"a/x86_64/stable\"\n[[repo]]\nid = \"r\"\ntype = \"rpm-md\"\nurl = \"https://a/b\"\nkeys = [\"key.asc\"]\npriority = 9\n\
        [packages]\ninstall = [\"bash\", \"@core\"]\nexclude = [\"x*\"]\nweak = false\n[units]\nenable = [\"a.service\"]\n[kernel]\nargs = [\"quiet\"]\n\
        [tuning]\n\"vm.swappiness\" = \"1\"\n[disk]\nboot = \"600 MiB\"\n[output]\nformats = [\"raw\", \"qcow2\"]\n";
    fuzz(Subject {
        name: "recipe",
        seeds: vec![text.into()],
        words: TOML,
        make: None,
        change: None,
        read: &|bytes| {
            std::fs::write(&path, bytes).unwrap();
            Ok(recipe::load(&path).map(drop))
        },
    });
}

#[cfg_attr(test, test)]
pub fn a_rich_dependency_is_read_or_refused() {
    fuzz(Subject {
        name: "rich",
        seeds: vec![b"((a >= 1:2-3 with b < 4) if (c or d) else e(x)(64bit))".to_vec(), b"(a and b and c)".to_vec()],
        words: &[
            b"(",
            b")",
            b" and ",
            b" or ",
            b" if ",
            b" unless ",
            b" else ",
            b" with ",
            b" without ",
            b" >= ",
            b"((((((((((((((((((((((((((((((((((",
            b"1:2-3",
        ],
        make: None,
        change: None,
        read: &|bytes| with_text(bytes, |text| parse_rich(text).map(drop)),
    });
}

/// By the repackager's key, which everyone has; the text is signed as it will be read: lines that end with CR and LF, without blanks before.
fn clearsigned(text: &str) -> Vec<u8> {
    let lines: Vec<&str> = text.lines().map(|line| line.trim_end_matches([' ', '\t', '\r'])).collect();
    let signature = sign_detached(lines.join("\r\n").as_bytes(), 1_600_000_000).unwrap();
    let escaped: Vec<String> =
        lines.iter().map(|line| if line.starts_with('-') { format!("- {line}") } else { (*line).to_owned() }).collect();
    format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{}\n{signature}", escaped.join("\n")).into_bytes()
}

#[cfg_attr(test, test)]
pub fn an_in_release_is_read_or_refused() {
    let body = format!(
        "Origin: Debian\nSuite: stable\nCodename: trixie\nDate: Sat, 21 Nov 2020 09:15:44 UTC\nValid-Until: Sat, 21 Nov 2099 09:15:44 UTC\n\
         Components: main contrib\nSHA256:\n {} 12 main/binary-amd64/Packages\n {} 99 main/binary-amd64/Packages.xz",
        Digest::of(b"x"),
        Digest::of(b"y")
    );
    let keys = [public_key().unwrap().into_bytes()];
    let words: &[&[u8]] = &[
        b"-----BEGIN PGP SIGNED MESSAGE-----\n",
        b"-----BEGIN PGP SIGNATURE-----\n",
        b"-----END PGP SIGNATURE-----\n",
        b"Hash: SHA512\n",
        b"\r\n",
        b"\n\n",
        b"- ",
        b"=",
        b"Date: ",
        b"31 Dec 2105",
        b"SHA256:",
        b"Valid-Until: ",
    ];
    let make = |random: &mut Random| {
        let mut text = body.clone().into_bytes();
        if random.one_in(2) {
            random.change(&mut text, words, b"")
        } else {
            random.change_digits(&mut text)
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut message = clearsigned(&text);
        if random.one_in(4) {
            random.change(&mut message, words, b"");
        }
        message
    };
    fuzz(Subject {
        name: "InRelease",
        seeds: vec![clearsigned(&body)],
        words,
        make: Some(&make),
        change: None,
        read: &|bytes| Ok(Release::verify(bytes, &keys, SourceDateEpoch(1_700_000_000), false).map(drop)),
    });
}
