//! Dependencies as RPM headers write them (rpm, `rpmds.h`): a name, bits, and a version as text.

use crate::capability::{Capability, Comparison};
use crate::evr::Evr;
use model::{Result, ResultExt};
use serde::{Deserialize, Serialize};

/// One requirement, provision, conflict …; the name may be a file's path or a rich dependency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    pub name: String,
    /// As in the header: comparison (2 less, 4 greater, 8 equal) and where it applies (1 << 9 pre, 1 << 10 post …; rpm, `rpmds.h`).
    pub flags: u32,
    /// Empty for any version.
    pub version: String,
}

impl Dependency {
    /// RPMSENSE_PREREQ, SCRIPT_PRE and SCRIPT_POST: needed before the package's scriptlets run.
    const BEFORE_SCRIPTLETS: u32 = 1 << 6 | 1 << 9 | 1 << 10;
    const RPMLIB: u32 = 1 << 24;
    /// RPMSENSE_EQUAL.
    pub const EQUAL: u32 = Comparison::EQUAL;
    /// RPMSENSE_POSTTRANS, PRETRANS and CONFIG.
    const OUTSIDE_INSTALLATION: u32 = 1 << 5 | 1 << 7 | 1 << 28;
    const META: u32 = 1 << 29;

    pub fn is_before_scriptlets(&self) -> bool {
        self.flags & Self::BEFORE_SCRIPTLETS != 0
    }

    /// Whether packages are ordered by it (rpm, `lib/order.c`): not by what only a %pretrans or %posttrans needs, nor by `Requires(meta)`.
    pub fn is_for_order(&self) -> bool {
        !self.is_rpmlib() && self.flags & (Self::OUTSIDE_INSTALLATION | Self::META) == 0
    }

    /// A feature of rpm itself, not of a package.
    pub fn is_rpmlib(&self) -> bool {
        self.flags & Self::RPMLIB != 0 || self.name.starts_with("rpmlib(")
    }

    /// Reads the range of versions. Fails on a version that is none; rpm would find it in no range.
    pub fn capability(&self) -> Result<Capability> {
        let compare = Comparison::from_rpm_flags(self.flags).filter(|_| !self.version.is_empty());
        if compare.is_none() {
            return Ok(Capability::any(self.name.as_str()));
        }
        let evr = Evr::parse(&self.version).context(|| format!("dependency {:?}", self.name))?;
        // An epoch that is written is kept, even 0.
        let epoch = self.version.contains(':').then_some(evr.epoch);
        Ok(Capability { name: self.name.as_str().into(), compare, epoch, version: evr.version.into(), release: evr.release.into() })
    }

    /// Tells whether the names are equal and some version lies in both ranges ([`Capability::overlaps`]).
    pub fn overlaps(&self, other: &Dependency) -> bool {
        match (self.capability(), other.capability()) {
            (Ok(mine), Ok(theirs)) => mine.overlaps(&theirs),
            _ => false,
        }
    }

    /// "<", ">=" …; empty when any version will do.
    pub fn comparison(&self) -> &'static str {
        Comparison::from_rpm_flags(self.flags).map_or("", Comparison::symbol)
    }
}
