//! What a maintainer script does on a fresh installation, as far as declarative forms cover it.
//!
//! debhelper's generated sections are known by their names. Of the rest, branches that a fresh `configure` (or `install`) never reaches are
//! dropped, and statements whose work a native stage does are taken out. What remains is what somebody must decide about.

use crate::rootfs::alternatives::Alternative;
use crate::rootfs::shell::{self, Node, words};
use std::collections::{BTreeMap, BTreeSet};

/// The outcome of reading one script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    pub alternatives: Vec<Alternative>,
    /// Names of the native stages that do the script's work, sorted.
    pub mechanisms: BTreeSet<&'static str>,
    /// Statements that nothing native covers; empty if the script is understood.
    pub remainder: Vec<String>,
}

/// debhelper section → the stage that does its work.
const SECTIONS: &[(&str, &str)] = &[
    ("dh_installsystemd", "presets"),
    ("dh_installsystemduser", "presets"),
    ("dh_systemd_enable", "presets"),
    ("dh_systemd_start", "presets"),
    ("dh_installinit", "presets"),
    ("dh_installtmpfiles", "tmpfiles"),
    ("dh_installsysusers", "sysusers"),
    ("dh_installalternatives", "alternatives"),
    ("dh_makeshlibs", "ldconfig"),
    ("dh_installmime", "mime trigger"),
    ("dh_icons", "icon trigger"),
    ("dh_python3", "byte code is made on demand"),
    ("dh_python2", "byte code is made on demand"),
    ("dh_installdeb", "nothing to move in a fresh image"),
    ("dh_installdebconf", "no debconf database"),
    ("dh_apparmor", "apparmor is not used"),
    ("dh_installinitramfs", "initramfs"),
    ("dh_ucf", "shipped configuration"),
    ("dh_installmenu", "no menu system"),
    ("dh_runit", "no runit"),
];

/// First words of statements → the stage that does their work, or why there is none.
const COMMANDS: &[(&str, &str)] = &[
    ("ldconfig", "ldconfig"),
    ("/sbin/ldconfig", "ldconfig"),
    ("systemctl", "presets"),
    ("deb-systemd-helper", "presets"),
    ("deb-systemd-invoke", "presets"),
    ("invoke-rc.d", "presets"),
    ("update-rc.d", "presets"),
    ("/usr/lib/systemd/systemd-update-helper", "presets"),
    ("systemd-sysusers", "sysusers"),
    ("systemd-tmpfiles", "tmpfiles"),
    ("systemd-hwdb", "hwdb trigger"),
    ("udevadm", "hwdb trigger"),
    ("journalctl", "catalog trigger"),
    ("glib-compile-schemas", "gschemas trigger"),
    ("gio-querymodules", "giomodules trigger"),
    ("update-mime-database", "mime trigger"),
    ("gtk-update-icon-cache", "icon trigger"),
    ("dpkg-maintscript-helper", "nothing to move in a fresh image"),
    ("py3compile", "byte code is made on demand"),
    ("pycompile", "byte code is made on demand"),
    ("apparmor_parser", "apparmor is not used"),
    ("update-initramfs", "initramfs"),
];

/// Statements without an effect that outlives the script.
const INERT: &[&str] = &[":", "true", "umask", "unset", "export", "db_stop", "db_version", "db_capb"];

/// `first_argument` is what dpkg passes: `configure` after, `install` before unpacking.
pub fn read(text: &str, first_argument: &str) -> Reading {
    let mut reading = Reading::default();
    let (sections, rest) = cut_sections(text);
    for (tool, body) in sections {
        let Some((_, mechanism)) = SECTIONS.iter().find(|(name, _)| *name == tool) else { continue };
        reading.mechanisms.insert(mechanism);
        if *mechanism == "alternatives" {
            // Only the alternatives count; what the generated section does besides serves upgrades.
            let mut inner = reader(first_argument, &mut reading);
            match shell::parse(&body) {
                Some(nodes) => drop(inner.block(&nodes, true)),
                None => reading.remainder.push(body),
            }
        }
    }
    let Some(nodes) = shell::parse(&rest) else {
        reading.remainder.extend(rest.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_owned));
        return reading;
    };
    let mut inner = reader(first_argument, &mut reading);
    inner.collect_functions(&nodes);
    let Walk { mut left, .. } = inner.block(&nodes, true);
    if left.iter().all(|s| is_inert(s) || is_assignment(s)) {
        left.clear();
    }
    // A function that is still called is shown with its callers, so that the message holds all that the script would do.
    let functions = inner.functions.clone();
    for (name, _) in functions {
        if left.iter().any(|s| s.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == name)) {
            left.push(format!("{name}() is defined in the script"));
        }
    }
    reading.remainder.extend(left);
    reading
}

