//! Kernel arguments. They become the `options` line of a boot entry, which GRUB's blscfg pastes into a line of its script language and hands to the
//! kernel, so that an argument must mean the same to all three.

use super::super::raw::Faults;
use super::super::reader::At;
use crate::recipe::{SelinuxMode, lists_selinux};

/// COMMAND_LINE_SIZE of x86 is 2048 bytes with the NUL; the rest is for `ostree=`, BOOT_IMAGE and what [selinux] adds.
const MAX_LINE: usize = 1800;

/// Adds a fault for every argument that would not reach the kernel as it is written.
pub(super) fn check(args: &[At<String>], selinux: SelinuxMode, faults: &Faults) {
    let mut length = 0;
    let mut root: Option<&str> = None;
    let needed = selinux != SelinuxMode::Disabled && lists_selinux(args.iter().map(|arg| arg.value.as_str())) == Some(false);
    if let Some(list) = args.iter().rev().find(|arg| needed && arg.value.starts_with("lsm=")) {
        let value = list.value.as_str();
        let hint = format!("write {value},selinux, or [selinux] mode = \"disabled\"");
        faults.add(&list.at, format!("kernel argument {value:?} leaves out the module that [selinux] needs"), Some(hint));
    }
    for arg in args {
        let value = arg.value.as_str();
        if let Some((what, hint)) = wrong(value) {
            faults.add(&arg.at, format!("kernel argument {value:?} {what}"), Some(hint.into()));
        }
        if let Some(device) = value.strip_prefix("root=") {
            if root.is_some_and(|other| other != device) {
                faults.add(&arg.at, format!("kernel argument {value:?} is the second root"), Some("keep one `root=`".into()));
            }
            root = Some(device);
        }
        let before = length;
        length += value.len() + 1;
        if before <= MAX_LINE && length > MAX_LINE {
            faults.add(
                &arg.at,
                format!("the kernel arguments have more than {MAX_LINE} bytes up to here"),
                Some("Linux reads 2047".into()),
            );
        }
    }
}

/// What is wrong with an argument, and what to do.
fn wrong(arg: &str) -> Option<(&'static str, &'static str)> {
    if arg == "ostree" || arg.starts_with("ostree=") {
        return Some(("is the builder's", "`ostree=` is written by the builder for each deployment"));
    }
    if arg == "--" {
        return Some(("ends the kernel's own arguments", "what follows, `ostree=` included, would be for init"));
    }
    if arg.starts_with('=') {
        return Some(("has no name", "write name=value"));
    }
    let mut quoted = false;
    for (at, c) in arg.char_indices() {
        let next = arg[at + c.len_utf8()..].chars().next();
        match c {
            '"' => quoted = !quoted,
            '$' | '\\' | '`' => {
                return Some(("holds a character that GRUB expands", "neither $ nor \\ nor ` can be given to the kernel by a boot entry"));
            }
            '\'' => return Some(("holds a single quote", "the kernel knows double quotes only: name=\"a b\"")),
            _ if quoted => {}
            ' ' => return Some(("contains a space", "write one argument a string, or quote the value: name=\"a b\"")),
            ';' | '&' | '|' | '<' | '>' | '{' | '}' => {
                return Some(("holds a character of GRUB's script language", "quote the value: name=\"a;b\""));
            }
            '#' if at == 0 => return Some(("begins a comment of GRUB's script language", "quote it")),
            _ => {}
        }
        if c == '"' && !quoted && next.is_some() {
            return Some(("goes on after its closing quote", "quote the whole value: name=\"a b\""));
        }
    }
    quoted.then_some(("has a double quote that stays open", "it would swallow all that follows, `ostree=` included"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_means_the_same_to_grub_and_to_the_kernel() {
        for (arg, expected) in [
            ("rw", None),
            ("root=LABEL=root", None),
            ("console=ttyS0,115200n8", None),
            ("dyndbg=\"file drivers/usb/* +p; func x +p\"", None),
            ("\"name=a b\"", None),
            ("a=\"\"", None),
            ("i915.enable_fbc=1", None),
            ("systemd.setenv=A=B", None),
            ("a=#b", None),
            ("bad=\"open", Some("stays open")),
            ("bad=\"a\" \"", Some("closing quote")),
            ("a=\"b\"c", Some("closing quote")),
            ("a b", Some("contains a space")),
            ("memmap=4M$0x1000", Some("GRUB expands")),
            ("a=\\x20", Some("GRUB expands")),
            ("a=\"$x\"", Some("GRUB expands")),
            ("a='b c'", Some("single quote")),
            ("a=b;c", Some("script language")),
            ("a=b&", Some("script language")),
            ("a={b}", Some("script language")),
            ("#a", Some("comment")),
            ("ostree=/x", Some("builder's")),
            ("--", Some("kernel's own")),
            ("=x", Some("no name")),
        ] {
            let found = wrong(arg).map(|(what, _)| what);
            assert_eq!(found.is_some(), expected.is_some(), "{arg}: {found:?}");
            assert!(expected.is_none_or(|expected| found.unwrap().contains(expected)), "{arg}: {found:?}");
        }
    }
}
