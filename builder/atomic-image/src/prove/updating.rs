//! What goes well: upgrade, rollback, forward again, and the boot menu.

use super::lab::{BOOT, COMMAND, Lab, expect, failed, reboot, root};
use crate::vm::Guest;
use model::{ByteSize, Error, Result};
use serde_json::Value;
use std::time::{Duration, Instant};

/// A container of the guest's own files, with a volume, where there is a docker; it must run again after each boot.
const CONTAINER: &str = include_str!("container.sh");
/// What must hold in a tree that was upgraded to.
const UPGRADED: &str = include_str!("upgraded.sh");

pub fn upgrade(lab: &Lab, guest: &mut Guest, boot: &str) -> Result<String> {
    root(guest, &format!("echo kept >/etc/atomic-proof; echo kept >/var/atomic-proof\n{CONTAINER}"))?;
    let newest = &lab.target.newest_version;
    expect("upgrade --check", &root(guest, "atomic host upgrade --check")?, &[&format!("Version {newest} is there for this host.")])?;
    let (sent, began) = (lab.server.sent(), Instant::now());
    expect("upgrade", &root(guest, "atomic host upgrade")?, &[&format!("Version {newest} is staged")])?;
    let said = format!("{} in {:.0} s", ByteSize(lab.server.sent() - sent), began.elapsed().as_secs_f64());
    reboot(guest)?;
    guest.wait_for_health(boot, BOOT)?;
    expect_version(guest, newest)?;
    let titles = root(guest, "grep -h ^title /boot/loader/entries/*.conf")?;
    expect("the boot menu", &titles, &[newest, &lab.from])?;
    root(guest, UPGRADED)?;
    lab.save_newest(guest)?;
    Ok(said)
}

pub fn rollback(lab: &Lab, guest: &mut Guest, boot: &str) -> Result<String> {
    go_back(lab, guest, boot)?;
    Ok(format!("to {}", lab.from))
}

pub fn forward(lab: &Lab, guest: &mut Guest, boot: &str) -> Result<String> {
    let boot = go_back(lab, guest, boot)?;
    root(guest, &format!("atomic host deploy '{}'", lab.target.newest_version))?;
    reboot(guest)?;
    guest.wait_for_health(&boot, BOOT)?;
    expect_version(guest, &lab.target.newest_version)?;
    root(guest, UPGRADED)?;
    Ok(format!("to {} and {}", lab.from, lab.target.newest_version))
}

fn go_back(lab: &Lab, guest: &mut Guest, boot: &str) -> Result<String> {
    expect("rollback", &root(guest, "atomic host rollback")?, &[&format!("{} runs after the next boot", lab.from)])?;
    reboot(guest)?;
    let boot = guest.wait_for_health(boot, BOOT)?;
    expect_version(guest, &lab.from)?;
    Ok(boot)
}

/// Takes the second entry with the keyboard: SHIFT is held while GRUB starts.
pub fn menu(lab: &Lab, guest: &mut Guest, boot: &str) -> Result<String> {
    reboot(guest)?;
    let mut shown = Err(Error::internal("no key was pressed"));
    for _ in 0..400 {
        guest.monitor.press(&["shift"], 900)?;
        // BIOS shows the menu on the screen and on the serial line.
        shown = guest.console.expect("\\(ostree:1\\)", Duration::from_secs(1));
        if shown.is_ok() {
            break;
        }
    }
    shown?;
    std::thread::sleep(Duration::from_secs(2));
    guest.monitor.press(&["down"], 100)?;
    std::thread::sleep(Duration::from_secs(2));
    guest.monitor.press(&["ret"], 100)?;
    let boot = guest.wait_for_health(boot, BOOT)?;
    expect_version(guest, &lab.from)?;
    reboot(guest)?;
    guest.wait_for_health(&boot, BOOT)?;
    expect_version(guest, &lab.from)?;
    Ok(format!("{} stays the default", lab.from))
}

/// An error unless the running tree has this version, a good signature, and no trial that has not ended.
pub fn expect_version(guest: &Guest, version: &str) -> Result<()> {
    let booted = booted(guest)?;
    let field = |name: &str| booted.get(name).cloned().unwrap_or(Value::Null);
    let signature = field("signature").get("state").cloned();
    if field("version") == *version && signature == Some(Value::from("valid")) && field("trial") == false {
        return Ok(());
    }
    Err(failed(format!("expected version {version}, healthy and with a valid signature, found {booted}")))
}

/// The running deployment's row of `atomic host status --json`.
pub fn booted(guest: &Guest) -> Result<Value> {
    let text = guest.ssh.must("sudo atomic host status --json", b"", COMMAND)?;
    let status: Value =
        serde_json::from_str(&text).map_err(|e| failed(format!("atomic host status --json is no JSON: {text}")).source(e))?;
    let rows = status.get("deployments").and_then(Value::as_array);
    let booted = rows.and_then(|rows| rows.iter().find(|row| row.get("booted") == Some(&Value::Bool(true))));
    booted.cloned().ok_or_else(|| failed(format!("no deployment is booted: {text}")))
}
