//! Shell scripts as syntax trees: the grammar of POSIX (Shell & Utilities, 2.10) with what Bash scripts use besides.
//!
//! ```text
//! Script → AndOr (`&&` `||`) → Pipeline (`|`) → Command: simple, if, case, while, for, group, subshell, function, [[ ]]
//!                                              └── Word → parts: literal, quoted, parameter, substitution
//! ```
//!
//! A script is parsed as a whole or refused with the place of what is not understood: `((`, `select`, `coproc`, `time`, `;&`, `$[`, patterns with
//! parentheses, here-documents inside backquotes. Nothing is executed, and aliases are not known.

mod compound;
mod lexer;
mod parser;
pub mod syntax;
mod words;

pub use syntax::Script;

use lexer::{Lexer, Token};
use std::fmt;

/// Nesting that is followed.
const DEPTH_MAX: usize = 48;
/// Bytes of a script; one of the largest of Debian's, grub-pc's postinst, has 29 KiB. A tree takes up to 350 bytes for each of them.
const SCRIPT_MAX: usize = 128 << 10;

type Result<T> = std::result::Result<T, SyntaxError>;

/// Why a script has no tree, and where. Lines and columns are counted from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    pub line: usize,
    pub column: usize,
    pub what: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

/// Parses a whole script.
pub fn parse(text: &str) -> Result<Script> {
    let mut lexer = Lexer::new(text, DEPTH_MAX, None);
    if text.len() > SCRIPT_MAX {
        return lexer.error(format!("a script of {} bytes, more than {SCRIPT_MAX}", text.len()));
    }
    let list = lexer.list(&[])?;
    match lexer.look()? {
        Token::End => Ok(Script { list, here_documents: lexer.here_documents }),
        _ => lexer.unexpected("a command"),
    }
}

#[cfg(test)]
mod against_brush;
#[cfg(test)]
mod tests;
