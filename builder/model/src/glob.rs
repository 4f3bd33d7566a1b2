//! Shell patterns over names as bytes: `*` stands for any bytes, `?` for one. `/` and a leading dot are bytes like any other, and a backslash is
//! itself (fnmatch(3) with FNM_NOESCAPE alone, as systemd uses it).
//!
//! The time is bounded by the product of the two lengths, whatever the pattern.

/// Tells whether `pattern` matches the whole of `name`; besides `*` and `?` it may have bracket expressions such as `[a-z]` and `[!a]`.
pub fn glob_matches(pattern: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> bool {
    matches(pattern.as_ref(), name.as_ref(), bracket)
}

/// The same for patterns whose only special bytes are `*` and `?`.
pub fn wildcard_matches(pattern: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> bool {
    matches(pattern.as_ref(), name.as_ref(), |_, byte| (byte == b'[').then_some(1))
}

/// `bracket` is given the pattern from a `[` on and a byte of the name. It returns how many bytes of the pattern match that byte, if any do.
fn matches(pattern: &[u8], name: &[u8], bracket: impl Fn(&[u8], u8) -> Option<usize>) -> bool {
    let (mut at, mut taken) = (0, 0);
    // Where the pattern goes on after the last `*`, and how much of the name is taken up to the end of what it stands for.
    let mut star: Option<(usize, usize)> = None;
    while taken < name.len() {
        let width = match pattern.get(at) {
            Some(b'*') => {
                at += 1;
                star = Some((at, taken));
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => bracket(&pattern[at..], name[taken]),
            Some(&byte) => (byte == name[taken]).then_some(1),
            None => None,
        };
        match (width, &mut star) {
            (Some(width), _) => {
                at += width;
                taken += 1;
            }
            // The last `*` takes one byte more.
            (None, Some((after, end))) => {
                *end += 1;
                (at, taken) = (*after, *end);
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

/// Bytes of the bracket expression if it matches `byte`; an unclosed one is a plain `[`.
fn bracket(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = 1 + usize::from(negated);
    // A `]` in the first place belongs to the set.
    let Some(close) = (first + 1..pattern.len()).find(|&at| pattern[at] == b']') else { return (byte == b'[').then_some(1) };
    let set = &pattern[first..close];
    let mut at = 0;
    let mut hit = false;
    while at < set.len() {
        if set.get(at + 1) == Some(&b'-') && at + 2 < set.len() {
            hit |= (set[at]..=set[at + 2]).contains(&byte);
            at += 3;
        } else {
            hit |= set[at] == byte;
            at += 1;
        }
    }
    (hit != negated).then_some(close + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the name: whether the pattern matches with bracket expressions, and without.
    fn check(pattern: &str, name: &str, expected: (bool, bool)) {
        assert_eq!((glob_matches(pattern, name), wildcard_matches(pattern, name)), expected, "{pattern} {name}");
    }

    #[test]
    fn patterns_match_as_fnmatch_does_with_and_without_brackets() {
        const BOTH: (bool, bool) = (true, true);
        const NEITHER: (bool, bool) = (false, false);
        const BRACKETS: (bool, bool) = (true, false);
        const PLAIN: (bool, bool) = (false, true);
        for (pattern, name, expected) in [
            ("", "", BOTH),
            ("", "a", NEITHER),
            ("*", "", BOTH),
            ("*", "a.service", BOTH),
            ("?", "", NEITHER),
            ("?", "/", BOTH),
            // One `?` is one byte.
            ("?", "é", NEITHER),
            ("??", "é", BOTH),
            ("systemd-*.socket", "systemd-udevd.socket", BOTH),
            ("systemd-*.socket", "systemd-udevd.service", NEITHER),
            ("getty@.service", "getty@.service", BOTH),
            ("a?c", "abc", BOTH),
            ("a?c", "ac", NEITHER),
            ("abc", "abcd", NEITHER),
            ("abcd", "abc", NEITHER),
            ("*a*b", "xxaxxb", BOTH),
            ("*a*b", "xxaxxbx", NEITHER),
            ("*ab", "aab", BOTH),
            ("a**", "a", BOTH),
            ("\\*", "\\x", BOTH),
            ("\\*", "*", NEITHER),
            ("a[b-d]c", "acc", BRACKETS),
            ("a[!b-d]c", "acc", NEITHER),
            ("a[^b-d]c", "aec", BRACKETS),
            ("a[b-d]c", "a[b-d]c", PLAIN),
            ("[]x]", "]", BRACKETS),
            ("[a-]", "-", BRACKETS),
            ("*[0-9]", "a1b2", BRACKETS),
            ("a[", "a[", BOTH),
            ("[*", "[x", BOTH),
        ] {
            check(pattern, name, expected);
        }
        assert!(glob_matches(b"\xff*", b"\xff\xfe"), "names need not be UTF-8");
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_exponential_time() {
        check(&"*a".repeat(100), &"a".repeat(10_000), (true, true));
        check(&("*a".repeat(100) + "b"), &"a".repeat(10_000), (false, false));
    }
}