fn reader<'a>(first_argument: &str, reading: &'a mut Reading) -> Reader<'a> {
    Reader { arguments: [first_argument.to_owned(), String::new()], functions: BTreeMap::new(), reading, inlined: 0 }
}

/// The native stage that does what a command line without pipes and redirections asks.
pub(super) fn native_command(command: &str) -> Option<&'static str> {
    let mut plain = command.trim();
    for tail in QUIET {
        plain = plain.strip_suffix(tail).map_or(plain, str::trim);
    }
    let first = words(plain)?.into_iter().next()?;
    let base = first.rsplit('/').next()?;
    COMMANDS.iter().find(|(name, _)| *name == first || *name == base).map(|(_, mechanism)| *mechanism)
}

/// Ends of statements that say nothing of what is done.
const QUIET: &[&str] = &[
    "|| true",
    "|| :",
    "||:",
    "2>&1",
    "&>/dev/null",
    "&> /dev/null",
    "2>/dev/null",
    "> /dev/null",
    ">/dev/null",
    "2> /dev/null",
    "|| true",
];

/// The sections that debhelper generated whose work is known, as (tool, body), and the script without them.
pub(super) fn cut_sections(text: &str) -> (Vec<(String, String)>, String) {
    let (mut sections, mut rest) = (Vec::new(), String::new());
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        let mark = line.trim();
        if let Some(tool) = mark.strip_prefix("# Automatically added by ").filter(|_| open.is_none()) {
            let tool = tool.split('/').next().unwrap_or_default();
            if SECTIONS.iter().any(|(name, _)| *name == tool) {
                open = Some((tool.to_owned(), String::new()));
                continue;
            }
        }
        match &mut open {
            Some(_) if mark == "# End automatically added section" => sections.extend(open.take()),
            Some((_, body)) => *body += &format!("{line}\n"),
            None => rest += &format!("{line}\n"),
        }
    }
    // A section without its end is not one.
    if let Some((_, body)) = open {
        rest += &body;
    }
    (sections, rest)
}

/// What is left of a block, and whether control cannot come out of its end.
#[derive(Default)]
struct Walk {
    left: Vec<String>,
    ends: bool,
}

struct Reader<'a> {
    arguments: [String; 2],
    functions: BTreeMap<String, Vec<Node>>,
    reading: &'a mut Reading,
    inlined: usize,
}

