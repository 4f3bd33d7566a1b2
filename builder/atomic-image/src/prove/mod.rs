//! Proves a release before it goes out: an image boots in QEMU, takes the update from the store that hosts will take it from, goes back, and is then
//! treated as badly as hosts are treated.
//!
//! The guest boots once and its state is saved; every scenario goes on from a saved state. The store is served on this machine alone, with the bytes that
//! will be published: keys and signatures are the image's own.

mod broken;
mod lab;
mod offer;
mod power;
mod room;
mod scenarios;
mod tampering;
mod target;
mod updating;
mod verdict;

pub use power::CutRow;
pub use scenarios::NAMES;
pub use verdict::{ScenarioRow, Verdict};

use lab::Lab;
use model::{Digest, Error, Hasher, Progress, Result, ResultExt, ResultJudged, SourceDateEpoch, open_disk};
use ostree::Store;
use scenarios::{SCENARIOS, Scenario};
use signing::SigningKey;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;
use target::Target;

/// One of several equal shares of a list, each of which takes every `of`th of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1 on.
    pub number: u32,
    pub of: u32,
}

impl Shard {
    /// From `K/N`; `None` if there is no such share.
    pub fn parse(text: &str) -> Option<Shard> {
        let decimal = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit()).then_some(text)?;
            digits.parse::<u32>().none_because("the caller says what is expected")
        };
        let (number, of) = text.split_once('/')?;
        let shard = Shard { number: decimal(number)?, of: decimal(of)? };
        (shard.number >= 1 && shard.number <= shard.of).then_some(shard)
    }

    fn has(self, row: u32) -> bool {
        row % self.of == self.number - 1
    }
}

/// What is to be proven, and how.
pub struct Plan {
    pub image: PathBuf,
    pub repo: PathBuf,
    /// The older versions to upgrade from. Without any: the image's own version, or the one before it if the image has the newest.
    pub from: Vec<String>,
    /// Upgrade and rollback alone.
    pub quick: bool,
    /// The scenarios to run; all without any.
    pub only: Vec<String>,
    /// How often the power is cut.
    pub cuts: u32,
    /// Which of them are cut in this run.
    pub shard: Shard,
    /// They sign the verdict. With a key that the image trusts, replayed and older metadata can be made and tried, too.
    pub keys: Vec<SigningKey>,
    /// A folder for the verdict and the consoles' logs.
    pub out: PathBuf,
    pub memory_mib: u32,
    pub processors: u32,
    /// What the verdict says of its own time.
    pub time: SourceDateEpoch,
    /// A folder of one's own on a disk with some gigabytes free.
    pub scratch: PathBuf,
}

/// Runs the plan, and writes `verdict.json` and `console-*.log`. The verdict says whether all scenarios passed; an error means that there is no verdict.
pub fn prove(plan: &Plan, progress: &dyn Progress) -> Result<Verdict> {
    let store = Store::open(&plan.repo)?;
    let target = Target::find(plan, &store)?;
    let image_sha256 = digest_of(&plan.image)?;
    std::fs::create_dir_all(&plan.out).context(|| format!("make {}", plan.out.display()))?;
    let mut verdict = Verdict::new(plan, &target, image_sha256);
    let mut lab = Lab::new(plan, store, target, progress)?;
    progress.begin("first boot", 0, "");
    let began = Instant::now();
    verdict.first_boot_seconds = match lab.first_boot() {
        Ok(()) => began.elapsed().as_secs_f64(),
        Err(error) => {
            verdict.add("first boot", "", began, Err(error), 0);
            return verdict.write(plan);
        }
    };
    verdict.add("first boot", "", began, Ok("healthy".to_owned()), 0);
    progress.begin("scenarios", 0, "scenarios");
    let versions = lab.target.from.clone();
    for (position, from) in versions.iter().enumerate() {
        let (began, sent) = (Instant::now(), lab.server.sent());
        if let Err(error) = lab.start_from(from) {
            verdict.add("older version", from, began, Err(error), lab.server.sent() - sent);
            progress.note(&verdict.last_line());
            continue;
        }
        for scenario in SCENARIOS.iter().filter(|scenario| wanted(plan, scenario, position)) {
            let (began, sent) = (Instant::now(), lab.server.sent());
            let result = lab.run(scenario);
            let passed = result.is_ok();
            verdict.add(scenario.name, from, began, result, lab.server.sent() - sent);
            progress.advance(1);
            progress.note(&verdict.last_line());
            // Without an upgrade there is nothing that the others could start from.
            if scenario.name == "upgrade" && !passed {
                break;
            }
        }
    }
    verdict.cuts = lab.cuts.into_inner();
    verdict.write(plan)
}

/// The first scenario is always run, since others start from its end. What does not depend on the older version is run once.
fn wanted(plan: &Plan, scenario: &Scenario, position: usize) -> bool {
    if scenario.name == "upgrade" {
        return true;
    }
    let asked = match plan.only.is_empty() {
        true => !plan.quick || scenario.quick,
        false => plan.only.iter().any(|name| name == scenario.name),
    };
    asked && (position == 0 || scenario.each_version)
}

fn digest_of(image: &Path) -> Result<Digest> {
    let mut file = open_disk(image).map_err(|e| Error::recipe(format!("cannot read {}", image.display())).source(e))?;
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).context(|| format!("read {}", image.display()))? {
            0 => return Ok(hasher.finish()),
            length => hasher.update(buffer.get(..length).unwrap_or(&[])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shard;

    #[test]
    fn shards_make_up_the_whole() {
        let rows = |text: &str| (0..7).filter(|&row| Shard::parse(text).unwrap().has(row)).collect::<Vec<_>>();
        assert_eq!(rows("1/1"), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!((rows("1/3"), rows("2/3"), rows("3/3")), (vec![0, 3, 6], vec![1, 4], vec![2, 5]));
        for wrong in ["", "1", "/", "0/1", "2/1", "1/0", "+1/2", "1/+2", "1/2/3", "a/b", "1/99999999999"] {
            assert_eq!(Shard::parse(wrong), None, "{wrong}");
        }
    }
}
