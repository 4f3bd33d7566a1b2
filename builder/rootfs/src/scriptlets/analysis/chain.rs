//! A statement of the shell taken apart at its `&&` and `||`, and cleared of redirections that hide what it says.

/// What a part of a chain depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    First,
    /// Runs if what came before succeeded.
    And,
    /// Runs if it failed.
    Or,
}

/// The parts between the operators outside of quotes, parentheses and substitutions; one part if there are none.
pub(super) fn chain(statement: &str) -> Vec<(Joint, &str)> {
    let bytes = statement.as_bytes();
    let (mut parts, mut joint, mut start, mut at) = (Vec::new(), Joint::First, 0, 0);
    let mut quote = None;
    let mut depth = 0usize;
    while let Some(&byte) = bytes.get(at) {
        match (quote, byte) {
            (Some(q), _) if q == byte => quote = None,
            (None, b'\'' | b'"' | b'`') => quote = Some(byte),
            (None | Some(b'"'), b'\\') => at += 1,
            (None, b'(') => depth += 1,
            (None, b')') => depth = depth.saturating_sub(1),
            // `[[ a && b ]]` is one condition.
            (None, b'[' | b']') if bytes.get(at + 1) == Some(&byte) => {
                depth = if byte == b'[' { depth + 1 } else { depth.saturating_sub(1) };
                at += 1;
            }
            (None, b'&' | b'|') if depth == 0 && bytes.get(at + 1) == Some(&byte) => {
                parts.push((joint, statement[start..at].trim()));
                joint = if byte == b'&' { Joint::And } else { Joint::Or };
                at += 1;
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    parts.push((joint, statement[start.min(statement.len())..].trim()));
    parts
}

/// Redirections outside of quotes to /dev/null, and of one output to the other, are taken out.
pub(super) fn quiet(statement: &str) -> String {
    let bytes = statement.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let (mut at, mut quote) = (0, None);
    while let Some(&byte) = bytes.get(at) {
        match (quote, byte) {
            (Some(q), _) if q == byte => quote = None,
            (None, b'\'' | b'"') => quote = Some(byte),
            (None | Some(b'"'), b'\\') => {
                out.push(byte);
                at += 1;
                out.extend(bytes.get(at));
                at += 1;
                continue;
            }
            (None, b'>' | b'&' | b'0'..=b'2') => {
                if let Some(len) = silenced(&bytes[at..], out.last().copied()) {
                    at += len;
                    continue;
                }
            }
            _ => {}
        }
        out.push(byte);
        at += 1;
    }
    String::from_utf8_lossy(&out).trim().to_owned()
}

/// Length of a redirection that begins here and leads nowhere.
fn silenced(text: &[u8], before: Option<u8>) -> Option<usize> {
    let apart = before.is_none_or(|b| b.is_ascii_whitespace());
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits > 0 && !apart {
        return None;
    }
    let mut at = digits;
    if text.get(at) == Some(&b'&') {
        // `&>`, not `&&` nor `&`.
        at += 1;
    }
    if text.get(at) != Some(&b'>') {
        return None;
    }
    at += 1;
    at += usize::from(text.get(at) == Some(&b'>'));
    if text.get(at) == Some(&b'&') {
        at += 1;
        let target = text[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        if target > 0 {
            return ends(text, at + target);
        }
    }
    at += text.get(at..)?.iter().take_while(|b| **b == b' ').count();
    ends(text, at + text.get(at..)?.strip_prefix(b"/dev/null").map(|_| "/dev/null".len())?)
}

fn ends(text: &[u8], at: usize) -> Option<usize> {
    text.get(at).is_none_or(|b| b.is_ascii_whitespace() || b";|&)".contains(b)).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_comes_apart_outside_of_quotes_only() {
        let parts = |text: &str| chain(text).iter().map(|(joint, part)| format!("{joint:?} {part}")).collect::<Vec<_>>().join("; ");
        for (text, expected) in [
            ("a", "First a"),
            ("a && b||c", "First a; And b; Or c"),
            ("a '&&' \"||\" `x || y` $(x && y) \\&\\& b", "First a '&&' \"||\" `x || y` $(x && y) \\&\\& b"),
            ("[[ a && b ]] || c", "First [[ a && b ]]; Or c"),
            ("a | b &", "First a | b &"),
            ("a ||", "First a; Or "),
        ] {
            assert_eq!(parts(text), expected);
        }
    }

    #[test]
    fn only_redirections_that_lead_nowhere_go() {
        for (text, expected) in [
            ("a >/dev/null 2>&1", "a"),
            ("a &>/dev/null", "a"),
            ("a >& /dev/null b", "a  b"),
            ("a 2>/dev/null > /dev/null", "a"),
            ("a '>/dev/null'", "a '>/dev/null'"),
            ("a > /dev/nullx", "a > /dev/nullx"),
            ("a > /etc/x", "a > /etc/x"),
            ("a2>/dev/null", "a2"),
            ("a & b", "a & b"),
        ] {
            assert_eq!(quiet(text), expected, "{text}");
        }
    }
}
