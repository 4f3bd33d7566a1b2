//! brush's tree as events.

use super::is_test_operator;
use brush_parser::ast::{self, CommandPrefixOrSuffixItem as Item, CompoundCommand};
use brush_parser::word::WordPiece;

pub(super) fn theirs(text: &str) -> Result<Vec<String>, String> {
    let mut theirs = Theirs { options: brush_parser::ParserOptions::default(), events: Vec::new(), in_own_text: false };
    theirs.script(text)?;
    Ok(theirs.events)
}

struct Theirs {
    options: brush_parser::ParserOptions,
    events: Vec<String>,
    in_own_text: bool,
}

impl Theirs {
    fn mark(&mut self, mark: impl Into<String>) {
        self.events.push(mark.into());
    }

    fn script(&mut self, text: &str) -> Result<(), String> {
        let program = brush_parser::Parser::new(text.as_bytes(), &self.options).parse_program().map_err(|error| error.to_string())?;
        program.complete_commands.iter().try_for_each(|list| self.list(list))
    }

    fn list(&mut self, list: &ast::CompoundList) -> Result<(), String> {
        for ast::CompoundListItem(and_or, separator) in &list.0 {
            for (at, (operator, pipeline)) in and_or.iter().enumerate() {
                match operator {
                    ast::PipelineOperator::And if at > 0 => self.mark("&&"),
                    ast::PipelineOperator::Or => self.mark("||"),
                    ast::PipelineOperator::And => {}
                }
                if pipeline.bang {
                    self.mark("!");
                }
                for (at, command) in pipeline.seq.iter().enumerate() {
                    if at > 0 {
                        self.mark("|");
                    }
                    self.command(command)?;
                }
            }
            if matches!(separator, ast::SeparatorOperator::Async) {
                self.mark("&");
            }
        }
        Ok(())
    }

    fn block(&mut self, begin: &str, list: &ast::CompoundList, end: &str) -> Result<(), String> {
        self.mark(begin);
        self.list(list)?;
        self.mark(end);
        Ok(())
    }

    fn command(&mut self, command: &ast::Command) -> Result<(), String> {
        match command {
            ast::Command::Simple(simple) => self.simple(simple),
            ast::Command::Compound(compound, redirections) => {
                self.compound(compound)?;
                self.redirections(redirections.as_ref())
            }
            ast::Command::Function(function) => {
                self.mark(format!("function {}", function.fname.value));
                self.compound(&function.body.0)?;
                self.redirections(function.body.1.as_ref())
            }
            ast::Command::ExtendedTest(test, redirections) => {
                let mut words = Vec::new();
                test_words(&test.expr, &mut words);
                let raw: Vec<&str> = words.iter().map(|word| word.as_str()).filter(|word| !is_test_operator(word)).collect();
                self.mark(format!("[[ {raw:?}"));
                words.iter().try_for_each(|word| self.word(word))?;
                self.redirections(redirections.as_ref())
            }
        }
    }

    fn simple(&mut self, simple: &ast::SimpleCommand) -> Result<(), String> {
        let prefix = simple.prefix.iter().flat_map(|prefix| &prefix.0);
        let suffix: Vec<&Item> = simple.suffix.iter().flat_map(|suffix| &suffix.0).collect();
        let (mut assignments, mut words, mut redirections) = (Vec::new(), Vec::new(), Vec::new());
        let mut processes = Vec::new();
        let first = simple.word_or_name.as_ref().map(|word| word.value.clone());
        for item in prefix {
            match item {
                Item::AssignmentWord(assignment, word) => assignments.push((assignment, word)),
                Item::IoRedirect(redirection) => redirections.push(redirection),
                _ => return Err("an unexpected prefix".to_owned()),
            }
        }
        words.extend(first.clone());
        for item in suffix {
            match item {
                Item::Word(word) | Item::AssignmentWord(_, word) => words.push(word.value.clone()),
                Item::IoRedirect(redirection) => redirections.push(redirection),
                Item::ProcessSubstitution(_, subshell) => {
                    words.push("<()".to_owned());
                    processes.push(subshell);
                }
            }
        }
        let mut all: Vec<String> = Vec::new();
        for (assignment, word) in &assignments {
            all.push(match &assignment.value {
                ast::AssignmentValue::Array(elements) => format!("{}({})", word.value.split('(').next().unwrap_or(""), elements.len()),
                ast::AssignmentValue::Scalar(_) => word.value.clone(),
            });
        }
        all.extend(words.iter().cloned());
        match self.in_own_text {
            true => self.mark(format!("{first:?} and {} words", all.len().saturating_sub(1))),
            false => self.mark(format!("{all:?}")),
        }
        for (assignment, _) in &assignments {
            if let ast::AssignmentValue::Scalar(word) = &assignment.value {
                self.word(&word.value)?;
            }
        }
        words.iter().try_for_each(|word| self.word(word))?;
        processes.iter().try_for_each(|subshell| self.block("<(", &subshell.list, ")"))?;
        redirections.into_iter().try_for_each(|redirection| self.redirection(redirection))
    }

