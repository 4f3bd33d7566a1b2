//! Boolean ("rich") dependencies, as rpm's documentation on boolean dependencies defines them.
//!
//! ```text
//! rich = "(" operand { op operand } ")"     one op in a chain: and, or, with; others once
//!      | "(" operand ("if" | "unless") operand [ "else" operand ] ")"  |  "(" operand "without" operand ")"
//! operand = rich | name [ ("<" | "<=" | "=" | ">=" | ">") evr ]        a name may hold balanced parentheses
//! ```

use model::{Error, Result};
use packages::capability::{Capability, Comparison};

/// Nesting that nobody writes, but a hostile repository could.
const DEPTH: usize = 32;
/// Operands of one chain, each of which nests the whole one level deeper. The longest of Fedora have some dozens.
const CHAIN: usize = 500;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    Capability(Capability),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    With(Box<Expression>, Box<Expression>),
    Without(Box<Expression>, Box<Expression>),
    /// What, condition, else.
    If(Box<Expression>, Box<Expression>, Option<Box<Expression>>),
    Unless(Box<Expression>, Box<Expression>, Option<Box<Expression>>),
}

impl Expression {
    /// Calls `each` with everything that could come to be installed because of this: not with conditions.
    pub fn candidates<'a>(&'a self, each: &mut dyn FnMut(&'a Capability)) {
        match self {
            Expression::Capability(dep) => each(dep),
            Expression::And(a, b) | Expression::Or(a, b) | Expression::With(a, b) => {
                a.candidates(each);
                b.candidates(each);
            }
            Expression::Without(a, _) => a.candidates(each),
            Expression::If(a, _, other) | Expression::Unless(a, _, other) => {
                a.candidates(each);
                if let Some(other) = other {
                    other.candidates(each);
                }
            }
        }
    }
}

/// The whole of `text` as a rich dependency.
pub fn parse_rich(text: &str) -> Result<Expression> {
    let mut parser = Parser { rest: text };
    let parsed = parser.rich(0).and_then(|expression| match parser.rest.trim_start() {
        "" => Ok(expression),
        rest => Err(format!("expected the end, found {rest:?}")),
    });
    parsed.map_err(|message| Error::integrity(format!("rich dependency {text:?}: {message}")))
}

/// `name` or `name OP evr`.
pub fn parse_simple(text: &str) -> Result<Capability> {
    let mut parser = Parser { rest: text };
    let parsed = parser.simple().and_then(|dep| match parser.rest.trim_start() {
        "" => Ok(dep),
        rest => Err(format!("expected the end, found {rest:?}")),
    });
    parsed.map_err(|message| Error::integrity(format!("dependency {text:?}: {message}")))
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn rich(&mut self, depth: usize) -> Result<Expression, String> {
        if depth > DEPTH {
            return Err(format!("nested deeper than {DEPTH}"));
        }
        self.rest = self.rest.trim_start().strip_prefix('(').ok_or("expected (")?;
        let mut left = self.operand(depth)?;
        let mut chain = "";
        let mut links = 0;
        loop {
            self.rest = self.rest.trim_start();
            if let Some(rest) = self.rest.strip_prefix(')') {
                self.rest = rest;
                return Ok(left);
            }
            let op = self.word();
            if !chain.is_empty() && (op != chain || !matches!(op, "and" | "or" | "with")) {
                return Err(format!("expected ) or another {chain:?}, found {op:?}"));
            }
            chain = op;
            links += 1;
            if links > CHAIN {
                return Err(format!("more than {CHAIN} operands in one chain"));
            }
            let first = Box::new(left);
            let second = Box::new(self.operand(depth)?);
            left = match op {
                "and" => Expression::And(first, second),
                "or" => Expression::Or(first, second),
                "with" => Expression::With(first, second),
                "without" => Expression::Without(first, second),
                "if" => Expression::If(first, second, self.otherwise(depth)?),
                "unless" => Expression::Unless(first, second, self.otherwise(depth)?),
                _ => return Err(format!("expected and, or, if, unless, with or without, found {op:?}")),
            };
        }
    }

    fn otherwise(&mut self, depth: usize) -> Result<Option<Box<Expression>>, String> {
        let before = self.rest;
        self.rest = self.rest.trim_start();
        if self.word() == "else" {
            return Ok(Some(Box::new(self.operand(depth)?)));
        }
        self.rest = before;
        Ok(None)
    }

    fn operand(&mut self, depth: usize) -> Result<Expression, String> {
        self.rest = self.rest.trim_start();
        if self.rest.starts_with('(') { self.rich(depth + 1) } else { self.simple().map(Expression::Capability) }
    }

    fn simple(&mut self) -> Result<Capability, String> {
        self.rest = self.rest.trim_start();
        let name = self.word();
        if name.is_empty() {
            return Err("expected a name".into());
        }
        let mut dep = Capability::any(name);
        let after = self.rest.trim_start();
        for (symbol, compare) in [
            ("<=", Comparison::LessEqual),
            (">=", Comparison::GreaterEqual),
            ("==", Comparison::Equal),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
            ("=", Comparison::Equal),
        ] {
            if let Some(rest) = after.strip_prefix(symbol) {
                self.rest = rest.trim_start();
                let evr = self.word();
                if evr.is_empty() {
                    return Err(format!("expected a version after {symbol}"));
                }
                set_evr(&mut dep, compare, evr)?;
                break;
            }
        }
        Ok(dep)
    }

    /// Up to a space or a `)` that closes what the word did not open.
    fn word(&mut self) -> &'a str {
        let mut open = 0usize;
        let end = self.rest.char_indices().find(|(_, c)| match c {
            '(' => {
                open += 1;
                false
            }
            ')' if open > 0 => {
                open -= 1;
                false
            }
            ')' => true,
            c => c.is_whitespace(),
        });
        let (word, rest) = self.rest.split_at(end.map_or(self.rest.len(), |(at, _)| at));
        self.rest = rest;
        word
    }
}

