//! A hostile program in the sandbox (`attacker.c`): every attempt to leave it, or to take more than its share, fails and is reported.

use super::*;
use crate::changes::TrackedCheckout;
use crate::scriptlets::Script;
use std::os::fd::AsRawFd;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The attacker, compiled once; `None` without a C compiler.
fn attacker() -> Option<&'static [u8]> {
    static COMPILED: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let compile = || {
        let folder = tempfile::tempdir().unwrap();
        let (source, program) = (folder.path().join("attacker.c"), folder.path().join("attacker"));
        fs::write(&source, include_str!("attacker.c")).unwrap();
        let compiled =
            std::process::Command::new("cc").args(["-static", "-O1", "-w", "-pthread", "-o"]).arg(&program).arg(&source).output();
        match compiled {
            Ok(output) if output.status.success() => Some(fs::read(&program).unwrap()),
            Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
            Err(e) => {
                fixtures::missing(format_args!("no C compiler: {e}"));
                None
            }
        }
    };
    COMPILED.get_or_init(compile).as_deref()
}

fn tree() -> Option<FileTree> {
    let mut tree = FileTree::new();
    tree.insert(&ImagePath::parse("/attacker").unwrap(), Inode::file(attacker()?, Attributes::root(0o755)), Edit::Create).unwrap();
    Some(tree)
}

/// Small enough that a sandbox that fails hurts nobody.
fn small() -> Limits {
    Limits { time: Duration::from_secs(10), threads: 64, memory: 256 << 20, output: 4 << 20, file: 1 << 20, disk: 16 << 20 }
}

#[derive(Debug)]
enum Expected {
    /// Everything was refused, and the program says so.
    Held,
    /// Killed by this signal.
    Signal(i32),
    /// Killed by the builder, or refused by the kernel before.
    Limit(&'static str),
}

#[test]
fn no_attempt_to_leave_the_sandbox_or_to_take_too_much_succeeds() {
    use Expected::{Held, Limit, Signal};
    let Some(tree) = tree() else { return };
    // The machine, as far as it can be reached: a file, a directory, a process, two sockets, an open descriptor, a variable of the environment.
    let machine = tempfile::tempdir().unwrap();
    let secret = machine.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let directory = machine.path().join("writable");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    let open = File::open(&secret).unwrap();
    rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).unwrap();
    let mut bystander = std::process::Command::new("sleep").arg("300").spawn().unwrap();
    let name = format!("atomic-image-attack-{}", std::process::id());
    let address = <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&name).unwrap();
    let _unix = UnixListener::bind_addr(&address).unwrap();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, pid) = (tcp.local_addr().unwrap().port().to_string(), bystander.id().to_string());
    let (secret_path, directory_path) = (secret.to_str().unwrap(), directory.to_str().unwrap());
    let kept = format!("{:x}", child::CAPABILITIES);

    for (attempt, arguments, expected) in [
        ("chroot", vec![secret_path], Held),
        ("proc", vec![secret_path, &pid], Held),
        ("descriptors", vec![], Held),
        ("mounts", vec![], Held),
        ("namespaces", vec![], Held),
        ("processes", vec![], Held),
        ("signals", vec![&pid], Held),
        ("keyrings", vec![], Held),
        ("kernel", vec![], Held),
        ("settings", vec![], Held),
        ("terminal", vec![], Held),
        ("abstract", vec![&name], Held),
        ("loopback", vec![&port], Held),
        ("families", vec![], Held),
        ("environment", vec![], Held),
        ("devices", vec![], Held),
        ("links", vec![secret_path, directory_path], Held),
        ("capabilities", vec![&kept], Held),
        ("limits", vec![], Held),
        ("daemon", vec![], Held),
        ("abi", vec!["i386"], Signal(libc::SIGSYS)),
        ("abi", vec!["x32"], Signal(libc::SIGSYS)),
        ("large", vec!["1048577"], Held),
        ("forks", vec!["300"], Limit("64 processes")),
        ("threads", vec!["300"], Limit("64 processes")),
        ("memory", vec!["8", "67108864"], Limit("bytes of memory")),
        ("memory", vec!["1", "536870912"], Held),
        ("output", vec!["67108864"], Limit("bytes of output")),
        ("disk", vec!["134217728"], Limit("bytes to the disk")),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let checkout = Checkout::write(&tree, scratch.path(), "attack", &|_| true).unwrap().with_limits(small());
        let argv: Vec<&str> = ["/attacker", attempt].into_iter().chain(arguments).collect();
        let exit = checkout.run_to_exit(&argv, &[], &[], SourceDateEpoch(7)).unwrap();
        let shown: String = exit.output.chars().take(4096).collect();
        let said = format!("{argv:?}: {}, {:?}: {shown}", exit.code, exit.stopped);
        match expected {
            Held => assert!(exit.code == 0 && exit.stopped.is_none() && exit.output.ends_with("held\n"), "{said}"),
            Signal(number) => assert!(exit.code == 128 + number && exit.failure().is_some(), "{said}"),
            Limit(reason) => {
                let killed = exit.stopped.as_ref().is_some_and(|stopped| stopped.contains(reason)) && exit.failure().is_some();
                // An ordinary user's processes are counted by the kernel, which refuses the next one.
                let refused = reason == "64 processes" && !rustix::process::geteuid().is_root() && exit.output.ends_with("held\n");
                assert!((killed || refused) && !exit.output.contains("out:"), "{said}");
            }
        }
        assert_eq!(fs::read(&secret).unwrap(), b"secret", "{said}");
        assert_eq!(fs::metadata(&secret).unwrap().len(), 6);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "{said}");
        assert!(bystander.try_wait().unwrap().is_none(), "{said}");
        assert!(!running(&["/attacker", attempt].join("\0")), "{said}");
        assert!(exit.output.len() <= 2 << 20);
    }
    assert!(open.as_raw_fd() > 2);
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

