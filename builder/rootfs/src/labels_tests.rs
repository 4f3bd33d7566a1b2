use super::*;
use model::tree::NodeKind;
use std::collections::BTreeMap;
use std::process::Command;

const POLICY: &str = "\
/.*	system_u:object_r:default_t:s0
/	-d	system_u:object_r:root_t:s0
/[^/]+	--	system_u:object_r:etc_runtime_t:s0
/etc/.*	system_u:object_r:etc_t:s0
/etc	-d	system_u:object_r:etc_t:s0
/etc/shadow.*	--	system_u:object_r:shadow_t:s0
/etc/ssh/ssh_host_.*_key	--	system_u:object_r:sshd_key_t:s0
/etc/(rc|init)\\.d(/.*)?	system_u:object_r:initrc_exec_t:s0
/usr(/.*)?	system_u:object_r:usr_t:s0
/usr/(.*/)?bin(/.*)?	system_u:object_r:bin_t:s0
/usr/(.*/)?lib(/.*)?	system_u:object_r:lib_t:s0
/usr/lib/.*\\.so[^/]*	--	system_u:object_r:shlib_t:s0
/usr/lib/ld-[^/]*\\.so(\\.[^/]*)*	-l	system_u:object_r:ld_so_t:s0
/usr/bin/sudo(edit)?	--	system_u:object_r:sudo_exec_t:s0
/usr/bin/bash	--	system_u:object_r:shell_exec_t:s0
/usr/bin/ba.*	--	system_u:object_r:never_t:s0
/dev/.*	-c	system_u:object_r:device_t:s0
/dev/[sh]d[^/]*	-b	system_u:object_r:fixed_disk_device_t:s0
/run/.*	<<none>>
/home/[^/]+/.+	user_u:object_r:user_home_t:s0
/home/[^/]+	-d	user_u:object_r:user_home_dir_t:s0
/root(/.*)?	root:object_r:user_home_t:s0-s0:c0.c1023
/srv/x{2,3}y?	system_u:object_r:repeat_t:s0
/a|/b/c	system_u:object_r:choice_t:s0
/opt/\\+plus\\.d	system_u:object_r:escaped_t:s0
";
const SUBS_DIST: &str = "/lib /usr/lib\n/etc/init.d /etc/rc.d/init.d\n/usr/local/lib /usr/lib\n";

/// Paths that the lines of POLICY were made to tell apart.
fn paths() -> Vec<String> {
    let mut paths: Vec<String> =
        ["/", "/x", "/etc", "/usr", "/usr/etc", "/a", "/b/c", "/aa", "/b/cc", "/opt/+plus.d", "/opt/+plusxd", "/run/x"]
            .map(String::from)
            .into();
    let tops = [
        "/etc",
        "/usr",
        "/usr/bin",
        "/usr/lib",
        "/usr/lib/bin",
        "/usr/local/lib",
        "/lib",
        "/usr/etc",
        "/var/home",
        "/var/roothome",
        "/dev",
    ];
    let more = ["/home/u", "/srv", "/run", "/etc/ssh", "/etc/init.d", "/etc/rc.d", "/root", "/var/home/u", "/usr/etc/ssh", "/library"];
    let names = [
        "shadow-",
        "ssh_host_rsa_key",
        "bash",
        "sudo",
        "sudoedit",
        "sudoer",
        "ld-2.so",
        "ld-2.so.1",
        "libx.so",
        "libx.so.1",
        "sda",
        "tty",
        "xx",
        "xxxy",
    ];
    for top in tops.iter().chain(&more) {
        paths.push((*top).to_owned());
        paths.extend(names.iter().map(|name| format!("{top}/{name}")));
    }
    paths
}

fn contexts(policy: &str, subs_dist: &str) -> FileContexts {
    FileContexts::parse(&[("file_contexts".into(), policy.into())]).unwrap().with_substitutions("", subs_dist)
}

fn ours(contexts: &FileContexts, kind: &NodeKind) -> Vec<String> {
    let one = |path: &String| contexts.label(path.as_bytes(), kind).unwrap().unwrap_or("<<none>>").to_owned();
    paths().iter().map(one).collect()
}

