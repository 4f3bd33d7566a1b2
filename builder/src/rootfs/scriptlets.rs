//! What becomes of every scriptlet: understood natively, or as the recipe's policy says, or the build stops with all undecided ones at once.

use crate::base::{Digest, Error, ImagePath, Result};
use crate::formats::conf::preset::glob_matches;
use crate::rootfs::alternatives::{self, Alternative};
use crate::rootfs::maintainer_script;
use crate::tree::FileTree;
use serde::Serialize;
use std::fmt::{self, Write as _};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Pretrans,
    Pre,
    Post,
    Posttrans,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Pretrans => "pretrans",
            Phase::Pre => "pre",
            Phase::Post => "post",
            Phase::Posttrans => "posttrans",
        })
    }
}

#[derive(Debug, Clone)]
pub struct Scriptlet {
    pub package: String,
    pub phase: Phase,
    /// The program with its arguments, such as `/bin/sh` or `<lua>`.
    pub interpreter: String,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Handling {
    /// Declarative files cover what it does; the recipe says so.
    Native,
    Skip,
    Sandbox,
}

/// One `[[scriptlet]]` of the recipe. `phase` absent: all; `digest`: 16 or more hex digits of the text's sha256, absent: any text.
#[derive(Debug, Clone)]
pub struct Policy {
    /// A glob: a kernel's package carries its version in its name.
    pub package: String,
    pub phase: Option<Phase>,
    pub digest: Option<String>,
    pub handling: Handling,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Alternative { package: String, alternative: Alternative },
    Sandbox { package: String, phase: Phase, interpreter: String, text: String },
}

/// One line of the ledger: what became of one scriptlet, and which paths it changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub package: String,
    pub phase: Phase,
    /// First 16 hex digits of the text's sha256.
    pub digest: String,
    /// `understood`, `native`, `skip` or `sandbox`.
    pub handler: String,
    /// The native stages that do the work, or the recipe's reason.
    pub reason: String,
    pub paths: Vec<String>,
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

/// Decides about every scriptlet, in the given order. A policy for the exact text is stronger than one for any text, and both than our own reading.
pub fn interpret(scriptlets: &[Scriptlet], policies: &[Policy]) -> Result<(Vec<Action>, Ledger)> {
    let (mut actions, mut ledger, mut undecided) = (Vec::new(), Ledger::new(), Vec::new());
    for scriptlet in scriptlets {
        let digest = Digest::of(scriptlet.text.as_bytes()).to_string();
        let row = |handler: &str, reason: String| Row {
            package: scriptlet.package.clone(),
            phase: scriptlet.phase,
            digest: digest[..16].to_owned(),
            handler: handler.to_owned(),
            reason,
            paths: Vec::new(),
        };
        let reading = read(scriptlet);
        let alternatives = |actions: &mut Vec<Action>| {
            actions.extend(
                reading.alternatives.iter().map(|a| Action::Alternative { package: scriptlet.package.clone(), alternative: a.clone() }),
            );
        };
        let applies = |policy: &&Policy| {
            glob_matches(&policy.package, &scriptlet.package)
                && policy.phase.is_none_or(|phase| phase == scriptlet.phase)
                && policy.digest.as_ref().is_none_or(|d| d.len() >= 16 && digest.starts_with(d.as_str()))
        };
        let policy = policies.iter().filter(applies).max_by_key(|p| (p.digest.is_some(), p.phase.is_some()));
        match policy {
            Some(policy) => {
                match policy.handling {
                    Handling::Native => {
                        alternatives(&mut actions);
                        ledger.push(row("native", policy.reason.clone()));
                    }
                    Handling::Skip => ledger.push(row("skip", policy.reason.clone())),
                    Handling::Sandbox => {
                        actions.push(Action::Sandbox {
                            package: scriptlet.package.clone(),
                            phase: scriptlet.phase,
                            interpreter: scriptlet.interpreter.clone(),
                            text: scriptlet.text.clone(),
                        });
                        ledger.push(row("sandbox", policy.reason.clone()));
                    }
                };
            }
            None if reading.remainder.is_empty() => {
                let mechanisms: Vec<&str> = reading.mechanisms.iter().copied().collect();
                alternatives(&mut actions);
                ledger.push(row("understood", if mechanisms.is_empty() { "no effect".into() } else { mechanisms.join(", ") }));
            }
            None => undecided.push((scriptlet, digest[..16].to_owned(), reading.remainder)),
        }
    }
    if undecided.is_empty() { Ok((actions, ledger)) } else { Err(report(&undecided)) }
}

/// Carries out the alternatives among `actions` and notes their paths in the ledger.
pub fn apply_alternatives(tree: &mut FileTree, actions: &[Action], ledger: &mut Ledger) -> Result<Vec<ImagePath>> {
    let owned: Vec<(&str, &Alternative)> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Alternative { package, alternative } => Some((package.as_str(), alternative)),
            Action::Sandbox { .. } => None,
        })
        .collect();
    let written = alternatives::install(tree, &owned.iter().map(|(_, a)| (*a).clone()).collect::<Vec<_>>())?;
    for (package, alternative) in owned {
        let middle = format!("/etc/alternatives/{}", alternative.name);
        let won =
            tree.at(&middle).is_some_and(|i| matches!(&i.kind, crate::tree::NodeKind::Symlink(t) if **t == *alternative.path.as_bytes()));
        if let Some(row) = ledger.iter_mut().find(|row| row.package == package && row.phase == Phase::Post)
            && won
        {
            row.paths.extend([alternative.link.clone(), middle]);
        }
    }
    Ok(written)
}

