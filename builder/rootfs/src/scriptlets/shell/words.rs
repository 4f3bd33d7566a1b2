//! The inside of words: quotes, parameters and substitutions.

use super::Result;
use super::lexer::{Lexer, Token, is_operator_start};
use super::syntax::{AndOr, Parameter, Part, Span, Word};

/// What a run of parts ends at, and which characters quote in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Context {
    /// A blank or an operator; the end of the text, too.
    Word,
    /// `"`
    DoubleQuotes,
    /// The brace of `${`, outside of double quotes.
    Braces,
    /// The same within double quotes, where `'` quotes only in patterns.
    QuotedBraces { has_pattern: bool },
    /// `))`
    Arithmetic,
    /// The end of the text.
    Document,
}

impl Lexer<'_> {
    /// A word that begins here.
    pub(super) fn word(&mut self) -> Result<Word> {
        let start = self.start();
        let parts = self.parts(Context::Word)?;
        Ok(Word { parts, span: self.span_from(start) })
    }

    /// A regular expression of `[[ … =~ … ]]`, in which parentheses and bars are characters.
    pub(super) fn regular_expression(&mut self) -> Result<Word> {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.next();
        }
        let start = self.start();
        let mut parts = Vec::new();
        let mut parentheses = 0usize;
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\n' if parentheses == 0 => break,
                '(' | ')' | '|' | '<' | '>' | '&' | ';' | ' ' | '\t' | '\n' => {
                    parentheses = match c {
                        '(' => parentheses + 1,
                        ')' => parentheses.saturating_sub(1),
                        _ => parentheses,
                    };
                    self.next();
                    push(&mut parts, c);
                }
                _ => parts.extend(self.parts(Context::Word)?),
            }
        }
        Ok(Word { parts, span: self.span_from(start) })
    }

    pub(super) fn document_body(&mut self) -> Result<Vec<Part>> {
        self.parts(Context::Document)
    }

    fn parts(&mut self, context: Context) -> Result<Vec<Part>> {
        let begin = self.at;
        let mut parts = Vec::new();
        let mut parentheses = 0usize;
        let is_quoted = matches!(context, Context::DoubleQuotes | Context::QuotedBraces { .. } | Context::Document | Context::Arithmetic);
        loop {
            let Some(c) = self.peek() else {
                return match context {
                    Context::Word | Context::Document => Ok(parts),
                    Context::DoubleQuotes => self.error_at(begin, "a double quote that stays open"),
                    Context::Braces | Context::QuotedBraces { .. } => self.error_at(begin, "a ${ that stays open"),
                    Context::Arithmetic => self.error_at(begin, "a $(( that stays open"),
                };
            };
            match (context, c) {
                (Context::Word, ' ' | '\t') => return Ok(parts),
                (Context::Word, '<' | '>') if parts.is_empty() && self.rest()[1..].starts_with('(') => {
                    self.at += 2;
                    parts.push(Part::Process(self.substitution()?));
                }
                (Context::Word, c) if is_operator_start(c) => return Ok(parts),
                (Context::DoubleQuotes, '"') => {
                    self.next();
                    return Ok(parts);
                }
                (Context::Braces | Context::QuotedBraces { .. }, '}') => {
                    self.next();
                    return Ok(parts);
                }
                (Context::Arithmetic, '(') => {
                    parentheses += 1;
                    self.next();
                    push(&mut parts, c);
                }
                (Context::Arithmetic, ')') => {
                    self.next();
                    match parentheses.checked_sub(1) {
                        Some(outer) => {
                            parentheses = outer;
                            push(&mut parts, c);
                        }
                        None if self.peek() == Some(')') => {
                            self.next();
                            return Ok(parts);
                        }
                        None => {
                            return self.error_at(begin, "a subshell right after $(, which shells tell from arithmetic in different ways");
                        }
                    }
                }
                (_, '\\') => self.escape(context, is_quoted, &mut parts)?,
                (Context::Word | Context::Braces | Context::QuotedBraces { has_pattern: true }, '\'') => {
                    self.next();
                    parts.push(Part::Quoted(self.single_quoted()?));
                }
                (Context::Word | Context::Braces | Context::QuotedBraces { .. } | Context::Arithmetic, '"') => {
                    self.next();
                    self.descend()?;
                    parts.push(Part::DoubleQuoted(self.parts(Context::DoubleQuotes)?));
                    self.depth += 1;
                }
                (_, '`') => {
                    let part = self.backquoted(context)?;
                    parts.push(part);
                }
                (_, '$') => self.dollar(is_quoted, &mut parts)?,
                _ => {
                    self.next();
                    push(&mut parts, c);
                }
            }
        }
    }

    /// What a backslash makes of the next character.
    fn escape(&mut self, context: Context, is_quoted: bool, parts: &mut Vec<Part>) -> Result<()> {
        let begin = self.at;
        self.next_raw();
        let Some(c) = self.next_raw() else { return self.error_at(begin, "a backslash at the end") };
        let is_special = match context {
            Context::Document | Context::Arithmetic => matches!(c, '$' | '`' | '\\'),
            _ => matches!(c, '$' | '`' | '"' | '\\') || matches!(context, Context::QuotedBraces { .. }) && c == '}',
        };
        if is_quoted && !is_special {
            push(parts, '\\');
            push(parts, c);
        } else {
            parts.push(Part::Quoted(c.to_string()));
        }
        Ok(())
    }

    fn single_quoted(&mut self) -> Result<String> {
        let begin = self.at;
        let Some(len) = self.rest().find('\'') else { return self.error_at(begin, "a single quote that stays open") };
        let text = self.rest().get(..len).unwrap_or("").to_owned();
        self.line += text.matches('\n').count();
        self.at += len + 1;
        Ok(text)
    }

    fn dollar(&mut self, is_quoted: bool, parts: &mut Vec<Part>) -> Result<()> {
        let begin = self.at;
        self.next();
        match self.peek() {
            Some('(') => {
                self.next();
                if self.peek() == Some('(') {
                    self.next();
                    self.descend()?;
                    parts.push(Part::Arithmetic(self.parts(Context::Arithmetic)?));
                    self.depth += 1;
                } else {
                    parts.push(Part::Command(self.substitution()?));
                }
            }
            Some('{') => {
                self.next();
                self.descend()?;
                parts.push(Part::Parameter(self.braces(is_quoted, begin)?));
                self.depth += 1;
            }
            Some(quote @ ('\'' | '"')) if !is_quoted => {
                self.next();
                self.descend()?;
                match quote {
                    // Its end is found as Bash finds it: a backslash keeps a quote from being one.
                    '\'' => loop {
                        match self.next_raw() {
                            Some('\'') => break,
                            Some('\\') => drop(self.next_raw()),
                            Some(_) => {}
                            None => return self.error_at(begin, "a $' that stays open"),
                        }
                    },
                    _ => drop(self.parts(Context::DoubleQuotes)?),
                }
                self.depth += 1;
                parts.push(Part::Unsupported(self.text.get(begin..self.at).unwrap_or("").to_owned()));
            }
            Some('[') if !is_quoted => return self.error_at(begin, "an arithmetic expansion of the form $["),
            Some(c) if is_name_start(c) => {
                let name = self.name();
                parts.push(Part::Parameter(Parameter { name, operation: None }));
            }
            Some(c) if c.is_ascii_digit() || is_special_name(c) => {
                self.next();
                parts.push(Part::Parameter(Parameter { name: c.to_string(), operation: None }));
            }
            _ => push(parts, '$'),
        }
        Ok(())
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.peek().filter(|c| is_name_start(*c) || c.is_ascii_digit()) {
            self.next();
            name.push(c);
        }
        name
    }

    /// What follows `${`.
    fn braces(&mut self, is_quoted: bool, begin: usize) -> Result<Parameter> {
        let mut prefix = String::new();
        // `${#}` and `${!}` are parameters, `${#NAME}` and `${!NAME}` operations.
        if let Some(c @ ('#' | '!')) = self.peek() {
            self.next();
            if self.peek() == Some('}') {
                self.next();
                return Ok(Parameter { name: c.to_string(), operation: None });
            }
            prefix.push(c);
        }
        let name = match self.peek() {
            Some(c) if is_name_start(c) => self.name(),
            Some(c) if c.is_ascii_digit() => {
                let mut digits = String::new();
                while let Some(c) = self.peek().filter(char::is_ascii_digit) {
                    self.next();
                    digits.push(c);
                }
                digits
            }
            Some(c) if is_special_name(c) && prefix.is_empty() => {
                self.next();
                c.to_string()
            }
            _ => return self.error_at(begin, "a ${ without the name of a parameter"),
        };
        let mut operator = prefix;
        if self.peek() == Some('}') && operator.is_empty() {
            self.next();
            return Ok(Parameter { name, operation: None });
        }
        while let Some(c) = self.peek().filter(|c| ":-=?+#%/^,@[*]!".contains(*c)) {
            if operator.len() >= 8 {
                break;
            }
            self.next();
            operator.push(c);
        }
        let has_pattern = operator.trim_start_matches(['[', '@', '*', ']']).starts_with(['#', '%', '/', '^', ',']);
        let word = self.parts(if is_quoted { Context::QuotedBraces { has_pattern } } else { Context::Braces })?;
        Ok(Parameter { name, operation: Some((operator, word)) })
    }

    /// The list of a substitution, up to its closing parenthesis.
    fn substitution(&mut self) -> Result<Vec<AndOr>> {
        let begin = self.at;
        self.descend()?;
        let list = self.list(&[])?;
        self.depth += 1;
        match self.take()? {
            (Token::Operator(")"), _) => Ok(list),
            _ => self.error_at(begin, "a ( that stays open"),
        }
    }

    fn backquoted(&mut self, context: Context) -> Result<Part> {
        let (begin, line) = (self.at, self.line);
        self.next();
        let mut text = String::new();
        loop {
            match self.next_raw() {
                None => return self.error_at(begin, "a backquote that stays open"),
                Some('`') => break,
                Some('\\') => match self.next_raw() {
                    None => return self.error_at(begin, "a backquote that stays open"),
                    Some(c @ ('$' | '`' | '\\')) => text.push(c),
                    Some('"') if context == Context::DoubleQuotes => text.push('"'),
                    Some(c) => text.extend(['\\', c]),
                },
                Some(c) => text.push(c),
            }
        }
        self.descend()?;
        let frame = self.frame.unwrap_or(Span { start: begin, end: self.at, line });
        let mut inner = Lexer::new(&text, self.depth, Some(frame));
        let list = inner.list(&[])?;
        self.depth += 1;
        match inner.take()? {
            (Token::End, _) => Ok(Part::Command(list)),
            _ => self.error_at(begin, "a ) without its ( inside backquotes"),
        }
    }
}

/// Adds a character to the literal at the end of a run, or begins one.
fn push(parts: &mut Vec<Part>, c: char) {
    match parts.last_mut() {
        Some(Part::Literal(text)) => text.push(c),
        _ => parts.push(Part::Literal(c.to_string())),
    }
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_special_name(c: char) -> bool {
    matches!(c, '@' | '*' | '#' | '?' | '-' | '$' | '!')
}
