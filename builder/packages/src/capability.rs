//! Capabilities: a name with a range of versions, as packages provide, require, conflict with and obsolete (rpm, `rpmds`).
//!
//! Each source writes them its own way: bits and a text in an RPM header ([`crate::rpm::Dependency`]), attributes in rpm-md
//! ([`crate::rpmmd::Relation`]), operators in Debian's fields. All become a [`Capability`], and ranges are compared here alone.

use crate::evr::compare_versions;
use smol_str::SmolStr;
use std::cmp::Ordering;
use std::fmt;

/// How a range relates to the version that it names. A capability without a comparison has the range of all versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Comparison {
    Less,
    LessEqual,
    Equal,
    GreaterEqual,
    Greater,
}

impl Comparison {
    /// RPMSENSE_LESS, RPMSENSE_GREATER and RPMSENSE_EQUAL (rpm, `rpmds.h`).
    const LESS: u32 = 2;
    const GREATER: u32 = 4;
    pub(crate) const EQUAL: u32 = 8;

    /// Reads the bits of a dependency in an RPM header. No bit, and less with greater together, exclude no version that rpm would compare.
    pub fn from_rpm_flags(flags: u32) -> Option<Self> {
        match flags & (Self::LESS | Self::GREATER | Self::EQUAL) {
            Self::LESS => Some(Comparison::Less),
            Self::GREATER => Some(Comparison::Greater),
            Self::EQUAL => Some(Comparison::Equal),
            bits if bits == Self::LESS | Self::EQUAL => Some(Comparison::LessEqual),
            bits if bits == Self::GREATER | Self::EQUAL => Some(Comparison::GreaterEqual),
            _ => None,
        }
    }

    /// As in a spec file.
    pub fn symbol(self) -> &'static str {
        match self {
            Comparison::Less => "<",
            Comparison::LessEqual => "<=",
            Comparison::Equal => "=",
            Comparison::GreaterEqual => ">=",
            Comparison::Greater => ">",
        }
    }

    /// Reads the `flags` attribute of rpm-md's `rpm:entry`.
    pub fn from_rpmmd(text: &str) -> Option<Self> {
        Some(match text {
            "LT" => Comparison::Less,
            "LE" => Comparison::LessEqual,
            "EQ" => Comparison::Equal,
            "GE" => Comparison::GreaterEqual,
            "GT" => Comparison::Greater,
            _ => return None,
        })
    }

    fn is_below(self) -> bool {
        matches!(self, Comparison::Less | Comparison::LessEqual)
    }

    fn is_above(self) -> bool {
        matches!(self, Comparison::Greater | Comparison::GreaterEqual)
    }

    fn has_equal(self) -> bool {
        matches!(self, Comparison::Equal | Comparison::LessEqual | Comparison::GreaterEqual)
    }
}

/// A capability, provided or required. A `name` that starts with `(` is a rich dependency's whole text, and has no `compare`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Capability {
    pub name: SmolStr,
    pub compare: Option<Comparison>,
    /// Counts as 0 where it is absent. It is kept apart from 0 for the text form.
    pub epoch: Option<u32>,
    pub version: SmolStr,
    /// Empty when absent: then any release matches.
    pub release: SmolStr,
}

impl Capability {
    /// A name in any version.
    pub fn any(name: impl Into<SmolStr>) -> Self {
        Capability { name: name.into(), ..Capability::default() }
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

    /// Tells whether the names are equal and some version lies in both ranges (rpm, `rpmdsCompare`). An absent range, or one without a version, is
    /// that of all versions; an absent epoch is 0; an absent release is any.
    pub fn overlaps(&self, other: &Capability) -> bool {
        if self.name != other.name {
            return false;
        }
        let (Some(first), Some(second)) = (self.compare, other.compare) else { return true };
        if self.version.is_empty() || other.version.is_empty() {
            return true;
        }
        let epochs = self.epoch.unwrap_or(0).cmp(&other.epoch.unwrap_or(0));
        let mut order = epochs.then_with(|| compare_versions(&self.version, &other.version));
        if !self.release.is_empty() && !other.release.is_empty() {
            order = order.then_with(|| compare_versions(&self.release, &other.release));
        }
        match order {
            Ordering::Less => first.is_above() || second.is_below(),
            Ordering::Greater => first.is_below() || second.is_above(),
            Ordering::Equal => {
                (first.has_equal() && second.has_equal())
                    || (first.is_below() && second.is_below())
                    || (first.is_above() && second.is_above())
            }
        }
    }

    pub fn is_rich(&self) -> bool {
        self.name.starts_with('(')
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.compare {
            None => f.write_str(&self.name),
            Some(compare) => write!(f, "{} {} {}", self.name, compare.symbol(), self.evr()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rpm::Dependency;

    /// `x`, `x < 1-2` …, as an RPM header has it.
    fn dependency(text: &str) -> Dependency {
        let words: Vec<&str> = text.split(' ').collect();
        let flags = match words.get(1) {
            None => 0,
            Some(symbol) => symbol.bytes().map(|byte| 1 << (1 + b"<>=".iter().position(|&known| known == byte).unwrap())).sum(),
        };
        Dependency { name: words[0].into(), flags, version: words.get(2).copied().unwrap_or("").into() }
    }

    fn check(a: &str, b: &str, expected: bool) {
        let (a_header, b_header) = (dependency(a), dependency(b));
        assert_eq!((a_header.overlaps(&b_header), b_header.overlaps(&a_header)), (expected, expected), "{a} and {b}");
        let (a_read, b_read) = (a_header.capability().unwrap(), b_header.capability().unwrap());
        assert_eq!((a_read.overlaps(&b_read), b_read.overlaps(&a_read)), (expected, expected), "{a_read} and {b_read}");
        assert_eq!(a_read.to_string(), a, "the text form");
    }

    #[test]
    fn ranges_overlap_as_rpm_says() {
        for (a, b, expected) in [
            ("x", "y", false),
            ("x", "x", true),
            ("x", "x < 1", true),
            ("x = 1-1", "x = 1-1", true),
            ("x = 1", "x = 1-7", true),
            ("x = 1-2", "x = 1-7", false),
            ("x = 0:1", "x = 1", true),
            ("x = 1:1", "x = 1", false),
            ("x >= 2", "x = 1:0-1", true),
            ("x < 2", "x = 2", false),
            ("x <= 2", "x = 2", true),
            ("x < 2", "x < 1", true),
            ("x < 2", "x <= 2", true),
            ("x < 2", "x >= 2", false),
            ("x <= 2", "x >= 2", true),
            ("x > 2", "x < 3", true),
            ("x > 3", "x < 2", false),
            ("x >= 2-3", "x = 2", true),
            ("x > 2-3", "x = 2", false),
            ("x = 1~rc1", "x < 1", true),
        ] {
            check(a, b, expected);
        }
    }

    #[test]
    fn a_version_without_a_comparison_and_one_that_is_none_are_judged_as_in_a_header() {
        let range = dependency("x = 1");
        for (flags, version, expected) in [
            (0, "2", true),
            (8, "", true),
            (8, "1", true),
            (8, "2", false),
            // An epoch that is no number: such a version lies in no range.
            (8, "x:1", false),
            (8, "99999999999:1", false),
        ] {
            let other = Dependency { name: "x".into(), flags, version: version.into() };
            assert_eq!((range.overlaps(&other), other.overlaps(&range)), (expected, expected), "{other:?}");
        }
    }
}
