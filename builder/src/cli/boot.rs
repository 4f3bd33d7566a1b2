//! `boot`: a disk image in QEMU, its serial console on this terminal.

use super::args::{BootArguments, FirmwareChoice};
use super::seed;
use crate::base::{AtomicFile, Result};
use crate::recipe::Firmware;
use crate::vm::{Machine, Serial};
use std::path::PathBuf;

pub(super) fn run(arguments: &BootArguments) -> Result<()> {
    let mut temporary = None;
    let scratch = std::env::temp_dir();
    let seed = match &arguments.seed {
        Some(folder) if folder.is_dir() => {
            let iso = scratch.join(format!("atomic-image-seed-{}.iso", std::process::id()));
            AtomicFile::write(&iso, &seed::of_folder(folder)?)?;
            temporary = Some(Temporary(iso.clone()));
            Some(iso)
        }
        other => other.clone(),
    };
    let machine = Machine {
        image: arguments.image.clone(),
        keep: false,
        second: None,
        firmware: match arguments.firmware {
            FirmwareChoice::Bios => Firmware::Bios,
            FirmwareChoice::Uefi => Firmware::Uefi,
        },
        seed,
        forward: arguments.forward.clone(),
        memory_mib: arguments.memory,
        serial: Serial::Terminal,
        scratch,
    };
    let result = machine.run();
    drop(temporary);
    result
}

/// A file that goes with its value.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}
