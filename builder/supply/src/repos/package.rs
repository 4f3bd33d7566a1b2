//! What a repository says about one package: what the solver reads and the lockfile writes, whatever the repository's type.

use model::Digest;
use packages::evr::compare_versions;
use smol_str::SmolStr;
use std::cmp::Ordering;
use std::fmt;

/// How a dependency compares versions; a dependency without one matches any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Compare {
    Less,
    LessEqual,
    Equal,
    GreaterEqual,
    Greater,
}

impl Compare {
    /// As in a spec file.
    pub fn symbol(self) -> &'static str {
        match self {
            Compare::Less => "<",
            Compare::LessEqual => "<=",
            Compare::Equal => "=",
            Compare::GreaterEqual => ">=",
            Compare::Greater => ">",
        }
    }

    /// The `flags` attribute of rpm-md's `rpm:entry`.
    pub fn rpmmd(self) -> &'static str {
        match self {
            Compare::Less => "LT",
            Compare::LessEqual => "LE",
            Compare::Equal => "EQ",
            Compare::GreaterEqual => "GE",
            Compare::Greater => "GT",
        }
    }

    pub fn from_rpmmd(text: &str) -> Option<Self> {
        Some(match text {
            "LT" => Compare::Less,
            "LE" => Compare::LessEqual,
            "EQ" => Compare::Equal,
            "GE" => Compare::GreaterEqual,
            "GT" => Compare::Greater,
            _ => return None,
        })
    }
}

/// A capability, provided or required. A `name` that starts with `(` is a rich dependency's whole text, and has no `compare`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Dep {
    pub name: SmolStr,
    pub compare: Option<Compare>,
    /// Absent is not the same as 0 when a dependency is compared: rpm then ignores the other side's epoch of a provide without one.
    pub epoch: Option<u32>,
    pub version: SmolStr,
    /// Empty when absent: then any release matches.
    pub release: SmolStr,
}

impl Dep {
    pub fn any(name: impl Into<SmolStr>) -> Self {
        Dep { name: name.into(), ..Dep::default() }
    }

    /// `[epoch:]version[-release]`; empty without `compare`.
    pub fn evr(&self) -> String {
        let mut text = String::new();
        if self.compare.is_some() {
            if let Some(epoch) = self.epoch {
                text.push_str(&format!("{epoch}:"));
            }
            text.push_str(&self.version);
            if !self.release.is_empty() {
                text.push('-');
                text.push_str(&self.release);
            }
        }
        text
    }

    /// Whether two ranges of one name have a version in common (rpmdsCompare): an absent range is everything, an absent epoch is 0, and an
    /// absent release is any.
    pub fn overlaps(&self, other: &Dep) -> bool {
        if self.name != other.name {
            return false;
        }
        let (Some(first), Some(second)) = (self.compare, other.compare) else { return true };
        let mut order =
            self.epoch.unwrap_or(0).cmp(&other.epoch.unwrap_or(0)).then_with(|| compare_versions(&self.version, &other.version));
        if !self.release.is_empty() && !other.release.is_empty() {
            order = order.then_with(|| compare_versions(&self.release, &other.release));
        }
        let below = |c: Compare| matches!(c, Compare::Less | Compare::LessEqual);
        let above = |c: Compare| matches!(c, Compare::Greater | Compare::GreaterEqual);
        let equal = |c: Compare| matches!(c, Compare::Equal | Compare::LessEqual | Compare::GreaterEqual);
        match order {
            Ordering::Less => above(first) || below(second),
            Ordering::Greater => below(first) || above(second),
            Ordering::Equal => (equal(first) && equal(second)) || (below(first) && below(second)) || (above(first) && above(second)),
        }
    }

    pub fn is_rich(&self) -> bool {
        self.name.starts_with('(')
    }
}

impl fmt::Display for Dep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.compare {
            None => f.write_str(&self.name),
            Some(compare) => write!(f, "{} {} {}", self.name, compare.symbol(), self.evr()),
        }
    }
}

/// One package of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackageMeta {
    pub name: String,
    pub epoch: u32,
    pub version: String,
    pub release: String,
    pub arch: String,
    pub summary: String,
    pub license: String,
    /// The source package's name, and version if it has another; for the SBOM.
    pub source: String,
    pub provides: Vec<Dep>,
    /// Every requirement, those of `requires_pre` among them.
    pub requires: Vec<Dep>,
    /// Needed before this package's scriptlets run (order of installation).
    pub requires_pre: Vec<Dep>,
    pub conflicts: Vec<Dep>,
    pub obsoletes: Vec<Dep>,
    pub recommends: Vec<Dep>,
    pub suggests: Vec<Dep>,
    pub supplements: Vec<Dep>,
    pub enhances: Vec<Dep>,
    /// Absolute paths that a requirement may name; primary's short list, or everything when filelists were read, or nothing.
    pub files: Vec<String>,
    /// Below the repository's URL. For a deb: of the .deb.
    pub location: String,
    /// Bytes to download.
    pub size: u64,
    /// Bytes when installed.
    pub installed_size: u64,
    /// Of the .rpm. `None` for a deb that was not converted yet.
    pub digest: Option<Digest>,
    /// Of the .deb that the .rpm is made from.
    pub source_digest: Option<Digest>,
}

impl PackageMeta {
    /// `[epoch:]version-release`, the epoch only if it is not 0.
    pub fn evr(&self) -> String {
        match self.epoch {
            0 => format!("{}-{}", self.version, self.release),
            epoch => format!("{epoch}:{}-{}", self.version, self.release),
        }
    }

    /// The package itself as a capability: `name = evr`.
    pub fn own(&self) -> Dep {
        Dep {
            name: self.name.as_str().into(),
            compare: Some(Compare::Equal),
            epoch: Some(self.epoch),
            version: self.version.as_str().into(),
            release: self.release.as_str().into(),
        }
    }

    /// As rpm orders versions of one name.
    pub fn compare_evr(&self, other: &Self) -> Ordering {
        let versions = || compare_versions(&self.version, &other.version).then_with(|| compare_versions(&self.release, &other.release));
        self.epoch.cmp(&other.epoch).then_with(versions)
    }

    /// `name-[epoch:]version-release.arch`.
    pub fn nevra(&self) -> String {
        format!("{}-{}.{}", self.name, self.evr(), self.arch)
    }
}
