//! What a maintainer script or scriptlet does on a fresh installation, as far as declarative forms cover it.
//!
//! debhelper's generated sections are known by their names. Of the rest, branches that a fresh installation never reaches are
//! dropped, and statements whose work a native stage does are taken out. What remains is what somebody must decide about.

mod accounts;
mod commands;
mod conditions;
mod walk;

use crate::alternatives::Alternative;
use crate::scriptlets::shell;
use commands::{COMMANDS, SECTIONS};
use conf::sysusers::Line;
use model::ResultJudged;
use shell::syntax::{AndOr, CommandKind, Joint, Pipeline, Redirection, Word};
use std::collections::BTreeSet;
use walk::Walker;

/// The outcome of reading one script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Analysis {
    pub alternatives: Vec<Alternative>,
    /// Users, groups and memberships that it makes.
    pub accounts: Vec<Line>,
    /// Units that it enables whatever the presets say.
    pub enable: Vec<String>,
    /// Names of the native stages that do the script's work, sorted.
    pub mechanisms: BTreeSet<&'static str>,
    /// Statements that nothing native covers; empty if the script is understood.
    pub remainder: Vec<Statement>,
}

/// A statement in one line of text, with the line of the script at which it begins, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub line: usize,
    pub text: String,
}

/// Who runs the script, with the first argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invocation<'a> {
    /// `configure` after, `install` before unpacking.
    ByDpkg(&'a str),
    /// The count of installed packages.
    ByRpm(&'a str),
}

pub fn read(text: &str, called: Invocation<'_>) -> Analysis {
    let mut analysis = Analysis::default();
    let (sections, rest) = cut_sections(text);
    for section in sections {
        let Some((_, mechanism)) = SECTIONS.iter().find(|(name, _)| *name == section.tool) else { continue };
        analysis.mechanisms.insert(mechanism);
        if *mechanism == "alternatives" {
            // Only the alternatives count; what the generated section does besides serves upgrades.
            match shell::parse(&section.body) {
                Ok(script) => drop(Walker::new(called, &section.body, section.lines_before, &mut analysis).block(&script.list, true)),
                Err(error) => analysis.remainder.extend(unparsed(&section.body, section.lines_before, &error)),
            }
        }
    }
    let script = match shell::parse(&rest) {
        Ok(script) => script,
        Err(error) => {
            analysis.remainder.extend(unparsed(&rest, 0, &error));
            return analysis;
        }
    };
    let mut walker = Walker::new(called, &rest, 0, &mut analysis);
    walker.collect_functions(&script.list);
    let left = walker.block(&script.list, true).left;
    if left.iter().all(|leftover| leftover.only_assigns) {
        return analysis;
    }
    let mut left: Vec<Statement> = left.into_iter().map(|leftover| leftover.statement).collect();
    // A function that is still called is shown with its callers, so that the message holds all that the script would do.
    for (name, body) in std::mem::take(&mut walker.functions) {
        if left.iter().any(|s| s.text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == name)) {
            left.push(Statement { line: body.span.line, text: format!("{name}() is defined in the script") });
        }
    }
    analysis.remainder.extend(left);
    analysis
}

/// All lines of a script without a tree, after the reason.
fn unparsed(text: &str, lines_before: usize, error: &shell::SyntaxError) -> Vec<Statement> {
    let reason = Statement { line: lines_before + error.line, text: format!("column {}: {}", error.column, error.what) };
    let lines = text.lines().zip(lines_before + 1..).map(|(line, number)| Statement { line: number, text: line.trim().to_owned() });
    let lines = lines.filter(|line| !line.text.is_empty() && !line.text.starts_with('#'));
    std::iter::once(reason).chain(lines).collect()
}

/// The native stage that does what a command line asks: one command, whose failure may be ignored with `|| :`.
pub(super) fn native_command(command: &str) -> Option<&'static str> {
    let script = shell::parse(command).none_because("what does not parse is no command that is known")?;
    let [AndOr { first, rest, is_background: false, .. }] = script.list.as_slice() else { return None };
    let first = texts(first)?.into_iter().next()?;
    match rest.as_slice() {
        [] => {}
        [(Joint::Or, ignored)] if matches!(texts(ignored)?.as_slice(), [word] if word == ":" || word == "true") => {}
        _ => return None,
    }
    let base = first.rsplit('/').next()?;
    COMMANDS.iter().find(|(name, _)| *name == first || *name == base).map(|(_, mechanism)| *mechanism)
}

/// The words of a pipeline that is one simple command whose redirections only hide what it says.
fn texts(pipeline: &Pipeline) -> Option<Vec<String>> {
    let command = pipeline.single().filter(|command| command.redirections.iter().all(Redirection::is_silent))?;
    match &command.kind {
        CommandKind::Simple { assignments, words } if assignments.is_empty() => words.iter().map(Word::text).collect(),
        _ => None,
    }
}

/// What debhelper generated into a script with one of its tools.
pub(crate) struct Section {
    pub tool: String,
    pub body: String,
    /// Lines of the script before the body.
    pub lines_before: usize,
}

