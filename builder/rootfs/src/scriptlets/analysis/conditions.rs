//! What is known of conditions on a fresh installation that is not a running system.

use super::walk::Walker;
use crate::scriptlets::shell::syntax::{AndOr, Command, CommandKind, Joint, Part, Pipeline, Redirection, Word};
use model::ResultJudged;

impl Walker<'_> {
    /// Returns what a word expands to on a fresh installation; `None` if something in it is not known.
    pub(super) fn value(&self, word: &Word) -> Option<String> {
        let mut out = String::new();
        self.expand(&word.parts, &mut |part, _| out.push_str(part))?;
        Some(out)
    }

    /// Returns the pattern of a case's arm for `model::glob_matches`; `None` if something in it is not known.
    pub(super) fn pattern(&self, word: &Word) -> Option<String> {
        let mut out = String::new();
        self.expand(&word.parts, &mut |part, is_quoted| {
            for c in part.chars() {
                match c {
                    '*' | '?' | '[' if is_quoted => out.extend(['[', c, ']']),
                    c => out.push(c),
                }
            }
        })?;
        Some(out)
    }

    /// Gives `put` each piece of text, and whether it is quoted.
    fn expand(&self, parts: &[Part], put: &mut dyn FnMut(&str, bool)) -> Option<()> {
        for part in parts {
            match part {
                Part::Literal(text) => put(text, false),
                Part::Quoted(text) => put(text, true),
                Part::DoubleQuoted(inner) => self.expand(inner, &mut |text, _| put(text, true))?,
                Part::Parameter(parameter) => {
                    // A default that is empty changes nothing of what is known here.
                    let is_plain = parameter.operation.as_ref().is_none_or(|(operator, word)| operator == ":-" && word.is_empty());
                    let value = match parameter.name.as_str() {
                        "1" => &self.arguments[0],
                        "2" => &self.arguments[1],
                        "DPKG_ROOT" => "",
                        _ => return None,
                    };
                    put(is_plain.then_some(value)?, true);
                }
                Part::Command(_) | Part::Process(_) | Part::Arithmetic(_) | Part::Array(_) | Part::Unsupported(_) => return None,
            }
        }
        Some(())
    }

    /// Whether a condition holds, if that is known. What is run to find out changes nothing, or is not known.
    pub(super) fn truth(&self, condition: &[AndOr]) -> Option<bool> {
        let [and_or] = condition else { return None };
        if and_or.is_background {
            return None;
        }
        let mut truth = self.pipeline_truth(&and_or.first);
        let mut only_looks = truth.is_some() || looks(&and_or.first);
        for (joint, next) in &and_or.rest {
            let next_truth = self.pipeline_truth(next);
            truth = match (joint, truth) {
                // The next one does not run.
                (Joint::And, Some(false)) | (Joint::Or, Some(true)) => continue,
                (Joint::And, Some(true)) | (Joint::Or, Some(false)) => next_truth,
                (Joint::And, None) => next_truth.filter(|truth| !truth && only_looks),
                (Joint::Or, None) => next_truth.filter(|truth| *truth && only_looks),
            };
            only_looks &= next_truth.is_some() || looks(next);
        }
        truth.filter(|_| only_looks)
    }

    pub(super) fn pipeline_truth(&self, pipeline: &Pipeline) -> Option<bool> {
        let [command] = pipeline.commands.as_slice() else { return None };
        self.command_truth(command).map(|truth| truth != pipeline.is_negated)
    }

    fn command_truth(&self, command: &Command) -> Option<bool> {
        let CommandKind::Simple { assignments, words } = &command.kind else { return None };
        if !assignments.is_empty() || !command.redirections.iter().all(Redirection::is_silent) {
            return None;
        }
        let texts = words.iter().map(Word::text).collect::<Option<Vec<_>>>()?;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        match texts.as_slice() {
            // The labels are the builder's work, and the machine that builds is not asked.
            ["selinuxenabled" | "/usr/sbin/selinuxenabled" | "/sbin/selinuxenabled"] if self.by_rpm => Some(false),
            ["[", inner @ .., "]"] => self.test(words.get(1..words.len() - 1)?, inner),
            ["test", inner @ ..] => self.test(words.get(1..)?, inner),
            // To dpkg an empty version is earlier than any other.
            ["dpkg", "--compare-versions", _, operator, _] if self.value(words.get(2)?)?.is_empty() => match *operator {
                "lt" | "le" | "ne" | "gt-nl" | "ge-nl" => Some(true),
                "gt" | "ge" | "eq" | "lt-nl" | "le-nl" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// The arguments of `test`, as words and as texts.
    fn test(&self, words: &[Word], texts: &[&str]) -> Option<bool> {
        let value = |index: usize| self.value(words.get(index)?);
        match texts {
            ["!", rest @ ..] => self.test(words.get(1..)?, rest).map(|truth| !truth),
            ["-n", _] => Some(!value(1)?.is_empty()),
            ["-z", _] => Some(value(1)?.is_empty()),
            ["-d", _] => (value(1)? == "/run/systemd/system").then_some(false),
            [_, "=" | "==", _] => Some(value(0)? == value(2)?),
            [_, "!=", _] => Some(value(0)? != value(2)?),
            // rpm passes the number of installed instances.
            [_, operator, _] => {
                let number = |index| value(index)?.parse::<u32>().none_because("what is no number is decided when it runs");
                let (a, b) = (number(0)?, number(2)?);
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

/// Programs that look and change nothing outside of the script.
const LOOKING: &[&str] = &[
    "[",
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
    "read",
];

/// Whether a condition only looks: all of its commands do, those in substitutions as well.
pub(super) fn is_question(condition: &[AndOr]) -> bool {
    condition.iter().all(|and_or| !and_or.is_background && and_or.pipelines().all(|(_, pipeline)| looks(pipeline)))
}

pub(super) fn looks(pipeline: &Pipeline) -> bool {
    pipeline.commands.iter().all(|command| {
        let only_words_look = |words: &[Word]| words.iter().all(|word| is_only_looked_up(&word.parts));
        command.redirections.iter().all(|redirection| redirection.is_silent() || is_input(redirection))
            && match &command.kind {
                CommandKind::Simple { assignments, words } => assignments.is_empty() && is_looking(words) && only_words_look(words),
                CommandKind::Test(words) => only_words_look(words),
                _ => false,
            }
    })
}

fn is_looking(words: &[Word]) -> bool {
    let Some(first) = words.first().and_then(Word::text) else { return false };
    let name = first.rsplit('/').next().unwrap_or("");
    // Without one of these it changes something.
    let is_query = |word: &Word| word.text().is_some_and(|text| ["--list", "--truename", "--listpackage"].contains(&text.as_str()));
    LOOKING.contains(&name) && (name != "dpkg-divert" || words.iter().any(is_query))
}

/// Whether a redirection only reads. What a here-document holds is not looked at.
pub(super) fn is_input(redirection: &Redirection) -> bool {
    matches!(redirection.operator, "<" | "<&" | "<<<") && is_only_looked_up(&redirection.target.parts)
}

/// Whether nothing that runs to expand these changes anything.
pub(super) fn is_only_looked_up(parts: &[Part]) -> bool {
    parts.iter().all(|part| match part {
        Part::Literal(_) | Part::Quoted(_) => true,
        Part::DoubleQuoted(inner) | Part::Arithmetic(inner) => is_only_looked_up(inner),
        Part::Parameter(parameter) => parameter.operation.as_ref().is_none_or(|(_, word)| is_only_looked_up(word)),
        Part::Command(list) | Part::Process(list) => is_question(list),
        Part::Array(words) => words.iter().all(|word| is_only_looked_up(&word.parts)),
        Part::Unsupported(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scriptlets::shell;

    #[test]
    fn a_question_changes_nothing() {
        for (condition, expected) in [
            ("[ -e /x ]", true),
            ("! [ -e /x ] && test -d /y || command -v z >/dev/null 2>&1", true),
            ("[ -z \"$(dpkg-query -f '${Version}' -W podman-docker 2> /dev/null)\" ]", true),
            ("[[ $(uname -m) = x86_64 && -e /x ]]", true),
            ("getent passwd x >/dev/null", true),
            ("dpkg -l x | grep -q ii", true),
            ("grep -q 'a > b; c' </x", true),
            ("[ -e /x ] || rm /y", false),
            ("[ -e /x ] & rm /y", false),
            ("[ -e /x ]; rm /y", false),
            ("[ -z \"$(rm /x)\" ]", false),
            ("[ -z `rm /x` ]", false),
            ("[ -z \"${x:-$(rm /y)}\" ]", false),
            ("[ $((1 + $(rm /x))) = 2 ]", false),
            ("[[ -n $(rm /x) ]]", false),
            ("cat <(rm /x)", false),
            ("[ a ] > /etc/x", false),
            ("dpkg-divert --rename --add /x", false),
            ("rm /x", false),
            ("cat /x | tee /y", false),
        ] {
            assert_eq!(is_question(&shell::parse(condition).unwrap().list), expected, "{condition}");
        }
    }
}
