//! A booted guest: logged in on the serial console, and reachable over ssh and https.

use crate::payload;
use atomic_image::vm::{Bus, Console, Login, Machine, Serial, Ssh};
use model::{Error, Kind, Result, ResultExt};
use recipe::Firmware;
use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// From power-on to the login prompt, and from there to a shell (cloud-init sets the password meanwhile).
const BOOT: Duration = Duration::from_secs(1200);
const LOGIN: Duration = Duration::from_secs(600);
const COMMAND: Duration = Duration::from_secs(240);
/// What the shell says once `PROMPT_SETTING` is expanded; the echo of the setting does not look like it.
const PROMPT: &str = "READY-42> ";
const PROMPT_SETTING: &str = "PS1='READY-$((40+2))> '";

pub struct Guest {
    pub console: Console,
    ssh: Ssh,
    cockpit_port: u16,
    /// Ports of this machine that lead to the guest's [`PUBLISHED`] and [`CLOSED`].
    web_ports: [u16; 2],
    scratch: PathBuf,
}

/// The machine that the guest gets.
pub struct Setup {
    pub firmware: Firmware,
    pub bus: Bus,
    pub memory_mib: u32,
    pub has_seed: bool,
    pub has_network: bool,
    /// A raw disk beside the image, with which the guest writes into the image itself; without it what the guest writes is lost.
    pub second: Option<PathBuf>,
}

impl Setup {
    /// What most checks run on.
    pub fn usual(firmware: Firmware) -> Setup {
        Setup { firmware, bus: Bus::Virtio, memory_mib: 3072, has_seed: true, has_network: true, second: None }
    }
}

/// A port of the guest that a container publishes.
pub const PUBLISHED: u16 = 8081;
/// A port of the guest on which a program listens that nobody has allowed to.
pub const CLOSED: u16 = 8082;

impl Drop for Guest {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.scratch).ok();
    }
}

impl Guest {
    /// Powers on; nothing is waited for yet.
    pub fn start(image: &Path, setup: Setup, instance: &str) -> Result<Guest> {
        let scratch = std::env::temp_dir().join(format!("atomic-image-boot-{}-{instance}", std::process::id()));
        std::fs::create_dir_all(&scratch).context(|| format!("create {}", scratch.display()))?;
        let seed = scratch.join("seed.iso");
        std::fs::write(&seed, payload::seed(instance)?).context(|| format!("write {}", seed.display()))?;
        let [ssh_port, cockpit_port, published, closed] = free_ports()?;
        let machine = Machine {
            image: image.to_path_buf(),
            keep: setup.second.is_some(),
            second: setup.second,
            firmware: setup.firmware,
            seed: setup.has_seed.then_some(seed),
            bus: setup.bus,
            forward: setup.has_network.then(|| vec![(ssh_port, 22), (cockpit_port, 9090), (published, PUBLISHED), (closed, CLOSED)]),
            memory_mib: setup.memory_mib,
            // Guests run side by side, one for each processor: with more each, emulated processors wait so long that the kernel reports a lockup.
            processors: 1,
            serial: Serial::Pipes,
            control: None,
            log: None,
            scratch: scratch.clone(),
        };
        let console = machine.console()?;
        let ssh = Ssh { port: ssh_port, user: "centos".into(), login: Login::Password(payload::PASSWORD.into()) };
        Ok(Guest { console, ssh, cockpit_port, web_ports: [published, closed], scratch })
    }

