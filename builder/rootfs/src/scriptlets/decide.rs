//! Who does what each scriptlet asks.

use super::report::Undecided;
use super::{Action, Ledger, Row, Script, Scriptlet, Work, report};
use crate::scriptlets::analysis::{self, Analysis, Invocation, Statement};
use model::{Digest, Result, glob_matches};
use packages::rpm::Phase;
use recipe::{DefaultPolicy, Policy, ScriptletRule};

/// Decides about every scriptlet, in the given order. A rule for the exact text is stronger than one for any text, and both than our own analysis.
pub fn decide(scriptlets: &[Scriptlet], rules: &[ScriptletRule], default: DefaultPolicy) -> Result<(Vec<Action>, Ledger)> {
    let (mut actions, mut ledger, mut undecided) = (Vec::new(), Ledger::new(), Vec::new());
    for scriptlet in scriptlets {
        let digest = Digest::of(scriptlet.text.as_bytes()).to_string();
        let analysis = read(scriptlet);
        let rule = rule_for(scriptlet, &digest, rules);
        let is_lua = scriptlet.interpreter.first().is_some_and(|program| program == "<lua>");
        let run = || match is_lua {
            true => ("lua", Work::Lua(script(scriptlet))),
            false => ("sandbox", Work::Sandbox(script(scriptlet))),
        };
        let (handler, reason, work) = match (rule, analysis) {
            (Some(rule), analysis) => match rule.policy {
                Policy::Native => ("native", rule.reason.clone(), native(&analysis)),
                Policy::Skip => ("skip", rule.reason.clone(), Vec::new()),
                Policy::Sandbox => {
                    let (handler, work) = run();
                    (handler, rule.reason.clone(), vec![work])
                }
            },
            (None, analysis) if analysis.remainder.is_empty() => {
                let mechanisms: Vec<&str> = analysis.mechanisms.iter().copied().collect();
                let reason = if mechanisms.is_empty() { "no effect".into() } else { mechanisms.join(", ") };
                ("understood", reason, native(&analysis))
            }
            // The Lua interpreter can only touch the image's tree, so it always runs.
            (None, _) if is_lua || default == DefaultPolicy::Sandbox => {
                let (handler, work) = run();
                (handler, "not understood by reading".into(), vec![work])
            }
            (None, analysis) => {
                // A trigger may be set off many times.
                if !undecided.iter().any(|(other, d, _): &Undecided<'_>| *d == digest[..16] && other.phase == scriptlet.phase) {
                    undecided.push((scriptlet, digest[..16].to_owned(), analysis.remainder));
                }
                continue;
            }
        };
        let (package, phase, row) = (&scriptlet.package, scriptlet.phase, ledger.len());
        actions.extend(work.into_iter().map(|work| Action { package: package.clone(), phase, row, work }));
        ledger.push(Row {
            package: package.clone(),
            phase,
            digest: digest[..16].to_owned(),
            handler: handler.to_owned(),
            reason,
            set_off_by: scriptlet.set_off_by.clone(),
            paths: Vec::new(),
            failure: None,
        });
    }
    if undecided.is_empty() { Ok((actions, ledger)) } else { Err(report::undecided(&undecided)) }
}

fn script(scriptlet: &Scriptlet) -> Script {
    Script {
        interpreter: scriptlet.interpreter.clone(),
        text: scriptlet.source.clone(),
        arguments: scriptlet.arguments.clone(),
        input: scriptlet.input.clone(),
    }
}

fn rule_for<'a>(scriptlet: &Scriptlet, digest: &str, rules: &'a [ScriptletRule]) -> Option<&'a ScriptletRule> {
    let applies = |rule: &&ScriptletRule| {
        glob_matches(&rule.package, &scriptlet.package)
            && rule.phase.is_none_or(|phase| phase == scriptlet.phase)
            && rule.digest.as_ref().is_none_or(|d| d.len() >= 16 && digest.starts_with(d.as_str()))
    };
    rules.iter().filter(applies).max_by_key(|rule| (rule.digest.is_some(), rule.phase.is_some()))
}

/// Whether the recipe wants nothing of what the scriptlet does.
pub fn is_skipped(scriptlet: &Scriptlet, rules: &[ScriptletRule]) -> bool {
    let digest = Digest::of(scriptlet.text.as_bytes()).to_string();
    rule_for(scriptlet, &digest, rules).is_some_and(|rule| rule.policy == Policy::Skip)
}

fn native(analysis: &Analysis) -> Vec<Work> {
    let units = (!analysis.enable.is_empty()).then(|| Work::Enable(analysis.enable.clone()));
    analysis.alternatives.iter().cloned().map(Work::Alternative).chain(units).collect()
}

