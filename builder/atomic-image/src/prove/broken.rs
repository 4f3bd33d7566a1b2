//! Trees that are broken on purpose: each is tried three times, and then the host is on the version before it, without a hand on it, and says why.

use super::lab::{COMMAND, Lab, expect, failed, reboot, root};
use crate::vm::Guest;
use model::Result;
use std::time::Duration;

/// The four boots of a fallback under emulation, three of which may wait for a watchdog.
const FALLBACK: Duration = Duration::from_secs(3600);
/// Makes the broken tree from the running one.
const BREAK: &str = include_str!("broken.sh");
const SAID: &str = "atomic host status; cat /run/issue.d/*; journalctl -b -u atomic-boot-report.service --no-pager; \
                    ls /boot/loader/entries; head -c 25 /boot/grub2/grubenv";

/// Breaks the tree with `words`, reboots, waits for the tree before it, and returns the reason that the host gives.
fn falls_back(lab: &Lab, guest: &mut Guest, boot: &str, words: &str, reason: &str) -> Result<String> {
    root(guest, &format!("OS='{}'\n{BREAK}\n{words}\n", lab.target.os))?;
    reboot(guest)?;
    guest.wait_for_health(boot, FALLBACK)?;
    let shown = root(guest, SAID)?;
    let newest = &lab.target.newest_version;
    let verdict = format!("Version 0-broken did not become healthy in three boots, so this host fell back to {newest}.");
    expect("the host after the fallback", &shown, &[&verdict, reason, "proven\n# GRUB Environment Block"])?;
    let first = shown.lines().find(|line| line.trim_start().starts_with("Version:")).unwrap_or("no version");
    expect("the first boot entry", first, &[newest])?;
    match shown.lines().find(|line| line.contains(reason)) {
        Some(line) => Ok(line.trim().to_owned()),
        None => Err(failed(format!("no line has the reason {reason:?}"))),
    }
}

pub fn panic(lab: &Lab, guest: &mut Guest, boot: &str) -> Result<String> {
    let reason = falls_back(lab, guest, boot, "deploy --karg-append=rdinit=/nope", "there is no record of its boots: its kernel panicked")?;
    // What failed is held back; what is newer than it is not.
    let offered = guest.ssh.run("sudo atomic host upgrade --check", b"", COMMAND)?;
    expect("upgrade --check", &offered.stdout, &["No update:"])?;
    Ok(reason)
}

pub fn no_root(lab: &Lab, guest: &mut Guest, boot: &str) -> Result<String> {
    falls_back(lab, guest, boot, "deploy --karg=root=LABEL=nope", "found no root filesystem")
}

pub fn check(lab: &Lab, guest: &mut Guest, boot: &str) -> Result<String> {
    let words = "add usr/lib/atomic-health/required.d/50-broken '#!/bin/sh\necho the engine is missing\nexit 1'\n\
                 mkdir -p /etc/atomic-image\nprintf '[health]\\ncheck-seconds = 5\\n' >/etc/atomic-image/health.conf\ndeploy";
    falls_back(lab, guest, boot, words, "required check 50-broken failed: the engine is missing")
}

/// The configuration is the tree's: the running host does not have it.
pub fn ssh(lab: &Lab, guest: &mut Guest, boot: &str) -> Result<String> {
    let words = "mkdir -p /etc/atomic-image\nprintf '[health]\\ncheck-seconds = 5\\n' >/etc/atomic-image/health.conf\n\
                 add usr/etc/ssh/sshd_config.d/00-broken.conf 'NoSuchKeyword yes'\nchmod 600 \"$added\"/usr/etc/ssh/sshd_config.d/00-broken.conf\ndeploy";
    falls_back(lab, guest, boot, words, "required check 10-ssh failed: sshd's configuration")
}

/// A thread of the highest real-time priority takes the processor for itself, and so nobody pets the watchdog.
pub fn hang(lab: &Lab, guest: &mut Guest, boot: &str) -> Result<String> {
    falls_back(lab, guest, boot, HANG, "ended without a verdict: a panic, a hang or a reset")
}

const HANG: &str = r#"add usr/lib/systemd/system/atomic-proof-hang.service '[Unit]
After=atomic-watchdog.service
[Service]
Type=oneshot
ExecStart=/usr/libexec/atomic-image/hang'
add usr/libexec/atomic-image/hang '#!/bin/sh
echo -1 >/proc/sys/kernel/sched_rt_runtime_us
for processor in $(seq "$(nproc)"); do chrt -f 99 sh -c "while :; do :; done" & done
wait'
mkdir -p "$added/usr/lib/systemd/system/sysinit.target.wants" "$added/usr/lib/systemd/system/multi-user.target.wants"
ln -s ../atomic-proof-hang.service "$added/usr/lib/systemd/system/multi-user.target.wants/atomic-proof-hang.service"
deploy"#;
