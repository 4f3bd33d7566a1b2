//! Boots disk images and lets the guest prove that it works: `boot [--minimal] [--jobs N] [--check CHECK]... IMAGE...`.
//!
//! CHECK is `bios` or `uefi` (every check of a booted guest), `rollback` (the menu's second entry), `grow` (by UEFI, every check but the roles' on a disk
//! enlarged to 20 GiB, and a second one beside it), `hardware` (disks on NVMe, SCSI, SATA, IDE and USB with 1 GiB of memory, no network, no seed), `nvme` and
//! `no-network` of these alone; without any, bios, uefi and rollback. A boot passes only when the guest, after its own checks, says the digest of a number
//! that this run drew: a crash, a hang or a clean power-off cannot say it, nor can an echo. `--minimal` is for images without roles: no docker, etcd and
//! cockpit. N boots run side by side, without `--jobs` one for each processor. Exit code 0 when all passed, 1 otherwise, 2 for usage.

#![allow(clippy::disallowed_methods, reason = "a test may drop an error")]

mod checks;
mod growth;
mod guest;
mod kinds;
mod payload;

use atomic_image::vm::Bus;
use checks::Check;
use recipe::Firmware;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

fn main() -> ExitCode {
    let Some(plan) = Plan::parse(std::env::args().skip(1)) else {
        eprintln!("usage: boot [--minimal] [--jobs N] [--check bios|uefi|rollback|grow|hardware|nvme|no-network]... IMAGE...");
        return ExitCode::from(2);
    };
    let boots: Vec<(&PathBuf, Check)> = plan.images.iter().flat_map(|image| plan.checks.iter().map(move |&check| (image, check))).collect();
    let (next, failed, say) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(()));
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs.min(boots.len()) {
            scope.spawn(|| {
                while let Some(&(image, check)) = boots.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let began = Instant::now();
                    let result = checks::run(image, check, plan.roles);
                    let _one_at_a_time = say.lock();
                    let name = image.file_name().unwrap_or_default().to_string_lossy();
                    match result {
                        Ok(()) => println!("ok    {name}: {} ({} s)", promise(check), began.elapsed().as_secs()),
                        Err(error) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            println!("FAIL  {name}: {}: {error}", promise(check));
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!("{} passed, {failed} failed", boots.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn promise(check: Check) -> String {
    match check {
        Check::Whole(Firmware::Bios) => "bios boots and the guest proves itself",
        Check::Whole(Firmware::Uefi) => "uefi boots and the guest proves itself",
        Check::Rollback(_) => "the menu's second entry boots the other deployment",
        Check::Grown => {
            "uefi boots, the guest proves itself but for its roles, the root fills a disk of 20 GiB, the kernel tells every kind of inode of a second one, \
             and e2fsck is silent after it"
        }
        Check::On(bus, firmware) => return format!("everything runs on a disk of {bus:?} with 1 GiB of memory ({firmware:?})"),
        Check::WithoutNetwork => "everything runs without a network",
        Check::WithoutSeed => "the prompt is there without a seed",
    }
    .to_owned()
}

struct Plan {
    /// Neither is ever empty.
    images: Vec<PathBuf>,
    checks: Vec<Check>,
    roles: bool,
    /// At least one.
    jobs: usize,
}

impl Plan {
    fn parse(mut words: impl Iterator<Item = String>) -> Option<Plan> {
        let mut plan =
            Plan { images: Vec::new(), checks: Vec::new(), roles: true, jobs: std::thread::available_parallelism().map_or(1, usize::from) };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--check" => plan.checks.extend_from_slice(match words.next()?.as_str() {
                    "bios" => &[Check::Whole(Firmware::Bios)],
                    "uefi" => &[Check::Whole(Firmware::Uefi)],
                    "rollback" => &[Check::Rollback(Firmware::Bios)],
                    "grow" => &[Check::Grown],
                    "hardware" => &Check::HARDWARE,
                    "nvme" => &[Check::On(Bus::Nvme, Firmware::Uefi)],
                    "no-network" => &[Check::WithoutNetwork],
                    _ => return None,
                }),
                "--minimal" => plan.roles = false,
                "--jobs" => plan.jobs = words.next()?.parse().ok().filter(|&jobs| jobs > 0)?,
                _ if word.starts_with('-') => return None,
                _ => plan.images.push(PathBuf::from(word)),
            }
        }
        if plan.checks.is_empty() {
            plan.checks = vec![Check::Whole(Firmware::Bios), Check::Whole(Firmware::Uefi), Check::Rollback(Firmware::Bios)];
        }
        (!plan.images.is_empty()).then_some(plan)
    }
}
