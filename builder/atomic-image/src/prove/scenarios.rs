//! The list of scenarios: what each promises, and from which state it starts.

use super::lab::Lab;
use super::{broken, power, room, tampering, updating};
use crate::vm::Guest;
use model::Result;

pub struct Scenario {
    pub name: &'static str,
    /// What the host does, in the words of the table.
    pub promise: &'static str,
    pub(super) start: Start,
    /// Whether `--quick` runs it.
    pub(super) quick: bool,
    /// Whether it is run for each older version.
    pub(super) each_version: bool,
    /// Gets a guest that is healthy in the boot of the given id; returns what there is to say beside "passed".
    pub(super) run: fn(&Lab, &mut Guest, &str) -> Result<String>,
}

/// The saved state that a scenario goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// The older version is healthy.
    Older,
    /// The newest version is healthy after an upgrade, and the older one is the rollback.
    Newest,
}

/// Every scenario's name, in the order in which they are run.
pub const NAMES: [&str; 14] = {
    let mut names = [""; 14];
    let mut at = 0;
    while at < names.len() {
        names[at] = SCENARIOS[at].name;
        at += 1;
    }
    names
};

const fn scenario(name: &'static str, promise: &'static str, start: Start, run: fn(&Lab, &mut Guest, &str) -> Result<String>) -> Scenario {
    Scenario { name, promise, start, quick: false, each_version: false, run }
}

pub(super) const SCENARIOS: [Scenario; 14] = [
    Scenario {
        quick: true,
        each_version: true,
        ..scenario(
            "upgrade",
            "the newest version is staged, boots and is healthy; /etc and /var keep what was there",
            Start::Older,
            updating::upgrade,
        )
    },
    Scenario {
        quick: true,
        each_version: true,
        ..scenario("rollback", "`atomic host rollback` goes back to the older version", Start::Newest, updating::rollback)
    },
    scenario("forward", "after a rollback the newest version can be deployed again", Start::Newest, updating::forward),
    scenario("menu", "SHIFT shows the hidden boot menu, and what is taken there stays", Start::Newest, updating::menu),
    scenario("panic", "a kernel that panics three times falls back", Start::Newest, broken::panic),
    scenario("no-root", "an initramfs that finds no root falls back", Start::Newest, broken::no_root),
    scenario("check", "a required check that fails falls back and is named", Start::Newest, broken::check),
    scenario("ssh", "a configuration that stops ssh falls back", Start::Newest, broken::ssh),
    scenario("hang", "a hang is ended by the watchdog and falls back", Start::Newest, broken::hang),
    scenario(
        "tampering",
        "what was changed, cut, replayed or wrongly signed is refused, and the host is unchanged",
        Start::Older,
        tampering::tampering,
    ),
    scenario("full-disk", "an update without room is refused or undone, and works when there is room", Start::Older, room::full_disk),
    scenario(
        "full-boot",
        "an update without room in /boot is refused or undone, and works when there is room",
        Start::Older,
        room::full_boot,
    ),
    scenario(
        "power",
        "after each loss of power one of the two versions boots to health, and its repository is whole",
        Start::Older,
        power::cuts,
    ),
    scenario("cache", "so it does after a loss of power that takes along what was not flushed", Start::Older, power::without_cache),
];
