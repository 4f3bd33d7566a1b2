//! Losses of power: QEMU is killed while the host downloads, stages, shuts down and boots for the first time.

use super::lab::{BOOT, COMMAND, Lab, failed, reboot, root};
use super::updating::booted;
use crate::vm::Guest;
use model::Result;
use serde::Serialize;
use std::time::{Duration, Instant};

/// The update is staged, and nothing of the shutdown has begun.
const STAGED: &str = "staged";

/// What became of one loss of power.
#[derive(Debug, Clone, Serialize)]
pub struct CutRow {
    pub phase: &'static str,
    /// Seconds after the phase's first command.
    pub seconds: f64,
    /// The version that booted to health afterwards.
    pub version: Option<String>,
    /// Why it is not right, if it is not.
    pub fault: Option<String>,
}

/// A span of time in which the power is cut.
struct Phase {
    name: &'static str,
    state: &'static str,
    command: &'static str,
    from: Duration,
    to: Duration,
}

pub fn cuts(lab: &Lab, guest: &mut Guest, boot: &str) -> Result<String> {
    let phases = phases(lab, guest, boot)?;
    guest.end();
    let mut wrong = 0;
    for number in 0..lab.plan.cuts {
        // Every phase in turn, and within a phase evenly spread.
        let (phase, turn) = (&phases[number as usize % phases.len()], number / phases.len() as u32);
        let turns = lab.plan.cuts.div_ceil(phases.len() as u32);
        let moment = phase.from + (phase.to - phase.from) * (2 * turn + 1) / (2 * turns);
        let row = cut(lab, phase, moment)?;
        wrong += u32::from(row.fault.is_some());
        lab.note_cut(row);
    }
    match wrong {
        0 => Ok(format!("{} cuts", lab.plan.cuts)),
        _ => Err(failed(format!("after {wrong} of {} cuts the host was not right", lab.plan.cuts))),
    }
}

/// Takes the update once without a loss, and says how long its phases take here.
fn phases(lab: &Lab, guest: &mut Guest, boot: &str) -> Result<[Phase; 3]> {
    let began = Instant::now();
    root(guest, "atomic host upgrade")?;
    let staged = began.elapsed();
    lab.save(guest, STAGED)?;
    let began = Instant::now();
    reboot(guest)?;
    guest.console.expect("Linux version", BOOT)?;
    let kernel = began.elapsed();
    guest.wait_for_health(boot, BOOT)?;
    let healthy = began.elapsed();
    let zero = Duration::ZERO;
    Ok([
        Phase { name: "download and stage", state: lab.older(), command: "sudo atomic host upgrade", from: zero, to: staged },
        Phase { name: "shutdown", state: STAGED, command: "sudo systemctl reboot", from: zero, to: kernel },
        Phase { name: "first boot", state: STAGED, command: "sudo systemctl reboot", from: kernel, to: healthy },
    ])
}

fn cut(lab: &Lab, phase: &Phase, moment: Duration) -> Result<CutRow> {
    let mut guest = lab.power_on(Some(phase.state))?;
    let mut command = guest.ssh.start(phase.command, COMMAND)?;
    std::thread::sleep(moment);
    lab.keep_log("power", &mut guest)?;
    guest.cut_power();
    drop(command.kill());
    drop(command.wait());
    let mut guest = lab.power_on(None)?;
    let judged = judge(lab, &mut guest);
    lab.keep_log("power", &mut guest)?;
    let (version, fault) = match judged {
        Ok(version) => (Some(version), None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    Ok(CutRow { phase: phase.name, seconds: moment.as_secs_f64(), version, fault })
}

/// The version that is healthy now, if the host is right.
fn judge(lab: &Lab, guest: &mut Guest) -> Result<String> {
    guest.wait_for_health("", BOOT)?;
    let row = booted(guest)?;
    let version = row.get("version").and_then(|version| version.as_str()).unwrap_or("").to_owned();
    if version != lab.from && version != lab.target.newest_version {
        return Err(failed(format!("expected version {} or {}, found {row}", lab.from, lab.target.newest_version)));
    }
    root(guest, "ostree fsck --quiet")?;
    Ok(version)
}
