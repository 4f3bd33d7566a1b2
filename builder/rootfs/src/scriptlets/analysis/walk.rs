//! The walk over a script's syntax tree.

use super::commands::{COMMANDS, INERT};
use super::conditions::{is_input, is_only_looked_up, is_question, looks};
use super::{Analysis, Invocation, Statement, accounts};
use crate::alternatives::Alternative;
use crate::scriptlets::shell::syntax::{AndOr, Assignment, CaseArm, Command, CommandKind, Joint, Pipeline, Redirection, Span, Word};
use model::OptionJudged;
use std::collections::BTreeMap;

/// Calls of functions that are followed, all in all.
const INLINED_MAX: usize = 64;

/// What is left of a block, and whether control cannot come out of its end.
#[derive(Default)]
pub(super) struct Walk {
    pub left: Vec<Leftover>,
    ends: bool,
}

/// A statement that nothing native covers.
pub(super) struct Leftover {
    pub statement: Statement,
    /// It sets variables that nothing outside the script sees, and runs nothing.
    pub only_assigns: bool,
}

pub(super) struct Walker<'a> {
    pub arguments: [String; 2],
    pub functions: BTreeMap<String, Command>,
    pub by_rpm: bool,
    text: &'a str,
    /// The line of the package's file at which `text` begins, from 0.
    lines_before: usize,
    analysis: &'a mut Analysis,
    inlined: usize,
}

impl<'a> Walker<'a> {
    pub fn new(called: Invocation<'_>, text: &'a str, lines_before: usize, analysis: &'a mut Analysis) -> Self {
        let (first, by_rpm) = match called {
            Invocation::ByDpkg(first) => (first, false),
            Invocation::ByRpm(first) => (first, true),
        };
        let arguments = [first.to_owned(), String::new()];
        Walker { arguments, functions: BTreeMap::new(), by_rpm, text, lines_before, analysis, inlined: 0 }
    }

    pub fn collect_functions(&mut self, list: &[AndOr]) {
        for command in list.iter().filter(|and_or| and_or.rest.is_empty()).filter_map(|and_or| and_or.first.single()) {
            if let CommandKind::Function { name, body } = &command.kind {
                self.functions.insert(name.clone(), (**body).clone());
            }
        }
    }

    /// A statement as it is written, in one line.
    fn statement(&self, span: Span) -> Statement {
        let source = self.text.get(span.start..span.end).unwrap_or("").replace("\\\n", "\n");
        let text = source.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        Statement { line: self.lines_before + span.line, text }
    }

    fn left(&self, span: Span) -> Walk {
        Walk { left: vec![Leftover { statement: self.statement(span), only_assigns: false }], ends: false }
    }

    /// Puts the head of a block, from its beginning up to the byte `end`, before what is left of it.
    fn headed(&self, span: Span, end: usize, prefix: &str, mut left: Vec<Leftover>) -> Vec<Leftover> {
        let Statement { line, text } = self.statement(Span { end, ..span });
        left.insert(0, Leftover { statement: Statement { line, text: format!("{prefix}{text}") }, only_assigns: false });
        left
    }

    /// `certain`: the block is surely executed.
    pub fn block(&mut self, list: &[AndOr], certain: bool) -> Walk {
        let mut walk = Walk::default();
        for and_or in list {
            let inner = self.and_or(and_or, certain);
            walk.left.extend(inner.left);
            if inner.ends {
                walk.ends = certain;
                break;
            }
        }
        walk
    }

    fn command(&mut self, command: &Command, certain: bool) -> Walk {
        if let CommandKind::Simple { assignments, words } = &command.kind {
            return self.simple(command, assignments, words, certain);
        }
        if !command.redirections.iter().all(|redirection| redirection.is_silent() || is_input(redirection)) {
            return self.left(command.span);
        }
        match &command.kind {
            CommandKind::Function { .. } => Walk::default(),
            CommandKind::Group(body) => self.block(body, certain),
            // `exit` leaves the subshell alone.
            CommandKind::Subshell(body) => Walk { ends: false, ..self.block(body, certain) },
            CommandKind::If { arms, otherwise } => self.conditional(arms, otherwise, certain),
            CommandKind::Case { word, arms } => self.case(command.span, word, arms, certain),
            CommandKind::While { condition, body } => {
                let end = condition.last().map_or(command.span.start, |and_or| and_or.span.end);
                self.repeated(Span { end, ..command.span }, body, is_question(condition))
            }
            CommandKind::For { name_span, words, body, .. } => {
                let end = words.iter().flatten().last().map_or(name_span.end, |word| word.span.end);
                let only_looks = words.iter().flatten().all(|word| is_only_looked_up(&word.parts));
                self.repeated(Span { end, ..command.span }, body, only_looks)
            }
            CommandKind::Simple { .. } | CommandKind::Test(_) => self.left(command.span),
        }
    }

