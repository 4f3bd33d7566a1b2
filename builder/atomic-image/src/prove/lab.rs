//! The machine, the server and the saved states that scenarios start from.

use super::power::CutRow;
use super::scenarios::{Scenario, Start};
use super::target::Target;
use super::{Plan, offer, updating};
use crate::tree::{self, ReleasePlan};
use crate::vm::{Bench, Guest, Login, layer_over, make_key};
use filesystems::iso9660;
use model::{Error, Kind, Progress, Result, ResultExt, ResultJudged};
use ostree::Store;
use signing::SigningKey;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

/// A first boot under emulation on a busy machine, with everything that cloud-init does then.
const FIRST_BOOT: Duration = Duration::from_secs(1500);
/// Any other boot.
pub const BOOT: Duration = Duration::from_secs(1200);
/// Seconds that a command may take.
pub const COMMAND: u64 = 900;
/// The user that the seed makes.
const USER: &str = "prover";
/// This machine, as a guest of QEMU's user network calls it.
const HOST: &str = "10.0.2.2";
/// The image's own version, healthy, with the server of the proof as its update source.
const INSTALLED: &str = "installed";
/// The older version that is upgraded from.
const OLDER: &str = "older";
/// The newest version, healthy, after an upgrade.
const NEWEST: &str = "newest";

pub struct Lab<'a> {
    pub plan: &'a Plan,
    progress: &'a dyn Progress,
    pub store: Store,
    pub target: Target,
    pub bench: Bench,
    pub server: Server,
    /// The release plan that the server offers: the store's, or one with the newest version for everybody.
    pub offered: ReleasePlan,
    /// The version that is upgraded from.
    pub from: String,
    /// One row for each loss of power.
    pub cuts: RefCell<Vec<CutRow>>,
}

impl<'a> Lab<'a> {
    pub fn new(plan: &'a Plan, store: Store, target: Target, progress: &'a dyn Progress) -> Result<Lab<'a>> {
        let (disk, seed) = (plan.scratch.join("disk.qcow2"), plan.scratch.join("seed.iso"));
        layer_over(&plan.image, &disk)?;
        let (key, public) = make_key(&plan.scratch)?;
        std::fs::write(&seed, seed_iso(&public)?).context(|| format!("write {}", seed.display()))?;
        let login = Login::Key(key);
        let bench = Bench {
            disk,
            seed,
            scratch: plan.scratch.clone(),
            memory_mib: plan.memory_mib,
            processors: plan.processors,
            write_log: None,
            user: USER.into(),
            login,
        };
        let (offered, file) = offer::newest_to_everybody(plan, &store, &target)?;
        let always = file.map(|bytes| (tree::RELEASE_PLAN.to_owned(), bytes)).into_iter().collect();
        let server = Server::start(store.path(), &plan.scratch.join("served"), always)?;
        Ok(Lab { plan, progress, store, target, bench, server, offered, from: String::new(), cuts: RefCell::default() })
    }

    /// Boots the image for the first time, makes the server its update source, and saves that state.
    pub fn first_boot(&mut self) -> Result<()> {
        let mut guest = self.power_on(None, "first-boot")?;
        guest.wait_for_health("", FIRST_BOOT)?;
        let file = format!("/etc/ostree/remotes.d/{}.conf", self.target.remote);
        let url = format!("http://{HOST}:{}", self.server.port);
        root(&guest, &format!("sed -i 's|^url=.*|url={url}|' {file} && grep -qxF 'url={url}' {file} && sync"))?;
        guest.monitor.save(INSTALLED)
    }

    /// Brings a host to the version `from`, and saves that state as the one that scenarios start from.
    pub fn start_from(&mut self, from: &str) -> Result<()> {
        self.from = from.to_owned();
        let mut guest = self.power_on(Some(INSTALLED), "older")?;
        if from != self.target.installed {
            let boot = guest.boot_id()?;
            root(&guest, &format!("atomic host deploy '{from}'"))?;
            reboot(&guest)?;
            guest.wait_for_health(&boot, BOOT)?;
            updating::expect_version(&guest, from)?;
        }
        guest.monitor.save(OLDER)
    }

    /// Runs one scenario from the state that it starts from; returns what it has to say.
    pub fn run(&self, scenario: &Scenario) -> Result<String> {
        let state = match scenario.start {
            Start::Older => OLDER,
            Start::Newest => NEWEST,
        };
        self.server.as_published()?;
        let mut guest = self.power_on(Some(state), scenario.name)?;
        let boot = guest.boot_id()?;
        (scenario.run)(self, &mut guest, &boot)
    }

    /// Saves the running guest as the state of the newest version.
    pub fn save_newest(&self, guest: &mut Guest) -> Result<()> {
        guest.monitor.save(NEWEST)
    }

    /// Saves the running guest as a state of a scenario's own.
    pub fn save(&self, guest: &mut Guest, name: &str) -> Result<()> {
        guest.monitor.save(name)
    }

    pub fn note_cut(&self, row: CutRow) {
        let then = match (&row.version, &row.fault) {
            (_, Some(fault)) => fault.as_str(),
            (version, None) => version.as_deref().unwrap_or("-"),
        };
        self.progress.note(&format!("power cut in {}, after {:.1} s: {then}", row.phase, row.seconds));
        self.cuts.borrow_mut().push(row);
    }

    /// A guest that goes on from a state, or boots from the disk as the last one left it.
    pub fn power_on(&self, state: Option<&str>, log: &str) -> Result<Guest> {
        self.bench.power_on(state, &self.log(log))
    }

    /// The guest's state that scenarios of `Start::Older` begin with.
    pub fn older(&self) -> &'static str {
        OLDER
    }

    /// The given keys that the image trusts: with them metadata can be made that hosts believe.
    pub fn trusted_keys(&self) -> Vec<&SigningKey> {
        self.plan.keys.iter().filter(|key| self.target.keys.contains(&key.public())).collect()
    }

    /// The consoles of all guests of a name, one after the other.
    pub fn log(&self, name: &str) -> PathBuf {
        self.plan.out.join(format!("console-{name}.log"))
    }
}

