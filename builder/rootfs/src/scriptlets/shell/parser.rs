//! The grammar: lists, pipelines and simple commands out of tokens.

use super::Result;
use super::lexer::{Lexer, Token};
use super::syntax::{AndOr, Assignment, Command, CommandKind, Joint, Part, Pipeline, Redirection, Span, Word};

impl Lexer<'_> {
    /// The lines up to one of the reserved words `ends`, a `)`, a `;;` or the end of the text, none of which is taken.
    pub(super) fn list(&mut self, ends: &[&str]) -> Result<Vec<AndOr>> {
        let mut list = Vec::new();
        loop {
            self.skip_newlines()?;
            let is_end = match self.look()? {
                Token::End | Token::Operator(")" | ";;" | ";&" | ";;&") => true,
                Token::Word(word) => word.literal().is_some_and(|text| ends.contains(&text)),
                _ => false,
            };
            if is_end {
                return Ok(list);
            }
            let mut and_or = self.and_or()?;
            match self.look()? {
                Token::Operator("&") => {
                    self.take()?;
                    and_or.is_background = true;
                }
                Token::Operator(";" | "\n") => drop(self.take()?),
                Token::End | Token::Operator(")" | ";;" | ";&" | ";;&") => {}
                // A reserved word right behind a compound command, as in `{ (a) }`.
                Token::Word(word) if word.literal().is_some_and(|text| ends.contains(&text)) => {}
                _ => return self.unexpected("`;` or a new line"),
            }
            list.push(and_or);
        }
    }

    /// A list that must not be empty, and the reserved word behind it.
    pub(super) fn body<'e>(&mut self, ends: &[&'e str]) -> Result<(Vec<AndOr>, &'e str)> {
        let list = self.list(ends)?;
        if list.is_empty() {
            return self.unexpected("a command");
        }
        let found = match self.look()? {
            Token::Word(word) => word.literal().and_then(|text| ends.iter().copied().find(|end| *end == text)),
            _ => None,
        };
        match found {
            Some(end) => {
                self.take()?;
                Ok((list, end))
            }
            None => self.unexpected(&ends.iter().map(|end| format!("`{end}`")).collect::<Vec<_>>().join(" or ")),
        }
    }

    pub(super) fn skip_newlines(&mut self) -> Result<()> {
        while *self.look()? == Token::Operator("\n") {
            self.take()?;
        }
        Ok(())
    }

    pub(super) fn unexpected<T>(&mut self, expected: &str) -> Result<T> {
        let span = self.look_span()?;
        let found = match self.look()? {
            Token::End => "the end".to_owned(),
            Token::Operator("\n") => "the end of the line".to_owned(),
            Token::Operator(operator) => format!("`{operator}`"),
            Token::Descriptor(number) => format!("`{number}`"),
            Token::Word(word) => {
                word.literal().map_or_else(|| "a word".to_owned(), |text| format!("`{}`", text.chars().take(40).collect::<String>()))
            }
        };
        self.error_at(span.start, format!("expected {expected}, found {found}"))
    }

    pub(super) fn expect(&mut self, expected: &str) -> Result<()> {
        let is_there = match self.look()? {
            Token::Word(word) => word.literal() == Some(expected),
            Token::Operator(operator) => *operator == expected,
            _ => false,
        };
        match is_there {
            true => self.take().map(drop),
            false => self.unexpected(&format!("`{expected}`")),
        }
    }

    fn and_or(&mut self) -> Result<AndOr> {
        let start = self.look_span()?;
        let first = self.pipeline()?;
        let (mut rest, mut end) = (Vec::new(), first.span);
        loop {
            let joint = match self.look()? {
                Token::Operator("&&") => Joint::And,
                Token::Operator("||") => Joint::Or,
                _ => break,
            };
            self.take()?;
            self.skip_newlines()?;
            let next = self.pipeline()?;
            end = next.span;
            rest.push((joint, next));
        }
        Ok(AndOr { first, rest, is_background: false, span: Span { end: end.end, ..start } })
    }

    fn pipeline(&mut self) -> Result<Pipeline> {
        let start = self.look_span()?;
        let is_negated = matches!(self.look()?, Token::Word(word) if word.literal() == Some("!"));
        if is_negated {
            self.take()?;
        }
        let mut commands = vec![self.command()?];
        while matches!(self.look()?, Token::Operator("|" | "|&")) {
            self.take()?;
            self.skip_newlines()?;
            commands.push(self.command()?);
        }
        let end = commands.last().map_or(start.end, |command| command.span.end);
        Ok(Pipeline { is_negated, commands, span: Span { end, ..start } })
    }

    pub(super) fn command(&mut self) -> Result<Command> {
        self.descend()?;
        let start = self.look_span()?;
        let reserved = match self.look()? {
            Token::Word(word) => word.literal().map(str::to_owned),
            Token::Operator("(") => Some("(".to_owned()),
            _ => None,
        };
        let compound = match reserved.as_deref() {
            Some(word) => self.compound(word)?,
            None => None,
        };
        let command = match compound {
            Some(kind) => {
                let mut redirections = Vec::new();
                while let Some(redirection) = self.redirection()? {
                    redirections.push(redirection);
                }
                Command { kind, redirections, span: Span { end: self.last_end, ..start } }
            }
            None => self.simple(start)?,
        };
        self.depth += 1;
        Ok(command)
    }

    pub(super) fn any_word(&mut self, expected: &str) -> Result<Word> {
        match self.look()? {
            Token::Word(word) => {
                let word = word.clone();
                self.take()?;
                Ok(word)
            }
            _ => self.unexpected(expected),
        }
    }

    pub(super) fn plain_word(&mut self, expected: &str) -> Result<String> {
        let plain = match self.look()? {
            Token::Word(word) => word.literal().filter(|text| is_function_name(text)).map(str::to_owned),
            _ => None,
        };
        match plain {
            Some(text) => {
                self.take()?;
                Ok(text)
            }
            None => self.unexpected(expected),
        }
    }

    fn redirection(&mut self) -> Result<Option<Redirection>> {
        let start = self.look_span()?;
        let descriptor = match self.look()? {
            Token::Descriptor(descriptor) => {
                let descriptor = *descriptor;
                self.take()?;
                Some(descriptor)
            }
            _ => None,
        };
        let operator = match self.look()? {
            Token::Operator(operator @ ("<" | ">" | ">>" | "<<" | "<<-" | "<<<" | "<&" | ">&" | "<>" | ">|" | "&>" | "&>>")) => *operator,
            _ if descriptor.is_some() => return self.unexpected("a redirection"),
            _ => return Ok(None),
        };
        self.take()?;
        let target = self.any_word("a file")?;
        let here_document = match operator {
            "<<" | "<<-" => Some(self.add_here_document(&target, operator == "<<-", start.start)?),
            _ => None,
        };
        Ok(Some(Redirection { descriptor, operator, target, here_document }))
    }

    fn simple(&mut self, start: Span) -> Result<Command> {
        let (mut assignments, mut words, mut redirections) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            if let Some(redirection) = self.redirection()? {
                redirections.push(redirection);
                continue;
            }
            match self.look()? {
                Token::Word(_) => {
                    let word = self.any_word("a word")?;
                    match if words.is_empty() { assignment(&word) } else { None } {
                        Some(mut assignment) => {
                            if assignment.value.parts.is_empty() && self.frame.is_none() && self.rest().starts_with('(') {
                                assignment.value.parts.push(Part::Array(self.array()?));
                                assignment.span.end = self.at;
                                assignment.value.span.end = self.at;
                            }
                            assignments.push(assignment);
                        }
                        None => words.push(word),
                    }
                }
                Token::Operator("(") if words.len() == 1 && assignments.is_empty() && redirections.is_empty() => {
                    let name =
                        words.first().and_then(|word: &Word| word.literal()).filter(|name| is_function_name(name)).map(str::to_owned);
                    let Some(name) = name else { return self.unexpected("a command's word") };
                    self.take()?;
                    self.expect(")")?;
                    let kind = self.function(name)?;
                    return Ok(Command { kind, redirections, span: Span { end: self.last_end, ..start } });
                }
                _ => break,
            }
        }
        if assignments.is_empty() && words.is_empty() && redirections.is_empty() {
            return self.unexpected("a command");
        }
        Ok(Command { kind: CommandKind::Simple { assignments, words }, redirections, span: Span { end: self.last_end, ..start } })
    }

    /// The elements of an array, from its opening parenthesis on.
    fn array(&mut self) -> Result<Vec<Word>> {
        self.expect("(")?;
        let mut elements = Vec::new();
        loop {
            self.skip_newlines()?;
            match self.look()? {
                Token::Word(_) => elements.push(self.any_word("a word")?),
                _ => {
                    self.expect(")")?;
                    return Ok(elements);
                }
            }
        }
    }
}

/// `NAME=value` at the beginning of a command.
fn assignment(word: &Word) -> Option<Assignment> {
    let Some((Part::Literal(first), others)) = word.parts.split_first() else { return None };
    let (name, value) = first.split_once('=')?;
    let name = name.strip_suffix('+').unwrap_or(name);
    if !is_name(name) {
        return None;
    }
    let mut parts = Vec::new();
    if !value.is_empty() {
        parts.push(Part::Literal(value.to_owned()));
    }
    parts.extend(others.iter().cloned());
    Some(Assignment { name: name.to_owned(), value: Word { parts, span: word.span }, span: word.span })
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Bash allows more in a function's name than in a variable's.
fn is_function_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:+@".contains(c))
}
