use super::*;

/// A tree with the host's static busybox as its only program, if there is one.
fn busybox() -> Option<FileTree> {
    let Ok(bytes) = fs::read("/bin/busybox") else {
        fixtures::missing("no static busybox on this machine");
        return None;
    };
    let mut tree = FileTree::new();
    tree.insert(&ImagePath::parse("/bin/busybox").unwrap(), Inode::file(bytes, Attributes::root(0o755)), Edit::Create).unwrap();
    Some(tree)
}

fn written(tree: &FileTree, scratch: &tempfile::TempDir) -> Checkout {
    Checkout::write(tree, scratch.path(), "root", &|_| true).unwrap()
}

#[test]
fn a_program_sees_only_the_tree_and_only_named_paths_come_back() {
    let Some(tree) = busybox() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let checkout = written(&tree, &scratch);
    let script = "/bin/busybox id -u; /bin/busybox ls /; echo new >/made; /bin/busybox ls /proc/self/fd >/dev/null && echo $$";
    let text = checkout.run(&["/bin/busybox", "sh", "-c", script], &[], SourceDateEpoch(7)).unwrap();
    assert_eq!(text, "0\nbin\ndev\nproc\nroot\nrun\nsys\ntmp\nvar\n1\n");
    let back = checkout.read_back(&ImagePath::parse("/made").unwrap(), SourceDateEpoch(7)).unwrap().unwrap();
    assert_eq!(back.read("/made").unwrap().unwrap(), b"new\n");
    assert_eq!(back.at("/made").unwrap().attributes.mtime, 7);
    drop(checkout);
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "the scratch directory and everything beside it is gone");
}

#[test]
fn a_failing_program_is_an_error_with_its_output_and_a_planted_symlink_is_not_followed() {
    let Some(tree) = busybox() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let checkout = written(&tree, &scratch);
    let error = checkout.run(&["/bin/busybox", "sh", "-c", "echo why; exit 3"], &[], SourceDateEpoch(0)).unwrap_err();
    assert!(error.to_string().contains("why") && error.to_string().contains("exit status 3"), "{error}");
    checkout.run(&["/bin/busybox", "ln", "-s", "/etc", "/out"], &[], SourceDateEpoch(0)).unwrap();
    let error = checkout.read_back(&ImagePath::parse("/out/passwd").unwrap(), SourceDateEpoch(0)).unwrap_err();
    assert!(error.to_string().contains("put a symlink on the way to /out/passwd"), "{error}");
    // A link in the place of a directory comes back as a link.

    checkout.run(&["/bin/busybox", "ln", "-s", "/etc", "/kept"], &[], SourceDateEpoch(0)).unwrap();
    let back = checkout.read_back(&ImagePath::parse("/kept").unwrap(), SourceDateEpoch(0)).unwrap().unwrap();
    assert!(matches!(&back.at("/kept").unwrap().kind, NodeKind::Symlink(target) if **target == *b"/etc"));
}

#[test]
fn words_reach_a_program_as_they_are_and_its_input_is_read_only() {
    let Some(tree) = busybox() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let checkout = written(&tree, &scratch);
    for word in ["", " ", "; echo x", "$(id)", "`id`", "a'b\"c", "*", "--", "\\", "\n", "ü"] {
        let text = checkout.run(&["/bin/busybox", "printf", "[%s]", word], &[], SourceDateEpoch(0)).unwrap();
        assert_eq!(text, format!("[{word}]"));
    }
    let argv = ["/bin/busybox", "sh", "-c", "/bin/busybox cat; echo x >/proc/self/fd/0"];
    let exit = checkout.run_to_exit(&argv, &[], b"input\n", SourceDateEpoch(0)).unwrap();
    assert!(exit.code != 0 && exit.output.starts_with("input\n"), "{exit:?}");
    assert!(checkout.run(&["/bin/busybox", "a\0b"], &[], SourceDateEpoch(0)).is_err());
}