/// The sections that debhelper generated whose work is known, and the script with empty lines in their place.
pub(crate) fn cut_sections(text: &str) -> (Vec<Section>, String) {
    let (mut sections, mut rest) = (Vec::new(), String::new());
    let mut open: Option<Section> = None;
    // Lines of the section that is open.
    let mut count = 0;
    for (line, number) in text.lines().zip(1..) {
        let mark = line.trim();
        if let Some(tool) = mark.strip_prefix("# Automatically added by ").filter(|_| open.is_none()) {
            let tool = tool.split('/').next().unwrap_or("");
            if SECTIONS.iter().any(|(name, _)| *name == tool) {
                open = Some(Section { tool: tool.to_owned(), body: String::new(), lines_before: number });
                count = 1;
                continue;
            }
        }
        match &mut open {
            Some(_) if mark == "# End automatically added section" => {
                sections.extend(open.take());
                rest += &"\n".repeat(count + 1);
            }
            Some(section) => {
                section.body += &format!("{line}\n");
                count += 1;
            }
            None => rest += &format!("{line}\n"),
        }
    }
    // A section without its end is not one.
    if let Some(section) = open {
        rest += &format!("\n{}", section.body);
    }
    (sections, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts_of(analysis: &Analysis) -> Vec<String> {
        analysis.remainder.iter().map(|statement| statement.text.clone()).collect()
    }

    fn remainder(text: &str) -> Vec<String> {
        texts_of(&read(text, Invocation::ByDpkg("configure")))
    }

    #[test]
    fn a_script_of_known_parts_leaves_nothing() {
        let script = "#!/bin/sh\nset -e\ncase \"$1\" in\n configure)\n  if [ -n \"$2\" ] && dpkg --compare-versions \"$2\" lt 3; then rm -rf /x; fi\n ;;\n abort-*) exit 1;;\n *) rm /y;;\nesac\n# Automatically added by dh_installsystemd/13\nif true; then\n rm /z\nfi\n# End automatically added section\nold() {\n rm /w\n}\nupdate-alternatives --install /usr/bin/pager pager /usr/bin/less 77 \\\n  --slave /usr/share/man/man1/pager.1.gz pager.1.gz /usr/share/man/man1/less.1.gz || true\n[ -d /run/systemd/system ] && systemctl daemon-reload\nexit 0\nrm /v\n";
        let analysis = read(script, Invocation::ByDpkg("configure"));
        assert!(analysis.remainder.is_empty(), "{:?}", analysis.remainder);
        assert_eq!((analysis.alternatives.len(), analysis.alternatives[0].slaves.len()), (1, 1));
        assert!(analysis.mechanisms.contains("presets") && analysis.mechanisms.contains("alternatives"));
    }

    #[test]
    fn whatever_a_fresh_installation_would_do_is_left_over() {
        for (script, expected) in [
            ("chmod 1 /x", "chmod 1 /x"),
            ("if [ \"$1\" = configure ]; then chown a /x; fi", "chown a /x"),
            ("if [ -e /etc/x ]; then rm /x; fi", "rm /x"),
            ("make() { touch /x; }; make", "touch /x"),
            ("make() {\n touch /x\n}\nmake", "touch /x"),
            ("[ -z \"$2\" ] && shadowconfig on", "shadowconfig on"),
            ("if [ \"$1\" = configure ] && [ -e /etc/x ]; then update-alternatives --install /a a /b 1; fi", "update-alternatives"),
            ("# Automatically added by dh_installnss/1\nsed -i x /etc/nsswitch.conf\n# End automatically added section", "sed -i"),
            ("# Automatically added by dh_icons/1\nrm /x\n", "rm /x"),
            ("systemctl x; ldconfig > /etc/x", "ldconfig > /etc/x"),
            ("if rm /x; then :; fi", "rm /x"),
            ("if [ -e /x ]; then exit 0; fi\nrm /y", "rm /y"),
            ("x=$(rm /x)", "rm /x"),
            ("for f in a; do rm $f; done", "rm $f"),
            ("case $x in a) rm /x;; esac", "rm /x"),
            ("if x; then", "if x"),
            ("unknown || rm /x", "rm /x"),
            ("true && rm /x", "rm /x"),
            ("true && rm /x || :", "rm /x"),
            ("rm /x >/dev/null 2>&1 || :", "rm /x"),
            ("rm /x && exit 0", "rm /x && exit 0"),
            ("[ -e /x ] & rm /y", "rm /y"),
            ("if rm /x && [ a = b ]; then :; fi", "if rm /x && [ a = b ]"),
            ("if [ -e /x ]; rm /y; then :; fi", "rm /y"),
            ("until rm /x; do :; done", "until rm /x"),
            ("for f in $(rm /x); do :; done", "for f in $(rm /x)"),
            ("while read f; do echo $f; done > /etc/x", "/etc/x"),
            ("case $(rm /x) in a) ;; esac", "case $(rm /x)"),
            ("case configure in $x) rm /y;; esac", "rm /y"),
            ("cat <(rm /x) && rm /y", "rm /y"),
            ("{ [ -e /x ] && true; } || rm /y", "rm /y"),
            ("looks() { [ -e /x ] && true; }\nlooks || rm /y", "rm /y"),
            ("ldconfig() { rm /x; }\nldconfig a", "ldconfig a"),
            ("a=(b); ((a = 1))", "column 8: an arithmetic command (("),
        ] {
            assert!(remainder(script).join("\n").contains(expected), "{script}: {:?}", remainder(script));
        }
    }

    #[test]
    fn blocks_within_chains_and_behind_silent_redirections_are_understood() {
        for script in [
            "[ -x /usr/bin/x ] && { systemctl preset x; ldconfig; } || :",
            "{ ldconfig\n} >/dev/null 2>&1",
            "(umask 022; ldconfig)",
            "if\n  [ -e /x ]\nthen ldconfig; fi",
            "f() (\n ldconfig\n)\nf",
        ] {
            assert_eq!(remainder(script), Vec::<String>::new(), "{script}");
        }
    }

    #[test]
    fn what_is_left_names_its_line_in_the_whole_script() {
        let script = "#!/bin/sh\n# Automatically added by dh_icons/1\nrm /x\n# End automatically added section\nif [ -e /y ]; then\n  rm \\\n   /y\nfi\n";
        let left = read(script, Invocation::ByDpkg("configure")).remainder;
        let found: Vec<(usize, &str)> = left.iter().map(|statement| (statement.line, statement.text.as_str())).collect();
        assert_eq!(found, [(5, "if [ -e /y ]"), (6, "rm /y")]);
    }

    fn by_rpm(text: &str) -> Analysis {
        read(text, Invocation::ByRpm("1"))
    }

    #[test]
    fn what_scriptlets_of_rpm_distributions_do_is_known() {
        for script in [
            "if [ $1 -eq 1 ] && [ -x /usr/lib/systemd/systemd-update-helper ]; then\n /usr/lib/systemd/systemd-update-helper install-system-units x.service || :\nfi",
            "if [ $1 -gt 1 ]; then rm /x; fi",
            "if [ $1 -eq 1 ] ; then \n  # Initial\n systemctl preset x.service >/dev/null 2>&1 || : \nfi \n\n/sbin/ldconfig",
            "if [ \"$1\" = 2 ]; then rm /x; fi; [ $1 == 0 ] && rm /y",
            "/sbin/install-info --quiet --info-dir=/usr/share/info /usr/share/info/which.info.gz\nexit 0",
            "if [ -f /usr/share/info/x ]; then\n /sbin/install-info /usr/share/info/x /usr/share/info/dir || :\nfi",
            "gio-querymodules-64 /usr/lib64/gio/modules &> /dev/null || :",
            "touch --no-create /usr/share/icons/hicolor &>/dev/null || :",
            "restorecon -r /usr/lib/debug/ 2>/dev/null >/dev/null || :",
            "if /usr/sbin/selinuxenabled; then rm /x; fi",
            "/sbin/depmod -a 4.18 > /dev/null 2>&1 || :; kernel-install add 4.18 /x || exit $?",
            "getent group x >/dev/null || groupadd -r x; exit 0",
        ] {
            assert!(by_rpm(script).remainder.is_empty(), "{script}: {:?}", by_rpm(script).remainder);
        }
        for script in [
            "if [ $1 -eq 1 ]; then rm /x; fi",
            "[ $1 = 1 ] && rm /x",
            "getent group x >/dev/null && rm /x",
            "systemctl mask x.service",
            "[ -f /x ] && systemctl enable x.service",
            "/sbin/ldconfig > /etc/x",
            "if getent passwd x; then useradd -r y; fi",
            "service x start | tee /x",
        ] {
            assert!(!by_rpm(script).remainder.is_empty(), "{script}");
        }
    }

    #[test]
    fn accounts_alternatives_and_units_are_read_off() {
        let analysis = by_rpm(
            "getent group sshd >/dev/null || groupadd -g 74 -r sshd || :\ngetent passwd sshd >/dev/null || \\\n useradd -c \"P s\" -u 74 -g sshd \\\n -s /sbin/nologin -r -d /var/empty/sshd sshd 2> /dev/null || :\n\
             {\n /usr/sbin/groupadd -g 22 -r -f utmp || :\n}\nsystemctl enable x.socket\nsystemctl start x.socket\n\
             /usr/sbin/update-alternatives --install /usr/lib64/a.so \\\n a.so.x86_64 /usr/lib64/b.so 30\n/usr/sbin/alternatives --remove c /d",
        );
        assert_eq!(analysis.remainder, Vec::new());
        assert_eq!(analysis.accounts.len(), 3);
        assert!(matches!(&analysis.accounts[1], Line::User { name, uid: Some(uid), .. } if *name == "sshd" && uid.get() == 74));
        assert_eq!((analysis.enable, analysis.alternatives.len()), (vec!["x.socket".to_owned()], 1));
        // The same words in a maintainer script of dpkg's are somebody's to decide.
        assert!(!read("useradd -r x", Invocation::ByDpkg("configure")).remainder.is_empty());
    }
}