fn read(scriptlet: &Scriptlet) -> maintainer_script::Reading {
    let interpreter = scriptlet.interpreter.split_whitespace().next().unwrap_or_default();
    match interpreter {
        "" | "/bin/sh" | "/usr/bin/sh" | "/bin/bash" | "/usr/bin/bash" | "/bin/dash" => {
            let before = matches!(scriptlet.phase, Phase::Pre | Phase::Pretrans);
            maintainer_script::read(&scriptlet.text, if before { "install" } else { "configure" })
        }
        // `%post -p /sbin/ldconfig` has no text.
        "/sbin/ldconfig" | "/usr/sbin/ldconfig" if scriptlet.text.trim().is_empty() => {
            maintainer_script::Reading { mechanisms: ["ldconfig"].into(), ..Default::default() }
        }
        _ => maintainer_script::Reading {
            remainder: scriptlet.text.lines().map(str::to_owned).filter(|line| !line.trim().is_empty()).collect(),
            ..Default::default()
        },
    }
}

/// Lines of one remainder that a message shows.
const SHOWN: usize = 12;

fn report(undecided: &[(&Scriptlet, String, Vec<String>)]) -> Error {
    let mut message = format!("{} scriptlets do more than is understood, and the recipe has no policy for them", undecided.len());
    let mut blocks = String::from("add to the recipe, with a true reason each:");
    for (scriptlet, digest, remainder) in undecided {
        let _ = write!(message, "\n  {} {} {digest} ({})", scriptlet.package, scriptlet.phase, scriptlet.interpreter);
        for line in remainder.iter().take(SHOWN) {
            let _ = write!(message, "\n      {}", line.chars().take(160).collect::<String>());
        }
        if remainder.len() > SHOWN {
            let _ = write!(message, "\n      … {} more", remainder.len() - SHOWN);
        }
        let _ = write!(
            blocks,
            "\n[[scriptlet]]\npackage = \"{}\"\nphase = \"{}\"\ndigest = \"{digest}\"\npolicy = \"native\" # or \"skip\", \"sandbox\"\nreason = \"\"",
            scriptlet.package, scriptlet.phase
        );
    }
    Error::recipe(message).hint(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scriptlet(package: &str, text: &str) -> Scriptlet {
        Scriptlet { package: package.into(), phase: Phase::Post, interpreter: "/bin/sh".into(), text: text.into() }
    }

    fn policy(package: &str, digest: Option<String>, handling: Handling) -> Policy {
        Policy { package: package.into(), phase: None, digest, handling, reason: "why".into() }
    }

    #[test]
    fn all_undecided_scriptlets_are_reported_at_once() {
        let error = interpret(&[scriptlet("a", "touch /x"), scriptlet("b", "exit 0"), scriptlet("c", "touch /y")], &[]).unwrap_err();
        let (text, hint) = (error.to_string(), error.hint_text().unwrap().to_owned());
        assert!(text.contains("a post") && text.contains("touch /y") && !text.contains("b post"), "{text}");
        assert!(hint.contains(&short_digest("touch /x")) && hint.contains(&short_digest("touch /y")));
        assert_eq!(error.kind(), crate::base::Kind::Recipe);
    }

    #[test]
    fn a_policy_holds_for_its_digest_only() {
        let one = scriptlet("a", "touch /x");
        let (actions, ledger) =
            interpret(std::slice::from_ref(&one), &[policy("a", Some(short_digest("touch /x")), Handling::Sandbox)]).unwrap();
        assert_eq!((actions.len(), ledger[0].handler.as_str()), (1, "sandbox"));
        assert!(interpret(&[one], &[policy("a", Some(short_digest("touch /y")), Handling::Sandbox)]).is_err());
        let lua = Scriptlet { interpreter: "<lua>".into(), ..scriptlet("a", "posix.mkdir('/x')") };
        assert!(interpret(&[lua], &[]).is_err());
        let ldconfig = Scriptlet { interpreter: "/sbin/ldconfig".into(), ..scriptlet("a", "") };
        assert_eq!(interpret(&[ldconfig], &[]).unwrap().1[0].reason, "ldconfig");
    }
}