/// What a scriptlet does, as far as it can be read.
pub fn read(scriptlet: &Scriptlet) -> Analysis {
    match scriptlet.interpreter.first().map_or("", String::as_str) {
        "" | "/bin/sh" | "/usr/bin/sh" | "/bin/bash" | "/usr/bin/bash" | "/bin/dash" => analysis::read(&scriptlet.text, called(scriptlet)),
        // `%post -p /sbin/ldconfig` has no text.
        program if scriptlet.text.trim().is_empty() => match analysis::native_command(program) {
            Some(mechanism) => Analysis { mechanisms: [mechanism].into(), ..Default::default() },
            None => Analysis { remainder: vec![Statement { line: 1, text: scriptlet.interpreter.join(" ") }], ..Default::default() },
        },
        _ => Analysis {
            remainder: (1..)
                .zip(scriptlet.text.lines())
                .filter(|(_, text)| !text.trim().is_empty())
                .map(|(line, text)| Statement { line, text: text.to_owned() })
                .collect(),
            ..Default::default()
        },
    }
}

/// A repackaged maintainer script is told what dpkg would tell it.
fn called(scriptlet: &Scriptlet) -> Invocation<'_> {
    match (scriptlet.source == scriptlet.text, scriptlet.phase) {
        (true, _) => Invocation::ByRpm(scriptlet.arguments.first().copied().unwrap_or("1")),
        (false, Phase::Pre | Phase::Pretrans) => Invocation::ByDpkg("install"),
        (false, _) => Invocation::ByDpkg("configure"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scriptlets::short_digest;

    fn scriptlet(package: &str, text: &str) -> Scriptlet {
        Scriptlet {
            package: package.into(),
            phase: Phase::Post,
            interpreter: vec!["/bin/sh".into()],
            text: text.into(),
            source: text.into(),
            arguments: vec!["1"],
            set_off_by: None,
            input: String::new(),
        }
    }

    fn rule(package: &str, digest: Option<String>, policy: Policy) -> ScriptletRule {
        ScriptletRule { package: package.into(), phase: None, digest, policy, reason: "why".into() }
    }

    fn interpret(scriptlets: &[Scriptlet], rules: &[ScriptletRule]) -> Result<(Vec<Action>, Ledger)> {
        decide(scriptlets, rules, DefaultPolicy::Refuse)
    }

    #[test]
    fn all_undecided_scriptlets_are_reported_at_once() {
        let error = interpret(&[scriptlet("a", "touch /x"), scriptlet("b", "exit 0"), scriptlet("c", "touch /y")], &[]).unwrap_err();
        let (text, hint) = (error.to_string(), error.hint_text().unwrap().to_owned());
        assert!(text.contains("a post") && text.contains("line 1: touch /y") && !text.contains("b post"), "{text}");
        assert!(hint.contains(&short_digest("touch /x")) && hint.contains(&short_digest("touch /y")));
        assert_eq!(error.kind(), model::Kind::Recipe);
    }

    #[test]
    fn a_policy_holds_for_its_digest_only() {
        let one = scriptlet("a", "touch /x");
        let (actions, ledger) =
            interpret(std::slice::from_ref(&one), &[rule("a", Some(short_digest("touch /x")), Policy::Sandbox)]).unwrap();
        assert_eq!((actions.len(), ledger[0].handler.as_str()), (1, "sandbox"));
        assert!(interpret(&[one], &[rule("a", Some(short_digest("touch /y")), Policy::Sandbox)]).is_err());
        let ldconfig = Scriptlet { interpreter: vec!["/sbin/ldconfig".into()], ..scriptlet("a", "") };
        assert_eq!(interpret(&[ldconfig], &[]).unwrap().1[0].reason, "ldconfig");
    }

    #[test]
    fn the_recipes_default_runs_what_is_not_understood_and_lua_runs_anyway() {
        let unknown = scriptlet("a", "touch /x");
        let (actions, ledger) = decide(&[unknown, scriptlet("b", "exit 0")], &[], DefaultPolicy::Sandbox).unwrap();
        assert!(matches!(&actions[..], [Action { row: 0, work: Work::Sandbox(script), .. }] if script.text == "touch /x"));
        assert_eq!((ledger[0].handler.as_str(), ledger[1].handler.as_str()), ("sandbox", "understood"));
        let lua = Scriptlet { interpreter: vec!["<lua>".into()], ..scriptlet("a", "posix.mkdir('/x')") };
        assert_eq!(interpret(std::slice::from_ref(&lua), &[]).unwrap().1[0].handler, "lua");
        assert!(interpret(&[lua], &[rule("a", None, Policy::Skip)]).unwrap().0.is_empty());
        let program = Scriptlet { interpreter: vec!["/usr/sbin/glibc_post_upgrade.x86_64".into()], ..scriptlet("a", "") };
        assert!(interpret(&[program], &[]).unwrap_err().to_string().contains("glibc_post_upgrade"));
    }
}
