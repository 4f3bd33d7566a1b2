//! Words of a systemd configuration line: blank-separated, `'…'` and `"…"` quoted, C escapes (systemd's extract-word with UNQUOTE|CUNESCAPE).

/// Splits into at most `limit` words; the last one takes the rest of the line verbatim (trimmed) once `limit` is reached. `None`: a quote stays
/// open, or an escape is none.
pub fn split(line: &str, limit: usize) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        if words.len() + 1 == limit && !rest.starts_with(['"', '\'']) {
            words.push(rest.to_owned());
            break;
        }
        let (word, after) = first(rest)?;
        words.push(word);
        rest = after.trim_start();
    }
    Some(words)
}

fn first(text: &str) -> Option<(String, &str)> {
    let mut word: Vec<u8> = Vec::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_ascii_whitespace() => return Some((String::from_utf8(word).ok()?, &text[at..])),
            (None, '"' | '\'') => quote = Some(c),
            (Some(q), c) if c == q => quote = None,
            (_, '\\') => {
                let (_, escaped) = chars.next()?;
                let digits = |chars: &mut std::str::CharIndices<'_>, n: usize, radix| {
                    let text: String = chars.by_ref().take(n).map(|(_, c)| c).collect();
                    u8::from_str_radix(&text, radix).ok().filter(|&byte| byte != 0)
                };
                match escaped {
                    'x' => word.push(digits(&mut chars, 2, 16)?),
                    'n' => word.push(b'\n'),
                    't' => word.push(b'\t'),
                    'r' => word.push(b'\r'),
                    's' => word.push(b' '),
                    '\\' | '"' | '\'' => word.push(escaped as u8),
                    _ => return None,
                }
            }
            (_, c) => word.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    if quote.is_some() { None } else { Some((String::from_utf8(word).ok()?, "")) }
}

/// The word as it must be written so that `split` gives it back.
pub fn quote(word: &[u8]) -> String {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'\\');
    if !word.is_empty() && word.iter().all(|&b| plain(b)) {
        return String::from_utf8_lossy(word).into_owned();
    }
    let body: String = word.iter().map(|&b| if plain(b) || b == b' ' { (b as char).to_string() } else { format!("\\x{b:02x}") }).collect();
    format!("\"{body}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_survives_a_round_trip_and_a_half_quote_is_refused() {
        for word in ["a", "a b", "a\"b", "a\\b", "tab\t", ""] {
            assert_eq!(split(&quote(word.as_bytes()), 9).unwrap(), [word], "{word:?}");
        }
        assert_eq!(split("u root 0 \"Super User\" /root", 9).unwrap()[3], "Super User");
        assert_eq!(split("f /x - - - - a  b c", 7).unwrap()[6], "a  b c");
        assert_eq!(split("u \"x", 9), None);
        assert_eq!(split("u x\\", 9), None);
    }
}
