//! What a guest must show. Every script ends with a digest of the run's number, which is said only when all checks before it held.

use crate::guest::{CLOSED, Guest, PUBLISHED, Setup};
use crate::{growth, payload};
use atomic_image::vm::Bus;
use model::{Digest, Error, Kind, Result, ResultExt};
use recipe::Firmware;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub enum Check {
    /// Everything, booted by the menu's default.
    Whole(Firmware),
    /// The menu's second entry.
    Rollback(Firmware),
    /// Everything but the roles, by UEFI on a bigger disk, which the root has to fill.
    Grown,
    /// A gigabyte of memory and a disk on another bus.
    On(Bus, Firmware),
    /// A machine without a network card.
    WithoutNetwork,
    /// A machine that nobody has given a seed.
    WithoutSeed,
}

impl Check {
    /// Everything that a machine may have otherwise than most.
    pub const HARDWARE: [Check; 7] = [
        Check::On(Bus::Nvme, Firmware::Uefi),
        Check::On(Bus::Scsi, Firmware::Bios),
        Check::On(Bus::Sata, Firmware::Bios),
        Check::On(Bus::Ide, Firmware::Bios),
        Check::On(Bus::Usb, Firmware::Uefi),
        Check::WithoutNetwork,
        Check::WithoutSeed,
    ];
}

/// The least memory that a host is promised to boot with, in MiB.
const LEAST_MEMORY: u32 = 1024;

pub const BASE: &str = include_str!("base.sh");
const ROLES: &str = include_str!("roles.sh");

pub fn run(image: &Path, check: Check, roles: bool) -> Result<()> {
    match check {
        Check::Whole(firmware) => whole(image, firmware, roles),
        Check::Rollback(firmware) => rollback(image, firmware),
        Check::Grown => growth::grown(image, Firmware::Uefi),
        Check::On(bus, firmware) => on(image, Setup { bus, memory_mib: LEAST_MEMORY, ..Setup::usual(firmware) }),
        Check::WithoutNetwork => on(image, Setup { has_network: false, memory_mib: LEAST_MEMORY, ..Setup::usual(Firmware::Bios) }),
        Check::WithoutSeed => without_seed(image),
    }
}

/// Everything runs, as the serial console tells: there may be no network.
fn on(image: &Path, setup: Setup) -> Result<()> {
    let nonce = nonce()?;
    let mut guest = Guest::start(image, setup, &nonce)?;
    guest.log_in()?;
    guest.console.send(
        "cloud-init status --wait >/dev/null; echo state=$(systemctl is-system-running --wait) $(systemctl --failed --plain --no-legend)\n",
    )?;
    let state = guest.console.expect(r"(?m)^state=[^\r\n]*\r", Duration::from_secs(600))?;
    if state.trim() != "state=running" {
        return Err(Error::new(Kind::Verification, format!("expected state=running, found {state}")));
    }
    guest.console.send("until systemctl is-active -q atomic-health.target; do sleep 3; done; echo health=$((1+1))\n")?;
    guest.console.expect("health=2", Duration::from_secs(600))?;
    on_serial(&mut guest, &nonce)
}

/// Nobody can log in, but the prompt is there and says what runs.
fn without_seed(image: &Path) -> Result<()> {
    let mut guest = Guest::start(image, Setup { has_seed: false, ..Setup::usual(Firmware::Bios) }, &nonce()?)?;
    guest.console.expect(r"(?m)^[^\r\n]*SHA256:[^\r\n]*", Duration::from_secs(1200)).context(|| "host keys in front of the prompt")?;
    guest.console.expect(" login: ", Duration::from_secs(300)).map(drop)
}

fn whole(image: &Path, firmware: Firmware, roles: bool) -> Result<()> {
    let nonce = nonce()?;
    let mut guest = Guest::start(image, Setup::usual(firmware), &nonce)?;
    guest.log_in()?;
    on_serial(&mut guest, &nonce)?;
    proven(&guest, BASE, &nonce, 1000).context(|| "base checks")?;
    if roles {
        guest.ssh("sudo docker import - tiny:1", &payload::tiny_tree()?, 400)?;
        proven(&guest, ROLES, &nonce, 600).context(|| "role checks")?;
        firewall(&guest)?;
        cockpit(&guest)?;
    }
    Ok(())
}

/// What a container publishes answers from outside; what a person starts on any port does not.
fn firewall(guest: &Guest) -> Result<()> {
    let server = "echo published >/index.html; exec /bin/busybox httpd -f -p 80 -h /";
    guest.ssh(&format!("sudo docker run -d -p {PUBLISHED}:80 tiny:1 /bin/busybox sh -c '{server}'"), b"", 300)?;
    let listen = format!("cd /usr/share/base-files && (python3 -m http.server {CLOSED} >/dev/null 2>&1 &) && sleep 5");
    guest.ssh(&format!("{listen} && curl -s --retry 10 --retry-all-errors -o /dev/null http://127.0.0.1:{CLOSED}/"), b"", 300)?;
    let expected = [Some("published".to_owned()), None];
    let found = guest.web()?;
    if found == expected {
        return Ok(());
    }
    Err(Error::new(Kind::Verification, format!("the web servers must answer {expected:?} from outside, found {found:?}")))
}

