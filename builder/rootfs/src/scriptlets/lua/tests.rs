use super::*;
use model::tree::{Attributes, Edit, Inode, NodeKind};

fn tree() -> FileTree {
    let mut tree = FileTree::new();
    for (path, text) in [("/etc/shells", "/bin/sh\n"), ("/usr/sbin/ldconfig", "x"), ("/etc/passwd.rpmnew", ""), ("/usr/lib/a/b", "1")] {
        let mode = if path.contains("bin") { 0o755 } else { 0o644 };
        let inode = Inode::file(text.as_bytes(), Attributes::root(mode));
        tree.insert(&ImagePath::parse(path).unwrap(), inode, Edit::Create).unwrap();
    }
    tree.insert(&ImagePath::parse("/sbin").unwrap(), Inode::symlink("usr/sbin"), Edit::Create).unwrap();
    tree
}

fn execute(tree: &mut FileTree, text: &str) -> Outcome {
    let accounts = Accounts::plan(&[("a.conf".into(), "u etcd 985\n".into())], "", "", &Default::default()).unwrap();
    let script = Script { text: text.into(), arguments: vec!["1"], input: "/a\n/b\n".into(), ..Script::default() };
    run(tree, &accounts, &script, SourceDateEpoch(7)).unwrap()
}

/// Output of a script that must not fail.
fn output(text: &str) -> String {
    let done = execute(&mut tree(), text);
    assert_eq!(done.failure, None, "{text}");
    done.output
}

fn read(tree: &FileTree, path: &str) -> String {
    String::from_utf8(tree.read(path).unwrap().unwrap()).unwrap()
}

#[test]
fn the_shapes_of_real_packages_do_to_the_tree_what_rpm_does_to_a_disk() {
    let mut tree = tree();
    // A shell that adds itself to /etc/shells.
    let shells = "local f = io.open('/etc/shells', 'a+')\nif f then\n local all = '\\n'..f:read('*all')..'\\n'\n \
                  if not all:find('\\n/bin/sh\\n') then f:write('/bin/sh\\n') end\n if not all:find('\\n/bin/bash\\n') then f:write('/bin/bash\\n') end\n f:close()\nend";
    let done = execute(&mut tree, shells);
    assert_eq!((done.failure, done.changed), (None, vec![ImagePath::parse("/etc/shells").unwrap()]));
    assert_eq!(read(&tree, "/etc/shells"), "/bin/sh\n/bin/bash\n");
    // Base directories and links before anything is unpacked.
    let done = execute(
        &mut tree,
        "posix.mkdir('/run') posix.mkdir('/usr') posix.symlink('../run', '/var/run') posix.mkdir('/var') posix.symlink('../run', '/var/run') return 0",
    );
    assert_eq!(done.failure, None);
    assert!(matches!(&tree.at("/var/run").unwrap().kind, NodeKind::Symlink(t) if **t == *b"../run"));
    // A directory that becomes a link.
    let done = execute(
        &mut tree,
        "local path = '/usr/lib/a'\nlocal st = posix.stat(path)\nif st and st.type == 'directory' then\n local status = os.rename(path, path .. '.rpmmoved')\n \
         assert(status)\nend\nposix.symlink('c', path)",
    );
    assert_eq!(done.failure, None);
    assert_eq!(read(&tree, "/usr/lib/a.rpmmoved/b"), "1");
    // Remains of an upgrade, found or not.
    let done = execute(&mut tree, "for i, name in ipairs({'passwd', 'group'}) do os.remove('/etc/'..name..'.rpmnew') end");
    assert_eq!((done.failure, tree.at("/etc/passwd.rpmnew").is_none()), (None, true));
}

#[test]
fn a_fork_that_executes_the_linker_counts_as_the_ldconfig_stage() {
    let mut tree = tree();
    let text = "if posix.access('/sbin/ldconfig', 'x') then\n local pid = posix.fork()\n if pid == 0 then\n posix.mkdir('/child')\n posix.exec('/sbin/ldconfig')\n \
                elseif pid ~= -1 then\n posix.wait(pid)\n posix.mkdir('/parent')\n end\nend";
    let done = execute(&mut tree, text);
    assert_eq!((done.failure, done.mechanisms.into_iter().collect::<Vec<_>>()), (None, vec!["ldconfig"]));
    assert!(tree.at("/parent").is_some() && tree.at("/child").is_none());
    let done = execute(&mut tree, "os.execute('/usr/bin/newaliases >/dev/null')");
    assert!(done.failure.is_some_and(|f| f.contains("newaliases")));
    assert_eq!(execute(&mut tree, "assert(os.execute('systemctl daemon-reload'))").failure, None);
}

