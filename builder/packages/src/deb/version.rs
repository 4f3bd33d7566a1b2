//! Debian versions `[epoch:]upstream[-revision]` and their order (Debian Policy 5.6.12, deb-version(7)).

use model::{Error, Result};
use std::cmp::Ordering;
use std::fmt;

/// A parsed version; equal when dpkg says so (`1.0` equals `1.0-0`, `1.01` equals `1.1`).
#[derive(Debug, Clone, Copy)]
pub struct Version<'a> {
    pub epoch: u32,
    pub upstream: &'a str,
    /// Empty when the version has none.
    pub revision: &'a str,
}

impl<'a> Version<'a> {
    pub fn parse(text: &'a str) -> Result<Self> {
        let bad = |why: &str| Error::integrity(format!("{why} in the Debian version {:?}", text.chars().take(80).collect::<String>()));
        let text = text.trim();
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (epoch.parse().map_err(|_| bad("an epoch that is no number"))?, rest),
            None => (0, text),
        };
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        if upstream.is_empty() {
            return Err(bad("an empty upstream version"));
        }
        if let Some(c) = rest.chars().find(|c| !c.is_ascii_alphanumeric() && !".+-~:".contains(*c)) {
            return Err(bad(&format!("the character {c:?}")));
        }
        Ok(Version { epoch, upstream, revision })
    }
}

impl fmt::Display for Version<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch > 0 {
            write!(f, "{}:", self.epoch)?;
        }
        f.write_str(self.upstream)?;
        if self.revision.is_empty() { Ok(()) } else { write!(f, "-{}", self.revision) }
    }
}

/// `~` before the end, the end before letters, letters before everything else.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(b) if b.is_ascii_digit() => 0,
        Some(b) if b.is_ascii_alphabetic() => i32::from(*b),
        Some(b) => i32::from(*b) + 256,
    }
}

/// Compares runs of non-digits by weight and runs of digits by value, in turn.
fn compare_part(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        while a.first().is_some_and(|c| !c.is_ascii_digit()) || b.first().is_some_and(|c| !c.is_ascii_digit()) {
            let order = weight(a.first()).cmp(&weight(b.first()));
            if order.is_ne() {
                return order;
            }
            a = a.get(1..).unwrap_or(&[]);
            b = b.get(1..).unwrap_or(&[]);
        }
        let (left, right) = (digits(&mut a), digits(&mut b));
        let order = left.len().cmp(&right.len()).then_with(|| left.cmp(right));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Takes the leading digits, less their leading zeros.
fn digits<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|c| !c.is_ascii_digit()).unwrap_or(text.len());
    let (run, rest) = text.split_at(end);
    *text = rest;
    &run[run.iter().position(|&c| c != b'0').unwrap_or(run.len())..]
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare_part(self.upstream, other.upstream))
            .then_with(|| compare_part(self.revision, other.revision))
    }
}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const VERSIONS: [&str; 20] = [
        "0",
        "1",
        "1.0",
        "1.0-0",
        "1.0-1",
        "1.0~rc1-1",
        "1.0~",
        "1.0+dfsg-1",
        "1.0.1",
        "1.0a",
        "1:0.1",
        "0:1.0",
        "10",
        "9",
        "1.01",
        "1.1",
        "2.0-1~deb13u1",
        "2.0-1+b10",
        "2.0-1",
        "1.0-1-2",
    ];

    #[test]
    fn versions_order_as_dpkg_orders_them() {
        let mut asked = 0;
        for a in VERSIONS {
            for b in VERSIONS {
                let order = Version::parse(a).unwrap().cmp(&Version::parse(b).unwrap());
                let operator = match order {
                    Ordering::Less => "lt",
                    Ordering::Equal => "eq",
                    Ordering::Greater => "gt",
                };
                let Ok(status) = Command::new("dpkg").args(["--compare-versions", a, operator, b]).status() else {
                    fixtures::missing("no dpkg here");
                    return;
                };
                assert!(status.success(), "{a} {operator} {b}: dpkg disagrees");
                asked += 1;
            }
        }
        assert_eq!(asked, 400);
        assert!(!Command::new("dpkg").args(["--compare-versions", "1", "gt", "2"]).status().unwrap().success());
    }

    #[test]
    fn a_broken_version_is_refused() {
        for bad in ["", "a:1", "-1", "1 2", "1_0", ":1", "99999999999:1"] {
            assert!(Version::parse(bad).is_err(), "{bad:?}");
        }
    }
}
