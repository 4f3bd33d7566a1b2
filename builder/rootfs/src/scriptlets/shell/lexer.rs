//! Tokens: operators, newlines with the here-documents behind them, and words (whose inside is `words`).

use super::syntax::{Part, Span, Word};
use super::{Result, SyntaxError};

/// Longest first is not needed: every operator is built up character by character, and each of its beginnings is an operator.
const OPERATORS: [&str; 24] = [
    "&", "&&", "&>", "&>>", "|", "||", "|&", ";", ";;", ";&", ";;&", "(", ")", "<", "<<", "<<-", "<<<", "<&", "<>", ">", ">>", ">&", ">|",
    "\n",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(Word),
    Operator(&'static str),
    /// A number right before a redirection.
    Descriptor(u32),
    End,
}

/// A here-document whose body comes after the next newline.
#[derive(Debug)]
struct PendingDocument {
    delimiter: String,
    strips_tabs: bool,
    is_literal: bool,
    index: usize,
    /// Of its operator, for the message if the body never ends.
    start: usize,
}

/// A position in a script.
pub(super) struct Lexer<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) line: usize,
    /// Levels of nesting that may still be opened.
    pub(super) depth: usize,
    /// Where the text is inside backquotes: what its nodes name as their place.
    pub(super) frame: Option<Span>,
    pending: Vec<PendingDocument>,
    pub(super) here_documents: Vec<Vec<Part>>,
    peeked: Option<(Token, Span)>,
    /// Where the token ends that was taken last.
    pub(super) last_end: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, depth: usize, frame: Option<Span>) -> Self {
        let line = frame.map_or(1, |frame| frame.line);
        Lexer { text, at: 0, line, depth, frame, pending: Vec::new(), here_documents: Vec::new(), peeked: None, last_end: 0 }
    }

    /// The next character, past any backslash with a newline, which join lines outside of single quotes.
    pub(super) fn peek(&mut self) -> Option<char> {
        while self.rest().starts_with("\\\n") {
            self.at += 2;
            self.line += 1;
        }
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        self.peek()?;
        self.next_raw()
    }

    /// The next character as it stands.
    pub(super) fn next_raw(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        self.line += usize::from(c == '\n');
        Some(c)
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// Where a node begins that is read from here on.
    pub(super) fn start(&mut self) -> Span {
        self.peek();
        Span { start: self.at, end: self.at, line: self.line }
    }

    pub(super) fn span_from(&self, start: Span) -> Span {
        self.frame.unwrap_or(Span { end: self.at, ..start })
    }

    pub(super) fn error_at<T>(&self, start: usize, what: impl Into<String>) -> Result<T> {
        let (line, column) = match self.frame {
            Some(frame) => (frame.line, 1),
            None => {
                let before = self.text.get(..start).unwrap_or(self.text);
                let line_start = before.rfind('\n').map_or(0, |at| at + 1);
                (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
            }
        };
        Err(SyntaxError { line, column, what: what.into() })
    }

    pub(super) fn error<T>(&self, what: impl Into<String>) -> Result<T> {
        self.error_at(self.at, what)
    }

    /// Opens one more level of nesting; the caller closes it by adding 1 to `depth`.
    pub(super) fn descend(&mut self) -> Result<()> {
        match self.depth.checked_sub(1) {
            Some(depth) => {
                self.depth = depth;
                Ok(())
            }
            None => self.error(format!("more than {} levels of nesting", super::DEPTH_MAX)),
        }
    }

    /// The next token, which stays to be taken.
    pub(super) fn look(&mut self) -> Result<&Token> {
        if self.peeked.is_none() {
            self.peeked = Some(self.read_token()?);
        }
        match &self.peeked {
            Some((token, _)) => Ok(token),
            None => self.error("a token that was read is gone"),
        }
    }

    pub(super) fn take(&mut self) -> Result<(Token, Span)> {
        let (token, span) = match self.peeked.take() {
            Some(peeked) => peeked,
            None => self.read_token()?,
        };
        self.last_end = span.end;
        Ok((token, span))
    }

    /// Where the next token begins.
    pub(super) fn look_span(&mut self) -> Result<Span> {
        self.look()?;
        Ok(self.peeked.as_ref().map_or_else(Span::default, |(_, span)| *span))
    }

    fn read_token(&mut self) -> Result<(Token, Span)> {
        self.skip_blanks();
        let start = self.start();
        let Some(c) = self.peek() else {
            return match self.pending.first() {
                Some(document) => self.error_at(document.start, format!("a here-document without its end {:?}", document.delimiter)),
                None => Ok((Token::End, start)),
            };
        };
        // `<(` and `>(` begin words.
        let is_process = matches!(c, '<' | '>') && self.rest()[1..].starts_with('(');
        let token = if is_operator_start(c) && !is_process {
            let operator = self.operator();
            if operator == "\n" {
                self.read_here_documents()?;
            }
            Token::Operator(operator)
        } else {
            let word = self.word()?;
            let next = self.rest().chars().next();
            match word.literal().filter(|text| text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit())) {
                Some(digits) if matches!(next, Some('<' | '>')) => match digits.parse() {
                    Ok(descriptor) => Token::Descriptor(descriptor),
                    Err(_) => return self.error_at(start.start, "a descriptor that is no number"),
                },
                _ => Token::Word(word),
            }
        };
        Ok((token, self.span_from(start)))
    }

    fn skip_blanks(&mut self) {
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' => self.at += 1,
                '#' => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
                _ => break,
            }
        }
    }

    fn operator(&mut self) -> &'static str {
        let mut found = "";
        while let Some(c) = self.peek() {
            let longer = |operator: &&&str| operator.strip_prefix(found).is_some_and(|rest| rest.chars().eq([c]));
            match OPERATORS.iter().find(longer) {
                Some(operator) => {
                    found = operator;
                    self.next_raw();
                }
                None => break,
            }
        }
        found
    }

    /// Notes a here-document whose body is read after the next newline; returns the body's index.
    pub(super) fn add_here_document(&mut self, delimiter: &Word, strips_tabs: bool, start: usize) -> Result<usize> {
        if self.frame.is_some() {
            return self.error_at(start, "a here-document inside backquotes");
        }
        let mut text = String::new();
        let mut is_literal = false;
        for part in &delimiter.parts {
            match part {
                Part::Literal(part) => text.push_str(part),
                Part::Quoted(part) => {
                    text.push_str(part);
                    is_literal = true;
                }
                Part::DoubleQuoted(inner) => match inner.as_slice() {
                    [] => is_literal = true,
                    [Part::Literal(part)] => {
                        text.push_str(part);
                        is_literal = true;
                    }
                    _ => return self.error_at(start, "a here-document whose end is no plain word"),
                },
                _ => return self.error_at(start, "a here-document whose end is no plain word"),
            }
        }
        let index = self.here_documents.len();
        self.here_documents.push(Vec::new());
        self.pending.push(PendingDocument { delimiter: text, strips_tabs, is_literal, index, start });
        Ok(index)
    }

    /// Reads the bodies that begin here, after a newline.
    fn read_here_documents(&mut self) -> Result<()> {
        for document in std::mem::take(&mut self.pending) {
            let (first_line, mut body) = (self.line, String::new());
            loop {
                let rest = self.rest();
                if rest.is_empty() {
                    return self.error_at(document.start, format!("a here-document without its end {:?}", document.delimiter));
                }
                let (line, len) = rest.find('\n').map_or((rest, rest.len()), |end| (&rest[..end], end + 1));
                self.at += len;
                self.line += 1;
                let line = if document.strips_tabs { line.trim_start_matches('\t') } else { line };
                if line == document.delimiter {
                    break;
                }
                // A backslash joins lines before they are compared, in a body with expansions.
                if !document.is_literal && line.ends_with('\\') {
                    return self.error_at(document.start, "a here-document whose lines are joined by backslashes");
                }
                body.push_str(line);
                body.push('\n');
            }
            let parts = match document.is_literal {
                true => vec![Part::Quoted(body)],
                false => {
                    let frame = Span { start: document.start, end: self.at, line: first_line };
                    let mut inner = Lexer::new(&body, self.depth, Some(self.frame.unwrap_or(frame)));
                    inner.document_body()?
                }
            };
            if let Some(place) = self.here_documents.get_mut(document.index) {
                *place = parts;
            }
        }
        Ok(())
    }
}

pub(super) fn is_operator_start(c: char) -> bool {
    matches!(c, '&' | '|' | ';' | '(' | ')' | '<' | '>' | '\n')
}
