//! The words for scriptlets that somebody must decide about.

use super::Scriptlet;
use super::analysis::Statement;
use model::Error;
use std::fmt::Write as _;

/// Statements of one remainder that a message shows.
const SHOWN_MAX: usize = 12;

/// With the digest and what is not understood.
pub(super) type Undecided<'a> = (&'a Scriptlet, String, Vec<Statement>);

pub(super) fn undecided(list: &[Undecided<'_>]) -> Error {
    let mut message = format!("{} scriptlets do more than is understood, and the recipe has no policy for them", list.len());
    let mut blocks = String::from("add to the recipe, with a true reason each:");
    for (scriptlet, digest, remainder) in list {
        let _ = write!(message, "\n  {} {} {digest} ({})", scriptlet.package, scriptlet.phase.name(), scriptlet.interpreter.join(" "));
        for Statement { line, text } in remainder.iter().take(SHOWN_MAX) {
            let _ = write!(message, "\n      line {line}: {}", text.chars().take(160).collect::<String>());
        }
        if remainder.len() > SHOWN_MAX {
            let _ = write!(message, "\n      … {} more", remainder.len() - SHOWN_MAX);
        }
        let _ = write!(
            blocks,
            "\n[[scriptlet]]\npackage = \"{}\"\nphase = \"{}\"\ndigest = \"{digest}\"\npolicy = \"native\" # or \"skip\", \"sandbox\"\nreason = \"\"",
            scriptlet.package,
            scriptlet.phase.name()
        );
    }
    Error::recipe(message).hint(blocks)
}
