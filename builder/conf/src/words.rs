//! Words of a systemd configuration line: separated by blanks, `'…'` and `"…"` quoted, with escapes (systemd's `extract_first_word` with
//! `EXTRACT_UNQUOTE`, and for tmpfiles.d also `EXTRACT_CUNESCAPE`). Words are bytes, because `\xff` is a valid escape.

use model::ResultJudged;

/// What a backslash does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escapes {
    /// Those of C: `\n`, `\x41`, `\101`, `\u00e9` and so on; any other is an error. As in tmpfiles.d.
    C,
    /// The next character stands for itself. As in sysusers.d.
    Literal,
}

const OPEN_QUOTE: &str = "a quote stays open";
const OPEN_ESCAPE: &str = "a backslash at the end";
const BAD_ESCAPE: &str = "an unknown escape";

/// Splits off at most `limit` words; the rest of the line comes as it is written, without the blanks around it.
pub fn split(line: &str, limit: usize, escapes: Escapes) -> Result<(Vec<Vec<u8>>, &str), &'static str> {
    let mut words = Vec::new();
    let mut rest = line.trim_matches(is_blank);
    while !rest.is_empty() && words.len() < limit {
        let (word, after) = first(rest, escapes)?;
        words.push(word);
        rest = after.trim_start_matches(is_blank);
    }
    Ok((words, rest))
}

/// systemd's WHITESPACE.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn first(text: &str, escapes: Escapes) -> Result<(Vec<u8>, &str), &'static str> {
    let mut word = Vec::new();
    let mut quote = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match (quote, c) {
            (None, c) if is_blank(c) => break,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (_, '\\') => {
                rest = match escapes {
                    Escapes::C => escape(after, &mut word)?,
                    Escapes::Literal => {
                        let next = after.chars().next().ok_or(OPEN_ESCAPE)?;
                        push(&mut word, next);
                        &after[next.len_utf8()..]
                    }
                };
                continue;
            }
            (_, c) => push(&mut word, c),
        }
        rest = after;
    }
    if quote.is_some() { Err(OPEN_QUOTE) } else { Ok((word, rest)) }
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Decodes the escape whose backslash was just read; returns what follows it. A NUL is refused.
fn escape<'t>(text: &'t str, out: &mut Vec<u8>) -> Result<&'t str, &'static str> {
    let letter = text.chars().next().ok_or(OPEN_ESCAPE)?;
    let after = &text[letter.len_utf8()..];
    // `from_str_radix` would take a sign.
    let number = |text: &str, digits: usize, radix: u32| {
        let digits = text.get(..digits).filter(|digits| digits.bytes().all(|b| char::from(b).is_digit(radix))).ok_or(BAD_ESCAPE)?;
        u32::from_str_radix(digits, radix)
            .none_because("the caller's sentence says which escapes there are")
            .filter(|&number| number != 0)
            .ok_or(BAD_ESCAPE)
    };
    let byte = |number: u32| u8::try_from(number).map_err(|_| BAD_ESCAPE);
    let unicode = |number: u32| char::from_u32(number).ok_or(BAD_ESCAPE);
    match letter {
        'x' => {
            out.push(byte(number(after, 2, 16)?)?);
            return Ok(&after[2..]);
        }
        'u' => {
            push(out, unicode(number(after, 4, 16)?)?);
            return Ok(&after[4..]);
        }
        'U' => {
            push(out, unicode(number(after, 8, 16)?)?);
            return Ok(&after[8..]);
        }
        '0'..='7' => {
            out.push(byte(number(text, 3, 8)?)?);
            return Ok(&text[3..]);
        }
        'a' => out.push(7),
        'b' => out.push(8),
        't' => out.push(b'\t'),
        'n' => out.push(b'\n'),
        'v' => out.push(11),
        'f' => out.push(12),
        'r' => out.push(b'\r'),
        's' => out.push(b' '),
        '\\' | '"' | '\'' => push(out, letter),
        _ => return Err(BAD_ESCAPE),
    }
    Ok(after)
}

