//! The program as people and scripts run it: exit codes, and errors as text and as JSON.

mod program;
#[path = "../src/inspect/sample.rs"]
mod sample;

use disks::OutputFormat;
use model::ImagePath;
use model::tree::{Attributes, Edit, FileTree, Inode};
use program::{answer, snapshot};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn run(folder: &Path, line: &[&str]) -> Output {
    program::run(folder, line, &[])
}

const RECIPE: &str = "schema = 1\n";

/// Files that the lines below name.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    put("r.toml", RECIPE.as_bytes());
    put("text", b"hello");
    put("empty", b"");
    put("cut.qcow2", b"QFI\xfb\0\0\0\x03");
    put("a.qed", &[b"QED\0", &[0; 508][..]].concat());
    put("nokeys.asc", b"no keys");
    // A fixed VHD's worth of zeros with a filesystem's magic: a disk that we can look into.
    let mut disk = vec![0; 1 << 20];
    disk[..4].copy_from_slice(b"XFSB");
    put("xfs.img", &disk);
    std::fs::create_dir(folder.path().join("dir")).unwrap();
    std::fs::create_dir(folder.path().join("seed")).unwrap();
    folder
}

/// What is wrong with each line, its exit code, and a part of the message. None starts QEMU or opens a socket.
const WRONG: [(&str, u8, &str); 37] = [
    ("bake r.toml", 2, "bake"),
    ("build", 2, "RECIPE"),
    ("build r.toml --jobs 0", 2, "--jobs"),
    ("boot text --memory 0", 2, "0 is not in 64..=1048576"),
    ("boot text --memory 4294967295", 2, "4294967295 is not in"),
    ("boot text --forward 22", 2, "two ports are needed"),
    ("boot text --forward 0:22", 2, "\"0\" is not a port"),
    ("boot text --forward 2222:99999", 2, "\"99999\" is not a port"),
    ("explain text --sector x", 2, "--sector"),
    ("cat text", 2, "expected such as disk.raw:/etc/fstab"),
    ("build dir", 3, "cannot read recipe dir"),
    ("build absent.toml", 3, "cannot read recipe absent.toml"),
    ("build r.toml", 3, "r.toml"),
    ("lock absent.toml", 3, "cannot read recipe absent.toml"),
    ("inspect absent.raw", 3, "absent.raw: no such file"),
    ("inspect nowhere/absent.raw", 3, "nowhere/absent.raw: no such file"),
    ("inspect text/absent.raw", 3, "text/absent.raw"),
    ("inspect dir", 3, "dir: expected a file or a block device"),
    ("inspect text", 3, "text: not a disk image"),
    ("inspect empty", 3, "empty: not a disk image: the file is empty"),
    ("inspect a.qed", 3, "a QED disk image"),
    ("inspect cut.qcow2", 5, "cut.qcow2: qcow2: a file of 8 bytes has no header"),
    ("cat absent.raw:/etc/fstab", 3, "absent.raw: no such file"),
    ("cat xfs.img:/etc/fstab", 3, "no filesystem that can be read"),
    ("diff absent.raw text", 3, "absent.raw: no such file"),
    ("diff xfs.img xfs.img", 3, "xfs"),
    ("explain xfs.img --sector 2048", 3, "past the end of the disk"),
    ("explain xfs.img --sector 18446744073709551615", 3, "past the end of the disk"),
    ("verify text", 3, "cannot read manifest.json"),
    ("verify text --manifest absent.json", 3, "cannot read absent.json"),
    ("boot absent.raw", 3, "cannot read image absent.raw"),
    ("boot dir", 3, "it is a directory, expected a regular file or a block device"),
    ("boot xfs.img --forward 2222:22 --forward 2222:80", 3, "forwarded twice"),
    ("boot xfs.img --seed absent.iso", 3, "seed absent.iso"),
    ("boot xfs.img --seed seed", 3, "seed/user-data"),
    ("rpm verify text --key absent.asc", 3, "cannot read absent.asc"),
    ("man text", 3, "create text"),
];

#[test]
fn every_wrong_line_ends_with_its_exit_code_and_a_message_that_names_the_thing() {
    let folder = folder();
    for (line, code, part) in WRONG {
        let out = run(folder.path(), &line.split(' ').collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(code.into()), "{line}: {said}");
        assert!(out.stdout.is_empty() && said.starts_with("error: ") && said.contains(part), "{line}: {said}");
        assert!(!said.contains("panicked") && !said.contains("assertion") && !said.contains("a defect of"), "{line}: {said}");
    }
}

