//! The seccomp filter of a program in the sandbox, as classic BPF.
//!
//! The namespaces are the wall; the filter takes away the parts of the kernel that have been used to climb such walls. What is not named here is
//! allowed, except for calls newer than [`NEWEST`], which answer ENOSYS until somebody has looked at them. Written by hand, since the `seccompiler`
//! crate can neither tell x32 calls from native ones nor pass a call on to a supervisor.

use super::clock::TIMES_OF_DAY;
use libc::{c_long, sock_filter};

/// The newest call that has been considered: `listns` of Linux 6.18. From 424 on, numbers are the same on every architecture.
const NEWEST: u32 = 470;

// Calls and their numbers are those of the machine that builds, whatever image it builds: `cfg`, not `model::Arch`, tells machines apart in this folder.

/// `AUDIT_ARCH_*` of linux/audit.h.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;
/// A call of the x32 ABI on x86-64 has this bit.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

/// When a rule holds. Only the low 32 bits of an argument are compared: the kernel, too, ignores the others in these calls.
enum When {
    Always,
    AnyBit { argument: u32, mask: u32 },
    OneOf { argument: u32, values: &'static [u32] },
    NoneOf { argument: u32, values: &'static [u32] },
}

struct Rule {
    call: c_long,
    when: When,
    answer: u32,
}

const fn errno(number: libc::c_int) -> u32 {
    libc::SECCOMP_RET_ERRNO | number as u32
}

/// Namespaces, mounts and roots; other processes; keyrings; parts of the kernel with a long list of faults; the machine itself.
const REFUSED: &[c_long] = &[
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    OPEN_TREE_ATTR,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];
const OPEN_TREE_ATTR: c_long = 467;

/// The call, and which argument is the user; the group is the next one.
const OWNERS: &[(c_long, u32)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chown, 1),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_lchown, 1),
    (libc::SYS_fchown, 1),
    (libc::SYS_fchownat, 2),
];

