//! What is known of conditions on a fresh installation that is not a running system.

use super::chain::{chain, quiet};
use super::walk::Reader;
use crate::scriptlets::shell::words;
use model::ResultJudged;

impl Reader<'_> {
    /// A word with what is known of a fresh installation put in; `None` if something else is in it.
    pub(super) fn substitute(&self, word: &str) -> Option<String> {
        let mut out = word.to_owned();
        for (variable, value) in [("1", &self.arguments[0]), ("2", &self.arguments[1]), ("DPKG_ROOT", &String::new())] {
            for form in [format!("${{{variable}}}"), format!("${{{variable}:-}}"), format!("${variable}")] {
                out = out.replace(&form, value);
            }
        }
        (!out.contains('$')).then_some(out)
    }

    /// Whether a condition holds on a fresh installation that is not a running system.
    pub(super) fn truth(&self, condition: &str) -> Option<bool> {
        let condition = condition.trim();
        // Left-associative with equal precedence, as in the shell; operators in quotes make `words` fail below.
        let and = condition.rfind("&&").map(|at| (at, true));
        let or = condition.rfind("||").map(|at| (at, false));
        if let Some((at, is_and)) = and.into_iter().chain(or).max() {
            let (a, b) = (self.truth(&condition[..at]), self.truth(&condition[at + 2..]));
            return match (is_and, a, b) {
                (true, Some(false), _) | (true, _, Some(false)) => Some(false),
                (false, Some(true), _) | (false, _, Some(true)) => Some(true),
                (true, Some(true), Some(true)) => Some(true),
                (false, Some(false), Some(false)) => Some(false),
                _ => None,
            };
        }
        if let Some(rest) = condition.strip_prefix("! ") {
            return self.truth(rest).map(|t| !t);
        }
        let words = words(&quiet(condition))?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let inner = match words.as_slice() {
            // The labels are the builder's work, and the machine that builds is not asked.
            ["selinuxenabled" | "/usr/sbin/selinuxenabled" | "/sbin/selinuxenabled"] if self.by_rpm => return Some(false),
            ["[", inner @ .., "]"] | ["test", inner @ ..] => inner,
            ["dpkg", "--compare-versions", "$2", operator, _] if self.arguments[1].is_empty() => {
                return match *operator {
                    "lt" | "le" | "ne" | "gt-nl" | "ge-nl" => Some(true),
                    "gt" | "ge" | "eq" | "lt-nl" | "le-nl" => Some(false),
                    _ => None,
                };
            }
            _ => return None,
        };
        let value = |word: &str| self.substitute(word);
        match inner {
            ["!", rest @ ..] => {
                self.truth(&format!("[ {} ]", rest.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(" "))).map(|t| !t)
            }
            ["-n", word] => value(word).map(|v| !v.is_empty()),
            ["-z", word] => value(word).map(|v| v.is_empty()),
            ["-d", "/run/systemd/system"] => Some(false),
            [a, "=" | "==", b] => Some(value(a)? == value(b)?),
            [a, "!=", b] => Some(value(a)? != value(b)?),
            // rpm passes the number of installed instances.
            [a, operator, b] => {
                let (a, b): (u32, u32) = (
                    value(a)?.parse().none_because("what is no number is decided when it runs")?,
                    value(b)?.parse().none_because("what is no number is decided when it runs")?,
                );
                match *operator {
                    "-eq" => Some(a == b),
                    "-ne" => Some(a != b),
                    "-gt" => Some(a > b),
                    "-ge" => Some(a >= b),
                    "-lt" => Some(a < b),
                    "-le" => Some(a <= b),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// Programs that look and change nothing.
const LOOKING: &[&str] = &[
    "[",
    "[[",
    "test",
    "command",
    "which",
    "type",
    "getent",
    "id",
    "dpkg",
    "dpkg-query",
    "dpkg-divert",
    "ischroot",
    "readlink",
    "cat",
    "uname",
    "rpm",
    "stat",
    "grep",
    "egrep",
    "wc",
    "cut",
    "head",
    "true",
    "false",
    "echo",
    "ls",
];

/// A condition that only looks: all of its parts do, those that are substituted into it as well.
pub(super) fn is_question(condition: &str) -> bool {
    !condition.contains('`') && chain(condition).iter().all(|(_, part)| looks(part))
}

fn looks(part: &str) -> bool {
    let mut outer = part.trim().trim_start_matches("! ").to_owned();
    while let Some(start) = outer.find("$(") {
        let Some(len) = closing(&outer[start + 2..]) else { return false };
        if !is_question(&outer[start + 2..start + 2 + len]) {
            return false;
        }
        outer.replace_range(start..start + 2 + len + 1, "x");
    }
    let plain = quiet(&outer);
    let base = |piece: &str| piece.split_whitespace().next().and_then(|first| first.rsplit('/').next()).unwrap_or("").to_owned();
    // `dpkg-divert` without options that change something, which all begin so.
    let changes =
        plain.contains("dpkg-divert") && !plain.contains("--list") && !plain.contains("--truename") && !plain.contains("--listpackage");
    !plain.contains(['>', ';']) && !changes && plain.split('|').all(|piece| LOOKING.contains(&base(piece).as_str()))
}

/// Where the parenthesis closes that was opened before.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_changes_nothing() {
        for (condition, expected) in [
            ("[ -e /x ]", true),
            ("! [ -e /x ] && test -d /y || command -v z >/dev/null 2>&1", true),
            ("[ -z \"$(dpkg-query -f '${Version}' -W podman-docker 2> /dev/null)\" ]", true),
            ("getent passwd x >/dev/null", true),
            ("dpkg -l x | grep -q ii", true),
            ("[ -e /x ] || rm /y", false),
            ("[ -z \"$(rm /x)\" ]", false),
            ("[ -z `rm /x` ]", false),
            ("[ a ] > /etc/x", false),
            ("dpkg-divert --rename --add /x", false),
            ("rm /x", false),
            ("cat /x | tee /y", false),
            ("[ $(a", false),
        ] {
            assert_eq!(is_question(condition), expected, "{condition}");
        }
    }
}