/// True if a process of the machine has a command line that starts so.
fn running(command: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().filter_map(std::result::Result::ok);
    processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok()).any(|line| line.starts_with(command.as_bytes()))
}

#[test]
fn the_clock_on_the_wall_ends_a_program_that_does_not_end() {
    let Some(tree) = tree() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let limits = Limits { time: Duration::from_millis(300), ..small() };
    let checkout = Checkout::write(&tree, scratch.path(), "attack", &|_| true).unwrap().with_limits(limits);
    let began = Instant::now();
    let error = checkout.run(&["/attacker", "forever"], &[], SourceDateEpoch(0)).unwrap_err();
    assert!(error.to_string().contains("it ran for more than 0.3 seconds"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(!running("/attacker\0forever"));
}

#[test]
fn the_scratch_directory_is_closed_to_other_users_while_set_id_programs_may_be_in_it() {
    let Some(tree) = tree() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let checkout = Checkout::write(&tree, scratch.path(), "attack", &|_| true).unwrap();
    let above = checkout.path().parent().unwrap();
    assert_eq!(fs::metadata(above).unwrap().permissions().mode() & 0o7777, 0o700);
}

fn run(checkout: &Checkout, words: &[&str]) {
    let said = checkout.run(words, &[], SourceDateEpoch(7)).unwrap();
    assert!(said.ends_with("held\n"), "{said}");
}

#[test]
fn forty_thousand_nested_directories_are_an_error_that_leaves_nothing_behind() {
    let Some(tree) = tree() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let checkout = Checkout::write(&tree, scratch.path(), "attack", &|_| true).unwrap();
    run(&checkout, &["/attacker", "nested", "3000"]);
    let error = checkout.read_back(&ImagePath::parse("/d").unwrap(), SourceDateEpoch(0)).unwrap_err();
    assert!(error.to_string().contains("a path of more than 4095 bytes"), "{error}");
    drop(checkout);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    // A scriptlet that does the same stops the build, which can be repeated.
    let mut tree = tree;
    let mut watched = TrackedCheckout::check_out(&tree, scratch.path()).unwrap();
    let words = ["/attacker", "nested", "40000"].map(str::to_owned).to_vec();
    let script = Script { interpreter: words, text: String::new(), arguments: vec![], input: String::new() };
    let exit = watched.run_script(&script, SourceDateEpoch(0)).unwrap();
    assert_eq!(exit.code, 0, "{exit:?}");
    assert!(watched.read_changes(&mut tree, &exit.owners, SourceDateEpoch(0)).is_err());
    drop(watched);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn odd_files_come_back_or_are_left_out_and_none_is_opened_that_acts() {
    let Some(tree) = tree() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let checkout = Checkout::write(&tree, scratch.path(), "attack", &|_| true).unwrap();
    run(&checkout, &["/attacker", "odd"]);
    let back = checkout.read_back(&ImagePath::parse("/kept").unwrap(), SourceDateEpoch(7)).unwrap().unwrap();
    let names: Vec<String> = back.walk().iter().skip(1).map(|entry| entry.path.as_bytes().escape_ascii().to_string()).collect();
    assert_eq!(names, ["/kept", "/kept/closed", "/kept/closed/file", "/kept/link", "/kept/twin", "/kept/\\xff\\n"]);
    assert_eq!(back.at("/kept/closed").unwrap().attributes.mode, 0);
    assert_eq!(back.at("/kept/closed/file").unwrap().attributes.mode, 0);
    // The next program finds the modes as they were, and the sandbox can still be used.
    assert_eq!(fs::metadata(checkout.path().join("kept/closed")).unwrap().permissions().mode() & 0o7777, 0);
    checkout.run(&["/attacker", "environment"], &[], SourceDateEpoch(7)).unwrap();
}

#[test]
fn a_sparse_file_of_a_terabyte_is_refused_before_memory_is_taken() {
    let Some(tree) = tree() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let limits = Limits { file: 2 << 40, ..small() };
    let checkout = Checkout::write(&tree, scratch.path(), "attack", &|_| true).unwrap().with_limits(limits);
    run(&checkout, &["/attacker", "sparse", "1099511627776"]);
    let error = checkout.read_back(&ImagePath::parse("/kept").unwrap(), SourceDateEpoch(0)).unwrap_err();
    assert!(error.to_string().contains("/kept/sparse with 1099511627776 bytes"), "{error}");
}

#[test]
fn a_file_given_to_another_owner_has_that_owner_in_the_tree() {
    let Some(mut tree) = tree() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let mut watched = TrackedCheckout::check_out(&tree, scratch.path()).unwrap();
    let words = ["/attacker", "owners"].map(str::to_owned).to_vec();
    let script = Script { interpreter: words, text: String::new(), arguments: vec![], input: String::new() };
    let exit = watched.run_script(&script, SourceDateEpoch(7)).unwrap();
    assert!(exit.code == 0 && exit.output == "held\n", "{exit:?}");
    watched.read_changes(&mut tree, &exit.owners, SourceDateEpoch(7)).unwrap();
    for (path, owner) in [
        ("/kept/0", (48, 49)),
        ("/kept/link", (50, 0)),
        ("/kept/1", (0, 51)),
        ("/kept/2", (52, 53)),
        ("/kept/moved", (54, 55)),
        ("/kept/4", (0, 0)),
    ] {
        let attributes = &tree.at(path).unwrap().attributes;
        assert_eq!((attributes.uid, attributes.gid), owner, "{path}");
    }
}
