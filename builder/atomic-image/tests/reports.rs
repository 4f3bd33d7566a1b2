//! What every command that reads packages and repositories reports, over packages that the tests make: as text and as JSON, when all is well and when not.

mod made_packages;
mod program;

use made_packages::{package, put, repository, write};
use program::{answer, answer_with, snapshot};
use rpm::{Dependency, DependencyFlags, FileOptions, PackageBuilder, Scriptlet};
use std::fs;
use std::path::Path;

/// A package with something of all that a report shows.
fn tool() -> PackageBuilder {
    let mut tool = package("tool", "A tool with something of everything");
    tool.epoch(2).vendor("Nobody").url("https://tool.example/").packager("A <a@example>");
    tool.requires(Dependency::greater_eq("libc", "2.4"))
        .requires(Dependency::any("(a or b)"))
        .requires(Dependency { flags: DependencyFlags::SCRIPT_PRE, ..Dependency::any("/bin/sh") });
    tool.provides(Dependency::eq("virtual", "3:1-1")).conflicts(Dependency::less("old", "2")).obsoletes(Dependency::less_eq("tol", "1"));
    tool.recommends(Dependency::any("r")).suggests(Dependency::any("s")).supplements(Dependency::any("u")).enhances(Dependency::any("e"));
    tool.pre_install_script(Scriptlet::new("getent group tool || groupadd -r tool\nexit 0\n"));
    tool.post_install_script(Scriptlet::new("print('lua')").prog(vec!["<lua>"]));
    tool.trigger_in("libc", None, Scriptlet::new("true"));
    put(&mut tool, "/usr/bin/tool", 0o4755, b"#!/bin/sh\n");
    let file = |path: &str| FileOptions::new(path).modified_at(rpm::Timestamp(1_600_000_000));
    tool.with_file_contents("a = b\n", file("/etc/tool.conf").permissions(0o640).group("tool").config().noreplace()).unwrap();
    tool.with_file_contents("read me", file("/usr/share/doc/tool/README").permissions(0o644).doc()).unwrap();
    tool.with_file_contents("ping", file("/usr/bin/ping").permissions(0o755).caps("cap_net_raw=p").unwrap()).unwrap();
    tool.with_dir_entry(FileOptions::dir("/usr/share/doc/tool").permissions(0o755)).unwrap();
    tool.with_symlink(FileOptions::symlink("/usr/bin/alias", "tool")).unwrap();
    tool.with_ghost(FileOptions::ghost("/var/log/tool\n.log").permissions(0o600)).unwrap();
    tool
}

#[test]
fn the_reports_on_a_package_file_are_the_committed_ones() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write(&mut tool(), &at("tool.rpm"), true);
    write(&mut tool(), &at("unsigned.rpm"), false);
    fs::write(at("key.asc"), supply::repos::deb::public_key().unwrap()).unwrap();
    let whole = fs::read(at("tool.rpm")).unwrap();
    fs::write(at("cut.rpm"), &whole[..whole.len() - 20]).unwrap();
    let changed = |name: &str, from: &[u8], to: &[u8]| {
        let mut bytes = whole.clone();
        let place = bytes.windows(from.len()).position(|window| window == from).unwrap();
        bytes[place..place + from.len()].copy_from_slice(to);
        fs::write(at(name), bytes).unwrap();
    };
    changed("header.rpm", b"Nobody", b"nobody");
    let lines = [
        "rpm show tool.rpm",
        "rpm show tool.rpm --key key.asc --json",
        "rpm show unsigned.rpm --key key.asc",
        "rpm show header.rpm --key key.asc",
        "rpm show cut.rpm",
        "rpm dump tool.rpm",
        "rpm dump tool.rpm --json",
        "rpm dump cut.rpm",
        "rpm verify tool.rpm --key key.asc",
        "rpm verify tool.rpm --key key.asc --json",
        "rpm verify unsigned.rpm --key key.asc",
        "rpm verify header.rpm --key key.asc",
        "rpm verify header.rpm --key key.asc --json",
        "rpm verify cut.rpm --key key.asc",
        "rpm verify tool.rpm --key tool.rpm",
    ];
    snapshot("rpm.txt", &lines.map(|line| answer(folder.path(), line)).concat());
}

