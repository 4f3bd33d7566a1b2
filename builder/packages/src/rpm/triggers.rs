//! Triggers: what a package asks to run when another one comes or goes, or when files below a prefix do.
//!
//! Three sorts, each a group of parallel arrays (rpm, `build/files.c` and `lib/rpmtriggers.c`): scripts with their programs (and, on files, their
//! priorities), and conditions, each with the number of the script that it belongs to.

use super::dependency::Dependency;
use super::header::Header;
use super::tags;
use model::{Error, OptionJudged, Result};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TriggerKind {
    /// The conditions are packages.
    Package,
    /// The conditions are prefixes of paths; once for each package that has some.
    File,
    /// The same, once when all packages are there.
    TransactionFile,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    pub kind: TriggerKind,
    /// Program and arguments, as of a scriptlet.
    pub interpreter: Vec<String>,
    /// What is not UTF-8 is replaced.
    pub text: String,
    /// The greater goes first; 0 for one on packages.
    pub priority: u32,
    /// Any of them sets the trigger off. Never empty.
    pub conditions: Vec<Dependency>,
}

impl Trigger {
    /// RPMSENSE_TRIGGERPREIN, TRIGGERIN (rpm, `rpmds.h`).
    const BEFORE_INSTALL: u32 = 1 << 25;
    const INSTALL: u32 = 1 << 16;
    /// Of a trigger without a `-P`.
    const PRIORITY: u32 = 1_000_000;
    /// Triggers on files of at least this priority run before %post, the others after it (rpm, `lib/rpmtriggers.h`).
    const BEFORE_POST: u32 = 10_000;

    /// Waits for something to be installed; the others wait for a removal.
    pub fn is_on_install(&self) -> bool {
        self.conditions.iter().any(|c| c.flags & Self::INSTALL != 0)
    }

    /// Runs before the package that sets it off is there.
    pub fn is_before_install(&self) -> bool {
        self.conditions.iter().any(|c| c.flags & Self::BEFORE_INSTALL != 0)
    }

    pub fn is_before_post(&self) -> bool {
        self.priority >= Self::BEFORE_POST
    }
}

pub(super) fn read(header: &Header) -> Result<Vec<Trigger>> {
    let mut triggers = Vec::new();
    for (sort, kind) in [TriggerKind::Package, TriggerKind::File, TriggerKind::TransactionFile].into_iter().enumerate() {
        let Some(texts) = header.strings(tags::TRIGGER_SCRIPTS[sort])? else { continue };
        let count = texts.len();
        let whole = |found: usize, wanted: usize, what: &str| match found == wanted {
            true => Ok(()),
            false => Err(Error::integrity(format!("triggers of tag {}: {wanted} expected, {found} {what}", tags::TRIGGER_SCRIPTS[sort]))),
        };
        let programs = header.strings(tags::TRIGGER_PROGRAMS[sort])?.unwrap_or_else(|| vec![b"/bin/sh"; count]);
        let priorities = match tags::TRIGGER_PRIORITIES[sort] {
            None => vec![0; count],
            Some(tag) => header.u32s(tag)?.unwrap_or_else(|| vec![Trigger::PRIORITY; count]),
        };
        whole(programs.len(), count, "programs")?;
        whole(priorities.len(), count, "priorities")?;
        let mut list: Vec<Trigger> = texts
            .iter()
            .zip(programs)
            .zip(priorities)
            .map(|((text, program), priority)| Trigger {
                kind,
                interpreter: vec![String::from_utf8_lossy(program).into_owned()],
                text: String::from_utf8_lossy(text).into_owned(),
                priority,
                conditions: Vec::new(),
            })
            .collect();
        let [names, flags, versions, indexes] = tags::TRIGGER_CONDITIONS[sort];
        let names = header.strings(names)?.default_because("an absent tag is an empty list");
        let flags = header.u32s(flags)?.default_because("an absent tag is an empty list");
        let versions = header.strings(versions)?.unwrap_or_else(|| vec![b"".as_slice(); names.len()]);
        let indexes = header.u32s(indexes)?.default_because("an absent tag is an empty list");
        whole(flags.len(), names.len(), "flags")?;
        whole(versions.len(), names.len(), "versions")?;
        whole(indexes.len(), names.len(), "indexes")?;
        for (((name, flags), version), index) in names.iter().zip(flags).zip(versions).zip(indexes) {
            let trigger = list.get_mut(index as usize).ok_or_else(|| Error::integrity(format!("trigger {index} of {count}")))?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            trigger.conditions.push(Dependency { name: text(name), flags, version: text(version) });
        }
        triggers.extend(list.into_iter().filter(|trigger| !trigger.conditions.is_empty()));
    }
    Ok(triggers)
}