#[test]
fn under_json_every_error_is_one_object_with_kind_code_message_causes_and_hint() {
    let folder = folder();
    for (line, code, part) in WRONG {
        // What has no --json of its own is a usage error with it, which is an object, too.
        let out = run(folder.path(), &line.split(' ').chain(["--json"]).collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        let error = serde_json::from_str::<serde_json::Value>(said.trim()).unwrap_or_else(|e| panic!("{line}: {e}: {said}"));
        let error = &error["error"];
        let found = error["exit_code"].as_u64().unwrap() as i32;
        assert_eq!(out.status.code(), Some(found), "{line}: {said}");
        let has_json = !["boot", "cat", "man"].contains(&line.split(' ').next().unwrap());
        if has_json {
            assert_eq!(found, i32::from(code), "{line}: {said}");
            let text = [&error["message"], &error["causes"]].map(|value| value.to_string()).join(" ").replace("\\\"", "\"");
            assert!(text.contains(part), "{line}: {said}");
        }
        let kind = match found {
            2 => "usage",
            5 => "integrity",
            _ => "recipe",
        };
        assert_eq!(error["kind"], kind, "{line}: {said}");
        assert!(error["causes"].is_array() && (error["hint"].is_string() || error["hint"].is_null()), "{line}: {said}");
        assert!(out.stdout.is_empty(), "{line}");
    }
    let hint = run(folder.path(), &["inspect", "a.qed", "--json"]).stderr;
    assert!(String::from_utf8_lossy(&hint).contains("qemu-img convert -O raw a.qed a.raw"));
}

#[test]
fn a_filesystem_that_is_not_read_is_no_error_and_help_is_none_either() {
    let folder = folder();
    for (line, part) in [
        ("inspect xfs.img", "the filesystem (xfs) was not read: not read: only ext4 and vfat are"),
        ("inspect xfs.img --json", "\"state\": \"unread\""),
        ("explain xfs.img --sector 0", "xfs, which is not read"),
        ("--help", "Usage:"),
        ("inspect --json --help", "Usage:"),
        ("--version", "atomic-image "),
    ] {
        let out = run(folder.path(), &line.split(' ').collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success() && said.contains(part) && out.stderr.is_empty(), "{line}: {said} {out:?}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let folder = folder();
    for line in [&["inspect", "xfs.img"][..], &["completions", "bash"], &["--help"], &["inspect", "xfs.img", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_atomic-image"));
        let out = command.args(line).current_dir(folder.path()).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let out = out.wait_with_output().unwrap();
        assert!(out.status.success() && out.stderr.is_empty(), "{line:?}: {out:?}");
    }
}

/// The names below `Commands:` of a help.
fn subcommands(help: &str) -> Vec<String> {
    let Some((_, section)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let rows = section.lines().take_while(|line| !line.is_empty());
    let names = rows.filter(|row| row.starts_with("  ") && !row.starts_with("   ")).filter_map(|row| row.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn the_help_of_every_command_is_the_committed_one() {
    let folder = folder();
    let mut text = String::new();
    let mut pending = vec![String::new()];
    while let Some(command) = pending.pop() {
        let line = format!("{command} --help").trim().to_owned();
        let help = answer(folder.path(), &line);
        let below = subcommands(&help);
        text += &help;
        pending.extend(below.iter().rev().map(|name| format!("{command} {name}").trim().to_owned()));
    }
    assert!(text.matches("$ atomic-image ").count() > 10, "{text}");
    snapshot("help.txt", &text);
}

#[test]
fn the_message_of_every_wrong_line_is_the_committed_one() {
    let folder = folder();
    let text: String = WRONG.iter().map(|(line, ..)| answer(folder.path(), line)).collect();
    snapshot("errors.txt", &text);
}

/// The sample with a file changed, one added and one removed.
fn changed() -> FileTree {
    let mut tree = sample::tree();
    let path = |text: &str| ImagePath::parse(text).unwrap();
    let file = |text: &str| Inode::file(text.as_bytes(), Attributes::root(0o600));
    tree.insert(&path("/usr/etc/hostname"), file("another\n"), Edit::Replace).unwrap();
    tree.insert(&path("/usr/share/added"), file("new"), Edit::Create).unwrap();
    let packages = "bash-0:5.3-1.x86_64 cc\nxz-0:5.8-1.x86_64 dd\n";
    tree.insert(&path("/usr/share/atomic-image/packages"), file(packages), Edit::Replace).unwrap();
    tree
}

#[test]
fn the_reports_of_a_small_image_are_the_committed_ones() {
    let (old, paths, _) = sample::exported(&[OutputFormat::Raw, OutputFormat::Qcow2], 512);
    let (_new, others, _) = sample::exported_tree(&changed(), &[OutputFormat::Raw], 512);
    std::fs::rename(&paths[0], old.path().join("old.raw")).unwrap();
    std::fs::rename(&paths[1], old.path().join("old.qcow2")).unwrap();
    std::fs::copy(&others[0], old.path().join("new.raw")).unwrap();
    for (name, lines) in [
        ("inspect.txt", &["inspect old.raw", "inspect old.qcow2 --json"][..]),
        ("diff.txt", &["diff old.raw new.raw", "diff old.raw old.qcow2", "diff old.raw new.raw --json"]),
        ("explain.txt", &["explain old.raw --sector 0", "explain old.raw --sector 1", "explain old.raw --sector 2048 --json"]),
        ("cat.txt", &["cat new.raw:/etc/hostname", "cat old.raw:/usr/share/added"]),
    ] {
        snapshot(name, &lines.iter().map(|line| answer(old.path(), line)).collect::<String>());
    }
}
