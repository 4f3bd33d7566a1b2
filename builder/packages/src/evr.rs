//! Versions and full names of packages, ordered as rpm orders them (rpm's `rpmvercmp`, documented in rpm-version(7)).

use model::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt;

/// Compares two versions or two releases as rpm does: runs of digits by value, runs of letters by byte, a digit run above a letter run;
/// `~` sorts before everything, even the end; `^` sorts after the end, but before any further segment. Other bytes only separate.
pub fn compare_versions(left: &str, right: &str) -> Ordering {
    let (mut a, mut b) = (left.as_bytes(), right.as_bytes());
    if a == b {
        return Ordering::Equal;
    }
    loop {
        a = skip_separators(a);
        b = skip_separators(b);
        match (a.first() == Some(&b'~'), b.first() == Some(&b'~')) {
            (true, true) => {
                (a, b) = (&a[1..], &b[1..]);
                continue;
            }
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        match (a.first(), b.first()) {
            (Some(b'^'), Some(b'^')) => {
                (a, b) = (&a[1..], &b[1..]);
                continue;
            }
            (Some(b'^'), None) => return Ordering::Greater,
            (None, Some(b'^')) => return Ordering::Less,
            (Some(b'^'), Some(_)) => return Ordering::Less,
            (Some(_), Some(b'^')) => return Ordering::Greater,
            // Whoever has a segment left is newer.
            (None, _) | (_, None) => return a.len().min(1).cmp(&b.len().min(1)),
            (Some(x), Some(_)) => {
                let digits = x.is_ascii_digit();
                let (run_a, rest_a) = split_run(a, digits);
                let (run_b, rest_b) = split_run(b, digits);
                if run_b.is_empty() {
                    // Different sorts of run: the numeric one is newer.
                    return if digits { Ordering::Greater } else { Ordering::Less };
                }
                let order = if digits { compare_numbers(run_a, run_b) } else { run_a.cmp(run_b) };
                if order.is_ne() {
                    return order;
                }
                (a, b) = (rest_a, rest_b);
            }
        }
    }
}

fn skip_separators(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|b| b.is_ascii_alphanumeric() || matches!(b, b'~' | b'^')).unwrap_or(text.len());
    &text[start..]
}

fn split_run(text: &[u8], digits: bool) -> (&[u8], &[u8]) {
    let belongs = |b: &u8| if digits { b.is_ascii_digit() } else { b.is_ascii_alphabetic() };
    text.split_at(text.iter().position(|b| !belongs(b)).unwrap_or(text.len()))
}

/// Decimal numbers of any length: without leading zeros, the longer is the greater.
fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let significant = |n: &[u8]| n.iter().position(|&d| d != b'0').unwrap_or(n.len());
    let (a, b) = (&a[significant(a)..], &b[significant(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Epoch, version and release. Text form is `[epoch:]version-release`, without an epoch of 0. Equality is rpm's: `1.0` equals `1.00`.
#[derive(Debug, Clone, Default)]
pub struct Evr {
    pub epoch: u32,
    pub version: String,
    /// Empty where there is none, as in most dependencies.
    pub release: String,
}

impl Evr {
    pub fn new(epoch: u32, version: impl Into<String>, release: impl Into<String>) -> Self {
        Evr { epoch, version: version.into(), release: release.into() }
    }

    /// Reads `[epoch:]version[-release]`.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = || Error::integrity(format!("expected a version as [epoch:]version[-release], found {:?}", excerpt(text)));
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (epoch.parse().map_err(|_| bad())?, rest),
            None => (0, text),
        };
        let (version, release) = rest.rsplit_once('-').unwrap_or((rest, ""));
        if version.is_empty() {
            return Err(bad());
        }
        Ok(Evr::new(epoch, version, release))
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

impl fmt::Display for Evr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch != 0 {
            write!(f, "{}:", self.epoch)?;
        }
        f.write_str(&self.version)?;
        if self.release.is_empty() { Ok(()) } else { write!(f, "-{}", self.release) }
    }
}

impl Ord for Evr {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare_versions(&self.version, &other.version))
            .then_with(|| compare_versions(&self.release, &other.release))
    }
}