const RECIPE: &str = r#"schema = 1
name = "small"
ref = "small/x86_64/stable"
epoch = 1700000000
[[repo]]
id = "local"
type = "rpm-md"
url = "../repository"
keys = ["../repository/key.asc"]
[packages]
install = ["host"]
[tools]
install = ["grub"]
[overlay]
folders = []
[units]
default = "multi-user.target"
[initramfs]
generator = "none"
[disk]
esp = "64MiB"
boot = "64MiB"
reserve = "16MiB"
firmware = ["uefi"]
"#;

/// The outline of a host.
fn host() -> PackageBuilder {
    let mut host = package("host", "The outline of a host");
    put(&mut host, "/usr/lib/modules/5.0/vmlinuz", 0o644, b"kernel\n");
    put(&mut host, "/usr/lib/modules/5.0/initramfs.img", 0o600, b"initramfs\n");
    put(&mut host, "/usr/lib/modules/5.0/modules.order", 0o644, b"");
    put(&mut host, "/usr/lib/systemd/system/multi-user.target", 0o644, b"[Unit]\n");
    put(&mut host, "/etc/os-release", 0o644, b"ID=x\nNAME=X\n");
    host.with_dir_entry(FileOptions::dir("/var").permissions(0o755)).unwrap();
    host
}

/// GRUB's images, made by a program that writes the same for both platforms.
fn grub(busybox: &[u8]) -> PackageBuilder {
    let mut grub = package("grub", "A stand-in for GRUB");
    put(&mut grub, "/usr/bin/busybox", 0o755, busybox);
    for name in ["sh", "mkdir"] {
        grub.with_symlink(FileOptions::symlink(format!("/usr/bin/{name}"), "busybox")).unwrap();
    }
    let script = b"#!/usr/bin/sh\nwhile [ $# -gt 0 ]; do [ \"$1\" = -o ] && out=$2; shift; done\necho core >\"$out\"\n";
    put(&mut grub, "/usr/bin/grub-mkimage", 0o755, script);
    put(&mut grub, "/usr/lib/grub/i386-pc/boot.img", 0o644, b"boot");
    grub
}

/// A project whose packages are `host` and `grub`. Recipes and overlays are in their own folders, as everywhere.
fn project(grub: PackageBuilder) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("recipes")).unwrap();
    fs::create_dir(folder.path().join("rootfs-overlay")).unwrap();
    fs::write(folder.path().join("recipes/small.toml"), RECIPE).unwrap();
    repository(&folder.path().join("repository"), &mut [("host", host()), ("grub", grub)]);
    folder
}

/// Changes the last byte of a file.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_reports_of_lock_fetch_and_cache_verify_are_the_committed_ones() {
    // Nothing runs: any bytes will do for the programs.
    let folder = project(grub(b"busybox"));
    let mut lines: String = [
        "lock recipes/small.toml --quiet",
        "lock recipes/small.toml --quiet --json",
        "lock recipes/small.toml --quiet --update absent",
        "fetch recipes/small.toml --quiet --locked",
        "fetch recipes/small.toml --quiet --locked --json",
        "cache verify --quiet",
        "cache verify --quiet --json",
    ]
    .map(|line| answer(folder.path(), line))
    .concat();
    let cache = folder.path().join(".cache/atomic-image");
    let mut rpms: Vec<_> = fs::read_dir(cache.join("rpms")).unwrap().map(|entry| entry.unwrap().path()).collect();
    rpms.sort();
    // A damaged file is set aside under a random name.
    let aside = regex::Regex::new(r"\.rpm\.[0-9a-f]+").unwrap();
    for (rpm, line) in rpms.iter().zip(["cache verify --quiet", "cache verify --quiet --json"]) {
        damage(rpm);
        lines += &aside.replace_all(&answer(folder.path(), line), ".rpm.RANDOM");
    }
    fs::write(folder.path().join("letter"), "dear").unwrap();
    lines += &answer(folder.path(), "cache verify --quiet --cache .");
    // What no repository has, and what is not locked.
    fs::write(folder.path().join("recipes/other.toml"), RECIPE.replace("[\"host\"]", "[\"hots\"]")).unwrap();
    fs::write(folder.path().join("recipes/third.toml"), RECIPE.replace("\"small\"", "\"third\"")).unwrap();
    for line in ["lock recipes/other.toml --quiet", "lock recipes/other.toml --quiet --json", "fetch recipes/third.toml --quiet --locked"] {
        lines += &answer(folder.path(), line);
    }
    snapshot("lock.txt", &lines);
}

