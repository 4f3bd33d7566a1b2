//! The walk over a script's statements.

use super::chain::{Joint, chain, quiet};
use super::commands::{COMMANDS, INERT};
use super::conditions::is_question;
use super::{Analysis, Invocation, accounts};
use crate::alternatives::Alternative;
use crate::scriptlets::shell::{Node, words};
use model::OptionJudged;
use std::collections::BTreeMap;

/// What is left of a block, and whether control cannot come out of its end.
#[derive(Default)]
pub(super) struct Walk {
    pub left: Vec<String>,
    ends: bool,
}

pub(super) struct Reader<'a> {
    pub arguments: [String; 2],
    pub functions: BTreeMap<String, Vec<Node>>,
    pub by_rpm: bool,
    analysis: &'a mut Analysis,
    inlined: usize,
}

impl<'a> Reader<'a> {
    pub fn new(called: Invocation<'_>, analysis: &'a mut Analysis) -> Self {
        let (first, by_rpm) = match called {
            Invocation::ByDpkg(first) => (first, false),
            Invocation::ByRpm(first) => (first, true),
        };
        Reader { arguments: [first.to_owned(), String::new()], functions: BTreeMap::new(), by_rpm, analysis, inlined: 0 }
    }

    pub fn collect_functions(&mut self, nodes: &[Node]) {
        for node in nodes {
            if let Node::Function { name, body } = node {
                self.functions.insert(name.clone(), body.clone());
            }
        }
    }

    /// `certain`: the block is surely executed.
    pub fn block(&mut self, nodes: &[Node], certain: bool) -> Walk {
        let mut walk = Walk::default();
        for node in nodes {
            let inner = match node {
                Node::Statement(text) => self.statement(text, certain),
                Node::Function { .. } => Walk::default(),
                Node::Group(body) => self.block(body, certain),
                Node::If { arms, otherwise } => self.conditional(arms, otherwise, certain),
                Node::Case { word, arms } => self.case(word, arms, certain),
                Node::Loop { head, body } => {
                    let mut inner = self.block(body, false);
                    if !inner.left.is_empty() {
                        inner.left.insert(0, head.clone());
                    }
                    Walk { ends: false, ..inner }
                }
            };
            walk.left.extend(inner.left);
            if inner.ends {
                walk.ends = certain;
                break;
            }
        }
        walk
    }

    fn conditional(&mut self, arms: &[(String, Vec<Node>)], otherwise: &[Node], certain: bool) -> Walk {
        let (mut left, mut certain_here) = (Vec::new(), certain);
        for (condition, body) in arms {
            match self.truth(condition) {
                Some(false) => continue,
                Some(true) => {
                    let walk = self.block(body, certain_here);
                    left.extend(walk.left);
                    return Walk { left, ends: walk.ends && certain_here };
                }
                None => {
                    certain_here = false;
                    let inner = self.block(body, false).left;
                    if !inner.is_empty() || !is_question(condition) {
                        left.push(format!("if {condition}"));
                        left.extend(inner);
                    }
                }
            }
        }
        let walk = self.block(otherwise, certain_here);
        left.extend(walk.left);
        Walk { left, ends: walk.ends && certain_here }
    }

    fn case(&mut self, word: &str, arms: &[(String, Vec<Node>)], certain: bool) -> Walk {
        let Some(value) = words(word).and_then(|w| self.substitute(w.first()?)) else {
            let mut left: Vec<String> = arms.iter().flat_map(|(_, body)| self.block(body, false).left).collect();
            if !left.is_empty() {
                left.insert(0, format!("case {word}"));
            }
            return Walk { left, ends: false };
        };
        let matches =
            |pattern: &str| pattern.split('|').map(|p| p.trim().trim_matches(['"', '\''])).any(|p| model::glob_matches(p, &value));
        match arms.iter().find(|(pattern, _)| matches(pattern)) {
            Some((_, body)) => self.block(body, certain),
            None => Walk::default(),
        }
    }

    /// What is left of a chain is left as a whole.
    fn statement(&mut self, text: &str, certain: bool) -> Walk {
        let parts = chain(text);
        if parts.len() == 1 {
            return self.simple(text, certain);
        }
        let mut success = Some(true);
        let mut is_whole = true;
        for (at, (joint, part)) in parts.iter().enumerate() {
            let runs = match (joint, success) {
                (Joint::First, _) | (Joint::And, Some(true)) | (Joint::Or, Some(false)) => Some(true),
                (_, Some(_)) => Some(false),
                (_, None) => None,
            };
            if runs == Some(false) {
                continue;
            }
            if let Some(truth) = self.truth(part) {
                success = if runs == Some(true) { Some(truth) } else { None };
                continue;
            }
            if is_question(part) {
                // What makes an account asks first whether it is there.
                let asks_for_account =
                    self.by_rpm && matches!(parts.get(at + 1), Some((Joint::Or, next)) if makes_account(next)) && is_about_accounts(part);
                success = if asks_for_account && runs == Some(true) { Some(false) } else { None };
                continue;
            }
            let walk = self.simple(part, certain && runs == Some(true));
            if walk.ends {
                return Walk { left: Vec::new(), ends: runs == Some(true) };
            }
            is_whole &= walk.left.is_empty();
            success = (walk.left.is_empty() && runs == Some(true)).then_some(true);
        }
        Walk { left: if is_whole { Vec::new() } else { vec![text.to_owned()] }, ends: false }
    }

