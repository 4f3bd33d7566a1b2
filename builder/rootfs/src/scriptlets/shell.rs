//! The part of the shell's grammar that maintainer scripts are built from: enough to see which statements a fresh installation reaches.
//!
//! Statements, `if`, `case`, functions and loops are taken apart; everything else (pipes, subshells, here-documents, substitutions) stays one
//! opaque statement. What does not parse is `None`: the caller then understands nothing of the script.

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Statement(String),
    If {
        arms: Vec<(String, Vec<Node>)>,
        otherwise: Vec<Node>,
    },
    Case {
        word: String,
        arms: Vec<(String, Vec<Node>)>,
    },
    Loop {
        head: String,
        body: Vec<Node>,
    },
    Function {
        name: String,
        body: Vec<Node>,
    },
    /// `{ …; }` without a redirection behind it.
    Group(Vec<Node>),
}

/// Nesting that is followed; a deeper script is not understood.
const DEPTH: usize = 32;

pub fn parse(text: &str) -> Option<Vec<Node>> {
    let statements = statements(text)?;
    let mut parser = Parser { statements, at: 0 };
    let nodes = parser.block(&[], DEPTH)?;
    (parser.at == parser.statements.len()).then_some(nodes)
}

/// Statements between unquoted newlines and semicolons; `;;` is one of its own; keywords that open a block stand alone.
fn statements(text: &str) -> Option<Vec<String>> {
    let chars: Vec<char> = text.chars().collect();
    let mut out: Vec<String> = Vec::new();
    let mut current = String::new();
    let (mut at, mut depth, mut quote) = (0, 0usize, None);
    let mut heredocs: Vec<(String, bool)> = Vec::new();
    while let Some(&c) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        at += 1;
        match (quote, c) {
            (Some('\''), c) => {
                if c == '\'' {
                    quote = None;
                }
                current.push(c);
            }
            (_, '\\') => {
                at += 1;
                match next? {
                    '\n' => current.push(' '),
                    escaped => current.extend(['\\', escaped]),
                }
            }
            (Some(q), c) => {
                if c == q {
                    quote = None;
                }
                current.push(c);
            }
            (None, '\'' | '"' | '`') => {
                quote = Some(c);
                current.push(c);
            }
            (None, '#') if current.is_empty() || current.ends_with(char::is_whitespace) || current.ends_with(';') => {
                while chars.get(at).is_some_and(|&c| c != '\n') {
                    at += 1;
                }
            }
            (None, '(') => {
                depth += 1;
                current.push(c);
            }
            (None, ')') => {
                depth = depth.saturating_sub(1);
                current.push(c);
            }
            (None, '<') if next == Some('<') && chars.get(at + 1) != Some(&'<') => {
                at += 1;
                let strip = chars.get(at) == Some(&'-');
                at += usize::from(strip);
                while chars.get(at) == Some(&' ') {
                    at += 1;
                }
                let start = at;
                while chars.get(at).is_some_and(|c| c.is_alphanumeric() || "_'\"\\".contains(*c)) {
                    at += 1;
                }
                let word: String = chars[start..at].iter().filter(|c| !"'\"\\".contains(**c)).collect();
                if word.is_empty() {
                    return None;
                }
                current.push_str("<<");
                current.push_str(&word);
                heredocs.push((word, strip));
            }
            (None, '\n') if !heredocs.is_empty() => {
                for (word, strip) in heredocs.drain(..) {
                    loop {
                        let end = chars[at..].iter().position(|&c| c == '\n').map_or(chars.len(), |n| at + n);
                        let line: String = chars[at..end].iter().collect();
                        let finished = at >= chars.len();
                        at = (end + 1).min(chars.len());
                        if finished || (if strip { line.trim_start_matches('\t') } else { &line }) == word {
                            break;
                        }
                    }
                }
                at = at.saturating_sub(1);
                // The newline before the terminator's end is met again and ends the statement.
                if chars.get(at) != Some(&'\n') {
                    at += 1;
                    flush(&mut current, &mut out);
                }
            }
            (None, '\n') if depth == 0 => flush(&mut current, &mut out),
            (None, ';') if depth == 0 => {
                flush(&mut current, &mut out);
                if next == Some(';') {
                    at += 1;
                    out.push(";;".into());
                }
            }
            (None, c) => current.push(if c == '\n' { ' ' } else { c }),
        }
    }
    flush(&mut current, &mut out);
    quote.is_none().then_some(out)
}

fn flush(current: &mut String, out: &mut Vec<String>) {
    let mut text = std::mem::take(current);
    // `a &&` and `a |` go on in the next line.
    if ["&&", "||", "|"].iter().any(|operator| text.trim_end().ends_with(operator)) {
        text.push(' ');
        *current = text;
        return;
    }
    let mut rest = text.trim();
    while let Some(keyword) = ["then", "else", "do", "{"]
        .iter()
        .find(|k| rest.strip_prefix(**k).is_some_and(|r| r.is_empty() || r.starts_with(' ') || r.starts_with('\t')))
    {
        out.push((*keyword).to_owned());
        rest = rest[keyword.len()..].trim();
    }
    if let Some(head) = rest.strip_suffix('{').filter(|head| head.trim_end().ends_with("()")) {
        out.push(head.trim().to_owned());
        out.push("{".into());
    } else if !rest.is_empty() {
        out.push(rest.to_owned());
    }
}

struct Parser {
    statements: Vec<String>,
    at: usize,
}

impl Parser {
    fn next(&mut self) -> Option<String> {
        let statement = self.statements.get(self.at).cloned();
        self.at += 1;
        statement
    }

