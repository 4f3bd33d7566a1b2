//! Relation fields (Depends, Provides, Conflicts ...): `a (>= 1) | b, c:any` (Debian Policy 7.1).

use super::Version;
use model::{Error, Result};

/// Relations in one field; the longest in the archive has about 1,200.
const MAX_RELATIONS: usize = 16_384;

/// How a relation compares versions. `<` and `>`, long deprecated, mean `<=` and `>=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Earlier,
    EarlierOrEqual,
    Equal,
    LaterOrEqual,
    Later,
}

impl Operator {
    /// True when a package that compares so to the relation's version satisfies it.
    pub fn accepts(self, order: std::cmp::Ordering) -> bool {
        match self {
            Operator::Earlier => order.is_lt(),
            Operator::EarlierOrEqual => order.is_le(),
            Operator::Equal => order.is_eq(),
            Operator::LaterOrEqual => order.is_ge(),
            Operator::Later => order.is_gt(),
        }
    }
}

/// One name, perhaps versioned. The architecture qualifier (`:any`) is dropped: one architecture is all there is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation<'a> {
    pub name: &'a str,
    pub version: Option<(Operator, Version<'a>)>,
}

/// The field's groups, all of which must hold; of each group, one of the alternatives.
pub fn parse(field: &str) -> Result<Vec<Vec<Relation<'_>>>> {
    let mut groups = Vec::new();
    let mut count = 0;
    for group in field.split(',').map(str::trim).filter(|group| !group.is_empty()) {
        let mut alternatives = Vec::with_capacity(1);
        for text in group.split('|') {
            count += 1;
            if count > MAX_RELATIONS {
                return Err(Error::integrity(format!("more than {MAX_RELATIONS} relations in one field")));
            }
            alternatives.push(parse_one(text)?);
        }
        groups.push(alternatives);
    }
    Ok(groups)
}

fn parse_one(text: &str) -> Result<Relation<'_>> {
    let bad = |why: &str| Error::integrity(format!("{why} in the relation {:?}", text.chars().take(120).collect::<String>()));
    let text = text.trim();
    let end = text.find(|c: char| c.is_whitespace() || "(:[<".contains(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b)) {
        return Err(bad("no package name"));
    }
    let rest = match rest.strip_prefix(':') {
        Some(qualified) => qualified.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '-'),
        None => rest,
    };
    let rest = rest.trim_start();
    if rest.is_empty() {
        return Ok(Relation { name, version: None });
    }
    // Architecture lists and build profiles belong to source packages only.
    let inside = rest.strip_prefix('(').and_then(|r| r.strip_suffix(')')).ok_or_else(|| bad("something else than a version"))?.trim();
    let (operator, version) = [
        ("<<", Operator::Earlier),
        ("<=", Operator::EarlierOrEqual),
        (">=", Operator::LaterOrEqual),
        (">>", Operator::Later),
        ("=", Operator::Equal),
        ("<", Operator::EarlierOrEqual),
        (">", Operator::LaterOrEqual),
    ]
    .into_iter()
    .find_map(|(symbol, operator)| inside.strip_prefix(symbol).map(|version| (operator, version)))
    .ok_or_else(|| bad("no comparison"))?;
    Ok(Relation { name, version: Some((operator, Version::parse(version)?)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_reads_as_groups_of_alternatives() {
        let groups = parse("libc6 (>= 2.38), default-mta | mail-transport-agent, python3:any (<< 3.14~),perl:amd64").unwrap();
        let names: Vec<Vec<&str>> = groups.iter().map(|g| g.iter().map(|r| r.name).collect()).collect();
        assert_eq!(names, [vec!["libc6"], vec!["default-mta", "mail-transport-agent"], vec!["python3"], vec!["perl"]]);
        assert_eq!(groups[2][0].version, Some((Operator::Earlier, Version::parse("3.14~").unwrap())));
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn a_broken_relation_is_refused() {
        for bad in ["a |", "(>= 1)", "a (1)", "a (>= )", "a (>= 1", "a b", "a (>= 1) x"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
