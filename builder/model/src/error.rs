//! One error type: a small stable kind (which maps to an exit code), what was being done, and a hint.

use std::error::Error as StdError;
use std::fmt;
use std::io::ErrorKind;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of thing went wrong. Stable: scripts rely on the exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A defect of ours or of the machine (I/O error, full disk). Exit code 1.
    Internal,
    /// The recipe or an argument is wrong. Exit code 3.
    Recipe,
    /// The package set has no solution. Exit code 4.
    Unresolvable,
    /// A digest, signature or format does not hold. Exit code 5.
    Integrity,
    /// A server could not be reached, or answered with an error. Exit code 6.
    Network,
    /// A program run in the sandbox failed, or the sandbox cannot be made. Exit code 7.
    Tool,
    /// A check of a finished image failed. Exit code 8.
    Verification,
}

impl Kind {
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Internal => 1,
            Kind::Recipe => 3,
            Kind::Unresolvable => 4,
            Kind::Integrity => 5,
            Kind::Network => 6,
            Kind::Tool => 7,
            Kind::Verification => 8,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::Internal => "internal",
            Kind::Recipe => "recipe",
            Kind::Unresolvable => "unresolvable",
            Kind::Integrity => "integrity",
            Kind::Network => "network",
            Kind::Tool => "tool",
            Kind::Verification => "verification",
        }
    }
}

/// `message` is lowercase without a full stop and names the thing (path, offset, package), the expected and the found.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    message: String,
    /// What is wrong, one by one, where it is more than one thing.
    problems: Vec<String>,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, message: message.into(), problems: Vec::new(), hint: None, source: None }))
    }

    pub fn recipe(message: impl Into<String>) -> Self {
        Self::new(Kind::Recipe, message)
    }

    pub fn integrity(message: impl Into<String>) -> Self {
        Self::new(Kind::Integrity, message)
    }

    pub fn network(message: impl Into<String>) -> Self {
        Self::new(Kind::Network, message)
    }

    pub fn tool(message: impl Into<String>) -> Self {
        Self::new(Kind::Tool, message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// Lists what is wrong, one by one; each is shown on a line of its own below the message.
    pub fn problems(mut self, problems: Vec<String>) -> Self {
        self.0.problems = problems;
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub fn source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Puts what was being done in front; kind, hint and source stay. A message that already begins with it stays as it is.
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        let doing = doing.to_string();
        let is_repeated = self.0.message.strip_prefix(&doing).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', ' ']));
        if !is_repeated && !doing.is_empty() {
            self.0.message = format!("{doing}: {}", self.0.message);
        }
        self
    }

    /// Sets the hint unless there is one.
    pub fn or_hint(self, hint: impl FnOnce() -> String) -> Self {
        if self.0.hint.is_some() { self } else { self.hint(hint()) }
    }

    /// The messages of the errors below this one, the nearest first.
    pub fn causes(&self) -> impl Iterator<Item = String> + '_ {
        std::iter::successors(StdError::source(self), |&cause| cause.source()).map(ToString::to_string)
    }

    /// The message without the problems.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn problem_list(&self) -> &[String] {
        &self.0.problems
    }

    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

/// `{}` is the message with its problems, for callers that walk [`StdError::source`]; `{:#}` has the causes behind it, each after a colon.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for problem in &self.0.problems {
            write!(f, "\n  {problem}")?;
        }
        if f.alternate() {
            for cause in self.causes() {
                write!(f, ": {cause}")?;
            }
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

fn io_error(e: std::io::Error, doing: impl fmt::Display) -> Error {
    let full = e.kind() == ErrorKind::StorageFull;
    let error = Error::internal(doing.to_string()).source(e);
    if full { error.hint("free some space, or name another place with --out, --cache or --repo") } else { error }
}

/// Says what was being done when a lower error came up.
pub trait ResultExt<T> {
    /// An I/O error becomes `Kind::Internal`; one of ours keeps its kind.
    fn context<D: fmt::Display>(self, doing: impl FnOnce() -> D) -> Result<T>;
}

impl<T> ResultExt<T> for std::io::Result<T> {
    fn context<D: fmt::Display>(self, doing: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|e| io_error(e, doing()))
    }
}

impl<T> ResultExt<T> for Result<T> {
    fn context<D: fmt::Display>(self, doing: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|e| e.context(doing()))
    }
}

/// Says which file that the user named could not be opened, read or made.
pub trait InputExt<T> {
    /// What the user can put right (a name that is not there, no permission, a directory where a file belongs or the other way round, a read-only
    /// filesystem) becomes `Kind::Recipe`; any other I/O error becomes `Kind::Internal` as with [`ResultExt::context`].
    fn input<D: fmt::Display>(self, doing: impl FnOnce() -> D) -> Result<T>;
}

impl<T> InputExt<T> for std::io::Result<T> {
    fn input<D: fmt::Display>(self, doing: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|e| match e.kind() {
            ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::IsADirectory
            | ErrorKind::NotADirectory
            | ErrorKind::AlreadyExists
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::InvalidFilename
            // A name with a NUL byte.
            | ErrorKind::InvalidInput => Error::recipe(doing().to_string()).source(e),
            _ => io_error(e, doing()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_context_that_the_message_begins_with_is_not_said_twice() {
        for (message, doing, expected) in [
            ("no such file", "disk.raw", "disk.raw: no such file"),
            ("disk.raw: no such file", "disk.raw", "disk.raw: no such file"),
            ("disk.raw line 3: a name", "disk.raw", "disk.raw line 3: a name"),
            ("disk.raw", "disk.raw", "disk.raw"),
            ("disk.rawer: no such file", "disk.raw", "disk.raw: disk.rawer: no such file"),
            ("no such file", "", "no such file"),
        ] {
            assert_eq!(Error::recipe(message).context(doing).to_string(), expected);
            assert_eq!(Error::recipe(message).context(doing).context(doing).to_string(), expected, "{doing} twice");
        }
    }

    #[test]
    fn a_library_caller_can_walk_to_the_io_error_and_reads_each_message_once() {
        let error = Err::<(), _>(io::Error::other("a bad sector")).context(|| "read disk.raw").context(|| "inspect").unwrap_err();
        assert_eq!(error.to_string(), "inspect: read disk.raw");
        let source = StdError::source(&error).and_then(|source| source.downcast_ref::<io::Error>());
        assert_eq!(source.map(ToString::to_string).as_deref(), Some("a bad sector"));
        assert_eq!(format!("{error:#}"), "inspect: read disk.raw: a bad sector");
        let outer = Error::internal("stop").source(error);
        assert_eq!(format!("{outer:#}"), "stop: inspect: read disk.raw: a bad sector");
    }

    #[test]
    fn an_input_that_the_user_can_put_right_is_the_users_fault() {
        for (kind, expected) in [
            (ErrorKind::NotFound, Kind::Recipe),
            (ErrorKind::PermissionDenied, Kind::Recipe),
            (ErrorKind::IsADirectory, Kind::Recipe),
            (ErrorKind::NotADirectory, Kind::Recipe),
            (ErrorKind::ReadOnlyFilesystem, Kind::Recipe),
            (ErrorKind::StorageFull, Kind::Internal),
            (ErrorKind::Other, Kind::Internal),
        ] {
            let failed = || Err::<(), _>(io::Error::from(kind));
            assert_eq!(failed().input(|| "read a.pem").unwrap_err().kind(), expected, "{kind}");
            assert_eq!(failed().context(|| "read a.pem").unwrap_err().kind(), Kind::Internal, "{kind}");
        }
    }
}