    /// Waits for the prompt and logs in on the serial console; tries again while cloud-init has not set the password yet.
    pub fn log_in(&mut self) -> Result<()> {
        self.console.expect("login: ", BOOT)?;
        let deadline = Instant::now() + LOGIN;
        loop {
            self.console.send("centos\n")?;
            self.console.expect("Password: ", COMMAND)?;
            self.console.send(&format!("{}\n", payload::PASSWORD))?;
            let answer = self.console.expect(r"Last login|Login incorrect|login: timed out|login: |[$#] ", COMMAND)?;
            if !answer.to_ascii_lowercase().starts_with("login") {
                break;
            }
            if Instant::now() > deadline {
                return Err(Error::new(Kind::Verification, format!("no login as centos within {} s of the prompt", LOGIN.as_secs())));
            }
            // login(1) gives a session a minute to begin, which a busy machine may not keep to.
            if answer != "login: " {
                self.console.expect("login: ", COMMAND)?;
            }
            std::thread::sleep(Duration::from_secs(5));
        }
        // Kernel messages and prompt decorations would tear lines apart.
        self.console.send("exec env TERM=dumb bash --norc --noprofile\n")?;
        self.console.send(&format!("{PROMPT_SETTING}\n"))?;
        self.console.expect(PROMPT, COMMAND)?;
        self.type_line("sudo dmesg -n1; stty cols 500")
    }

    /// Types a line and waits until the shell is ready again.
    pub fn type_line(&mut self, line: &str) -> Result<()> {
        self.console.send(&format!("{line}\n"))?;
        self.console.expect(PROMPT, COMMAND).map(drop)
    }

    /// Runs `command` as centos over ssh with the password, `input` on its stdin; returns what it printed. Fails as it fails.
    pub fn ssh(&self, command: &str, input: &[u8], seconds: u64) -> Result<String> {
        self.ssh.must(command, input, seconds)
    }

    /// What the guest's web servers on [`PUBLISHED`] and [`CLOSED`] answer to this machine; `None` if nothing comes.
    pub fn web(&self) -> Result<[Option<String>; 2]> {
        let mut answers = [None, None];
        for (port, answer) in self.web_ports.iter().zip(&mut answers) {
            let url = format!("http://127.0.0.1:{port}/");
            let output = Command::new("curl").args(["-s", "--max-time", "30", &url]).output().context(|| "start curl")?;
            *answer = output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        Ok(answers)
    }

    /// (status, body) of a page of cockpit; with a password, as centos.
    pub fn cockpit(&self, path: &str, password: Option<&str>) -> Result<(String, String)> {
        let url = format!("https://127.0.0.1:{}{path}", self.cockpit_port);
        let mut curl = Command::new("curl");
        curl.args(["-k", "-s", "-S", "--max-time", "180", "--retry", "5", "--retry-all-errors", "-w", "\n%{http_code}", &url]);
        if let Some(password) = password {
            curl.args(["-u", &format!("centos:{password}")]);
        }
        let output = curl.output().context(|| "start curl")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap_or(("", ""));
        if output.status.success() {
            return Ok((status.to_owned(), body.to_owned()));
        }
        Err(Error::new(Kind::Verification, format!("cockpit {path}: {}", String::from_utf8_lossy(&output.stderr).trim())))
    }
}

/// Ports that nobody listens on. They lie below the range from which the kernel takes the local ports of outgoing connections (32768 and up, in
/// ip_local_port_range), so that no connection of another test takes one before QEMU listens on it.
fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let mut draw = File::open("/dev/urandom").context(|| "open /dev/urandom")?;
    let mut port = || -> Result<TcpListener> {
        let mut refused = None;
        for _ in 0..100 {
            let mut random = [0; 2];
            draw.read_exact(&mut random).context(|| "read /dev/urandom")?;
            match TcpListener::bind(("127.0.0.1", 10_000 + u16::from_le_bytes(random) % 20_000)) {
                Ok(listener) => return Ok(listener),
                Err(error) => refused = Some(error),
            }
        }
        Err(Error::new(Kind::Tool, format!("no free port from 10000 to 29999 on 127.0.0.1: {refused:?}")))
    };
    // Held together, so that they differ.
    let listeners: Vec<TcpListener> = (0..COUNT).map(|_| port()).collect::<Result<_>>()?;
    let mut ports = [0; COUNT];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr().context(|| "find a free port")?.port();
    }
    Ok(ports)
}
