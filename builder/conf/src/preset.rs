//! systemd.preset(5): which units are enabled on a fresh system. The first rule whose glob matches decides.

use model::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Enable,
    Disable,
    Ignore,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub verdict: Verdict,
    /// As [`model::glob_matches`] takes it.
    pub glob: String,
    /// For `enable name@.service a b`: the instances to enable.
    pub instances: Vec<String>,
}

/// `name` is for messages.
pub fn parse(name: &str, text: &str) -> Result<Vec<Rule>> {
    let mut out = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        let verdict = match words.next() {
            Some("enable") => Verdict::Enable,
            Some("disable") => Verdict::Disable,
            Some("ignore") => Verdict::Ignore,
            _ => return Err(Error::integrity(format!("{name} line {number}: expected enable, disable or ignore, found {line:?}"))),
        };
        let glob = words.next().ok_or_else(|| Error::integrity(format!("{name} line {number}: no unit name in {line:?}")))?;
        out.push(Rule { verdict, glob: glob.into(), instances: words.map(str::to_owned).collect() });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_other_words_refused() {
        assert!(parse("x", "enabled a").is_err());
        assert_eq!(parse("x", "enable a@.service x y").unwrap()[0].instances, ["x", "y"]);
    }
}
