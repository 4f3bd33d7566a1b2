//! What Cargo does not enforce: which crate may depend on which, and what must stay absent where.

#![allow(clippy::disallowed_methods, reason = "a test may drop an error")]

use std::fs;
use std::path::{Path, PathBuf};

/// Each crate and what it may depend on of this workspace and of what is to stay in one place. A line names none that stands below it.
const MAY_DEPEND_ON: [(&str, &[&str]); 14] = [
    ("model", &[]),
    ("compression", &["model"]),
    ("filesystems", &["model"]),
    ("disks", &["model", "compression", "filesystems"]),
    ("packages", &["model", "compression", "filesystems"]),
    ("conf", &["model"]),
    ("signing", &["model", "pgp"]),
    ("ostree", &["model", "disks", "signing"]),
    ("recipe", &["model", "disks", "packages", "signing", "conf"]),
    ("supply", &["model", "packages", "recipe", "ureq", "pgp", "rattler_libsolv_c", "rpm"]),
    ("rootfs", &["model", "packages", "conf", "recipe", "supply", "mlua"]),
    ("image", &["model", "filesystems", "disks", "ostree", "recipe", "rootfs"]),
    ("evidence", &["model", "disks", "ostree", "recipe", "supply", "rootfs"]),
    (
        "atomic-image",
        &[
            "model",
            "compression",
            "filesystems",
            "disks",
            "packages",
            "signing",
            "ostree",
            "recipe",
            "supply",
            "rootfs",
            "image",
            "evidence",
            "clap",
            "indicatif",
        ],
    ),
];

/// Crates of other people that only those of ours have which name them above: network, OpenPGP, solver, interpreter, command line.
const RESERVED: [&str; 7] = ["ureq", "pgp", "rattler_libsolv_c", "rpm", "mlua", "clap", "indicatif"];

/// A word, and the only places (folders or files) below builder/ that may have it.
const ONLY_IN: [(&str, &[&str]); 14] = [
    ("SystemTime::now", &["atomic-image/src/cli"]),
    ("env::var", &["atomic-image/src/cli"]),
    ("env::temp_dir", &["atomic-image/src/cli"]),
    ("process::Command", &["rootfs/src/sandbox.rs", "rootfs/src/sandbox", "atomic-image/src/vm"]),
    ("process::{", &["rootfs/src/sandbox.rs", "rootfs/src/sandbox", "atomic-image/src/vm"]),
    ("println!", &["atomic-image/src/cli"]),
    ("print!(", &["atomic-image/src/cli"]),
    ("unsafe {", &["supply/src/resolve/libsolv.rs", "rootfs/src/sandbox.rs", "rootfs/src/sandbox"]),
    ("unsafe fn", &["supply/src/resolve/libsolv.rs", "rootfs/src/sandbox.rs", "rootfs/src/sandbox"]),
    ("unsafe impl", &["supply/src/resolve/libsolv.rs", "rootfs/src/sandbox.rs", "rootfs/src/sandbox"]),
    ("TcpStream", &["supply/src/net"]),
    ("TcpListener", &["supply/src/net"]),
    ("UdpSocket", &["supply/src/net"]),
    ("ureq::", &["supply/src/net"]),
];

/// Names of architectures, in lower case. Only `model::Arch` knows them, and the sandbox, whose system calls are those of the machine that builds.
const ARCHITECTURES: [&str; 9] = ["x86_64", "x86-64", "amd64", "bootx64", "i386", "i686", "ld-linux", "aarch64", "arm64"];
const NAMES_ARCHITECTURES: [&str; 2] = ["model/src/arch.rs", "rootfs/src/sandbox"];

/// Modules that only exist under `cfg(test)`.
const TEST_ONLY: [&str; 6] = [
    "fixtures",
    "fuzz",
    "atomic-image/src/inspect/sample.rs",
    "filesystems/src/digests.rs",
    "ostree/src/against_libostree",
    "rootfs/src/against_rpm",
];

fn builder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file of the product below builder/: its path there, and its code without comments and tests.
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
    for (name, _) in MAY_DEPEND_ON {
        walk(&builder().join(name).join("src"), &mut found);
    }
    found.sort();
    let named = |path: &PathBuf| path.strip_prefix(builder()).unwrap().to_string_lossy().into_owned();
    found
        .iter()
        .map(|path| (named(path), fs::read_to_string(path).unwrap()))
        .filter(|(name, _)| !name.ends_with("tests.rs") && !name.contains("/tests/"))
        .filter(|(name, _)| !TEST_ONLY.iter().any(|place| name == place || name.starts_with(&format!("{place}/"))))
        .map(|(name, text)| (name, code(&text)))
        .collect()
}

/// Unit tests stand at the end of a file; what follows their mark may use foreign tools. Comments end a line, except where `//` stands in a text.
fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    before_tests.lines().map(without_comment).collect::<Vec<_>>().join("\n")
}

fn without_comment(line: &str) -> &str {
    let mut in_text = false;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match c {
            '"' if before != '\\' && before != '\'' => in_text = !in_text,
            '/' if !in_text && line[at..].starts_with("//") => return &line[..at],
            _ => {}
        }
        before = if before == '\\' { ' ' } else { c };
    }
    line
}

