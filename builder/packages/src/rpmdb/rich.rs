//! The packages that a rich dependency speaks of, for finding it by any of them (rpm, `lib/rpmdb.c`, `updateRichDep`).

use std::collections::BTreeSet;

/// An open parenthesis.
struct Level {
    /// Whether what is inside counts as a condition of what is outside.
    negated: bool,
    /// How many names came before the condition, once there is one.
    condition: usize,
}

/// A name each, with `!` in front of those that are conditions; sorted, conditions last. Of what does not parse, those up to there.
pub fn names(text: &[u8]) -> Vec<Vec<u8>> {
    let mut found: Vec<(bool, Vec<u8>)> = Vec::new();
    let mut levels: Vec<Level> = Vec::new();
    let mut negated = false;
    let mut operand = true;
    let mut rest = text;
    loop {
        rest = rest.trim_ascii_start();
        let Some(&first) = rest.first() else { break };
        match first {
            b'(' if operand => {
                levels.push(Level { negated, condition: 0 });
                rest = &rest[1..];
                continue;
            }
            b')' => {
                let Some(level) = levels.pop() else { break };
                negated = level.negated;
                operand = false;
                rest = &rest[1..];
                continue;
            }
            _ => {}
        }
        let (word, after) = rest.split_at(word_len(rest));
        rest = after;
        if operand {
            if !word.starts_with(b"rpmlib(") {
                found.push((negated, word.to_vec()));
            }
            operand = false;
            continue;
        }
        match word {
            b"<" | b"<=" | b"=" | b">=" | b">" => {
                rest = rest.trim_ascii_start();
                rest = &rest[word_len(rest)..];
            }
            b"if" | b"unless" | b"else" => {
                let Some(level) = levels.last_mut() else { break };
                if word == b"else" {
                    // What follows holds under the opposite condition.
                    let condition: Vec<_> = found[level.condition..].iter().map(|(not, name)| (!not, name.clone())).collect();
                    found.extend(condition);
                } else {
                    level.condition = found.len();
                }
                negated = !negated;
                operand = true;
            }
            _ => operand = true,
        }
    }
    let found: BTreeSet<(bool, Vec<u8>)> = found.into_iter().collect();
    found.into_iter().map(|(not, name)| if not { [b"!".as_slice(), &name].concat() } else { name }).collect()
}

/// Up to a space or to a parenthesis that it did not open.
fn word_len(text: &[u8]) -> usize {
    let mut depth = 0usize;
    for (i, byte) in text.iter().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 0 => return i,
            b')' => depth -= 1,
            byte if byte.is_ascii_whitespace() => return i,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected: what rpm 4.18 wrote into its database for the same dependencies.
    #[test]
    fn a_rich_dependency_is_found_by_each_of_its_names() {
        for (text, expected) in [
            ("(milk or soymilk)", "milk soymilk"),
            ("(flour and ((milk or cream) if dill))", "cream flour milk !dill"),
            ("(water and (cream if dill))", "cream water !dill"),
            ("(milk if (float or oat))", "milk !float !oat"),
            ("(pkgBB >= 2.0 or pkgCC >= 3.0)", "pkgBB pkgCC"),
            ("(pkgG if pkgH else pkgI)", "pkgG pkgH pkgI !pkgH"),
            ("(pkgQ without pkgR)", "pkgQ pkgR"),
            ("(libc.so.6()(64bit) and rpmlib(X) <= 4)", "libc.so.6()(64bit)"),
            ("(a", "a"),
            ("((((", ""),
            (") x", ""),
        ] {
            let found: Vec<String> = names(text.as_bytes()).iter().map(|n| String::from_utf8_lossy(n).into_owned()).collect();
            assert_eq!(found.join(" "), expected, "{text}");
        }
    }
}
