//! Scriptlets and triggers of every sort: rpm and we run the same ones in the same order, with the same arguments and the same paths to read.

use super::*;
use crate::install::{Environment, Installation, Rules};
use crate::order;
use crate::programs::ProgramCache;
use crate::scriptlets::Ledger;
use model::tree::FileTree;
use model::{Silent, SourceDateEpoch};
use recipe::DefaultPolicy;

/// A package whose scriptlets write into /log what they are called with.
fn talkative(folder: &Path, name: &str, requires: &str, priorities: [u32; 4]) -> Option<PathBuf> {
    let [upper, lower, first, second] = priorities;
    let say = |what: &str| format!("echo {name} {what} $* >> /log");
    let read = |what: &str| format!("{{ echo -n {name} {what} $*; while read line; do echo -n \" $line\"; done; echo; }} >> /log");
    let mut text = format!("{requires}\n%description\nx\n%install\nmkdir -p %{{buildroot}}/d/{name} %{{buildroot}}/e\n");
    text += &format!(
        "touch %{{buildroot}}/d/{name}/2 %{{buildroot}}/d/{name}/1 %{{buildroot}}/e/{name} %{{buildroot}}/d/{name}-ghost %{{buildroot}}/d/b-{name}\n"
    );
    for (section, line) in [
        ("%pre", say("pre")),
        ("%post", say("post")),
        ("%posttrans", say("posttrans")),
        ("%triggerprein -- a, b, c", say("triggerprein")),
        ("%triggerin -- a > 0, b, c < 2", say("triggerin")),
        ("%triggerin -- a > 7, nothing", say("never")),
        ("%triggerun -- a, b, c", say("never")),
        ("%triggerpostun -- a, b, c", say("never")),
        (format!("%filetriggerin -P {upper} -- /d").as_str(), read("upper")),
        (format!("%filetriggerin -P {lower} -- /d/ /e").as_str(), read("lower")),
        ("%filetriggerin -- /nothing", say("never")),
        ("%filetriggerin -P 50 -- /d/b", read("named")),
        ("%filetriggerun -- /d", say("never")),
        (format!("%transfiletriggerin -P {first} -- /d").as_str(), read("first")),
        (format!("%transfiletriggerin -P {second} -- /e /d").as_str(), read("second")),
        ("%transfiletriggerin -- /d/b /e/", read("default")),
        ("%transfiletriggerin -- /e/b /d/b/1", say("never")),
        (
            "%transfiletriggerin -p <lua> -- /d/c/",
            format!("local f = io.open('/log', 'a') f:write('{name} lua ' .. rpm.next_file() .. '\\n') f:close()"),
        ),
        ("%transfiletriggerpostun -- /d", say("never")),
    ] {
        text += &format!("{section}\n{line}\n");
    }
    built(folder, name, &(text + &format!("%files\n/d/{name}\n/d/b-{name}\n/e/{name}\n%ghost /d/{name}-ghost\n")))
}

fn install(paths: &[PathBuf], folder: &Path, default: DefaultPolicy) -> model::Result<(FileTree, Ledger)> {
    let packs = order::of(&packs(paths, &folder.join("packs")));
    let cache = ProgramCache { outputs: folder.join("outputs"), scratch: folder.join("scratch"), facts: Default::default() };
    let around = Environment { cache: &cache, epoch: SourceDateEpoch(7), progress: &Silent };
    let rules = Rules { default: Some(default), ..Rules::default() };
    let (mut tree, mut installation) = Installation::unpack(&packs, &rules, around)?;
    installation.run_scriptlets(&mut tree, around)?;
    installation.run_last(&mut tree, around)?;
    Ok((tree, installation.rows()))
}

/// The host's static busybox as /bin/sh.
fn shell(folder: &Path) -> Option<PathBuf> {
    if !Path::new("/bin/busybox").exists() {
        fixtures::missing("no static busybox");
        return None;
    }
    built(folder, "shell", "%install\nmkdir -p %{buildroot}/bin; cp /bin/busybox %{buildroot}/bin/sh\n%files\n/bin/sh\n")
}