    fn expect(&mut self, word: &str) -> Option<()> {
        (self.next()? == word).then_some(())
    }

    /// Up to (not including) a statement whose first word is one of `ends`.
    fn block(&mut self, ends: &[&str], depth: usize) -> Option<Vec<Node>> {
        let depth = depth.checked_sub(1)?;
        let mut nodes = Vec::new();
        while let Some(statement) = self.statements.get(self.at) {
            let word = statement.split_whitespace().next().unwrap_or("").to_owned();
            if ends.contains(&word.as_str()) {
                break;
            }
            let statement = self.next()?;
            nodes.push(match word.as_str() {
                "if" => self.conditional(statement, depth)?,
                "case" => self.case(&statement, depth)?,
                "for" | "while" | "until" => {
                    self.expect("do")?;
                    let body = self.block(&["done"], depth)?;
                    // What follows `done` (a redirection) belongs to the head.
                    let tail = self.next()?;
                    Node::Loop { head: statement + tail.strip_prefix("done")?, body }
                }
                "{" if statement == "{" => {
                    let body = self.block(&["}"], depth)?;
                    self.expect("}")?;
                    Node::Group(body)
                }
                "then" | "else" | "elif" | "fi" | "do" | "done" | "esac" | ";;" | "{" | "}" => return None,
                _ => match statement.strip_suffix("()").map(str::trim) {
                    Some(name) if !name.contains(char::is_whitespace) => {
                        self.expect("{")?;
                        let body = self.block(&["}"], depth)?;
                        self.expect("}")?;
                        Node::Function { name: name.to_owned(), body }
                    }
                    _ => Node::Statement(statement),
                },
            });
        }
        Some(nodes)
    }

    fn conditional(&mut self, head: String, depth: usize) -> Option<Node> {
        let mut condition = head.strip_prefix("if")?.trim().to_owned();
        let (mut arms, mut otherwise) = (Vec::new(), Vec::new());
        loop {
            self.expect("then")?;
            let body = self.block(&["elif", "else", "fi"], depth)?;
            arms.push((condition, body));
            let word = self.next()?;
            if let Some(next) = word.strip_prefix("elif") {
                condition = next.trim().to_owned();
                continue;
            }
            if word == "else" {
                otherwise = self.block(&["fi"], depth)?;
                self.expect("fi")?;
            } else if word != "fi" {
                return None;
            }
            return Some(Node::If { arms, otherwise });
        }
    }

    fn case(&mut self, head: &str, depth: usize) -> Option<Node> {
        let (word, first) = head.strip_prefix("case")?.trim().split_once(" in")?;
        if !first.trim().is_empty() {
            self.at -= 1;
            self.statements[self.at] = first.trim().to_owned();
        }
        let mut arms = Vec::new();
        loop {
            let statement = self.next()?;
            if statement == "esac" {
                return Some(Node::Case { word: word.trim().to_owned(), arms });
            }
            let (pattern, rest) = statement.trim_start_matches('(').split_once(')')?;
            if !rest.trim().is_empty() {
                self.at -= 1;
                self.statements[self.at] = rest.trim().to_owned();
            }
            let body = self.block(&[";;", "esac"], depth)?;
            arms.push((pattern.trim().to_owned(), body));
            if self.statements.get(self.at)? == ";;" {
                self.at += 1;
            }
        }
    }
}

/// The words of a simple statement with their quotes removed; `None` if it has operators, redirections or substitutions besides `$NAME`.
pub fn words(statement: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = statement.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(q), c) if c == q => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().push(chars.next()?),
            (None, '|' | '&' | '<' | '>' | '(' | ')') | (None | Some('"'), '`') => return None,
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    (quote.is_none() && !words.iter().any(|w| w.contains("$("))).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_apart_and_the_rest_stays_whole() {
        let nodes = parse("set -e; if [ a ]; then b; elif c\nthen d; else e; fi # x\ncase \"$1\" in (x|y) f;; *)\n g\n esac\nh() {\n i | j\n}\nk <<-EOF\n\tfi;\n\tEOF\nl=$(\n m; n )\nfor x in y; do z; done\n").unwrap();
        assert_eq!(nodes.len(), 7, "{nodes:#?}");
        assert!(matches!(&nodes[1], Node::If { arms, otherwise } if arms.len() == 2 && otherwise.len() == 1));
        assert!(matches!(&nodes[2], Node::Case { word, arms } if word == "\"$1\"" && arms[0].0 == "x|y" && arms.len() == 2));
        assert!(matches!(&nodes[3], Node::Function { name, body } if name == "h" && *body == [Node::Statement("i | j".into())]));
        assert!(matches!(&nodes[4], Node::Statement(s) if s == "k <<EOF"));
        assert!(matches!(&nodes[5], Node::Statement(s) if s.starts_with("l=$(")));
    }

    #[test]
    fn broken_scripts_are_refused_and_never_loop() {
        for bad in ["if x; then y", "fi", "echo 'a", "case x in a) b", "x() {", "cat <<", "}", "case a", "\\", "k <<EOF\nx", "done"] {
            let _ = parse(bad);
            assert!(!matches!(parse(bad), Some(n) if n.len() > 1), "{bad}");
        }
        assert!(parse(&"if a; then ".repeat(1000)).is_none());
    }

    #[test]
    fn words_lose_their_quotes() {
        assert_eq!(words("a 'b c' \"$1\"x \"\"").unwrap(), ["a", "b c", "$1x", ""]);
        for bad in ["a | b", "a > b", "a `b`", "a $(b)", "a 'b"] {
            assert!(words(bad).is_none(), "{bad}");
        }
    }
}