/// What libselinux says of the same paths.
fn theirs(folder: &std::path::Path, mode: &str) -> Option<Vec<String>> {
    let paths = paths();
    let output = Command::new("matchpathcon")
        .args(["-n", "-m", mode, "-f"])
        .arg(folder.join("file_contexts"))
        .args(&paths)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .ok()?;
    let lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), paths.len(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(lines)
}

#[test]
fn libselinux_gives_every_path_and_kind_the_same_label_and_would_tell_a_wrong_one() {
    let scratch = tempfile::tempdir().unwrap();
    let aliases: String = SUBSTITUTIONS.iter().map(|(alias, original)| format!("{alias} {original}\n")).collect();
    let subs_dist = aliases + SUBS_DIST;
    std::fs::write(scratch.path().join("file_contexts"), POLICY).unwrap();
    std::fs::write(scratch.path().join("file_contexts.subs_dist"), &subs_dist).unwrap();
    let kinds = [
        ("file", NodeKind::File(model::Blob::empty())),
        ("dir", NodeKind::Directory(BTreeMap::new())),
        ("link", NodeKind::Symlink(b"x".as_slice().into())),
        ("chr", NodeKind::CharDevice { major: 1, minor: 1 }),
        ("blk", NodeKind::BlockDevice { major: 1, minor: 1 }),
        ("pipe", NodeKind::Fifo),
        ("sock", NodeKind::Socket),
    ];
    let right = contexts(POLICY, &subs_dist);
    let wrong = contexts(&POLICY.replace("/usr/lib/.*\\.so[^/]*	--", "/usr/lib/.*\\.so	--"), &subs_dist);
    for (mode, kind) in &kinds {
        let Some(expected) = theirs(scratch.path(), mode) else { return fixtures::missing("no matchpathcon on this machine") };
        for ((path, ours), theirs) in paths().iter().zip(ours(&right, kind)).zip(&expected) {
            assert_eq!(&ours, theirs, "{path} as {mode}");
        }
        assert_eq!(ours(&wrong, kind) == expected, *mode != "file", "{mode}");
    }
}

fn selinux() -> Selinux {
    Selinux { mode: SelinuxMode::Permissive, policy: "default".into() }
}

fn put(tree: &mut FileTree, path: &str, text: &str) {
    text_file(tree, path, text.into(), SourceDateEpoch(1)).unwrap();
}

fn label(tree: &FileTree, path: &str) -> String {
    let xattrs = &tree.at(path).unwrap().attributes.xattrs;
    xattrs.get(XATTR).map(|label| String::from_utf8(label.to_vec()).unwrap()).unwrap_or_default()
}