    fn compound(&mut self, compound: &CompoundCommand) -> Result<(), String> {
        match compound {
            CompoundCommand::BraceGroup(group) => self.block("{", &group.list, "}"),
            CompoundCommand::Subshell(subshell) => self.block("(", &subshell.list, ")"),
            CompoundCommand::ForClause(clause) => {
                let raw: Option<Vec<String>> = clause.values.as_ref().map(|words| words.iter().map(|word| word.value.clone()).collect());
                self.mark(format!("for {} in {raw:?}", clause.variable_name));
                clause.values.iter().flatten().try_for_each(|word| self.word(&word.value))?;
                self.block("do", &clause.body.list, "done")
            }
            CompoundCommand::CaseClause(clause) => {
                self.mark(format!("case {}", clause.value.value));
                self.word(&clause.value.value)?;
                for item in &clause.cases {
                    let patterns: Vec<&str> = item.patterns.iter().map(|pattern| pattern.value.as_str()).collect();
                    self.mark(format!("{patterns:?}"));
                    item.cmd.iter().try_for_each(|list| self.list(list))?;
                    self.mark(";;");
                }
                Ok(())
            }
            CompoundCommand::IfClause(clause) => {
                self.block("if", &clause.condition, "then")?;
                self.list(&clause.then)?;
                for other in clause.elses.iter().flatten() {
                    match &other.condition {
                        Some(condition) => self.block("if", condition, "then")?,
                        None => self.mark("else"),
                    }
                    self.list(&other.body)?;
                }
                if clause.elses.iter().flatten().all(|other| other.condition.is_some()) {
                    self.mark("else");
                }
                self.mark("fi");
                Ok(())
            }
            CompoundCommand::WhileClause(clause) | CompoundCommand::UntilClause(clause) => {
                self.block("while", &clause.0, "do")?;
                self.list(&clause.1.list)?;
                self.mark("done");
                Ok(())
            }
            _ => Err(format!("{compound} is not compared")),
        }
    }

    fn redirections(&mut self, list: Option<&ast::RedirectList>) -> Result<(), String> {
        list.iter().flat_map(|list| &list.0).try_for_each(|redirection| self.redirection(redirection))
    }

    fn redirection(&mut self, redirection: &ast::IoRedirect) -> Result<(), String> {
        use ast::{IoFileRedirectKind as Kind, IoFileRedirectTarget as Target, IoRedirect};
        let number = |descriptor: &Option<i32>| descriptor.map(|number| number.to_string()).unwrap_or_default();
        let (begin, target) = match redirection {
            IoRedirect::File(descriptor, kind, target) => {
                let operator = match kind {
                    Kind::Read => "<",
                    Kind::Write => ">",
                    Kind::Append => ">>",
                    Kind::ReadAndWrite => "<>",
                    Kind::Clobber => ">|",
                    Kind::DuplicateInput => "<&",
                    Kind::DuplicateOutput => ">&",
                };
                let target = match target {
                    Target::Filename(word) | Target::Duplicate(word) => word.value.clone(),
                    Target::Fd(descriptor) => descriptor.to_string(),
                    Target::ProcessSubstitution(..) => return Err("a redirection to a process is not compared".to_owned()),
                };
                (format!("{}{operator}", number(descriptor)), target)
            }
            IoRedirect::HereString(descriptor, word) => (format!("{}<<<", number(descriptor)), word.value.clone()),
            IoRedirect::OutputAndError(word, appends) => ((if *appends { "&>>" } else { "&>" }).to_owned(), word.value.clone()),
            IoRedirect::HereDocument(descriptor, document) => {
                self.mark(format!("{}<<{}", number(descriptor), document.here_end.value));
                if document.requires_expansion {
                    let pieces =
                        brush_parser::word::parse_heredoc(&document.doc.value, &self.options).map_err(|error| error.to_string())?;
                    let outer = std::mem::replace(&mut self.in_own_text, true);
                    self.pieces(&pieces)?;
                    self.in_own_text = outer;
                }
                return Ok(());
            }
        };
        self.mark(format!("{begin}{}", if self.in_own_text { "" } else { &target }));
        self.word(&target)
    }

    fn word(&mut self, word: &str) -> Result<(), String> {
        let pieces = brush_parser::word::parse(word, &self.options).map_err(|error| error.to_string())?;
        self.pieces(&pieces)
    }

    fn pieces(&mut self, pieces: &[brush_parser::word::WordPieceWithSource]) -> Result<(), String> {
        for piece in pieces {
            match &piece.piece {
                WordPiece::DoubleQuotedSequence(inner) => self.pieces(inner)?,
                WordPiece::CommandSubstitution(text) | WordPiece::BackquotedCommandSubstitution(text) => {
                    let outer = self.in_own_text;
                    self.in_own_text |= matches!(piece.piece, WordPiece::BackquotedCommandSubstitution(_));
                    self.mark("$(");
                    self.script(text)?;
                    self.mark(")");
                    self.in_own_text = outer;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn test_words(expression: &ast::ExtendedTestExpr, words: &mut Vec<String>) {
    use ast::ExtendedTestExpr as Test;
    match expression {
        Test::And(a, b) | Test::Or(a, b) => {
            test_words(a, words);
            test_words(b, words);
        }
        Test::Not(inner) | Test::Parenthesized(inner) => test_words(inner, words),
        Test::UnaryTest(_, word) => words.push(word.value.clone()),
        Test::BinaryTest(_, a, b) => words.extend([a.value.clone(), b.value.clone()]),
    }
}
