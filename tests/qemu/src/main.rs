//! Boots a disk image and lets the guest prove that it works: `boot IMAGE [--firmware bios|uefi]... [--minimal]`, or `boot IMAGE --grow`.
//!
//! Each firmware is one boot with all checks; then one more boot takes the menu's second entry. A boot passes only when the guest, after
//! its own checks, says the digest of a number that this run drew: a crash, a hang or a clean power-off cannot say it, nor can an echo.
//! `--minimal` is for images without roles: no docker, etcd and cockpit. `--grow` is one boot on a disk enlarged to 20 GiB. Exit code 0 when all passed, 1 otherwise, 2 for usage.

mod checks;
mod growth;
mod guest;
mod payload;

use atomic_image::recipe::Firmware;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(plan) = Plan::parse(std::env::args().skip(1)) else {
        eprintln!("usage: boot IMAGE [--firmware bios|uefi]... [--minimal], or boot IMAGE --grow");
        return ExitCode::from(2);
    };
    let mut failed = 0;
    let mut boots: Vec<(String, checks::Check)> = Vec::new();
    for &firmware in plan.firmware.iter().filter(|_| !plan.grow) {
        boots.push((format!("{firmware:?} boots and the guest proves itself").to_lowercase(), checks::Check::Whole(firmware)));
    }
    boots.push(match plan.grow {
        false => ("the menu's second entry boots the other deployment".to_owned(), checks::Check::Rollback(plan.firmware[0])),
        true => ("the root fills a disk of 20 GiB, and e2fsck is silent after it".to_owned(), checks::Check::Grown(plan.firmware[0])),
    });
    let total = boots.len();
    for (name, check) in boots {
        let began = std::time::Instant::now();
        match checks::run(&plan.image, check, plan.roles) {
            Ok(()) => println!("ok: {name} ({} s)", began.elapsed().as_secs()),
            Err(error) => {
                failed += 1;
                println!("FAILED: {name}: {error}");
            }
        }
    }
    println!("{} passed, {failed} failed", total - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Plan {
    image: PathBuf,
    /// Never empty.
    firmware: Vec<Firmware>,
    roles: bool,
    grow: bool,
}

impl Plan {
    fn parse(mut words: impl Iterator<Item = String>) -> Option<Plan> {
        let mut image = None;
        let mut firmware = Vec::new();
        let mut roles = true;
        let mut grow = false;
        while let Some(word) = words.next() {
            match word.as_str() {
                "--firmware" => firmware.push(match words.next()?.as_str() {
                    "bios" => Firmware::Bios,
                    "uefi" => Firmware::Uefi,
                    _ => return None,
                }),
                "--minimal" => roles = false,
                "--grow" => grow = true,
                _ if word.starts_with('-') || image.is_some() => return None,
                _ => image = Some(PathBuf::from(word)),
            }
        }
        if firmware.is_empty() {
            firmware = vec![Firmware::Bios, Firmware::Uefi];
        }
        Some(Plan { image: image?, firmware, roles, grow })
    }
}
