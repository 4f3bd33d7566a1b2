//! `boot`: a disk image in QEMU, its serial console on this terminal.

use super::args::{BootArguments, FirmwareChoice};
use super::seed;
use crate::inspect;
use crate::vm::{Machine, PROCESSORS, Serial, image_format};
use model::{Error, Result, ResultExt};
use recipe::Firmware;
use std::collections::BTreeSet;

pub(super) fn run(arguments: &BootArguments) -> Result<()> {
    let mut ports = BTreeSet::new();
    if let Some((port, _)) = arguments.forward.iter().find(|(port, _)| !ports.insert(*port)) {
        return Err(Error::recipe(format!("--forward {port}: this machine's port {port} is forwarded twice")));
    }
    // QEMU follows any name of a backing file or an extent, and the guest would read that file of this machine.
    if matches!(image_format(&arguments.image)?, "qcow2" | "vmdk") {
        inspect::check_references(&arguments.image)?;
    }
    // A new folder with a random name that only we may enter; it goes at the end.
    let folder = std::env::temp_dir();
    let scratch = tempfile::Builder::new().prefix("atomic-image-").tempdir_in(&folder);
    let scratch = scratch.context(|| format!("make a folder in {}", folder.display()))?;
    let seed = match &arguments.seed {
        Some(folder) if folder.is_dir() => {
            let iso = scratch.path().join("seed.iso");
            std::fs::write(&iso, seed::of_folder(folder)?).context(|| format!("write {}", iso.display()))?;
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
        bus: arguments.bus.into(),
        forward: (!arguments.no_network).then(|| arguments.forward.clone()),
        memory_mib: arguments.memory,
        processors: PROCESSORS,
        serial: Serial::Terminal,
        control: None,
        log: None,
        scratch: scratch.path().to_path_buf(),
    };
    machine.run()
}
