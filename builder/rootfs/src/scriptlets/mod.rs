//! What becomes of every scriptlet: understood natively, run by our Lua, run in the sandbox, or as the recipe says; what is none of these stops the
//! build, all of them at once. `decide` finds out, `execute` does it.

pub mod analysis;
mod decide;
mod execute;
mod lua;
mod report;
mod sequence;
pub mod shell;

pub use decide::decide;
pub(super) use decide::{is_skipped, read};
pub(super) use execute::{Executor, apply_alternatives};
pub use sequence::of;

use crate::alternatives::Alternative;
use model::Digest;
pub use packages::rpm::Phase;
use serde::Serialize;

#[derive(Debug, Clone)]
pub struct Scriptlet {
    pub package: String,
    pub phase: Phase,
    /// The program with its arguments, such as `/bin/sh` or `<lua>`.
    pub interpreter: Vec<String>,
    /// As recipes name it.
    pub text: String,
    /// As it is run: with the line in which a repackager says what dpkg would.
    pub source: String,
    /// Counts of installed packages, as rpm passes them.
    pub arguments: Vec<&'static str>,
    /// The package that set a trigger off.
    pub set_off_by: Option<String>,
    /// What it reads: of a trigger on files their paths, a line each.
    pub input: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    Alternative(Alternative),
    /// Units, whatever the presets say.
    Enable(Vec<String>),
    Lua(Script),
    Sandbox(Script),
}

/// A text with all that its interpreter gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    pub interpreter: Vec<String>,
    pub text: String,
    pub arguments: Vec<&'static str>,
    pub input: String,
}

/// Something to do for one scriptlet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    pub package: String,
    pub phase: Phase,
    /// Index of the ledger's row.
    pub row: usize,
    pub work: Work,
}

/// One line of the ledger: what became of one scriptlet, and which paths it changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub package: String,
    pub phase: Phase,
    /// First 16 hex digits of the text's sha256.
    pub digest: String,
    /// `understood`, `native`, `lua`, `sandbox` or `skip`.
    pub handler: String,
    /// The native stages that do the work, or the recipe's reason.
    pub reason: String,
    /// Of a trigger: the package that set it off.
    pub set_off_by: Option<String>,
    pub paths: Vec<String>,
    /// Exit status and output of a %post or %posttrans that failed.
    pub failure: Option<String>,
}

pub type Ledger = Vec<Row>;

/// First 16 hex digits, as recipes name a scriptlet's text.
pub fn short_digest(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string()[..16].to_owned()
}

/// A maintainer script as Debian ships it: without the line after `#!` in which the repackager says what dpkg would. Recipes name its digest.
pub fn without_prelude(text: &str) -> std::borrow::Cow<'_, str> {
    match text.split_once('\n') {
        Some((first, rest))
            if rest.starts_with("export DPKG_MAINTSCRIPT_NAME=") || rest.starts_with("BEGIN { $ENV{DPKG_MAINTSCRIPT_NAME}") =>
        {
            let body = rest.split_once('\n').map_or("", |(_, body)| body);
            format!("{first}\n{body}").into()
        }
        _ => text.into(),
    }
}
