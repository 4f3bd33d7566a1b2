//! The layers as data: who may import whom, and what must stay absent where.

#![allow(clippy::disallowed_methods, reason = "a test may drop an error")]

use std::fs;
use std::path::{Path, PathBuf};

/// Each module and what its files may name as `crate::…`. Stages may import the public types of earlier stages, never of later ones.
const MAY_IMPORT: [(&str, &[&str]); 17] = [
    ("base", &[]),
    ("tree", &["base"]),
    ("formats", &["tree", "base"]),
    ("net", &["base"]),
    ("recipe", &["formats", "tree", "base"]),
    ("lock", &["recipe", "formats", "tree", "base"]),
    ("repos", &["recipe", "lock", "net", "formats", "tree", "base"]),
    ("resolve", &["recipe", "repos", "lock", "formats", "tree", "base"]),
    ("fetch", &["recipe", "repos", "resolve", "lock", "net", "formats", "tree", "base"]),
    ("rootfs", &["recipe", "repos", "lock", "fetch", "formats", "tree", "base"]),
    ("ostree", &["recipe", "lock", "fetch", "rootfs", "formats", "tree", "base"]),
    ("disk", &["recipe", "lock", "fetch", "rootfs", "ostree", "formats", "tree", "base"]),
    ("image", &["recipe", "disk", "formats", "tree", "base"]),
    ("inspect", &["recipe", "fetch", "ostree", "disk", "image", "formats", "tree", "base"]),
    ("vm", &["recipe", "base"]),
    ("pipeline", &["recipe", "repos", "resolve", "lock", "fetch", "rootfs", "ostree", "disk", "image", "net", "formats", "tree", "base"]),
    ("cli", &["pipeline", "recipe", "fetch", "inspect", "vm", "formats", "base"]),
];

/// A word, and the only places (folders or files) below src that may have it.
const ONLY_IN: [(&str, &[&str]); 10] = [
    ("SystemTime::now", &["cli"]),
    ("env::var", &["cli"]),
    ("env::temp_dir", &["cli"]),
    ("process::Command", &["rootfs/sandbox.rs", "rootfs/sandbox", "vm"]),
    ("process::{", &["rootfs/sandbox.rs", "rootfs/sandbox", "vm"]),
    ("println!", &["cli"]),
    ("print!(", &["cli"]),
    ("unsafe {", &["resolve", "rootfs/sandbox.rs", "rootfs/sandbox"]),
    ("unsafe fn", &["resolve", "rootfs/sandbox.rs", "rootfs/sandbox"]),
    ("TcpStream", &["net"]),
];

/// Modules that only exist under `cfg(test)`.
const TEST_ONLY: [&str; 4] = ["formats/rpm/fixtures.rs", "ostree/against_libostree", "repos/fixture.rs", "rootfs/against_rpm"];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every Rust file below src: its path there, and its code without comments and tests.
fn files() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&source(), &mut found);
    found.sort();
    let named = |path: &PathBuf| path.strip_prefix(source()).unwrap().to_string_lossy().into_owned();
    found
        .iter()
        .map(|path| (named(path), fs::read_to_string(path).unwrap()))
        .filter(|(name, _)| !name.ends_with("tests.rs") && !name.contains("/tests/"))
        .filter(|(name, _)| !TEST_ONLY.iter().any(|place| name == place || name.starts_with(&format!("{place}/"))))
        .map(|(name, text)| (name, code(&text)))
        .collect()
}

/// Unit tests stand at the end of a file; what follows their mark may use foreign tools.
fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    before_tests.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The modules that `crate::` paths name, `crate::{a::…, b::…}` included.
fn imports(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    let mut modules = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            modules.push(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = true;
        for (position, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && !c.is_whitespace() => {
                    modules.push(word(&group[position..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    modules
}

fn wrong_arrows(name: &str, code: &str) -> Vec<String> {
    let module = name.split(['/', '.']).next().unwrap_or_default();
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(known, _)| *known == module) else {
        return if matches!(name, "lib.rs" | "main.rs") {
            Vec::new()
        } else {
            vec![format!("{name}: module {module} is not in the table")]
        };
    };
    let wrong = |target: &String| target != module && !allowed.contains(&target.as_str());
    imports(code).into_iter().filter(wrong).map(|target| format!("{name}: {module} may not import {target}")).collect()
}

fn misplaced(name: &str, code: &str) -> Vec<String> {
    let inside = |places: &[&str]| places.iter().any(|place| name == *place || name.starts_with(&format!("{place}/")));
    ONLY_IN.iter().filter(|(word, places)| code.contains(word) && !inside(places)).map(|(word, _)| format!("{name}: {word}")).collect()
}

#[test]
fn imports_only_point_to_the_left() {
    let wrong: Vec<String> = files().iter().flat_map(|(name, code)| wrong_arrows(name, code)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn clock_environment_processes_printing_and_unsafe_stay_in_their_places() {
    let wrong: Vec<String> = files().iter().flat_map(|(name, code)| misplaced(name, code)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_checks_would_complain() {
    let bad = "use crate::{base::Error, disk::{self, Layout},\n    tree::Edit};\nfn f() { crate::rootfs::seal(); }";
    assert_eq!(imports(bad), ["base", "disk", "tree", "rootfs"]);
    assert_eq!(wrong_arrows("tree/walk.rs", bad), ["tree/walk.rs: tree may not import disk", "tree/walk.rs: tree may not import rootfs"]);
    assert_eq!(wrong_arrows("misc/x.rs", ""), ["misc/x.rs: module misc is not in the table"]);
    assert_eq!(misplaced("disk/esp.rs", "std::process::Command::new(\"mkfs.fat\")"), ["disk/esp.rs: process::Command"]);
    assert!(misplaced("vm/qemu.rs", "use std::process::Command;").is_empty());
    assert_eq!(code("a // SystemTime::now\n#[cfg(test)]\nmod tests {\nprintln!()"), "a ");
}
