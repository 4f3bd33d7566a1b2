//! What packages bring and composing reads: scriptlets, sysusers.d, tmpfiles.d.

use crate::{Answer, Subject, fuzz};
use conf::{sysusers, tmpfiles};
use model::Error;
use rootfs::scriptlets::analysis::{self, Invocation};
use rootfs::scriptlets::shell;

const SCRIPTS: [&str; 3] = [
    "#!/bin/sh\nset -e\ncase \"$1\" in\n configure|'a b')\n  if [ -n \"$2\" ] && dpkg --compare-versions \"$2\" lt 3; then rm -rf /x; fi\n ;;\n *) exit 1;;\nesac\n\
     # Automatically added by dh_installalternatives/13\nupdate-alternatives --install /usr/bin/a a /usr/bin/b 1 \\\n --slave /c d /e || true\n# End automatically added section\n",
    "getent group x >/dev/null || groupadd -r x || :\nfor f in \"$(uname -m)\" `id -u`; do echo ${f%%-*} $((1 + 2)); done 2>/dev/null\nf() {\n ldconfig\n}\nf\n\
     cat <<EOF >/x\n$a $(b)\nEOF\n[[ $x =~ ^(a|b)$ ]] && { systemctl preset x.service; } &\n",
    "if { a; } && (b | c); then d; elif ! e; then f; else g <<-'X'\n\th\n\tX\nfi; while read -r i; do j <(k) <<< l; done; m=(n o) p=$'q'\n",
];

const WORDS: &[&[u8]] = &[
    b"if ",
    b"; then ",
    b"; fi",
    b"case x in ",
    b";;",
    b"esac",
    b"while ",
    b"; do ",
    b"done",
    b"{ ",
    b"; }",
    b"(",
    b")",
    b"$(",
    b"`",
    b"${x:-",
    b"}",
    b"$((",
    b"))",
    b"[[ ",
    b" ]]",
    b"<<E\n",
    b"\nE\n",
    b"<<-",
    b" =~ ",
    b"\\\n",
    b"&&",
    b"||",
    b"|",
    b"&",
    b"f() ",
    b"'",
    b"\"",
    b" #",
    b"exit 0",
    b"update-alternatives --install ",
];

fn refused(why: &str) -> Answer {
    Ok(Err(Error::integrity(why)))
}

#[cfg_attr(test, test)]
pub fn a_shell_script_is_read_or_refused() {
    let read = |bytes: &[u8]| -> Answer {
        let Ok(text) = std::str::from_utf8(bytes) else { return refused("not text") };
        for called in [Invocation::ByRpm("1"), Invocation::ByDpkg("configure")] {
            for statement in analysis::read(text, called).remainder {
                if statement.line == 0 || statement.line > text.lines().count().max(1) + 1 {
                    return Err(format!("a statement in line {} of {}", statement.line, text.lines().count()));
                }
            }
        }
        match shell::parse(text) {
            Ok(script) => match script.list.iter().find(|and_or| text.get(and_or.span.start..and_or.span.end).is_none_or(str::is_empty)) {
                Some(and_or) => Err(format!("a list at {:?} of {} bytes", and_or.span, text.len())),
                None => Ok(Ok(())),
            },
            Err(error) if error.line > text.matches('\n').count() + 1 || error.column == 0 => {
                Err(format!("a refusal outside of the text: {error}"))
            }
            Err(error) => refused(&error.to_string()),
        }
    };
    let seeds = SCRIPTS.iter().map(|script| script.as_bytes().to_vec()).collect();
    fuzz(Subject { name: "shell", seeds, words: WORDS, make: None, change: None, read: &read });
}

#[cfg_attr(test, test)]
pub fn a_sysusers_file_is_read_or_refused() {
    let seed = "# accounts\ng input - -\nu sshd 74 \"Privilege separated\" /var/empty /sbin/nologin\nu! x 5:input - - -\nm sshd input\nr - 500-900\n";
    let read = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Ok(sysusers::parse("a.conf", text).map(drop)),
        Err(_) => refused("not text"),
    };
    let words: &[&[u8]] =
        &[b"u ", b"g ", b"m ", b"r ", b"u! ", b" - ", b"\"", b"\\", b":", b"/", b"%b", b"4294967295", b"0-18446744073709551615", b"\n"];
    fuzz(Subject { name: "sysusers", seeds: vec![seed.into()], words, make: None, change: None, read: &read });
}

#[cfg_attr(test, test)]
pub fn a_tmpfiles_file_is_read_or_refused() {
    let seed = "d /run/x 0755 root root 10d -\nL+ /etc/a - - - - ../usr/a\nf= /etc/b :0644 ~5 - - \"a\\x41\\tb\"\nz /sys/*/c 2775 - -\nx /tmp/%b-* - - - -\nw! /proc/d - - - - 1\n";
    let read = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Ok(tmpfiles::parse("a.conf", text).map(drop)),
        Err(_) => refused("not text"),
    };
    let words: &[&[u8]] = &[
        b"d ", b"L+ ", b"f^=", b"z ", b" - ", b"\\x", b"\\u00e9", b"\\377", b"\"", b"'", b"../", b"//", b"07777", b"~0", b":", b"%%",
        b"%b", b"1y2m", b"\n",
    ];
    fuzz(Subject { name: "tmpfiles", seeds: vec![seed.into()], words, make: None, change: None, read: &read });
}
