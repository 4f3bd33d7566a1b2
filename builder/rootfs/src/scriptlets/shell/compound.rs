//! The grammar of commands that contain others: what a reserved word or a parenthesis opens.

use super::Result;
use super::lexer::{Lexer, Token};
use super::syntax::{CaseArm, CommandKind, Part, Word};

/// Words that no command can have for a name.
const RESERVED: [&str; 16] =
    ["if", "then", "elif", "else", "fi", "case", "esac", "for", "while", "until", "do", "done", "{", "}", "in", "!"];
/// Words that open what Bash alone knows and nobody writes into a scriptlet.
const UNSUPPORTED: [&str; 3] = ["select", "coproc", "time"];

impl Lexer<'_> {
    /// A command that a reserved word opens; `None` if `word` does not.
    pub(super) fn compound(&mut self, word: &str) -> Result<Option<CommandKind>> {
        match word {
            "if" => {
                self.take()?;
                self.conditional().map(Some)
            }
            "case" => {
                self.take()?;
                self.case().map(Some)
            }
            "while" | "until" => {
                self.take()?;
                let (condition, _) = self.body(&["do"])?;
                let (body, _) = self.body(&["done"])?;
                Ok(Some(CommandKind::While { condition, body }))
            }
            "for" => {
                self.take()?;
                self.for_loop().map(Some)
            }
            "{" => {
                self.take()?;
                Ok(Some(CommandKind::Group(self.body(&["}"])?.0)))
            }
            "(" => {
                let (_, span) = self.take()?;
                if self.rest().starts_with('(') {
                    return self.error_at(span.start, "an arithmetic command ((");
                }
                let list = self.list(&[])?;
                if list.is_empty() {
                    return self.unexpected("a command");
                }
                self.expect(")")?;
                Ok(Some(CommandKind::Subshell(list)))
            }
            "[[" => {
                self.take()?;
                self.test().map(Some)
            }
            "function" => {
                self.take()?;
                let name = self.plain_word("a function's name")?;
                if *self.look()? == Token::Operator("(") {
                    self.take()?;
                    self.expect(")")?;
                }
                self.function(name).map(Some)
            }
            reserved if RESERVED.contains(&reserved) => self.unexpected("a command"),
            unsupported if UNSUPPORTED.contains(&unsupported) => self.error(format!("a command of Bash's alone: {unsupported}")),
            _ => Ok(None),
        }
    }

    fn conditional(&mut self) -> Result<CommandKind> {
        let (mut arms, mut otherwise) = (Vec::new(), Vec::new());
        loop {
            let (condition, _) = self.body(&["then"])?;
            let (body, end) = self.body(&["elif", "else", "fi"])?;
            arms.push((condition, body));
            match end {
                "elif" => continue,
                "else" => otherwise = self.body(&["fi"])?.0,
                _ => {}
            }
            return Ok(CommandKind::If { arms, otherwise });
        }
    }

    fn case(&mut self) -> Result<CommandKind> {
        let word = self.any_word("a word")?;
        self.skip_newlines()?;
        self.expect("in")?;
        let mut arms = Vec::new();
        loop {
            self.skip_newlines()?;
            if matches!(self.look()?, Token::Word(word) if word.literal() == Some("esac")) {
                self.take()?;
                return Ok(CommandKind::Case { word, arms });
            }
            if *self.look()? == Token::Operator("(") {
                self.take()?;
            }
            let mut patterns = vec![self.any_word("a pattern")?];
            while *self.look()? == Token::Operator("|") {
                self.take()?;
                patterns.push(self.any_word("a pattern")?);
            }
            self.expect(")")?;
            let body = self.list(&["esac"])?;
            arms.push(CaseArm { patterns, body });
            match self.look()? {
                Token::Operator(";;") => drop(self.take()?),
                Token::Word(_) => {}
                _ => return self.unexpected("`;;` or `esac`"),
            }
        }
    }

    fn for_loop(&mut self) -> Result<CommandKind> {
        let name_span = self.look_span()?;
        let name = self.plain_word("a variable's name")?;
        let newline_before = *self.look()? == Token::Operator("\n");
        self.skip_newlines()?;
        let mut words = None;
        if matches!(self.look()?, Token::Word(word) if word.literal() == Some("in")) {
            self.take()?;
            let mut list = Vec::new();
            while let Token::Word(_) = self.look()? {
                list.push(self.any_word("a word")?);
            }
            words = Some(list);
            match self.look()? {
                Token::Operator(";" | "\n") => drop(self.take()?),
                _ => return self.unexpected("`;` or a new line"),
            }
        } else if !newline_before && *self.look()? == Token::Operator(";") {
            self.take()?;
        }
        self.skip_newlines()?;
        self.expect("do")?;
        let (body, _) = self.body(&["done"])?;
        Ok(CommandKind::For { name, name_span, words, body })
    }

    /// The words of `[[`, up to `]]`.
    fn test(&mut self) -> Result<CommandKind> {
        let mut words: Vec<Word> = Vec::new();
        loop {
            if words.last().is_some_and(|word| word.literal() == Some("=~")) {
                words.push(self.regular_expression()?);
            }
            let word = match self.take()? {
                (Token::Word(word), _) if word.literal() == Some("]]") => return Ok(CommandKind::Test(words)),
                (Token::Word(word), _) => word,
                (Token::Operator("\n"), _) => continue,
                (Token::Operator(operator @ ("&&" | "||" | "(" | ")" | "<" | ">")), span) => {
                    Word { parts: vec![Part::Literal(operator.to_owned())], span }
                }
                (Token::Descriptor(number), span) => Word { parts: vec![Part::Literal(number.to_string())], span },
                (Token::Operator(_) | Token::End, span) => return self.error_at(span.start, "a [[ without its ]]"),
            };
            words.push(word);
        }
    }

    /// The body of a function, which may be any compound command.
    pub(super) fn function(&mut self, name: String) -> Result<CommandKind> {
        self.skip_newlines()?;
        let body = self.command()?;
        match body.kind {
            CommandKind::Simple { .. } | CommandKind::Function { .. } => self.error_at(body.span.start, "a function without { and }"),
            _ => Ok(CommandKind::Function { name, body: Box::new(body) }),
        }
    }
}