/// The store on a port of this machine, with files in place of the store's own where a scenario wants that.
pub struct Server {
    pub port: u16,
    before: PathBuf,
    /// Served in place of the store's files by every scenario.
    always: Vec<(String, Vec<u8>)>,
    sent: Arc<AtomicU64>,
}

impl Server {
    fn start(store: &Path, before: &Path, always: Vec<(String, Vec<u8>)>) -> Result<Server> {
        let sent = Arc::new(AtomicU64::new(0));
        let (sender, address) = channel();
        let (root, first, count) = (store.to_path_buf(), before.to_path_buf(), sent.clone());
        // It ends with the process.
        std::thread::spawn(move || {
            let failed = sender.clone();
            let ready = move |address: String| drop(sender.send(Ok(address)));
            let served = tree::serve(&root, Some(&first), "127.0.0.1:0", ready, |answered| {
                count.fetch_add(answered.sent, Ordering::Relaxed);
            });
            if let Err(error) = served {
                drop(failed.send(Err(error)));
            }
        });
        let address = address.recv().map_err(|e| Error::internal("the server ended").source(e))??;
        let port = address.rsplit(':').next().and_then(|port| port.parse::<u16>().none_because("the error below names the address"));
        let port = port.ok_or_else(|| Error::internal(format!("the server listens on {address}")))?;
        let server = Server { port, before: before.to_path_buf(), always, sent };
        server.as_published()?;
        Ok(server)
    }

    /// Bytes of all bodies that were sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Serves `bytes` in place of the store's file at `path`.
    pub fn replace(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let file = self.before.join(path);
        let folder = file.parent().unwrap_or(&self.before);
        std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, bytes)).context(|| format!("write {}", file.display()))
    }

    /// Serves the store as it will be published.
    pub fn as_published(&self) -> Result<()> {
        if self.before.is_dir() {
            std::fs::remove_dir_all(&self.before).context(|| format!("remove {}", self.before.display()))?;
        }
        std::fs::create_dir(&self.before).context(|| format!("make {}", self.before.display()))?;
        self.always.iter().try_for_each(|(path, bytes)| self.replace(path, bytes))
    }
}

/// A user of the proof's own, so that no name of the image has to be known.
fn seed_iso(public_key: &str) -> Result<Vec<u8>> {
    let user = format!(
        "#cloud-config\nusers:\n  - name: {USER}\n    shell: /bin/bash\n    sudo: ALL=(ALL) NOPASSWD:ALL\n    ssh_authorized_keys:\n      - {public_key}\n"
    );
    iso9660::write("cidata", &[("user-data", user.as_bytes()), ("meta-data", b"instance-id: proof\n")])
}

/// Runs a script in the guest as root, and returns what it printed.
pub fn root(guest: &Guest, script: &str) -> Result<String> {
    guest.ssh.must("sudo bash -eu -s", script.as_bytes(), COMMAND)
}

/// Asks the guest to reboot. The connection may end before its answer.
pub fn reboot(guest: &Guest) -> Result<()> {
    guest.ssh.run("sudo systemctl reboot", b"", 60).map(drop)
}

/// An error that names what is lacking of `parts` in `text`.
pub fn expect(what: &str, text: &str, parts: &[&str]) -> Result<()> {
    match parts.iter().find(|part| !text.contains(**part)) {
        None => Ok(()),
        Some(part) => Err(failed(format!("{what}: expected {part:?}, found:\n{text}"))),
    }
}

pub fn failed(message: impl Into<String>) -> Error {
    Error::new(Kind::Verification, message)
}
