//! Which scriptlets and triggers an installation runs, in rpm's order (rpm, `lib/psm.c` and `lib/rpmtriggers.c`).
//!
//! ```text
//! every %pretrans
//! each package: %triggerprein · %pre · %filetriggerin of priority 10000 and more · %post · %triggerin · the other %filetriggerin
//! every %posttrans · every %transfiletriggerin
//! ```
//!
//! At each place first the triggers of what is installed run that the package sets off, its own among them, then its own that the others set off.
//! Those of a removal are of no use to an image.

use super::{Phase, Scriptlet, without_prelude};
use model::{Error, Result};
use packages::rpm::{Dependency, Metadata, Trigger, TriggerKind};
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use supply::fetch::Pack;

/// Of all triggers' texts and of the paths that they read, in bytes, each counted as often as it is set off.
const BYTES_MAX: usize = 256 << 20;

/// `packs` in the order of installation.
pub fn of(packs: &[Pack]) -> Result<Vec<Scriptlet>> {
    let plain = |pack: &Pack, phase: Phase| {
        pack.scriptlets().iter().find(|s| s.phase == phase).map(|s| Scriptlet {
            package: pack.metadata().nevra.name.clone(),
            phase,
            interpreter: s.interpreter.clone(),
            text: without_prelude(&s.text).into_owned(),
            source: s.text.clone(),
            arguments: vec!["1"],
            set_off_by: None,
            input: String::new(),
        })
    };
    let mut list: Vec<Scriptlet> = packs.iter().filter_map(|pack| plain(pack, Phase::Pretrans)).collect();
    let mut installed = Installed::default();
    for pack in packs {
        list.extend(installed.around(pack, Phase::Triggerprein, |t| t.kind == TriggerKind::Package && t.is_before_install()));
        installed.add(pack);
        list.extend(plain(pack, Phase::Pre));
        list.extend(installed.by_files(pack, |t| t.is_before_post()));
        list.extend(plain(pack, Phase::Post));
        list.extend(installed.around(pack, Phase::Triggerin, |t| t.kind == TriggerKind::Package && t.is_on_install()));
        list.extend(installed.by_files(pack, |t| !t.is_before_post()));
    }
    list.extend(packs.iter().filter_map(|pack| plain(pack, Phase::Posttrans)));
    list.extend(installed.by_all_files());
    match installed.spent.get() {
        spent if spent > BYTES_MAX => Err(Error::integrity(format!("the triggers of these packages take more than {BYTES_MAX} bytes"))),
        _ => Ok(list),
    }
}

/// The packages that are there so far, the one that is being installed last.
#[derive(Default)]
struct Installed<'a> {
    packs: Vec<&'a Pack>,
    /// Of each, sorted.
    paths: Vec<BTreeSet<&'a [u8]>>,
    /// Bytes of what triggers were given.
    spent: Cell<usize>,
}

impl<'a> Installed<'a> {
    fn add(&mut self, pack: &'a Pack) {
        self.packs.push(pack);
        self.paths.push(pack.entries().iter().map(|entry| entry.path.as_bytes()).collect());
    }

    /// Triggers on packages, before or after `pack` is there itself.
    fn around(&self, pack: &Pack, phase: Phase, applies: impl Fn(&Trigger) -> bool) -> Vec<Scriptlet> {
        // rpm counts the instances of the trigger's package and of the one that sets it off.
        let (others, own) = if phase == Phase::Triggerprein { (["1", "0"], ["0", "1"]) } else { (["1", "1"], ["1", "1"]) };
        let sets_off = |trigger: &Trigger, by: &Pack| trigger.conditions.iter().any(|condition| matches(condition, by.metadata()));
        let mut list = Vec::new();
        for other in &self.packs {
            let fired = other.triggers().iter().filter(|t| applies(t) && sets_off(t, pack));
            list.extend(fired.map(|trigger| {
                self.scriptlet(other, trigger, Call { phase, arguments: others.to_vec(), set_off_by: Some(pack), input: String::new() })
            }));
        }
        for trigger in pack.triggers().iter().filter(|trigger| applies(trigger)) {
            if let Some(by) = self.packs.iter().find(|other| sets_off(trigger, other)) {
                let call = Call { phase, arguments: own.to_vec(), set_off_by: Some(by), input: String::new() };
                list.push(self.scriptlet(pack, trigger, call));
            }
        }
        list
    }

