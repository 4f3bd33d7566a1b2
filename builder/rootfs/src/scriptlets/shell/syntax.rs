//! The syntax tree of a script, in the terms of POSIX (Shell & Utilities, chapter 2, "Shell Command Language") and the Bash manual.

/// The part of the text that a node was parsed from. Inside backquotes and here-documents it is that of the whole substitution or document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte.
    pub end: usize,
    /// Line of the first byte, counted from 1.
    pub line: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    pub list: Vec<AndOr>,
    /// The bodies of here-documents, to which redirections refer by index.
    pub here_documents: Vec<Vec<Part>>,
}

/// Pipelines between `&&` and `||`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AndOr {
    pub first: Pipeline,
    pub rest: Vec<(Joint, Pipeline)>,
    /// It ends with `&`.
    pub is_background: bool,
    pub span: Span,
}

/// What a pipeline depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joint {
    /// It runs if what came before succeeded.
    And,
    /// It runs if what came before failed.
    Or,
}

/// Commands between `|`; there is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    /// It begins with `!`.
    pub is_negated: bool,
    pub commands: Vec<Command>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub kind: CommandKind,
    pub redirections: Vec<Redirection>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandKind {
    Simple {
        assignments: Vec<Assignment>,
        words: Vec<Word>,
    },
    If {
        /// Conditions of `if` and `elif`, each with its body.
        arms: Vec<(Vec<AndOr>, Vec<AndOr>)>,
        otherwise: Vec<AndOr>,
    },
    Case {
        word: Word,
        arms: Vec<CaseArm>,
    },
    /// `while` and `until`.
    While {
        condition: Vec<AndOr>,
        body: Vec<AndOr>,
    },
    For {
        name: String,
        name_span: Span,
        /// `None` stands for the script's arguments.
        words: Option<Vec<Word>>,
        body: Vec<AndOr>,
    },
    /// `{ …; }`
    Group(Vec<AndOr>),
    /// `( … )`
    Subshell(Vec<AndOr>),
    Function {
        name: String,
        body: Box<Command>,
    },
    /// `[[ … ]]`: its words and operators in their order.
    Test(Vec<Word>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseArm {
    pub patterns: Vec<Word>,
    pub body: Vec<AndOr>,
}

/// `NAME=value`, or `NAME+=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub name: String,
    pub value: Word,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirection {
    /// The number before the operator.
    pub descriptor: Option<u32>,
    /// As it is written: `>`, `>>`, `<&` and so on.
    pub operator: &'static str,
    /// A file, a descriptor, or the word that ends a here-document.
    pub target: Word,
    /// Index of a here-document's body.
    pub here_document: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Word {
    pub parts: Vec<Part>,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Unquoted characters, in which patterns and braces mean something.
    Literal(String),
    /// Characters that stand for themselves: between single quotes, or after a backslash.
    Quoted(String),
    /// Between double quotes.
    DoubleQuoted(Vec<Part>),
    /// `$NAME` and `${NAME…}`.
    Parameter(Parameter),
    /// `$(…)` and backquotes.
    Command(Vec<AndOr>),
    /// `<(…)` and `>(…)`.
    Process(Vec<AndOr>),
    /// `$((…))`
    Arithmetic(Vec<Part>),
    /// The elements of an array, of an assignment's value only.
    Array(Vec<Word>),
    /// What means different things to different shells: `$'…'` and `$"…"`, as they are written.
    Unsupported(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    /// What stands between the name and the closing brace: an operator such as `:-`, and its word.
    pub operation: Option<(String, Vec<Part>)>,
}

impl Word {
    /// Returns the word without its quotes and with parameters as `${NAME}`. `None` if something runs to make it, or if shells differ about it.
    pub fn text(&self) -> Option<String> {
        let mut out = String::new();
        render(&self.parts, &mut out)?;
        Some(out)
    }

    /// Returns the text of a word without quotes and expansions.
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

fn render(parts: &[Part], out: &mut String) -> Option<()> {
    for part in parts {
        match part {
            Part::Literal(text) | Part::Quoted(text) => out.push_str(text),
            Part::DoubleQuoted(inner) => render(inner, out)?,
            Part::Parameter(Parameter { name, operation }) => {
                out.push_str("${");
                out.push_str(name);
                if let Some((operator, word)) = operation {
                    out.push_str(operator);
                    render(word, out)?;
                }
                out.push('}');
            }
            Part::Command(_) | Part::Process(_) | Part::Arithmetic(_) | Part::Array(_) | Part::Unsupported(_) => return None,
        }
    }
    Some(())
}

impl AndOr {
    /// Its pipelines in their order; the first depends on nothing.
    pub fn pipelines(&self) -> impl Iterator<Item = (Option<Joint>, &Pipeline)> {
        std::iter::once((None, &self.first)).chain(self.rest.iter().map(|(joint, pipeline)| (Some(*joint), pipeline)))
    }
}

impl Pipeline {
    /// The command of a pipeline that is no more than one.
    pub fn single(&self) -> Option<&Command> {
        match self.commands.as_slice() {
            [command] if !self.is_negated => Some(command),
            _ => None,
        }
    }
}

impl Redirection {
    /// Whether output goes to /dev/null or to where other output goes: it hides what a command says and changes nothing else.
    pub fn is_silent(&self) -> bool {
        let target = self.target.text();
        match (self.operator, target.as_deref()) {
            (">" | ">>" | "&>" | "&>>" | ">&" | ">|", Some("/dev/null")) => true,
            (">&", Some(descriptor)) => !descriptor.is_empty() && descriptor.bytes().all(|byte| byte.is_ascii_digit()),
            _ => false,
        }
    }
}