#[test]
fn rpm_and_we_run_the_same_scriptlets_and_triggers_in_the_same_order() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let made = || {
        Some(vec![
            shell(at)?,
            talkative(at, "a", "Requires(pre): shell", [20_000, 100, 100, 5])?,
            talkative(at, "b", "Requires: a", [30_000, 200, 3, 2_000_000])?,
            talkative(at, "c", "Requires: b", [10_000, 9_999, 1, 2])?,
        ])
    };
    let Some(paths) = made() else { return };
    let root = at.join("root");
    std::fs::create_dir(&root).unwrap();
    let Some(output) = rpm(&root, "", &paths) else { return };
    let theirs = std::fs::read_to_string(root.join("log")).unwrap_or_else(|_| panic!("{output}"));
    let (tree, ledger) = install(&paths, at, DefaultPolicy::Sandbox).unwrap();
    let ours = String::from_utf8(tree.read("/log").unwrap().unwrap()).unwrap();
    assert_eq!(ours, theirs);
    assert!(theirs.lines().count() > 50 && !theirs.contains("never"), "{theirs}");
    let row = ledger.iter().find(|row| row.phase.name() == "triggerin" && row.package == "a").unwrap();
    assert_eq!(
        (row.set_off_by.as_deref(), row.handler.as_str(), row.paths.as_slice()),
        (Some("a"), "sandbox", ["/log".to_owned()].as_slice())
    );
}

#[test]
fn triggers_stand_under_the_recipes_policy_and_common_ones_are_native() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // As Fedora's glibc-common, systemd, glib2, shared-mime-info and hicolor-icon-theme have them.
    let common = "%description\nx\n%install\nmkdir -p %{buildroot}/usr/lib/udev/hwdb.d; touch %{buildroot}/usr/lib/udev/hwdb.d/x.hwdb\n\
        %transfiletriggerin -P 2000000 -- /lib /usr/lib /lib64 /usr/lib64\n/sbin/ldconfig\n\
        %transfiletriggerin -P 1000300 -p <lua> -- /usr/lib/udev/hwdb.d\n\
        local pid = posix.fork()\nif pid == 0 then\n  assert(posix.exec('/usr/bin/systemd-hwdb', 'update'))\nelseif pid > 0 then\n  posix.wait(pid)\nend\n\
        %transfiletriggerin -P 1000700 -- /usr/lib/\n/usr/bin/systemd-sysusers || :\n\
        %transfiletriggerin -- /usr/lib/udev\ngio-querymodules-64 /usr/lib64/gio/modules &> /dev/null || :\n\
        %transfiletriggerin -- /usr/lib/ud\nglib-compile-schemas /usr/share/glib-2.0/schemas &> /dev/null || :\n\
        %transfiletriggerin -- /usr/lib/u\nupdate-mime-database -n /usr/share/mime &> /dev/null ||:\n\
        %transfiletriggerin -- /usr/li\ngtk-update-icon-cache --force /usr/share/icons/hicolor &>/dev/null || :\n\
        %transfiletriggerin -- /usr/l\n/usr/bin/journalctl --update-catalog || :\n\
        %files\n/usr/lib/udev/hwdb.d\n";
    let Some(common) = built(at, "common", common) else { return };
    let (_, ledger) = install(&[common], at, DefaultPolicy::Refuse).unwrap();
    let did: Vec<String> = ledger.iter().map(|row| format!("{}: {}", row.handler, row.reason)).collect();
    assert_eq!(
        did,
        [
            "understood: ldconfig",
            "understood: sysusers",
            "lua: hwdb trigger",
            "understood: giomodules trigger",
            "understood: gschemas trigger",
            "understood: mime trigger",
            "understood: icon trigger",
            "understood: catalog trigger",
        ]
    );
    let other =
        "%description\nx\n%install\nmkdir -p %{buildroot}/d; touch %{buildroot}/d/x\n%filetriggerin -- /d\ntouch /y\n%files\n/d/x\n";
    let Some(other) = built(at, "other", other) else { return };
    let error = install(&[other], at, DefaultPolicy::Refuse).unwrap_err();
    assert!(error.to_string().contains("other filetriggerin") && error.to_string().contains("touch /y"), "{error}");
    assert!(error.hint_text().unwrap().contains("phase = \"filetriggerin\""));
}
