//! Our tree as events.

use super::is_test_operator;
use crate::scriptlets::shell::parse;
use crate::scriptlets::shell::syntax::{AndOr, Command, CommandKind, Joint, Part, Redirection, Span, Word};

pub(super) fn ours(text: &str) -> Result<Vec<String>, String> {
    let script = parse(text).map_err(|error| error.to_string())?;
    let mut ours = Ours { text, documents: &script.here_documents, events: Vec::new(), in_own_text: false };
    ours.list(&script.list);
    Ok(ours.events)
}

struct Ours<'a> {
    text: &'a str,
    documents: &'a [Vec<Part>],
    events: Vec<String>,
    /// Inside backquotes or a here-document: nodes do not name their own part of `text`.
    in_own_text: bool,
}

impl Ours<'_> {
    fn mark(&mut self, mark: impl Into<String>) {
        self.events.push(mark.into());
    }

    fn raw(&self, span: Span) -> String {
        self.text[span.start..span.end].replace("\\\n", "")
    }

    fn list(&mut self, list: &[AndOr]) {
        for and_or in list {
            for (joint, pipeline) in and_or.pipelines() {
                match joint {
                    Some(Joint::And) => self.mark("&&"),
                    Some(Joint::Or) => self.mark("||"),
                    None => {}
                }
                if pipeline.is_negated {
                    self.mark("!");
                }
                for (at, command) in pipeline.commands.iter().enumerate() {
                    if at > 0 {
                        self.mark("|");
                    }
                    self.command(command);
                }
            }
            if and_or.is_background {
                self.mark("&");
            }
        }
    }

    fn block(&mut self, begin: &str, list: &[AndOr], end: &str) {
        self.mark(begin);
        self.list(list);
        self.mark(end);
    }

    fn command(&mut self, command: &Command) {
        match &command.kind {
            CommandKind::Simple { assignments, words } => {
                let mut all: Vec<String> = Vec::new();
                for assignment in assignments {
                    let raw = self.raw(assignment.span);
                    all.push(match assignment.value.parts.as_slice() {
                        [Part::Array(elements)] => format!("{}({})", raw.split('(').next().unwrap(), elements.len()),
                        _ => raw,
                    });
                }
                all.extend(words.iter().map(|word| match word.parts.first() {
                    Some(Part::Process(_)) => "<()".to_owned(),
                    _ => self.raw(word.span),
                }));
                match self.in_own_text {
                    true => self.mark(format!("{:?} and {} words", words.first().and_then(Word::text), all.len().saturating_sub(1))),
                    false => self.mark(format!("{all:?}")),
                }
                for assignment in assignments.iter().filter(|assignment| !matches!(assignment.value.parts.as_slice(), [Part::Array(_)])) {
                    self.parts(&assignment.value.parts);
                }
                words.iter().for_each(|word| self.parts(&word.parts));
            }
            CommandKind::If { arms, otherwise } => {
                for (condition, body) in arms {
                    self.block("if", condition, "then");
                    self.list(body);
                }
                self.mark("else");
                self.list(otherwise);
                self.mark("fi");
            }
            CommandKind::Case { word, arms } => {
                self.mark(format!("case {}", self.raw(word.span)));
                self.parts(&word.parts);
                for arm in arms {
                    let patterns: Vec<String> = arm.patterns.iter().map(|pattern| self.raw(pattern.span)).collect();
                    self.block(&format!("{patterns:?}"), &arm.body, ";;");
                }
            }
            CommandKind::While { condition, body } => {
                self.block("while", condition, "do");
                self.list(body);
                self.mark("done");
            }
            CommandKind::For { name, words, body, .. } => {
                // brush has the same tree for `in` without words and for no `in`.
                let words = words.as_ref().filter(|words| !words.is_empty());
                let raw: Option<Vec<String>> = words.map(|words| words.iter().map(|word| self.raw(word.span)).collect());
                self.mark(format!("for {name} in {raw:?}"));
                words.into_iter().flatten().for_each(|word| self.parts(&word.parts));
                self.block("do", body, "done");
            }
            CommandKind::Group(body) => self.block("{", body, "}"),
            CommandKind::Subshell(body) => self.block("(", body, ")"),
            CommandKind::Function { name, body } => {
                self.mark(format!("function {name}"));
                self.command(body);
            }
            CommandKind::Test(words) => {
                let raw: Vec<String> = words.iter().map(|word| self.raw(word.span)).filter(|word| !is_test_operator(word)).collect();
                self.mark(format!("[[ {raw:?}"));
                words.iter().for_each(|word| self.parts(&word.parts));
            }
        }
        command.redirections.iter().for_each(|redirection| self.redirection(redirection));
    }

    fn redirection(&mut self, redirection: &Redirection) {
        let descriptor = redirection.descriptor.map(|number| number.to_string()).unwrap_or_default();
        let target = if self.in_own_text { String::new() } else { self.raw(redirection.target.span) };
        let operator = if redirection.operator == "<<-" { "<<" } else { redirection.operator };
        self.mark(format!("{descriptor}{operator}{target}"));
        match redirection.here_document {
            Some(index) => {
                let (documents, outer) = (self.documents, self.in_own_text);
                self.in_own_text = true;
                self.parts(&documents[index]);
                self.in_own_text = outer;
            }
            None => self.parts(&redirection.target.parts),
        }
    }

    fn parts(&mut self, parts: &[Part]) {
        for part in parts {
            match part {
                Part::DoubleQuoted(inner) => self.parts(inner),
                Part::Command(list) => {
                    // The text of backquotes is the whole substitution's.
                    let outer = self.in_own_text;
                    self.in_own_text |= list.first().is_some_and(|and_or| self.text[and_or.span.start..].starts_with('`'));
                    self.block("$(", list, ")");
                    self.in_own_text = outer;
                }
                Part::Process(list) => self.block("<(", list, ")"),
                _ => {}
            }
        }
    }
}