    /// A loop, whose head only looks or is left as well.
    fn repeated(&mut self, head: Span, body: &[AndOr], head_only_looks: bool) -> Walk {
        let left = self.block(body, false).left;
        let is_understood = left.is_empty() && head_only_looks;
        Walk { left: if is_understood { left } else { self.headed(head, head.end, "", left) }, ends: false }
    }

    fn conditional(&mut self, arms: &[(Vec<AndOr>, Vec<AndOr>)], otherwise: &[AndOr], certain: bool) -> Walk {
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
                        let (first, last) = (condition.first(), condition.last());
                        let span = first.map_or_else(Span::default, |and_or| and_or.span);
                        left.extend(self.headed(span, last.map_or(span.end, |and_or| and_or.span.end), "if ", inner));
                    }
                }
            }
        }
        let walk = self.block(otherwise, certain_here);
        left.extend(walk.left);
        Walk { left, ends: walk.ends && certain_here }
    }

    fn case(&mut self, span: Span, word: &Word, arms: &[CaseArm], certain: bool) -> Walk {
        if let Some(value) = self.value(word)
            && let Some(chosen) = self.arm(&value, arms)
        {
            return chosen.map_or_else(Walk::default, |arm| self.block(&arm.body, certain));
        }
        let left: Vec<Leftover> = arms.iter().flat_map(|arm| self.block(&arm.body, false).left).collect();
        let is_understood = left.is_empty() && is_only_looked_up(&word.parts);
        Walk { left: if is_understood { left } else { self.headed(span, word.span.end, "", left) }, ends: false }
    }

    /// The arm that matches, if any does; `None` if that is not known.
    fn arm<'c>(&self, value: &str, arms: &'c [CaseArm]) -> Option<Option<&'c CaseArm>> {
        for arm in arms {
            for pattern in &arm.patterns {
                if model::glob_matches(self.pattern(pattern)?, value) {
                    return Some(Some(arm));
                }
            }
        }
        Some(None)
    }

    /// What is left of several pipelines is left as a whole.
    fn and_or(&mut self, and_or: &AndOr, certain: bool) -> Walk {
        if and_or.is_background {
            return self.left(and_or.span);
        }
        if and_or.rest.is_empty() {
            return self.pipeline(&and_or.first, certain);
        }
        let parts: Vec<(Option<Joint>, &Pipeline)> = and_or.pipelines().collect();
        let mut success = Some(true);
        let mut is_whole = true;
        for (at, (joint, part)) in parts.iter().enumerate() {
            let runs = match (joint, success) {
                (None, _) | (Some(Joint::And), Some(true)) | (Some(Joint::Or), Some(false)) => Some(true),
                (_, Some(_)) => Some(false),
                (_, None) => None,
            };
            if runs == Some(false) {
                continue;
            }
            if let Some(truth) = self.pipeline_truth(part) {
                success = if runs == Some(true) { Some(truth) } else { None };
                continue;
            }
            if looks(part) {
                // What makes an account asks first whether it is there.
                let asks_for_account = self.by_rpm
                    && matches!(parts.get(at + 1), Some((Some(Joint::Or), next)) if makes_account(next))
                    && is_about_accounts(part);
                success = if asks_for_account && runs == Some(true) { Some(false) } else { None };
                continue;
            }
            let walk = self.pipeline(part, certain && runs == Some(true));
            is_whole &= walk.left.is_empty();
            if walk.ends {
                let left = if is_whole { Vec::new() } else { self.left(and_or.span).left };
                return Walk { left, ends: runs == Some(true) };
            }
            let succeeds = walk.left.is_empty() && runs == Some(true) && self.is_one_command(part);
            success = succeeds.then_some(true);
        }
        if is_whole { Walk::default() } else { self.left(and_or.span) }
    }

    /// A command that native stages do succeeds; of a block and a function nobody knows.
    fn is_one_command(&self, pipeline: &Pipeline) -> bool {
        name(pipeline).is_none_or(|name| !self.functions.contains_key(&name))
            && pipeline.single().is_some_and(|command| matches!(command.kind, CommandKind::Simple { .. }))
    }

    fn pipeline(&mut self, pipeline: &Pipeline, certain: bool) -> Walk {
        match pipeline.single() {
            Some(command) => self.command(command, certain),
            None => self.left(pipeline.span),
        }
    }

    fn simple(&mut self, command: &Command, assignments: &[Assignment], words: &[Word], certain: bool) -> Walk {
        let mut left = self.left(command.span);
        if !command.redirections.iter().all(Redirection::is_silent) {
            return left;
        }
        if !assignments.is_empty() {
            let is_plain = words.is_empty() && assignments.iter().all(|assignment| assignment.value.text().is_some());
            left.left.iter_mut().for_each(|leftover| leftover.only_assigns = is_plain);
            return left;
        }
        let Some(texts) = words.iter().map(Word::text).collect::<Option<Vec<_>>>() else { return left };
        let arguments: Vec<&str> = texts.iter().map(String::as_str).collect();
        let base = |word: &str| word.rsplit('/').next().unwrap_or("").to_owned();
        match arguments.as_slice() {
            [] => Walk::default(),
            [name] if self.functions.contains_key(*name) && self.inlined < INLINED_MAX => {
                self.inlined += 1;
                let Some(body) = self.functions.get(*name).cloned() else { return left };
                let outer = std::mem::take(&mut self.arguments);
                let walk = self.command(&body, certain);
                self.arguments = outer;
                Walk { ends: false, ..walk }
            }
            [name, ..] if self.functions.contains_key(*name) => left,
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
                    None => left,
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
                _ => left,
            },
            [program, ..] if self.by_rpm && ACCOUNT_PROGRAMS.contains(&base(program).as_str()) => {
                match accounts::lines(&arguments).filter(|_| certain) {
                    Some(lines) => {
                        self.analysis.accounts.extend(lines);
                        self.analysis.mechanisms.insert("sysusers");
                        Walk::default()
                    }
                    None => left,
                }
            }
            [first, ..] => match COMMANDS.iter().find(|(name, _)| name == first || *name == base(first)) {
                Some((_, mechanism)) => {
                    self.analysis.mechanisms.insert(mechanism);
                    Walk::default()
                }
                None => left,
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
        [verb, ..] if OF_RUNNING_UNITS.contains(*verb) => Some(Vec::new()),
        _ => None,
    }
}

/// systemctl's verbs that change nothing of which units an image starts.
const OF_RUNNING_UNITS: [&str; 17] = [
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
];

const ACCOUNT_PROGRAMS: [&str; 4] = ["groupadd", "useradd", "usermod", "gpasswd"];

/// The name of a pipeline's only command, without its folder.
fn name(pipeline: &Pipeline) -> Option<String> {
    words(pipeline).first()?.text()?.rsplit('/').next().map(str::to_owned)
}

fn words(pipeline: &Pipeline) -> &[Word] {
    match pipeline.single().map(|command| &command.kind) {
        Some(CommandKind::Simple { assignments, words }) if assignments.is_empty() => words,
        _ => &[],
    }
}

fn makes_account(pipeline: &Pipeline) -> bool {
    name(pipeline).is_some_and(|name| ACCOUNT_PROGRAMS.contains(&name.as_str()))
}

fn is_about_accounts(pipeline: &Pipeline) -> bool {
    let database = words(pipeline).get(1).and_then(Word::text).default_because("a command without arguments names no database");
    match name(pipeline).as_deref() {
        Some("getent") => matches!(database.as_str(), "passwd" | "group"),
        Some("id") => true,
        _ => false,
    }
}