fn set_evr(dep: &mut Capability, compare: Comparison, evr: &str) -> Result<(), String> {
    let (epoch, rest) = match evr.split_once(':') {
        Some((epoch, rest)) => (Some(epoch.parse().map_err(|_| format!("expected a number as epoch, found {epoch:?}"))?), rest),
        None => (None, evr),
    };
    let (version, release) = rest.rsplit_once('-').unwrap_or((rest, ""));
    dep.compare = Some(compare);
    dep.epoch = epoch;
    dep.version = version.into();
    dep.release = release.into();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prefix form, so that precedence shows.
    fn show(expression: &Expression) -> String {
        let two = |op: &str, a: &Expression, b: &Expression| format!("{op}[{}; {}]", show(a), show(b));
        let three = |op: &str, a: &Expression, b: &Expression, c: &Option<Box<Expression>>| match c {
            Some(c) => format!("{op}[{}; {}; {}]", show(a), show(b), show(c)),
            None => two(op, a, b),
        };
        match expression {
            Expression::Capability(dep) => dep.to_string(),
            Expression::And(a, b) => two("and", a, b),
            Expression::Or(a, b) => two("or", a, b),
            Expression::With(a, b) => two("with", a, b),
            Expression::Without(a, b) => two("without", a, b),
            Expression::If(a, b, c) => three("if", a, b, c),
            Expression::Unless(a, b, c) => three("unless", a, b, c),
        }
    }

    #[test]
    fn rich_dependencies_read_as_rpm_means_them() {
        for (text, expected) in [
            ("(a or b)", "or[a; b]"),
            ("(a or b or c >= 1:2-3)", "or[or[a; b]; c >= 1:2-3]"),
            ("(flour and ((milk or cream) if dill))", "and[flour; if[or[milk; cream]; dill]]"),
            ("(a if b else c)", "if[a; b; c]"),
            ("(a unless b)", "unless[a; b]"),
            ("(pkgconfig(x) >= 1 with pkgconfig(x) < 2~rc)", "with[pkgconfig(x) >= 1; pkgconfig(x) < 2~rc]"),
            ("(libc.so.6()(64bit) without glibc32)", "without[libc.so.6()(64bit); glibc32]"),
        ] {
            assert_eq!(show(&parse_rich(text).unwrap()), expected);
        }
    }

    #[test]
    fn what_is_not_a_rich_dependency_is_refused_with_its_text() {
        let deep = format!("{}a{}", "(".repeat(5000), ")".repeat(5000));
        for text in ["", "(", "()", "(a", "(a or)", "(a or b and c)", "(a or b) c", "(a >= )", "(a nor b)", "(a = x:1)", &deep] {
            let error = parse_rich(text).unwrap_err().to_string();
            assert!(error.starts_with("rich dependency"), "{text}: {error}");
        }
    }
}
