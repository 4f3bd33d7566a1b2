//! Maintainer scripts as RPM scriptlets (Debian Policy chapter 6).
//!
//! | Debian | RPM | called as, on a first installation |
//! |---|---|---|
//! | preinst | %pre | `install` |
//! | postinst | %post | `configure ''` |
//! | prerm | %preun | `remove` |
//! | postrm | %postun | `remove` |
//!
//! dpkg tells a script what happens by its arguments and a few variables, rpm by a count: a line after the `#!` sets what dpkg would. `config`
//! (debconf's questions) and `triggers` have no counterpart and are dropped.

use model::{Arch, Error, Result};
use rpm::Scriptlet;

/// A maintainer script's name, and the arguments that dpkg gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    PreInstall,
    PostInstall,
    PreRemove,
    PostRemove,
}

impl Phase {
    pub(super) const ALL: [Phase; 4] = [Phase::PreInstall, Phase::PostInstall, Phase::PreRemove, Phase::PostRemove];

    pub(super) fn file(self) -> &'static str {
        match self {
            Phase::PreInstall => "preinst",
            Phase::PostInstall => "postinst",
            Phase::PreRemove => "prerm",
            Phase::PostRemove => "postrm",
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Phase::PreInstall => &["install"],
            Phase::PostInstall => &["configure", ""],
            Phase::PreRemove | Phase::PostRemove => &["remove"],
        }
    }
}

/// Refused: a script that is no text, or that names no interpreter.
pub(super) fn scriptlet(package: &str, phase: Phase, bytes: &[u8]) -> Result<Scriptlet> {
    let bad = |why: &str| Error::integrity(format!("package {package}: {} {why}", phase.file()));
    let text = std::str::from_utf8(bytes).map_err(|_| bad("is not UTF-8 text"))?;
    if text.contains('\0') {
        return Err(bad("has a NUL byte"));
    }
    let (first, body) = text.split_once('\n').unwrap_or((text, ""));
    let program: Vec<&str> = first.strip_prefix("#!").ok_or_else(|| bad("does not begin with #!"))?.split_whitespace().collect();
    let interpreter = program.first().filter(|p| p.starts_with('/')).ok_or_else(|| bad("names no absolute interpreter"))?;
    let quoted: Vec<String> = phase.arguments().iter().map(|a| format!("'{a}'")).collect();
    // Names of packages have no character that a shell or Perl would read otherwise.
    let variables =
        [("DPKG_MAINTSCRIPT_NAME", phase.file()), ("DPKG_MAINTSCRIPT_PACKAGE", package), ("DPKG_MAINTSCRIPT_ARCH", Arch::TARGET.deb())];
    let prelude = match interpreter.rsplit('/').next().unwrap_or("") {
        "sh" | "bash" | "dash" => {
            let exports: Vec<String> = variables.iter().map(|(name, value)| format!("{name}='{value}'")).collect();
            format!("export {}; set -- {}\n", exports.join(" "), quoted.join(" "))
        }
        "perl" => {
            let sets: Vec<String> = variables.iter().map(|(name, value)| format!("$ENV{{{name}}} = '{value}';")).collect();
            format!("BEGIN {{ {} @ARGV = ({}); }}\n", sets.join(" "), quoted.join(", "))
        }
        _ => return Err(bad(&format!("is a script for {interpreter}, for which the arguments of dpkg cannot be set"))),
    };
    Ok(Scriptlet::new(format!("{first}\n{prelude}{body}")).prog(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_script_sees_what_dpkg_would_tell_it() {
        let script = b"#!/bin/sh -e\necho \"$1|$2|$#|$DPKG_MAINTSCRIPT_PACKAGE\"\n";
        let scriptlet = scriptlet("bash", Phase::PostInstall, script).unwrap();
        assert_eq!(scriptlet.program.as_deref(), Some(&["/bin/sh".to_owned(), "-e".to_owned()][..]));
        let output = std::process::Command::new("/bin/sh").args(["-ec", &scriptlet.script, "name", "1"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "configure||2|bash\n");
    }

    #[test]
    fn a_script_that_rpm_cannot_run_as_dpkg_would_is_refused_by_name() {
        for bad in [&b"\x7fELF\xff"[..], b"echo", b"#!sh\n", b"#!/usr/bin/python3\n", b"#!/bin/sh\n\0"] {
            let error = scriptlet("bash", Phase::PreInstall, bad).unwrap_err().to_string();
            assert!(error.starts_with("package bash: preinst "), "{error}");
        }
    }
}