    fn simple(&mut self, text: &str, certain: bool) -> Walk {
        let left = |text: &str| Walk { left: vec![text.to_owned()], ends: false };
        let plain = quiet(text);
        let Some(words) = words(&plain) else { return left(text) };
        let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        let base = |word: &str| word.rsplit('/').next().unwrap_or("").to_owned();
        match arguments.as_slice() {
            [] => Walk::default(),
            ["exit", "0"] | ["return"] | ["return", "0"] => Walk { left: Vec::new(), ends: true },
            [".", file] if file.ends_with("/debconf/confmodule") => Walk::default(),
            [program, rest @ ..] if matches!(base(program).as_str(), "update-alternatives" | "alternatives") => match rest {
                // Nothing was there before a fresh installation.
                ["--remove", _, _] if self.by_rpm => Walk::default(),
                _ => match Alternative::parse(rest).filter(|_| certain) {
                    Some(alternative) => {
                        self.analysis.alternatives.push(alternative);
                        self.analysis.mechanisms.insert("alternatives");
                        Walk::default()
                    }
                    None => left(text),
                },
            },
            ["echo" | "printf", ..] => Walk::default(),
            ["set", option] if option.starts_with(['-', '+']) && *option != "--" => Walk::default(),
            [first, ..] if INERT.contains(first) => Walk::default(),
            ["touch", "--no-create" | "-c", ..] if self.by_rpm => Walk::default(),
            ["systemctl" | "/bin/systemctl" | "/usr/bin/systemctl", rest @ ..] if self.by_rpm => match systemctl(rest) {
                Some(units) if units.is_empty() || certain => {
                    self.analysis.enable.extend(units);
                    self.analysis.mechanisms.insert("presets");
                    Walk::default()
                }
                _ => left(text),
            },
            command if self.by_rpm && makes_account(&plain) => match accounts::lines(command).filter(|_| certain) {
                Some(lines) => {
                    self.analysis.accounts.extend(lines);
                    self.analysis.mechanisms.insert("sysusers");
                    Walk::default()
                }
                None => left(text),
            },
            [name] if self.functions.contains_key(*name) && self.inlined < 64 => {
                self.inlined += 1;
                let body = self.functions.get(*name).cloned().default_because("an unknown function has no body");
                let outer = std::mem::take(&mut self.arguments);
                let walk = self.block(&body, certain);
                self.arguments = outer;
                Walk { ends: false, ..walk }
            }
            [first, ..] => match COMMANDS.iter().find(|(name, _)| name == first || *name == base(first)) {
                Some((_, mechanism)) => {
                    self.analysis.mechanisms.insert(mechanism);
                    Walk::default()
                }
                None => left(text),
            },
        }
    }
}

/// The units that a call of systemctl enables for good; `None` if it does more than native stages do.
fn systemctl(arguments: &[&str]) -> Option<Vec<String>> {
    let words: Vec<&&str> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let plain = |unit: &&str| !unit.contains(['$', '`', '*', '/']);
    match words.as_slice() {
        [verb, units @ ..] if **verb == "enable" && units.iter().all(|unit| plain(unit)) => {
            Some(units.iter().map(|unit| if unit.contains('.') { (**unit).to_string() } else { format!("{unit}.service") }).collect())
        }
        // What is done to running units has no counterpart in an image.
        [verb, ..]
            if [
                "preset",
                "preset-all",
                "daemon-reload",
                "daemon-reexec",
                "start",
                "stop",
                "restart",
                "try-restart",
                "reload",
                "kill",
                "reload-or-restart",
                "reload-or-try-restart",
                "condrestart",
                "is-active",
                "is-enabled",
                "reset-failed",
                "show",
            ]
            .contains(*verb) =>
        {
            Some(Vec::new())
        }
        _ => None,
    }
}

fn makes_account(command: &str) -> bool {
    let first = command.split_whitespace().next().unwrap_or("");
    matches!(first.rsplit('/').next(), Some("groupadd" | "useradd" | "usermod" | "gpasswd"))
}

fn is_about_accounts(condition: &str) -> bool {
    let mut words = condition.split_whitespace();
    let first = words.next().unwrap_or("");
    match first.rsplit('/').next() {
        Some("getent") => matches!(words.next(), Some("passwd" | "group")),
        Some("id") => true,
        _ => false,
    }
}

pub(super) fn is_inert(statement: &str) -> bool {
    words(statement).is_some_and(|words| words.first().is_none_or(|first| INERT.contains(&first.as_str())))
}

/// `NAME=value` alone: nothing outside the script sees it.
pub(super) fn is_assignment(statement: &str) -> bool {
    statement.split_once('=').is_some_and(|(name, value)| {
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_') && words(value).is_some_and(|w| w.len() <= 1)
    })
}