/// The names below `[dependencies]` of a manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest.split("[dependencies]").nth(1).unwrap_or_default().split("\n[").next().unwrap_or_default();
    let name = |line: &str| line.split(['.', ' ', '=']).next().unwrap_or_default().to_owned();
    section.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).map(name).collect()
}

fn wrong_arrows(name: &str, manifest: &str) -> Vec<String> {
    let Some((_, allowed)) = MAY_DEPEND_ON.iter().find(|(known, _)| *known == name) else {
        return vec![format!("crate {name} is not in the table")];
    };
    let is_ours = |target: &str| RESERVED.contains(&target) || MAY_DEPEND_ON.iter().any(|(known, _)| *known == target);
    let wrong = |target: &String| is_ours(target) && !allowed.contains(&target.as_str());
    dependencies(manifest).into_iter().filter(wrong).map(|target| format!("{name} may not depend on {target}")).collect()
}

/// Whether a file is one of these, or in a folder that is.
fn is_in(name: &str, places: &[&str]) -> bool {
    places.iter().any(|place| name == *place || name.starts_with(&format!("{place}/")))
}

fn misplaced(name: &str, code: &str) -> Vec<String> {
    ONLY_IN.iter().filter(|(word, places)| code.contains(word) && !is_in(name, places)).map(|(word, _)| format!("{name}: {word}")).collect()
}

fn architectures(name: &str, code: &str) -> Vec<String> {
    if is_in(name, &NAMES_ARCHITECTURES) {
        return Vec::new();
    }
    let code = code.to_ascii_lowercase();
    ARCHITECTURES.iter().filter(|word| code.contains(*word)).map(|word| format!("{name}: {word}")).collect()
}

#[test]
fn crates_depend_on_what_stands_before_them_alone() {
    for (position, (name, allowed)) in MAY_DEPEND_ON.iter().enumerate() {
        let later = MAY_DEPEND_ON[position..].iter().find(|(other, _)| allowed.contains(other));
        assert!(later.is_none(), "{name} is allowed what stands below it: {later:?}");
    }
    let mut wrong = Vec::new();
    for entry in fs::read_dir(builder()).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(manifest) = fs::read_to_string(folder.join("Cargo.toml")) else { continue };
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        if !TEST_ONLY.contains(&name.as_str()) {
            wrong.extend(wrong_arrows(&name, &manifest));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn clock_environment_processes_network_printing_and_unsafe_stay_in_their_places() {
    let files = files();
    assert!(files.len() > 250, "the sources are not where they were: {} files", files.len());
    let wrong: Vec<String> = files.iter().flat_map(|(name, code)| misplaced(name, code)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn architectures_are_named_in_one_place() {
    let files = files();
    let wrong: Vec<String> = files.iter().flat_map(|(name, code)| architectures(name, code)).collect();
    assert!(wrong.is_empty(), "ask model::Arch:\n{}", wrong.join("\n"));
    // Each place that may name one does, or need not be in the list.
    for place in NAMES_ARCHITECTURES {
        assert!(files.iter().any(|(name, code)| is_in(name, &[place]) && code.contains("x86_64")), "{place}");
    }
}

#[test]
fn the_checks_would_complain() {
    let bad = "[package]\nname = \"x\"\n\n[dependencies]\nmodel.workspace = true\nrootfs = { path = \"x\" }\npgp = \"1\"\nhex = \"1\"\n\n[dev-dependencies]\nsupply = \"1\"\n";
    assert_eq!(dependencies(bad), ["model", "rootfs", "pgp", "hex"]);
    assert_eq!(wrong_arrows("disks", bad), ["disks may not depend on rootfs", "disks may not depend on pgp"]);
    assert_eq!(wrong_arrows("misc", ""), ["crate misc is not in the table"]);
    assert_eq!(misplaced("image/src/disk/esp.rs", "std::process::Command::new(\"mkfs.fat\")"), ["image/src/disk/esp.rs: process::Command"]);
    assert!(misplaced("atomic-image/src/vm/qemu.rs", "use std::process::Command;").is_empty());
    assert_eq!(architectures("image/src/esp.rs", "const LOADER: &str = \"/EFI/BOOT/BOOTX64.EFI\";"), ["image/src/esp.rs: bootx64"]);
    assert_eq!(
        architectures("supply/src/a.rs", "cfg(target_arch = \"aarch64\") Arch::X86_64"),
        ["supply/src/a.rs: x86_64", "supply/src/a.rs: aarch64"]
    );
    assert!(architectures("rootfs/src/sandbox/seccomp.rs", "x86_64").is_empty() && architectures("model/src/arch.rs", "amd64").is_empty());
    assert_eq!(architectures("rootfs/src/sandboxed.rs", "amd64"), ["rootfs/src/sandboxed.rs: amd64"]);
    assert_eq!(code("a // SystemTime::now\n#[cfg(test)]\nmod tests {\nprintln!()"), "a ");
    assert_eq!(code("f(\"http://x\", println!()) // env::var"), "f(\"http://x\", println!()) ");
    assert_eq!(code("f('\"', x) // env::var"), "f('\"', x) ");
    assert_eq!(code("f(\"\\\"//\", x) // env::var"), "f(\"\\\"//\", x) ");
}
