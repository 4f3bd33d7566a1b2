//! A machine that is powered on, looked into, saved, and cut off: what a proof of updates does to it.
//!
//! The first guest boots once and is saved under a name; each scenario then goes on from there, which takes seconds in place of a boot.

use super::{Bus, Console, Control, Login, Machine, Monitor, Serial, Ssh, image_format};
use model::{Error, Kind, Result, ResultJudged};
use recipe::Firmware;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// From QEMU's start to its monitor's greeting. Loading a saved state comes before it.
const MONITOR: Duration = Duration::from_secs(120);
/// Between two looks at a guest that boots.
const PAUSE: Duration = Duration::from_secs(3);
/// Seconds of one look.
const LOOK: u64 = 60;

/// What every guest of a series has in common.
#[derive(Debug, Clone)]
pub struct Bench {
    /// A qcow2 image that is written to: the saved states are in it.
    pub disk: PathBuf,
    pub seed: PathBuf,
    /// A folder of one's own, for the monitor's socket.
    pub scratch: PathBuf,
    pub memory_mib: u32,
    pub processors: u32,
    /// Where what the guest writes is logged, for [`replay_flushed`](super::replay_flushed); `disk` is raw then, and nothing can be saved.
    pub write_log: Option<PathBuf>,
    /// How the seed lets one in. A free port of this machine leads to the guest's port 22.
    pub user: String,
    pub login: Login,
}

/// A running machine. Dropping it is a loss of power: the process is killed, and what it had not written is lost.
pub struct Guest {
    pub console: Console,
    pub monitor: Monitor,
    pub ssh: Ssh,
}

impl Bench {
    /// Powers on, or goes on from the state saved as `from`; the console is appended to `log`. BIOS, since the variables of UEFI cannot be saved.
    pub fn power_on(&self, from: Option<&str>, log: &Path) -> Result<Guest> {
        let socket = self.scratch.join("monitor");
        std::fs::remove_file(&socket).ignore_because("there is none before the first guest");
        let machine = Machine {
            image: self.disk.clone(),
            keep: true,
            firmware: Firmware::Bios,
            second: None,
            seed: Some(self.seed.clone()),
            bus: Bus::Virtio,
            forward: Some(vec![(0, 22)]),
            memory_mib: self.memory_mib,
            processors: self.processors,
            serial: Serial::Pipes,
            control: Some(Control { monitor: socket.clone(), from: from.map(str::to_owned), write_log: self.write_log.clone() }),
            log: Some(log.to_path_buf()),
            scratch: self.scratch.clone(),
        };
        let console = machine.console()?;
        let mut monitor = Monitor::connect(&socket, MONITOR)?;
        let port = monitor.forwarded_port(22)?;
        Ok(Guest { console, monitor, ssh: Ssh { port, user: self.user.clone(), login: self.login.clone() } })
    }
}

/// Makes `raw`, a raw image of what the qcow2 image `disk` had when its state `name` was saved.
pub fn disk_of_state(disk: &Path, name: &str, raw: &Path) -> Result<()> {
    qemu_img(Command::new("qemu-img").args(["convert", "-O", "raw", "-l", &format!("snapshot.name={name}")]).args([disk, raw]))
}

/// Makes `disk`, a qcow2 image that reads `image` where nothing was written yet. `image` must stay where it is and as it is.
pub fn layer_over(image: &Path, disk: &Path) -> Result<()> {
    let image_is = image_format(image)?;
    let backing = std::fs::canonicalize(image).map_err(|e| Error::recipe(format!("cannot find {}", image.display())).source(e))?;
    qemu_img(Command::new("qemu-img").args(["create", "-q", "-f", "qcow2", "-F", image_is, "-b"]).args([backing.as_path(), disk]))
}

fn qemu_img(command: &mut Command) -> Result<()> {
    let output = command.output().map_err(|e| {
        Error::tool("cannot start qemu-img").source(e).hint("install QEMU's tools: package qemu-utils (Debian) or qemu-img (Fedora)")
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::tool(format!("qemu-img ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())))
}

impl Guest {
    /// Waits until `command` succeeds over ssh, looking again and again: the guest may be off, booting or not ready.
    pub fn wait_until(&mut self, command: &str, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            let answer = self.ssh.run(command, b"", LOOK)?;
            if answer.status == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                let said = format!("{}{}", answer.stdout, answer.stderr);
                let seconds = timeout.as_secs();
                return Err(Error::new(
                    Kind::Verification,
                    format!("{command:?} did not succeed within {seconds} s; last it said: {said}"),
                ));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until this boot is another one than `boot`, a boot id, and its health is decided. Returns the new boot id.
    pub fn wait_for_health(&mut self, boot: &str, timeout: Duration) -> Result<String> {
        let is_new =
            format!("[ \"$(cat /proc/sys/kernel/random/boot_id)\" != \"{boot}\" ] && systemctl is-active --quiet atomic-health.target");
        self.wait_until(&is_new, timeout)?;
        self.boot_id()
    }

    /// Returns the kernel's number of this boot.
    pub fn boot_id(&self) -> Result<String> {
        Ok(self.ssh.must("cat /proc/sys/kernel/random/boot_id", b"", LOOK)?.trim().to_owned())
    }

    /// Kills the machine, as a loss of power does.
    pub fn cut_power(self) {
        drop(self);
    }

    /// Kills the machine, whose console can still be read.
    pub fn end(&mut self) {
        self.console.end();
    }
}
