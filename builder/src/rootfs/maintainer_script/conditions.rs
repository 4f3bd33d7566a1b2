//! What is known of conditions on a fresh installation that is not a running system.

use super::chain::quiet;
use super::walk::Reader;
use crate::rootfs::shell::words;

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
                let (a, b): (u32, u32) = (value(a)?.parse().ok()?, value(b)?.parse().ok()?);
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

/// A condition that only looks.
pub(super) fn is_question(condition: &str) -> bool {
    let first = condition.trim_start_matches(['!', ' ']).split_whitespace().next().unwrap_or_default();
    matches!(first, "[" | "[[" | "test" | "command" | "which" | "getent" | "/usr/bin/getent" | "id" | "/usr/bin/id" | "dpkg" | "ischroot") && !condition.contains(['`', '(']) && !quiet(condition).contains(['>', '|'])
}