#[test]
fn what_cannot_be_started_is_said() {
    let Some(mut tree) = busybox() else { return };
    for (path, text) in [("/bin/text", "no program"), ("/bin/lost", "#!/bin/none\n")] {
        tree.insert(&ImagePath::parse(path).unwrap(), Inode::file(text.as_bytes(), Attributes::root(0o755)), Edit::Create).unwrap();
    }
    let scratch = tempfile::tempdir().unwrap();
    let checkout = written(&tree, &scratch);
    for (program, code, said) in [
        ("/bin/none", 127, "/bin/none or its interpreter is not in the tree"),
        ("none", 127, "none or its interpreter is not in the tree"),
        ("/bin/lost", 127, "/bin/lost or its interpreter is not in the tree"),
        ("/bin/busybox/x", 127, "not in the tree"),
        ("/bin/text", 126, "/bin/text is no program that can be run"),
        ("/var", 126, "/var is no program that can be run"),
    ] {
        let exit = checkout.run_to_exit(&[program], &[], &[], SourceDateEpoch(0)).unwrap();
        assert!(exit.code == code && exit.output.contains(said), "{program}: {exit:?}");
    }
}

#[test]
fn links_of_a_package_lead_neither_the_checkout_nor_the_mounts_out() {
    let outside = tempfile::tempdir().unwrap();
    for (link, refused) in
        [("/var", false), ("/root", false), ("/sys", false), ("/proc", true), ("/dev", true), ("/run", true), ("/tmp", true)]
    {
        let Some(mut tree) = busybox() else { return };
        let target = outside.path().to_str().unwrap();
        tree.insert(&ImagePath::parse(link).unwrap(), Inode::symlink(target), Edit::Create).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let result = written(&tree, &scratch).run(&["/bin/busybox", "true"], &[], SourceDateEpoch(0));
        assert_eq!(result.is_err(), refused, "{link}: {result:?}");
        if let Err(error) = result {
            assert!(error.to_string().contains(link), "{error}");
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "{link}");
    }
}

#[test]
fn the_time_of_day_is_the_epoch_for_every_process_and_thread() {
    let folder = tempfile::tempdir().unwrap();
    let (source, program) = (folder.path().join("clock.c"), folder.path().join("clock"));
    fs::write(&source, include_str!("clock.c")).unwrap();
    let compiled = std::process::Command::new("cc").args(["-O1", "-static", "-pthread", "-o"]).args([&program, &source]).status();
    if !compiled.is_ok_and(|status| status.success()) {
        fixtures::missing("no C compiler on this machine that links statically");
        return;
    }
    let mut tree = FileTree::new();
    let bytes = fs::read(&program).unwrap();
    tree.insert(&ImagePath::parse("/bin/clock").unwrap(), Inode::file(bytes, Attributes::root(0o755)), Edit::Create).unwrap();
    for epoch in [0, 1_700_000_000, u32::MAX] {
        let checkout = written(&tree, &folder);
        let text = checkout.run(&["/bin/clock", &epoch.to_string()], &[], SourceDateEpoch(epoch)).unwrap();
        assert_eq!(text, "done\n", "{epoch}");
    }
    // The same program complains about a clock that goes on.
    let outside = std::process::Command::new(&program).args(["7", "outside"]).output().unwrap();
    assert_eq!(String::from_utf8(outside.stdout).unwrap().lines().count(), 9);
}

#[test]
fn a_stopped_job_goes_on_and_signals_reach_a_traced_program() {
    let Some(tree) = busybox() else { return };
    let scratch = tempfile::tempdir().unwrap();
    let checkout = written(&tree, &scratch);
    let script = "trap 'echo got' USR1; /bin/busybox kill -USR1 $$; /bin/busybox sleep 60 & p=$!; \
                  /bin/busybox kill -STOP $p; /bin/busybox kill -CONT $p; /bin/busybox kill -TERM $p; wait $p; echo $?; /bin/busybox date +%s";
    let began = std::time::Instant::now();
    for _ in 0..20 {
        let text = checkout.run(&["/bin/busybox", "sh", "-c", script], &[], SourceDateEpoch(7)).unwrap();
        // The shell may tell of the job's end as well.
        let lines: Vec<&str> = text.lines().filter(|line| !line.ends_with("Terminated")).collect();
        assert_eq!(lines, ["got", "143", "7"]);
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(100), "no job slept to its end");
}