#[test]
fn functions_answer_as_rpms_do() {
    for (text, expected) in [
        ("print(rpm.vercmp('1.10', '1.9'), rpm.vercmp('1:1', '2'), rpm.vercmp('1~rc', '1'))", "1\t1\t-1\n"),
        ("print(rpm.expand('%{_libdir}/x %{unknown} 5%%'))", "/usr/lib64/x %{unknown} 5%\n"),
        (
            "print(posix.stat('/etc/shells', 'type'), posix.stat('/etc/shells', 'mode'), posix.stat('/etc/shells').uid)",
            "regular\trw-r--r--\troot\n",
        ),
        ("print(posix.stat('/none'))", "nil\t/none: No such file or directory\t2\n"),
        (
            "print(posix.stat('/sbin').type, posix.readlink('/sbin'), posix.readlink('/etc'))",
            "link\tusr/sbin\tnil\t/etc: Invalid argument\t22\n",
        ),
        ("print(posix.access('/sbin/ldconfig', 'x'), posix.access('/etc/shells', 'x'))", "0\tnil\t/etc/shells: Invalid argument\t22\n"),
        ("print(posix.chmod('/etc/shells', 'u+s,go-r'), posix.stat('/etc/shells', 'mode'))", "0\trwS------\n"),
        ("print(posix.chmod('/etc/shells', '0750'), posix.stat('/etc/shells', 'mode'))", "0\trwxr-x---\n"),
        ("print(posix.chmod('/etc/shells', 'rw-rw-r--'), posix.stat('/etc/shells', 'mode'))", "0\trw-rw-r--\n"),
        ("posix.chown('/etc/shells', 'etcd', 0) print(posix.stat('/etc/shells', 'uid'))", "etcd\n"),
        ("for f in posix.files('/etc') do io.write(f, ' ') end", ". .. passwd.rpmnew shells "),
        ("print(#posix.dir('/etc'), table.concat(rpm.glob('/etc/*'), ' '))", "4\t/etc/passwd.rpmnew /etc/shells\n"),
        ("print(posix.rmdir('/etc'), posix.unlink('/etc'))", "nil\tnil\t/etc: Is a directory\t21\n"),
        ("posix.chdir('/usr/lib') print(posix.getcwd(), posix.stat('a/../a/b').size)", "/usr/lib\t1\n"),
        ("local f = io.open('/x', 'w') f:write('a\\n', 2, '\\n') f:close() for l in io.lines('/x') do print(l) end", "a\n2\n"),
        ("local f = io.open('/x', 'w+') f:write('abc') f:seek('set', 1) print(f:read(1), f:read('*a'), f:read('*l'))", "b\tc\tnil\n"),
        ("print(io.open('/none/x', 'w'))", "nil\t/none/x: No such file or directory\t2\n"),
        (
            "print(posix.getpasswd('etcd', 'uid'), posix.getprocessid('uid'), posix.umask(), posix.uname('%s'))",
            "985\t0\trwxr-xr-x\tLinux\n",
        ),
        ("print(arg[1], arg[2], os.time(), os.getenv('HOME'))", "<lua>\t1\t7\tnil\n"),
        ("print(pcall(os.exit))", "false\truntime error: exit is not permitted in a scriptlet\n"),
    ] {
        let found = output(text);
        let first = found.split("\nstack traceback").next().unwrap();
        assert_eq!(first.trim_end(), expected.trim_end(), "{text}");
    }
}

#[test]
fn a_script_sees_nothing_of_the_machine_and_cannot_leave_the_tree() {
    assert_eq!(output("print(dofile, loadfile, require, package, debug, string.dump)"), "nil\tnil\tnil\tnil\tnil\tnil\n");
    assert_eq!(output("print(io.open('/proc/self/maps'))"), "nil\t/proc/self/maps: No such file or directory\t2\n");
    assert_eq!(
        output("print(posix.stat('/../../../../etc/shells').type, load('\\27Lua'))").lines().next().unwrap().split('\t').next(),
        Some("regular")
    );
    let mut tree = tree();
    tree.insert(&ImagePath::parse("/out").unwrap(), Inode::symlink("/../../tmp"), Edit::Create).unwrap();
    let done = execute(&mut tree, "print(io.open('/out/x', 'w'))");
    assert!(done.output.starts_with("nil\t"), "{}", done.output);
}

#[test]
fn time_and_memory_are_bounded_and_a_failure_says_why() {
    for (text, expected) in [
        ("error('FATAL: kernel too old', 0)", "FATAL: kernel too old"),
        ("local x = nil + 1", "scriptlet:1:"),
        ("if", "scriptlet:1:"),
        ("while true do end", "stopped after"),
        ("while true do pcall(function() while true do end end) end", "stopped after"),
        ("coroutine.wrap(function() while true do end end)()", "stopped after"),
        ("local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end", "not enough memory"),
        ("local i = 0 while true do i = i + 1 assert(posix.mkdir('/d' .. i)) end", "No space left"),
        ("local f = {} for i = 1, 1000 do f[i] = assert(io.open('/f' .. i, 'w')) end", "Too many open files"),
    ] {
        let failure = execute(&mut tree(), text).failure.unwrap_or_default();
        assert!(failure.contains(expected), "{text}: {failure}");
    }
}

#[test]
fn a_trigger_is_given_the_paths_that_set_it_off() {
    assert_eq!(output("for i = 1, 3 do print(rpm.next_file()) end print(arg[2])"), "/a\n/b\nnil\n1\n");
}
