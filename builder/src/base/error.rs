//! One error type: a small stable kind (which maps to an exit code), what was being done, and a hint.

use std::error::Error as StdError;
use std::fmt;

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
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, message: message.into(), hint: None, source: None }))
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

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub fn source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same kind and hint, with what was being done in front.
    pub fn context(self, doing: impl fmt::Display) -> Self {
        let mut inner = *self.0;
        inner.message = format!("{doing}: {}", inner.message);
        Error(Box::new(inner))
    }

    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        let mut source = self.0.source.as_deref().map(|s| s as &dyn StdError);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl StdError for Error {}

/// Says what was being done when a lower error came up.
pub trait ResultExt<T> {
    /// An I/O error becomes `Kind::Internal`; one of ours keeps its kind.
    fn context<D: fmt::Display>(self, doing: impl FnOnce() -> D) -> Result<T>;
}

impl<T> ResultExt<T> for std::io::Result<T> {
    fn context<D: fmt::Display>(self, doing: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|e| {
            let full = e.kind() == std::io::ErrorKind::StorageFull;
            let error = Error::internal(doing().to_string()).source(e);
            if full { error.hint("free some space, or name another place with --out, --cache or --repo") } else { error }
        })
    }
}

impl<T> ResultExt<T> for Result<T> {
    fn context<D: fmt::Display>(self, doing: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|e| e.context(doing()))
    }
}
