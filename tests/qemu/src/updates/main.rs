//! Updates and fallbacks of a booted host: `updates [--only SCENARIO]... LAB`, where LAB is a folder that tests/host/lab made.
//!
//! The guest boots once and is saved; each scenario goes on from there. A scenario passes when the guest itself shows what it should, over ssh, and for the
//! broken trees without a hand on it. One machine runs at a time. Exit code 0 when all passed, 1 otherwise, 2 for usage.

#![allow(clippy::disallowed_methods, reason = "a test may drop an error")]

mod scenarios;
mod server;

use atomic_image::vm::{Bench, Ssh};
use model::{Error, Kind, Result, ResultExt};
use scenarios::SCENARIOS;
use server::Server;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// The state that scenarios start from.
const BOOTED: &str = "booted";
/// A first boot, with cloud-init, under emulation on a busy machine.
const FIRST_BOOT: Duration = Duration::from_secs(1500);
const PASSWORD: &str = "centos";

fn main() -> ExitCode {
    let mut only = Vec::new();
    let mut lab = None;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match (word.as_str(), words.size_hint()) {
            ("--only", _) => only.extend(words.next()),
            (other, _) if !other.starts_with('-') && lab.is_none() => lab = Some(PathBuf::from(other)),
            _ => lab = None,
        }
    }
    let known = |name: &String| SCENARIOS.iter().any(|scenario| scenario.name == name);
    let Some(lab) = lab.filter(|_| only.iter().all(known)) else {
        let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        eprintln!("usage: updates [--only {}]... LAB", names.join("|"));
        return ExitCode::from(2);
    };
    match run(&lab, &only) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the scenarios; returns how many failed.
fn run(lab: &Path, only: &[String]) -> Result<usize> {
    let scratch = tempfile::Builder::new().prefix("atomic-image-updates-").tempdir().context(|| "make a folder")?;
    let bench = bench(lab, scratch.path())?;
    let _server = Server::start(&lab.join("repo"))?;
    let began = Instant::now();
    let boot = {
        let mut guest = bench.power_on(None)?;
        let boot = guest.wait_for_health("", FIRST_BOOT)?;
        guest.monitor.save(BOOTED)?;
        boot
    };
    println!("ok    the first boot is healthy ({} s)", began.elapsed().as_secs());
    let (mut passed, mut failed) = (1, 0);
    for scenario in SCENARIOS.iter().filter(|scenario| only.is_empty() || only.iter().any(|name| name == scenario.name)) {
        let began = Instant::now();
        let result = bench.power_on(Some(BOOTED)).and_then(|mut guest| (scenario.run)(&mut guest, &boot));
        let seconds = began.elapsed().as_secs();
        match result {
            Ok(()) => {
                passed += 1;
                println!("ok    {}: {} ({seconds} s)", scenario.name, scenario.promise);
            }
            Err(error) => {
                failed += 1;
                println!("FAIL  {}: {}: {error} ({seconds} s)", scenario.name, scenario.promise);
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed)
}

/// A layer over the image that is written to, and a seed.
fn bench(lab: &Path, scratch: &Path) -> Result<Bench> {
    let image = lab.join("image.qcow2").canonicalize().context(|| format!("find the image in {}", lab.display()))?;
    let (disk, seed) = (scratch.join("disk.qcow2"), scratch.join("seed.iso"));
    let status = Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"])
        .args([&image, &disk])
        .status()
        .context(|| "start qemu-img")?;
    if !status.success() {
        return Err(Error::new(Kind::Tool, format!("qemu-img ended with {status}")));
    }
    let user = format!("#cloud-config\npassword: {PASSWORD}\nchpasswd: {{ expire: false }}\nssh_pwauth: true\n");
    let iso = filesystems::iso9660::write("cidata", &[("user-data", user.as_bytes()), ("meta-data", b"instance-id: lab\n")])?;
    std::fs::write(&seed, iso).context(|| format!("write {}", seed.display()))?;
    let ssh = Ssh { port: 22_790, user: "centos".into(), password: PASSWORD.into() };
    Ok(Bench { disk, seed, scratch: scratch.to_path_buf(), memory_mib: 2048, ssh })
}