/// Digests and measurements, which depend on this machine's busybox and on its speed, as words.
fn without_measurements(text: &str) -> String {
    let digests = regex::Regex::new(r"\b[0-9a-f]{64}\b").unwrap().replace_all(text, "SHA256").into_owned();
    let seconds = regex::Regex::new(r"\b([a-z]+:? ) *\d+\.\d\b").unwrap().replace_all(&digests, "${1}N.N").into_owned();
    let measured = regex::Regex::new(r#""(seconds|peak_memory|disk_usage)": [0-9.e-]+"#).unwrap();
    measured.replace_all(&seconds, "\"$1\": N").into_owned()
}

#[test]
fn the_reports_of_build_and_verify_are_the_committed_ones() {
    let Ok(busybox) = fs::read("/bin/busybox") else { return fixtures::missing("no static busybox on this machine") };
    let folder = project(grub(&busybox));
    let mut lines: String = [
        "build recipes/small.toml --quiet --no-sync --format raw",
        "build recipes/small.toml --quiet --no-sync --format raw --json",
        "verify out/small/small.raw --quiet",
        "verify out/small/small.raw --quiet --json",
    ]
    .map(|line| answer(folder.path(), line))
    .concat();
    damage(&folder.path().join("out/small/small.raw"));
    let recipe = folder.path().join("recipes/small.toml");
    for line in ["verify out/small/small.raw --quiet", "verify out/small/small.raw --quiet --json"] {
        lines += &answer(folder.path(), line);
    }
    fs::write(&recipe, RECIPE.replace("64MiB", "65MiB")).unwrap();
    lines += &answer(folder.path(), "verify out/small/small.raw --quiet");
    snapshot("build.txt", &without_measurements(&lines));
}

#[test]
fn what_seed_and_boot_say_is_the_committed_text() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    put("user-data", b"#cloud-config\n");
    put("meta-data", b"instance-id: one\n");
    put("packed.raw", b"\x28\xb5\x2f\xfd and so on");
    put("disk.raw", &[0; 4096]);
    // A version 2 header whose backing file, named right behind it, is a file of this machine, and an empty L1 table in the second cluster. Offsets and
    // sizes are big-endian.
    let mut linked: Vec<u8> = [
        &b"QFI\xfb\0\0\0\x02"[..],
        &72_u64.to_be_bytes(),
        &11_u32.to_be_bytes(),
        &16_u32.to_be_bytes(),
        &(1_u64 << 20).to_be_bytes(),
        &0_u32.to_be_bytes(),
        &1_u32.to_be_bytes(),
        &(1_u64 << 16).to_be_bytes(),
        &[0; 24],
        b"/etc/passwd",
    ]
    .concat();
    linked.resize(3 << 16, 0);
    put("linked.qcow2", &linked);
    let mut lines: String = [
        "seed --user-data user-data --meta-data meta-data -o seed.iso",
        "seed --user-data absent --meta-data meta-data -o other.iso",
        "seed --user-data user-data --meta-data meta-data -o nowhere/seed.iso",
        "inspect seed.iso",
        "boot packed.raw",
        "boot linked.qcow2",
        "boot disk.raw --seed absent",
    ]
    .map(|line| answer(folder.path(), line))
    .concat();
    // Where no program can be found, QEMU is not found either.
    for line in ["boot disk.raw", "boot disk.raw --seed seed.iso"] {
        lines += &answer_with(folder.path(), line, &[("PATH", "/nowhere")]);
    }
    snapshot("boot.txt", &lines);
}