impl Reader<'_> {
    fn collect_functions(&mut self, nodes: &[Node]) {
        for node in nodes {
            if let Node::Function { name, body } = node {
                self.functions.insert(name.clone(), body.clone());
            }
        }
    }

    /// `certain`: the block is surely executed.
    fn block(&mut self, nodes: &[Node], certain: bool) -> Walk {
        let mut walk = Walk::default();
        for node in nodes {
            let inner = match node {
                Node::Statement(text) => self.statement(text, certain),
                Node::Function { .. } => Walk::default(),
                Node::If { arms, otherwise } => self.conditional(arms, otherwise, certain),
                Node::Case { word, arms } => self.case(word, arms, certain),
                Node::Loop { head, body } => {
                    let mut inner = self.block(body, false);
                    if !inner.left.is_empty() {
                        inner.left.insert(0, head.clone());
                    }
                    Walk { ends: false, ..inner }
                }
            };
            walk.left.extend(inner.left);
            if inner.ends {
                walk.ends = certain;
                break;
            }
        }
        walk
    }

    fn conditional(&mut self, arms: &[(String, Vec<Node>)], otherwise: &[Node], certain: bool) -> Walk {
        let (mut left, mut certain_here) = (Vec::new(), certain);
        for (condition, body) in arms {
            match self.truth(condition) {
                Some(false) => continue,
                Some(true) => {
                    let walk = self.block(body, certain_here);
                    left.extend(walk.left);
                    return Walk { left, ends: walk.ends && certain_here };
                }
                None => {
                    certain_here = false;
                    let inner = self.block(body, false).left;
                    if !inner.is_empty() || !is_question(condition) {
                        left.push(format!("if {condition}"));
                        left.extend(inner);
                    }
                }
            }
        }
        let walk = self.block(otherwise, certain_here);
        left.extend(walk.left);
        Walk { left, ends: walk.ends && certain_here }
    }

    fn case(&mut self, word: &str, arms: &[(String, Vec<Node>)], certain: bool) -> Walk {
        let Some(value) = words(word).and_then(|w| self.substitute(w.first()?)) else {
            let mut left: Vec<String> = arms.iter().flat_map(|(_, body)| self.block(body, false).left).collect();
            if !left.is_empty() {
                left.insert(0, format!("case {word}"));
            }
            return Walk { left, ends: false };
        };
        let matches = |pattern: &str| {
            pattern.split('|').map(|p| p.trim().trim_matches(['"', '\''])).any(|p| crate::formats::conf::preset::glob_matches(p, &value))
        };
        match arms.iter().find(|(pattern, _)| matches(pattern)) {
            Some((_, body)) => self.block(body, certain),
            None => Walk::default(),
        }
    }

    fn statement(&mut self, text: &str, certain: bool) -> Walk {
        let left = |text: &str| Walk { left: vec![text.to_owned()], ends: false };
        // `condition && statement`: what follows a false condition is never run.
        if let Some((condition, rest)) = text.split_once("&&")
            && !rest.contains("||")
        {
            match self.truth(condition.trim()) {
                Some(false) => return Walk::default(),
                Some(true) => return self.statement(rest.trim(), certain),
                None => return left(text),
            }
        }
        let mut plain = text.trim();
        for tail in QUIET {
            plain = plain.strip_suffix(tail).map_or(plain, str::trim);
        }
        let Some(words) = words(plain) else { return left(text) };
        let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        match arguments.as_slice() {
            [] => Walk::default(),
            ["exit", "0"] | ["return"] | ["return", "0"] => Walk { left: Vec::new(), ends: true },
            [".", file] if file.ends_with("/debconf/confmodule") => Walk::default(),
            ["update-alternatives", rest @ ..] if certain => match Alternative::parse(rest) {
                Some(alternative) => {
                    self.reading.alternatives.push(alternative);
                    self.reading.mechanisms.insert("alternatives");
                    Walk::default()
                }
                None => left(text),
            },
            ["echo" | "printf", ..] => Walk::default(),
            ["set", option] if option.starts_with(['-', '+']) && *option != "--" => Walk::default(),
            [first, ..] if INERT.contains(first) => Walk::default(),
            [name] if self.functions.contains_key(*name) && self.inlined < 64 => {
                self.inlined += 1;
                let body = self.functions.get(*name).cloned().unwrap_or_default();
                let outer = std::mem::take(&mut self.arguments);
                let walk = self.block(&body, certain);
                self.arguments = outer;
                Walk { ends: false, ..walk }
            }
            [first, ..] => {
                let base = first.rsplit('/').next().unwrap_or(first);
                match COMMANDS.iter().find(|(name, _)| name == first || *name == base) {
                    Some((_, mechanism)) => {
                        self.reading.mechanisms.insert(mechanism);
                        Walk::default()
                    }
                    None => left(text),
                }
            }
        }
    }

    /// A word with what is known of a fresh installation put in; `None` if something else is in it.
    fn substitute(&self, word: &str) -> Option<String> {
        let mut out = word.to_owned();
        for (variable, value) in [("1", &self.arguments[0]), ("2", &self.arguments[1]), ("DPKG_ROOT", &String::new())] {
            for form in [format!("${{{variable}}}"), format!("${{{variable}:-}}"), format!("${variable}")] {
                out = out.replace(&form, value);
            }
        }
        (!out.contains('$')).then_some(out)
    }

    /// Whether a condition holds on a fresh installation that is not a running system.
    fn truth(&self, condition: &str) -> Option<bool> {
        let condition = condition.trim();
        // Left-associative with equal precedence, as in the shell; operators in quotes make `words` fail below.
        let and = condition.rfind("&&").map(|at| (at, true));
        let or = condition.rfind("||").map(|at| (at, false));
        if let Some((at, is_and)) = and.into_iter().chain(or).max() {
            let (a, b) = (self.truth(&condition[..at]), self.truth(&condition[at + 2..]));
            return match (is_and, a, b) {
                (true, Some(false), _) | (true, _, Some(false)) => Some(false),
                (false, Some(true), _) | (false, _, Some(true)) => Some(true),
                (true, Some(true), Some(true)) => Some(true),
                (false, Some(false), Some(false)) => Some(false),
                _ => None,
            };
        }
        if let Some(rest) = condition.strip_prefix("! ") {
            return self.truth(rest).map(|t| !t);
        }
        let words = words(condition)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let inner = match words.as_slice() {
            ["[", inner @ .., "]"] | ["test", inner @ ..] => inner,
            ["dpkg", "--compare-versions", "$2", operator, _] if self.arguments[1].is_empty() => {
                return match *operator {
                    "lt" | "le" | "ne" | "gt-nl" | "ge-nl" => Some(true),
                    "gt" | "ge" | "eq" | "lt-nl" | "le-nl" => Some(false),
                    _ => None,
                };
            }
            _ => return None,
        };
        let value = |word: &str| self.substitute(word);
        match inner {
            ["!", rest @ ..] => {
                self.truth(&format!("[ {} ]", rest.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(" "))).map(|t| !t)
            }
            ["-n", word] => value(word).map(|v| !v.is_empty()),
            ["-z", word] => value(word).map(|v| v.is_empty()),
            ["-d", "/run/systemd/system"] => Some(false),
            [a, "=" | "==", b] => Some(value(a)? == value(b)?),
            [a, "!=", b] => Some(value(a)? != value(b)?),
            // rpm passes the number of installed instances: one.
            ["$1", operator, number] => {
                let number: u32 = number.parse().ok()?;
                match *operator {
                    "-eq" => Some(number == 1),
                    "-gt" => Some(1 > number),
                    "-ge" => Some(1 >= number),
                    "-ne" => Some(number != 1),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// A condition that only looks.
fn is_question(condition: &str) -> bool {
    let first = condition.trim_start_matches(['!', ' ']).split_whitespace().next().unwrap_or_default();
    matches!(first, "[" | "test" | "command" | "which" | "getent" | "dpkg" | "ischroot") && !condition.contains('`')
}

fn is_inert(statement: &str) -> bool {
    words(statement).is_some_and(|words| words.first().is_none_or(|first| INERT.contains(&first.as_str())))
}

/// `NAME=value` alone: nothing outside the script sees it.
fn is_assignment(statement: &str) -> bool {
    statement.split_once('=').is_some_and(|(name, value)| {
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_') && words(value).is_some_and(|w| w.len() <= 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remainder(text: &str) -> Vec<String> {
        read(text, "configure").remainder
    }

    #[test]
    fn a_script_of_known_parts_leaves_nothing() {
        let script = "#!/bin/sh\nset -e\ncase \"$1\" in\n configure)\n  if [ -n \"$2\" ] && dpkg --compare-versions \"$2\" lt 3; then rm -rf /x; fi\n ;;\n abort-*) exit 1;;\n *) rm /y;;\nesac\n# Automatically added by dh_installsystemd/13\nif true; then\n rm /z\nfi\n# End automatically added section\nold() {\n rm /w\n}\nupdate-alternatives --install /usr/bin/pager pager /usr/bin/less 77 \\\n  --slave /usr/share/man/man1/pager.1.gz pager.1.gz /usr/share/man/man1/less.1.gz || true\n[ -d /run/systemd/system ] && systemctl daemon-reload\nexit 0\nrm /v\n";
        let reading = read(script, "configure");
        assert!(reading.remainder.is_empty(), "{:?}", reading.remainder);
        assert_eq!((reading.alternatives.len(), reading.alternatives[0].slaves.len()), (1, 1));
        assert!(reading.mechanisms.contains("presets") && reading.mechanisms.contains("alternatives"));
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
            ("true || rm /x", "rm /x"),
        ] {
            assert!(remainder(script).join("\n").contains(expected), "{script}: {:?}", remainder(script));
        }
    }

    #[test]
    fn rpm_macros_are_known() {
        assert!(remainder("if [ $1 -eq 1 ] && [ -x /usr/lib/systemd/systemd-update-helper ]; then\n /usr/lib/systemd/systemd-update-helper install-system-units x.service || :\nfi").is_empty());
        assert!(remainder("if [ $1 -gt 1 ]; then rm /x; fi").is_empty());
    }
}
