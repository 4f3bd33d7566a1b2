//! Losses of power: QEMU is killed while the host downloads, stages, shuts down and boots for the first time.

use super::lab::{BOOT, COMMAND, Lab, failed, reboot, root};
use super::updating::booted;
use crate::vm::{Bench, Guest, disk_of_state, replay_flushed};
use model::{Result, ResultExt};
use serde::Serialize;
use std::time::{Duration, Instant};

/// The update is staged, and nothing of the shutdown has begun.
const STAGED: &str = "staged";

/// After a reboot was asked for: staged deployments are finalized then.
const IN_SHUTDOWN: Duration = Duration::from_secs(10);

/// What became of one loss of power.
#[derive(Debug, Clone, Serialize)]
pub struct CutRow {
    pub phase: String,
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
    let (mut wrong, mut count) = (0, 0);
    for number in (0..lab.plan.cuts).filter(|&number| lab.plan.shard.has(number)) {
        count += 1;
        // Every phase in turn, and within a phase evenly spread.
        let (phase, turn) = (&phases[number as usize % phases.len()], number / phases.len() as u32);
        let turns = lab.plan.cuts.div_ceil(phases.len() as u32);
        let moment = phase.from + (phase.to - phase.from) * (2 * turn + 1) / (2 * turns);
        let row = cut(lab, phase, moment);
        wrong += u32::from(row.fault.is_some());
        lab.note_cut(row);
    }
    match wrong {
        // A verdict on a shard does not look like one on the whole.
        0 => Ok(format!("{count} of {} cuts", lab.plan.cuts)),
        _ => Err(failed(format!("after {wrong} of {count} cuts the host was not right"))),
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

/// A loss of power in the middle of the shutdown on a disk whose cache is lost with it: everything after the guest's last flush is gone.
pub fn without_cache(lab: &Lab, guest: &mut Guest, _boot: &str) -> Result<String> {
    guest.end();
    let folder = &lab.plan.scratch;
    let (before, written, log) = (folder.join("before.raw"), folder.join("written.raw"), folder.join("writes"));
    disk_of_state(&lab.bench.disk, lab.older(), &before)?;
    disk_of_state(&lab.bench.disk, lab.older(), &written)?;
    std::fs::write(&log, b"").context(|| format!("make {}", log.display()))?;
    let mut bench = Bench { disk: written.clone(), write_log: Some(log.clone()), ..lab.bench.clone() };
    let mut guest = bench.power_on(None, &lab.log("power"))?;
    guest.wait_for_health("", BOOT)?;
    root(&guest, "atomic host upgrade")?;
    reboot(&guest)?;
    std::thread::sleep(IN_SHUTDOWN);
    guest.cut_power();
    let replayed = replay_flushed(&log, &before)?;
    bench = Bench { disk: before.clone(), write_log: None, ..bench };
    let mut guest = bench.power_on(None, &lab.log("power"))?;
    let (version, fault) = verdict(judge(lab, &mut guest));
    drop(guest);
    for file in [before, written, log] {
        std::fs::remove_file(&file).context(|| format!("remove {}", file.display()))?;
    }
    let phase = format!("shutdown, {} of {} writes lost", replayed.dropped, replayed.kept + replayed.dropped);
    let said = phase.clone();
    let failure = fault.clone();
    lab.note_cut(CutRow { phase, seconds: IN_SHUTDOWN.as_secs_f64(), version, fault });
    failure.map_or(Ok(said), |fault| Err(failed(fault)))
}

fn cut(lab: &Lab, phase: &Phase, moment: Duration) -> CutRow {
    let (version, fault) = verdict(survives(lab, phase, moment));
    CutRow { phase: phase.name.to_owned(), seconds: moment.as_secs_f64(), version, fault }
}

/// Cuts the power in the middle of a phase, and returns the version that is healthy afterwards.
fn survives(lab: &Lab, phase: &Phase, moment: Duration) -> Result<String> {
    let guest = lab.power_on(Some(phase.state), "power")?;
    let mut command = guest.ssh.start(phase.command, COMMAND)?;
    std::thread::sleep(moment);
    guest.cut_power();
    drop(command.kill());
    drop(command.wait());
    judge(lab, &mut lab.power_on(None, "power")?)
}

fn verdict(judged: Result<String>) -> (Option<String>, Option<String>) {
    match judged {
        Ok(version) => (Some(version), None),
        Err(error) => (None, Some(format!("{error:#}"))),
    }
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