    /// Triggers on files around the package that came last.
    fn by_files(&self, pack: &Pack, applies: impl Fn(&Trigger) -> bool) -> Vec<Scriptlet> {
        let applies = |trigger: &&Trigger| trigger.kind == TriggerKind::File && trigger.is_on_install() && applies(trigger);
        let last = self.packs.len().saturating_sub(1);
        let mut fired = Vec::new();
        for other in &self.packs {
            for trigger in other.triggers().iter().filter(applies) {
                let input = matching(trigger, &self.paths[last..], Found::InPackage);
                if !input.is_empty() {
                    let call = Call { phase: Phase::Filetriggerin, arguments: vec!["0"], set_off_by: Some(pack), input };
                    fired.push((Reverse(trigger.priority), self.scriptlet(other, trigger, call)));
                }
            }
        }
        // Equal priorities keep the order of installation.
        fired.sort_by_key(|(priority, _)| *priority);
        let mut own = Vec::new();
        for trigger in pack.triggers().iter().filter(applies) {
            let input = matching(trigger, &self.paths[..last], Found::InDatabase);
            if !input.is_empty() {
                let call = Call { phase: Phase::Filetriggerin, arguments: vec!["0"], set_off_by: None, input };
                own.push((Reverse(trigger.priority), self.scriptlet(pack, trigger, call)));
            }
        }
        own.sort_by_key(|(priority, _)| *priority);
        fired.into_iter().chain(own).map(|(_, scriptlet)| scriptlet).collect()
    }

    /// Triggers on the files of the whole installation: package by package, as rpm does where all of them are new.
    fn by_all_files(&self) -> Vec<Scriptlet> {
        let mut list = Vec::new();
        for pack in &self.packs {
            let mut fired: Vec<&Trigger> =
                pack.triggers().iter().filter(|t| t.kind == TriggerKind::TransactionFile && t.is_on_install()).collect();
            fired.sort_by_key(|trigger| Reverse(trigger.priority));
            for trigger in fired {
                let input = matching(trigger, &self.paths, Found::InDatabase);
                if !input.is_empty() {
                    let call = Call { phase: Phase::Transfiletriggerin, arguments: vec!["0"], set_off_by: None, input };
                    list.push(self.scriptlet(pack, trigger, call));
                }
            }
        }
        list
    }

    fn scriptlet(&self, pack: &Pack, trigger: &Trigger, call: Call<'_>) -> Scriptlet {
        let Call { phase, arguments, set_off_by, input } = call;
        let spent = self.spent.get().saturating_add(2 * trigger.text.len() + input.len());
        self.spent.set(spent);
        // Beyond the limit nothing is run any more, so nothing need be kept.
        let (text, input) = if spent > BYTES_MAX { (String::new(), String::new()) } else { (trigger.text.clone(), input) };
        Scriptlet {
            package: pack.metadata().nevra.name.clone(),
            phase,
            interpreter: trigger.interpreter.clone(),
            source: text.clone(),
            text,
            arguments,
            set_off_by: set_off_by.map(|pack| pack.metadata().nevra.name.clone()),
            input,
        }
    }
}

/// How rpm calls a trigger's script.
struct Call<'a> {
    phase: Phase,
    arguments: Vec<&'static str>,
    /// The other package, whose installation sets the trigger off.
    set_off_by: Option<&'a Pack>,
    /// The script's standard input: the paths that set it off, a line each.
    input: String,
}

/// Whether a condition names the package, and its version.
fn matches(condition: &Dependency, package: &Metadata) -> bool {
    let nevra = &package.nevra;
    let itself = Dependency { name: nevra.name.clone(), flags: Dependency::EQUAL, version: nevra.evr.to_string() };
    condition.name == nevra.name && itself.overlaps(condition)
}

/// Whose files set a trigger off, which rpm looks up in two ways.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Of the package that is being installed: any path that begins with the prefix.
    InPackage,
    /// Of packages in the database: only those with a directory that begins with it, since directories are what is indexed there.
    InDatabase,
}

/// The paths that begin with one of the trigger's prefixes, a line each: by prefix, then by package, then by name, as rpm lists them.
fn matching(trigger: &Trigger, packages: &[BTreeSet<&[u8]>], how: Found) -> String {
    let mut seen: BTreeSet<&[u8]> = BTreeSet::new();
    let mut lines = String::new();
    let prefixes: BTreeSet<&[u8]> = trigger.conditions.iter().map(|condition| condition.name.as_bytes()).collect();
    for prefix in prefixes {
        // A directory's name ends in a slash.
        let in_directory = |path: &[u8]| path.iter().rposition(|byte| *byte == b'/').is_some_and(|slash| slash + 1 >= prefix.len());
        for paths in packages {
            let below = || paths.range(prefix..).copied().take_while(|path| path.starts_with(prefix));
            if how == Found::InPackage || below().any(in_directory) {
                for path in below().filter(|path| seen.insert(path)) {
                    lines += &String::from_utf8_lossy(path);
                    lines.push('\n');
                }
            }
        }
    }
    lines
}
