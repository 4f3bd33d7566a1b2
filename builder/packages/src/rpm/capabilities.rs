//! File capabilities: from their text form (cap_from_text(3), as in a package's header) to the bytes of the xattr security.capability
//! (`struct vfs_cap_data` revision 2, Linux `include/uapi/linux/capability.h`).

use model::{Error, Result};

/// In the order of their numbers, from 0.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];
const ALL: u64 = (1 << NAMES.len()) - 1;
const REVISION_2: u32 = 0x0200_0000;
const EFFECTIVE: u32 = 1;

#[derive(Default, Clone, Copy)]
struct Sets {
    effective: u64,
    permitted: u64,
    inheritable: u64,
}

/// `None` for a text that grants nothing.
pub(super) fn encode(text: &str) -> Result<Option<Vec<u8>>> {
    let sets = parse(text)?;
    if sets.permitted | sets.inheritable | sets.effective == 0 {
        return Ok(None);
    }
    // On disk "effective" is one bit for all.
    let effective = match sets.effective {
        0 => 0,
        all if all == sets.permitted | sets.inheritable => EFFECTIVE,
        _ => return Err(Error::integrity(format!("file capabilities {text:?}: the effective set must be empty or all of the others"))),
    };
    let words = [
        REVISION_2 | effective,
        sets.permitted as u32,
        sets.inheritable as u32,
        (sets.permitted >> 32) as u32,
        (sets.inheritable >> 32) as u32,
    ];
    Ok(Some(words.iter().flat_map(|word| word.to_le_bytes()).collect()))
}

fn parse(text: &str) -> Result<Sets> {
    let bad = |why: &str| Error::integrity(format!("file capabilities {:?}: {why}", text.chars().take(80).collect::<String>()));
    let mut sets = Sets::default();
    for clause in text.split_ascii_whitespace() {
        let (list, mut actions) = clause.split_at(clause.find(['=', '+', '-']).ok_or_else(|| bad("expected =, + or -"))?);
        let mut mask = 0;
        for name in list.split(',') {
            mask |= match name.to_ascii_lowercase().as_str() {
                // Nothing before "=" means everything.
                "" if actions.starts_with('=') => ALL,
                "all" => ALL,
                name => {
                    let known = name.strip_prefix("cap_").and_then(|name| NAMES.iter().position(|n| *n == name));
                    1 << known.ok_or_else(|| bad(&format!("unknown capability {name:?}")))?
                }
            };
        }
        while let Some(operator) = actions.chars().next() {
            actions = &actions[1..];
            let (flags, rest) = actions.split_at(actions.find(['=', '+', '-']).unwrap_or(actions.len()));
            actions = rest;
            if operator == '=' {
                sets.effective &= !mask;
                sets.permitted &= !mask;
                sets.inheritable &= !mask;
            }
            for flag in flags.chars() {
                let set = match flag {
                    'e' => &mut sets.effective,
                    'p' => &mut sets.permitted,
                    'i' => &mut sets.inheritable,
                    _ => return Err(bad("expected the flags e, i and p")),
                };
                if operator == '-' { *set &= !mask } else { *set |= mask }
            }
        }
    }
    Ok(sets)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected: the bytes that setcap(8) wrote for the same text.
    #[test]
    fn a_text_becomes_the_bytes_that_setcap_writes() {
        for (text, expected) in [
            ("cap_net_raw=ep", Some("0100000200200000000000000000000000000000")),
            ("= cap_net_admin,cap_net_raw+p", Some("0000000200300000000000000000000000000000")),
            ("cap_net_bind_service+ep", Some("0100000200040000000000000000000000000000")),
            ("cap_bpf,cap_chown=ip", Some("0000000201000000010000008000000080000000")),
            ("=", None),
            ("", None),
        ] {
            assert_eq!(encode(text).unwrap().map(hex::encode).as_deref(), expected, "{text}");
        }
        for text in ["cap_nothing=ep", "cap_chown", "cap_chown=x", "cap_chown=p cap_kill=ep"] {
            assert!(encode(text).is_err(), "{text}");
        }
    }
}