/// The serial console's shell computes the token too.
pub fn on_serial(guest: &mut Guest, nonce: &str) -> Result<()> {
    guest.console.send(&format!("echo \"$(id -un):$(printf %s {nonce} | sha256sum)\"\n"))?;
    let token = Digest::of(nonce.as_bytes());
    guest.console.expect(&format!("centos:{token}"), Duration::from_secs(120)).map(drop)
}

/// Runs a script over ssh and compares its last line with the token.
pub fn proven(guest: &Guest, script: &str, nonce: &str, seconds: u64) -> Result<()> {
    let said = guest.ssh("bash -s", format!("NONCE={nonce}\n{script}").as_bytes(), seconds)?;
    let expected = Digest::of(nonce.as_bytes()).to_string();
    let last = said.lines().last().unwrap_or_default();
    if last.split_whitespace().next() == Some(expected.as_str()) {
        return Ok(());
    }
    Err(Error::new(Kind::Verification, format!("expected the token {expected} as last line, found:\n{said}")))
}

fn cockpit(guest: &Guest) -> Result<()> {
    let failed = |what: &str, found: String| Err(Error::new(Kind::Verification, format!("cockpit {what}, found {found}")));
    let (status, _) = guest.cockpit("/", None)?;
    if status != "200" {
        return failed("must answer 200 on its page", status);
    }
    let (status, body) = guest.cockpit("/cockpit/login", Some(payload::PASSWORD))?;
    if status != "200" || !body.contains("csrf-token") {
        return failed("must log centos in", format!("{status} {body}"));
    }
    let (status, _) = guest.cockpit("/cockpit/login", Some("wrong"))?;
    if status != "401" {
        return failed("must refuse a wrong password with 401", status);
    }
    Ok(())
}

/// Takes the second entry of GRUB's menu on the serial console.
fn rollback(image: &Path, firmware: Firmware) -> Result<()> {
    let nonce = nonce()?;
    let mut guest = Guest::start(image, Setup::usual(firmware), &nonce)?;
    guest.console.press_until("\x1b", "highlighted", Duration::from_secs(180)).context(|| "GRUB's menu on the serial console")?;
    second_entry(&mut guest)?;
    guest.console.send("\r")?;
    guest.log_in()?;
    // The host makes what a person took the first one as soon as it is healthy, and writes `proven` then. Between the two there is no right answer.
    let look = "until systemctl is-active -q atomic-health.target; do sleep 3; done; cat /proc/cmdline; ls /boot/loader/entries; sudo ostree admin status";
    let status = guest.ssh(look, b"", 600)?;
    let booted = status.lines().filter(|line| has_deployment(line)).position(|line| line.trim_start().starts_with(['*', '●']));
    if booted != Some(0) || !status.contains("\nproven\n") {
        return Err(Error::new(
            Kind::Verification,
            format!("expected the deployment of the menu's second entry to be booted and proven, found:\n{status}"),
        ));
    }
    let arguments = guest.ssh("cat /proc/cmdline", b"", 300)?;
    let entry = arguments.split_whitespace().find(|word| word.starts_with("ostree=")).unwrap_or_default().to_owned();
    // The two deployments of one commit differ in the last number of their boot link alone.
    if !entry.ends_with("/1") && status.lines().filter(|line| has_deployment(line)).all(|line| same_commit(line, &status)) {
        return Err(Error::new(Kind::Verification, format!("expected the kernel's ostree= to end with /1, found {entry:?}")));
    }
    on_serial(&mut guest, &nonce)
}

/// After an ESC, until GRUB takes the next byte for a key of its own.
const BEHIND_ESCAPE: Duration = Duration::from_secs(3);

/// Moves the menu's asterisk to the second deployment with Ctrl-N, the next entry in every terminal. A key may be lost, and behind the deployments there are
/// entries that restart the machine: so each is looked at.
fn second_entry(guest: &mut Guest) -> Result<()> {
    // Once more ESC, which must not leave the menu.
    guest.console.send("\x1b")?;
    std::thread::sleep(BEHIND_ESCAPE);
    let mut moved = Err(Error::internal("no key was pressed"));
    for _ in 0..5 {
        guest.console.send("\x0e")?;
        moved = guest.console.expect(r"\*[^*()]*\(ostree:1\)", Duration::from_secs(5));
        if moved.is_ok() {
            break;
        }
    }
    moved.map(drop).context(|| "the second entry of GRUB's menu")
}

/// `* atomic-host <commit>.<serial> …`
fn deployed(line: &str) -> Option<&str> {
    line.split_whitespace().find_map(|word| word.split_once('.').map(|(commit, _)| commit).filter(|commit| Digest::parse(commit).is_ok()))
}

fn has_deployment(line: &str) -> bool {
    deployed(line).is_some()
}

fn same_commit(line: &str, status: &str) -> bool {
    status.lines().filter_map(deployed).all(|commit| Some(commit) == deployed(line))
}

/// 128 bits that no earlier run can have said.
pub fn nonce() -> Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).context(|| "read /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