/// Calls that tell the time of day whatever their arguments.
const ASKS_FOR_THE_TIME: &[c_long] = &[
    libc::SYS_gettimeofday,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

fn rules() -> Vec<Rule> {
    let mut rules: Vec<Rule> = REFUSED.iter().map(|&call| Rule { call, when: When::Always, answer: errno(libc::EPERM) }).collect();
    rules.extend([
        Rule { call: libc::SYS_clone, when: When::AnyBit { argument: 0, mask: NAMESPACES as u32 }, answer: errno(libc::EPERM) },
        // Its flags are in memory, where a filter cannot look; every C library falls back to clone.
        Rule { call: libc::SYS_clone3, when: When::Always, answer: errno(libc::ENOSYS) },
        // Typing into a terminal: TIOCSTI, TIOCLINUX; TIOCSETD loads line disciplines.
        Rule { call: libc::SYS_ioctl, when: When::OneOf { argument: 1, values: &[0x5412, 0x541c, 0x5423] }, answer: errno(libc::EPERM) },
        // AF_UNIX, AF_INET, AF_INET6, AF_NETLINK: those that the network namespace keeps apart, and programs try. Not AF_VSOCK, AF_ALG, AF_PACKET.
        Rule { call: libc::SYS_socket, when: When::NoneOf { argument: 0, values: &[1, 2, 10, 16] }, answer: errno(libc::EAFNOSUPPORT) },
        Rule { call: libc::SYS_socketpair, when: When::NoneOf { argument: 0, values: &[1] }, answer: errno(libc::EAFNOSUPPORT) },
        // Nobody may outlive the builder: PR_SET_PDEATHSIG.
        Rule { call: libc::SYS_prctl, when: When::OneOf { argument: 0, values: &[1] }, answer: errno(libc::EPERM) },
        // Asking for the personality is harmless, changing it switches protections off.
        Rule { call: libc::SYS_personality, when: When::NoneOf { argument: 0, values: &[0, 0xffff_ffff] }, answer: errno(libc::EPERM) },
    ]);
    let notify = libc::SECCOMP_RET_USER_NOTIF;
    rules.push(Rule { call: libc::SYS_clock_gettime, when: When::OneOf { argument: 0, values: TIMES_OF_DAY }, answer: notify });
    rules.extend(ASKS_FOR_THE_TIME.iter().map(|&call| Rule { call, when: When::Always, answer: notify }));
    for &(call, user) in OWNERS {
        for argument in [user, user + 1] {
            rules.push(Rule { call, when: When::NoneOf { argument, values: &[0, u32::MAX] }, answer: notify });
        }
    }
    rules
}

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const JUMP_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const JUMP_GREATER: u32 = libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K;
const JUMP_BITS: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// Offsets in `struct seccomp_data`.
const CALL: u32 = 0;
const ARCH: u32 = 4;
/// Where the low 32 bits of an argument are on a little-endian machine.
const fn argument_at(argument: u32) -> u32 {
    16 + 8 * argument
}

fn instruction(code: u32, k: u32, jt: usize, jf: usize) -> sock_filter {
    // Codes fit 16 bits by definition, and jumps stay inside a rule, which has fewer than ten instructions.
    sock_filter { code: code as u16, jt: jt as u8, jf: jf as u8, k }
}

/// The program, to be installed before the exec of the program that it confines.
pub(super) fn filter() -> Vec<sock_filter> {
    let mut program = vec![
        instruction(LOAD, ARCH, 0, 0),
        instruction(JUMP_EQUAL, ARCHITECTURE, 1, 0),
        instruction(RETURN, libc::SECCOMP_RET_KILL_PROCESS, 0, 0),
        instruction(LOAD, CALL, 0, 0),
    ];
    #[cfg(target_arch = "x86_64")]
    program.extend([instruction(JUMP_GREATER, X32 - 1, 0, 1), instruction(RETURN, libc::SECCOMP_RET_KILL_PROCESS, 0, 0)]);
    program.extend([instruction(JUMP_GREATER, NEWEST, 0, 1), instruction(RETURN, errno(libc::ENOSYS), 0, 0)]);
    for rule in rules() {
        let answer = instruction(RETURN, rule.answer, 0, 0);
        let body = match rule.when {
            When::Always => vec![answer],
            When::AnyBit { argument, mask } => {
                vec![
                    instruction(LOAD, argument_at(argument), 0, 0),
                    instruction(JUMP_BITS, mask, 0, 1),
                    answer,
                    instruction(LOAD, CALL, 0, 0),
                ]
            }
            When::OneOf { argument, values } => {
                let mut body = vec![instruction(LOAD, argument_at(argument), 0, 0)];
                for (at, &value) in values.iter().enumerate() {
                    let left = values.len() - 1 - at;
                    // The last one jumps over the answer where it does not hold.
                    body.push(instruction(JUMP_EQUAL, value, left, usize::from(left == 0)));
                }
                body.extend([answer, instruction(LOAD, CALL, 0, 0)]);
                body
            }
            When::NoneOf { argument, values } => {
                let mut body = vec![instruction(LOAD, argument_at(argument), 0, 0)];
                body.extend(values.iter().enumerate().map(|(at, &value)| instruction(JUMP_EQUAL, value, values.len() - at, 0)));
                body.extend([answer, instruction(LOAD, CALL, 0, 0)]);
                body
            }
        };
        program.push(instruction(JUMP_EQUAL, rule.call as u32, 0, body.len()));
        program.extend(body);
    }
    program.push(instruction(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would make of a call: the filter, interpreted.
    fn answer(arch: u32, call: u32, arguments: [u32; 3]) -> u32 {
        let load = |k: u32| match k {
            CALL => call,
            ARCH => arch,
            k => arguments[(k as usize - 16) / 8],
        };
        let program = filter();
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let i = &program[at];
            at += 1;
            let jump = |holds: bool| usize::from(if holds { i.jt } else { i.jf });
            match u32::from(i.code) {
                LOAD => accumulator = load(i.k),
                JUMP_EQUAL => at += jump(accumulator == i.k),
                JUMP_GREATER => at += jump(accumulator > i.k),
                JUMP_BITS => at += jump(accumulator & i.k != 0),
                RETURN => return i.k,
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    #[test]
    fn a_call_is_answered_by_its_number_and_arguments() {
        let check = |call: c_long, arguments: [u32; 3], expected: u32| {
            assert_eq!(answer(ARCHITECTURE, call as u32, arguments), expected, "call {call} {arguments:?}");
        };
        let (allow, eperm, notify) = (libc::SECCOMP_RET_ALLOW, errno(libc::EPERM), libc::SECCOMP_RET_USER_NOTIF);
        for (call, arguments, expected) in [
            (libc::SYS_read, [0; 3], allow),
            (libc::SYS_execve, [0; 3], allow),
            (libc::SYS_mount, [0; 3], eperm),
            (OPEN_TREE_ATTR, [0; 3], eperm),
            (libc::SYS_clone, [libc::SIGCHLD as u32, 0, 0], allow),
            (libc::SYS_clone, [libc::SIGCHLD as u32 | libc::CLONE_NEWUSER as u32, 0, 0], eperm),
            (libc::SYS_clone, [libc::CLONE_NEWCGROUP as u32, 0, 0], eperm),
            (libc::SYS_clone3, [0; 3], errno(libc::ENOSYS)),
            (libc::SYS_ioctl, [0, 0x5401, 0], allow),
            (libc::SYS_ioctl, [0, 0x5412, 0], eperm),
            (libc::SYS_ioctl, [0, 0x541c, 0], eperm),
            (libc::SYS_ioctl, [0, 0x5423, 0], eperm),
            (libc::SYS_socket, [1, 0, 0], allow),
            (libc::SYS_socket, [16, 0, 0], allow),
            (libc::SYS_socket, [40, 0, 0], errno(libc::EAFNOSUPPORT)),
            (libc::SYS_socket, [38, 0, 0], errno(libc::EAFNOSUPPORT)),
            (libc::SYS_socketpair, [1, 0, 0], allow),
            (libc::SYS_prctl, [1, 0, 0], eperm),
            (libc::SYS_prctl, [15, 0, 0], allow),
            (libc::SYS_personality, [u32::MAX, 0, 0], allow),
            (libc::SYS_personality, [0x0040_0000, 0, 0], eperm),
            (libc::SYS_fchown, [3, 0, 0], allow),
            (libc::SYS_fchown, [3, u32::MAX, u32::MAX], allow),
            (libc::SYS_fchown, [3, 48, 0], notify),
            (libc::SYS_fchown, [3, 0, 48], notify),
            (libc::SYS_clock_gettime, [0; 3], notify),
            (libc::SYS_clock_gettime, [5, 0, 0], notify),
            (libc::SYS_clock_gettime, [11, 0, 0], notify),
            (libc::SYS_clock_gettime, [1, 0, 0], allow),
            (libc::SYS_clock_gettime, [7, 0, 0], allow),
            (libc::SYS_gettimeofday, [0; 3], notify),
            (NEWEST as c_long, [0; 3], allow),
            (NEWEST as c_long + 1, [0; 3], errno(libc::ENOSYS)),
        ] {
            check(call, arguments, expected);
        }
        // i386, and x32 on x86-64.
        assert_eq!(answer(0x4000_0003, 1, [0; 3]), libc::SECCOMP_RET_KILL_PROCESS);
        #[cfg(target_arch = "x86_64")]
        check(0x4000_0000 | libc::SYS_mount, [0; 3], libc::SECCOMP_RET_KILL_PROCESS);
    }
}