/// Decodes the escapes of C in a field that has no quotes of its own (systemd's `cunescape`).
pub fn unescape(text: &str) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((plain, after)) = rest.split_once('\\') {
        out.extend_from_slice(plain.as_bytes());
        rest = escape(after, &mut out)?;
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// The word as it must be written for [`Escapes::C`] so that `split` gives it back.
pub fn quote(word: &[u8]) -> String {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'\\');
    if !word.is_empty() && word.iter().all(|&b| plain(b)) {
        return String::from_utf8_lossy(word).into_owned();
    }
    let body: String = word.iter().map(|&b| if plain(b) || b == b' ' { (b as char).to_string() } else { format!("\\x{b:02x}") }).collect();
    format!("\"{body}\"")
}

/// The word as it must be written for [`Escapes::Literal`] so that `split` gives it back. It must not hold a line feed.
pub fn quote_literal(word: &str) -> String {
    if !word.is_empty() && word.chars().all(|c| !is_blank(c) && !matches!(c, '"' | '\'' | '\\')) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The argument as it must be written at the end of a line so that [`unescape`] gives it back, whatever blanks are around it.
pub fn escape_argument(argument: &[u8]) -> String {
    let last = argument.len().saturating_sub(1);
    let mut out = String::new();
    let mut at = 0;
    for chunk in argument.utf8_chunks() {
        for c in chunk.valid().chars() {
            let edge = at == 0 || at == last;
            match c {
                '\\' => out.push_str("\\\\"),
                ' ' if edge => out.push_str("\\x20"),
                // A field that is `-` alone is empty.
                '-' if argument.len() == 1 => out.push_str("\\x2d"),
                c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
                c => out.push(c),
            }
            at += c.len_utf8();
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
            at += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_or_escaped_comes_back() {
        for word in ["a", "a b", "a\"b", "a\\b", "tab\t", "", "Müller's \\ \"x\"", "-"] {
            assert_eq!(split(&quote(word.as_bytes()), 9, Escapes::C).unwrap().0, [word.as_bytes()], "{word:?}");
            assert_eq!(split(&quote_literal(word), 9, Escapes::Literal).unwrap().0, [word.as_bytes()], "{word:?}");
        }
        for argument in [&b" a \"b\" "[..], b"a\\nb\n", b"-", b"\xff/x", b"", "é".as_bytes()] {
            let text = escape_argument(argument);
            assert_eq!((text.trim(), unescape(&text).unwrap()), (text.as_str(), argument.to_vec()));
        }
    }

    #[test]
    fn a_line_splits_as_systemd_splits_it() {
        let check = |line: &str, escapes, expected: Result<(&[&str], &str), &str>| {
            let found = split(line, 6, escapes);
            let expected = expected.map(|(words, rest)| (words.iter().map(|word| word.as_bytes().to_vec()).collect(), rest));
            assert_eq!(found, expected, "{line:?}");
        };
        check("u root 0 \"Super User\" /root", Escapes::Literal, Ok((&["u", "root", "0", "Super User", "/root"], "")));
        check("f /x - - - -  a  \"b\" \\n ", Escapes::C, Ok((&["f", "/x", "-", "-", "-", "-"], "a  \"b\" \\n")));
        check("a'b c'd\\n", Escapes::Literal, Ok((&["ab cdn"], "")));
        check("\\101\\x42\\u0043\\s\\t", Escapes::C, Ok((&["ABC \t"], "")));
        check("u \"x", Escapes::C, Err(OPEN_QUOTE));
        check("u x\\", Escapes::Literal, Err(OPEN_ESCAPE));
        for bad in ["\\q", "\\x0", "\\x00", "\\x+1", "\\400", "\\ud800", "\\u12"] {
            check(bad, Escapes::C, Err(BAD_ESCAPE));
        }
    }
}
