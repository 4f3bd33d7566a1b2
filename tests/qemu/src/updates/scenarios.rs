//! What is done to the guest, and what it must show then.

use atomic_image::vm::Guest;
use model::{Error, Kind, Result};
use std::time::Duration;

pub struct Scenario {
    pub name: &'static str,
    pub promise: &'static str,
    /// The guest is healthy in the boot of this id.
    pub run: fn(&mut Guest, &str) -> Result<()>,
}

pub const SCENARIOS: [Scenario; 5] = [
    Scenario { name: "upgrade", promise: "1.1 is staged, runs, and goes back to 1.0 and forward again", run: upgrade },
    Scenario { name: "panic", promise: "a kernel that panics three times falls back", run: panic },
    Scenario { name: "no-root", promise: "an initramfs that finds no root reboots and falls back", run: no_root },
    Scenario { name: "check", promise: "a failed required check falls back and is named", run: check },
    Scenario { name: "menu", promise: "ESC on the serial line shows the hidden menu with both versions", run: menu },
];

/// One boot, and the four boots of a fallback, under emulation on a busy machine.
const BOOT: Duration = Duration::from_secs(1200);
const FALLBACK: Duration = Duration::from_secs(3000);
const COMMAND: u64 = 600;
/// Makes the broken trees: a commit over the running one, deployed by plain `ostree`, as somebody would who does not know of us.
const BREAK: &str = include_str!("break.sh");

fn root(guest: &Guest, script: &str) -> Result<String> {
    guest.ssh.must("sudo bash -eu -s", script.as_bytes(), COMMAND)
}

/// ssh may end before its answer when the guest goes down.
fn reboot(guest: &Guest) -> Result<()> {
    guest.ssh.run("sudo systemctl reboot", b"", 60).map(drop)
}

fn expect(what: &str, text: &str, parts: &[&str]) -> Result<()> {
    match parts.iter().find(|part| !text.contains(**part)) {
        None => Ok(()),
        Some(part) => Err(Error::new(Kind::Verification, format!("{what}: expected {part:?}, found:\n{text}"))),
    }
}

fn upgrade(guest: &mut Guest, boot: &str) -> Result<()> {
    root(guest, "echo kept >/etc/kept; echo kept >/var/kept")?;
    expect("upgrade --check", &root(guest, "atomic host upgrade --check")?, &["Version 1.1 is there for this host."])?;
    expect("upgrade", &root(guest, "rpm-ostree upgrade")?, &["Version 1.1 is staged"])?;
    reboot(guest)?;
    let boot = guest.wait_for_health(boot, BOOT)?;
    let shown =
        root(guest, "cat /usr/share/atomic-image/marker /etc/kept /var/kept /proc/cmdline; getent passwd newuser; atomic host status")?;
    expect("the new tree", &shown, &["1.1\nkept\nkept\n", " panic=9", " audit=0", "newuser:x:480:", "Version: 1.1", "valid by key"])?;
    if shown.contains("panic=10") {
        return Err(Error::new(Kind::Verification, format!("the old kernel argument is still there:\n{shown}")));
    }
    expect("rollback", &root(guest, "atomic host rollback")?, &["1.0 runs after the next boot"])?;
    reboot(guest)?;
    let boot = guest.wait_for_health(&boot, BOOT)?;
    expect("the old tree", &root(guest, "cat /proc/cmdline; ls /boot/loader/entries")?, &["panic=10", "proven"])?;
    root(guest, "atomic host deploy 1.1")?;
    reboot(guest)?;
    guest.wait_for_health(&boot, BOOT)?;
    expect("the new tree again", &root(guest, "cat /usr/share/atomic-image/marker")?, &["1.1"])
}

/// Breaks the tree, reboots, waits for the old one, and returns what it says.
fn fall_back(guest: &mut Guest, boot: &str, words: &str) -> Result<String> {
    root(guest, &format!("{BREAK}\n{words}\n"))?;
    reboot(guest)?;
    guest.wait_for_health(boot, FALLBACK)?;
    let said = "atomic host status; cat /run/issue.d/*; journalctl -b -u atomic-boot-report.service --no-pager; ls /boot/loader/entries; head -c 100 /boot/grub2/grubenv";
    let shown = root(guest, said)?;
    let proven =
        ["proven\n# GRUB Environment Block\n####", "Version 9.9 did not become healthy in three boots, so this host fell back to 1.0."];
    expect("the old tree", &shown, &proven)?;
    let first = shown.lines().find(|line| line.trim_start().starts_with("Version:")).unwrap_or_default();
    expect("the first boot entry", first, &["Version: 1.0"])?;
    Ok(shown)
}

fn panic(guest: &mut Guest, boot: &str) -> Result<()> {
    let shown = fall_back(guest, boot, "deploy --karg-append=rdinit=/nope")?;
    expect("why", &shown, &["there is no record of its boots: its kernel panicked"])?;
    let held = guest.ssh.run("sudo atomic host upgrade --check --json", b"", COMMAND)?;
    expect("another version is still offered", &held.stdout, &["\"version\": \"1.1\""])
}

fn no_root(guest: &mut Guest, boot: &str) -> Result<()> {
    let shown = fall_back(guest, boot, "deploy --karg=root=LABEL=nope")?;
    expect("why", &shown, &["found no root filesystem"])
}

fn check(guest: &mut Guest, boot: &str) -> Result<()> {
    let words = "add usr/lib/atomic-health/required.d/50-broken '#!/bin/sh\necho the engine is missing\nexit 1'\nprintf '[health]\\ncheck-seconds = 5\\n' >/etc/atomic-image-health\nmkdir -p /etc/atomic-image && mv /etc/atomic-image-health /etc/atomic-image/health.conf\ndeploy";
    let shown = fall_back(guest, boot, words)?;
    expect("why", &shown, &["required check 50-broken failed: the engine is missing"])
}

fn menu(guest: &mut Guest, boot: &str) -> Result<()> {
    root(guest, &format!("{BREAK}\ndeploy\n"))?;
    reboot(guest)?;
    // The hidden second is short: ESC is pressed until the menu is there.
    let mut shown = Err(Error::internal("no key was pressed"));
    for _ in 0..400 {
        guest.console.send("\x1b")?;
        shown = guest.console.expect("9\\.9[^\\n]*\\(ostree:0\\)", Duration::from_millis(500));
        if shown.is_ok() {
            break;
        }
    }
    shown?;
    guest.console.expect("1\\.0[^\\n]*\\(ostree:1\\)", Duration::from_secs(20))?;
    // Ctrl-N is the next entry. What a person takes and what becomes healthy is the default from then on.
    guest.console.send("\x0e")?;
    std::thread::sleep(Duration::from_secs(2));
    guest.console.send("\r")?;
    guest.wait_for_health(boot, BOOT)?;
    let shown = root(guest, "atomic host status")?;
    let first = shown.lines().find(|line| line.trim_start().starts_with("Version:")).unwrap_or_default();
    expect("the first boot entry", first, &["Version: 1.0"])
}