#[test]
fn a_tree_is_labelled_as_the_running_system_sees_it() {
    let mut tree = FileTree::new();
    put(&mut tree, "/etc/selinux/semanage.conf", "module-store = direct\n");
    put(&mut tree, "/etc/selinux/default/contexts/files/file_contexts", POLICY);
    put(&mut tree, "/etc/selinux/default/contexts/files/file_contexts.subs_dist", SUBS_DIST);
    configure(&mut tree, &selinux(), SourceDateEpoch(1)).unwrap();
    substitute(&mut tree, &selinux(), SourceDateEpoch(1)).unwrap();
    put(&mut tree, "/usr/bin/bash", "");
    put(&mut tree, "/run/x", "");
    put(&mut tree, "/etc/shadow", "");
    tree.rename(&ImagePath::parse("/etc").unwrap(), &ImagePath::parse("/usr/etc").unwrap()).unwrap();
    let labels = Labels::of(&tree, &selinux()).unwrap().unwrap();
    labels.apply(&mut tree).unwrap();
    assert_eq!(label(&tree, "/usr/etc/shadow"), "system_u:object_r:shadow_t:s0\0");
    assert_eq!(label(&tree, "/usr/bin/bash"), "system_u:object_r:shell_exec_t:s0\0");
    assert_eq!(label(&tree, "/run/x"), "");
    assert_eq!(tree.read("/usr/etc/selinux/config").unwrap().unwrap(), b"SELINUX=permissive\nSELINUXTYPE=default\n");
    let semanage = String::from_utf8(tree.read("/usr/etc/selinux/semanage.conf").unwrap().unwrap()).unwrap();
    assert!(semanage.contains("\nstore-root=/etc/selinux\n") && semanage.ends_with("module-store = direct\n"), "{semanage}");
    let subs = tree.read("/usr/etc/selinux/default/contexts/files/file_contexts.subs_dist").unwrap().unwrap();
    let (init, lib) = ("/usr/etc/init.d /etc/rc.d/init.d\n", "/var/usrlocal/lib /usr/lib\n");
    let expected = format!(
        "{init}/usr/etc /etc\n{init}/var/home /home\n/var/roothome /root\n{lib}/var/usrlocal /usr/local\n{lib}/var/opt /opt\n/var/srv /srv\n{SUBS_DIST}"
    );
    assert_eq!(String::from_utf8(subs).unwrap(), expected);

    let (mut root, mut boot) = (FileTree::new(), FileTree::new());
    put(&mut root, "/ostree/deploy/os/var/lib/x", "");
    put(&mut boot, "/grub2/grub.cfg", "");
    put(&mut boot, "/ostree/os-1/vmlinuz", "");
    let kernel = boot.resolve(&ImagePath::parse("/ostree/os-1/vmlinuz").unwrap()).unwrap().1;
    boot.inode_mut(kernel).attributes.xattrs.insert(XATTR.into(), b"system_u:object_r:lib_t:s0\0".as_slice().into());
    labels.apply_to_sysroot(&mut root, &mut boot, "os", SourceDateEpoch(1)).unwrap();
    assert_eq!(label(&root, "/ostree/deploy/os/var/lib/x"), "system_u:object_r:default_t:s0\0");
    for path in ["/grub2/grub.cfg", "/ostree/os-1/vmlinuz", "/lost+found"] {
        assert_eq!(label(&boot, path), "system_u:object_r:default_t:s0\0", "{path}");
    }
    assert_eq!(boot.at("/lost+found").unwrap().attributes.mode, 0o700);
}

#[test]
fn a_tree_without_the_policy_says_what_to_install_and_a_disabled_one_gets_nothing() {
    let mut tree = FileTree::new();
    let error = Labels::of(&tree, &selinux()).unwrap_err();
    assert!(error.to_string().contains("/etc/selinux/default/contexts/files/file_contexts"), "{error}");
    assert!(error.hint_text().is_some_and(|hint| hint.contains("selinux-policy-default")));
    let disabled = Selinux { mode: SelinuxMode::Disabled, policy: "default".into() };
    assert!(configure(&mut tree, &disabled, SourceDateEpoch(1)).unwrap().is_empty());
    assert!(Labels::of(&tree, &disabled).unwrap().is_none() && tree.at("/etc").is_none());
}

#[test]
fn local_modules_are_put_into_the_store_and_refused_where_the_policy_comes_linked() {
    let mut tree = FileTree::new();
    let disabled = Selinux { mode: SelinuxMode::Disabled, policy: "default".into() };
    assert!(add_local_modules(&mut tree, &selinux(), SourceDateEpoch(1)).unwrap().is_empty());
    for (name, text) in [("one.cil", "(type one_t)\n"), ("README", "no module\n"), ("-x.cil", ""), ("a b.cil", "")] {
        put(&mut tree, &format!("/usr/share/selinux/packages/{name}"), text);
    }
    assert!(add_local_modules(&mut tree, &disabled, SourceDateEpoch(1)).unwrap().is_empty());
    let written: Vec<String> =
        add_local_modules(&mut tree, &selinux(), SourceDateEpoch(1)).unwrap().iter().map(ToString::to_string).collect();
    let module = "/etc/selinux/default/active/modules/400/one";
    assert_eq!(written, [format!("{module}/cil"), format!("{module}/lang_ext")]);
    assert_eq!(tree.read(&written[0]).unwrap().unwrap(), b"(type one_t)\n");
    assert_eq!(tree.read(&written[1]).unwrap().unwrap(), b"cil");
    put(&mut tree, "/etc/selinux/default/contexts/files/file_contexts", POLICY);
    let error = add_local_modules(&mut tree, &selinux(), SourceDateEpoch(1)).unwrap_err();
    assert!(error.to_string().contains("packages/one.cil") && error.hint_text().is_some(), "{error}");
}