impl PartialOrd for Evr {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Evr {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Evr {}

/// A package's full name. Text form is `name-[epoch:]version-release.arch`. Ordered by name, then by EVR, then by architecture.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nevra {
    pub name: String,
    pub evr: Evr,
    pub arch: String,
}

impl Nevra {
    pub fn new(name: impl Into<String>, evr: Evr, arch: impl Into<String>) -> Self {
        Nevra { name: name.into(), evr, arch: arch.into() }
    }

    /// Reads the text form. The epoch may also stand in front of the whole, as yum wrote it.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = || Error::integrity(format!("expected a package as name-[epoch:]version-release.arch, found {:?}", excerpt(text)));
        let (leading_epoch, text) = match text.split_once(':') {
            Some((epoch, rest)) if !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()) => (Some(epoch), rest),
            _ => (None, text),
        };
        let (rest, arch) = text.rsplit_once('.').ok_or_else(bad)?;
        let (rest, release) = rest.rsplit_once('-').ok_or_else(bad)?;
        let (name, version) = rest.rsplit_once('-').ok_or_else(bad)?;
        let (epoch, version) = match (leading_epoch, version.split_once(':')) {
            (None, Some((epoch, version))) => (epoch, version),
            (Some(epoch), None) => (epoch, version),
            (None, None) => ("0", version),
            (Some(_), Some(_)) => return Err(bad()),
        };
        if [name, version, release, arch].iter().any(|part| part.is_empty()) {
            return Err(bad());
        }
        Ok(Nevra::new(name, Evr::new(epoch.parse().map_err(|_| bad())?, version, release), arch))
    }
}

impl fmt::Display for Nevra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}.{}", self.name, self.evr, self.arch)
    }
}

impl Serialize for Nevra {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Nevra {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Nevra::parse(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Evr {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Evr {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Evr::parse(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_rpm_orders_them() {
        let Some(folder) = fixtures::folder() else { return };
        let vectors = std::fs::read_to_string(folder.join("rpmvercmp.tsv")).unwrap();
        let mut seen = 0;
        for line in vectors.lines().filter(|line| !line.starts_with('#')) {
            let [left, right, sign] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line:?}") };
            assert_eq!(compare_versions(left, right) as i8, sign.parse::<i8>().unwrap(), "{left} against {right}");
            assert_eq!(compare_versions(right, left) as i8, -sign.parse::<i8>().unwrap(), "{right} against {left}");
            seen += 1;
        }
        assert!(seen > 80, "only {seen} vectors");
    }

    #[test]
    fn a_caret_and_a_tilde_sort_around_the_end() {
        for (left, right, expected) in [
            ("1.0~rc1", "1.0", Ordering::Less),
            ("1.0", "1.0^git1", Ordering::Less),
            ("1.0^git1", "1.0.1", Ordering::Less),
            ("1.0^git1~pre", "1.0^git1", Ordering::Less),
            ("1.000000000000000000000000000000000002", "1.1", Ordering::Greater),
            ("1a", "1.1", Ordering::Less),
        ] {
            assert_eq!(compare_versions(left, right), expected, "{left} against {right}");
        }
    }

    #[test]
    fn a_full_name_survives_its_text_form() {
        for (input, expected) in [
            ("bash-5.2-1.fc40.x86_64", Some("bash-5.2-1.fc40.x86_64")),
            ("0:bash-5.2-1.x86_64", Some("bash-5.2-1.x86_64")),
            ("2:vim-9-1.x86_64", Some("vim-2:9-1.x86_64")),
            ("gtk-doc-1:1.0~b-0.noarch", Some("gtk-doc-1:1.0~b-0.noarch")),
            ("bash.x86_64", None),
            ("-1-1.noarch", None),
            ("a-x:1-1.noarch", None),
        ] {
            assert_eq!(Nevra::parse(input).ok().map(|n| n.to_string()).as_deref(), expected, "{input}");
        }
    }
}
