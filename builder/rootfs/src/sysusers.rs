//! sysusers.d in the tree: read for the plan of accounts, and written back with static ids.
//!
//! The written file is needed on a running host: its /etc/passwd is locally changed after the first boot, so an upgrade never merges new users in.

use crate::accounts::{Accounts, Pinned};
use crate::conf_files;
use conf::account::{AccountField, AccountName};
use conf::quote_literal;
use conf::sysusers::Line;
use model::tree::{Attributes, Edit, FileTree, Inode};
use model::{Error, ImagePath, OptionJudged, Result};
use recipe::lock::KeptIds;
use std::fmt::Write as _;

const DIRECTORIES: [&str; 4] = ["/etc/sysusers.d", "/run/sysusers.d", "/usr/local/lib/sysusers.d", "/usr/lib/sysusers.d"];
/// First in the order of names, since the first line for a name wins.
const STATIC: &str = "/usr/lib/sysusers.d/00-atomic-image.conf";

pub fn texts(tree: &FileTree) -> Result<Vec<(String, String)>> {
    conf_files::read_all(tree, &DIRECTORIES, ".conf")
}

/// Plans from what is in the tree: sysusers.d, `further` lines, and the base system's accounts: base-passwd's masters, or the files of `setup`.
pub fn plan(tree: &FileTree, pinned: &Pinned, further: &[Line], kept_ids: &KeptIds) -> Result<Accounts> {
    let masters = ["/usr/share/base-passwd/passwd.master", "/usr/share/base-passwd/group.master"];
    let [passwd, group] = if tree.at(masters[0]).is_some() { masters } else { FILES };
    Accounts::plan_all(&texts(tree)?, further, [&text(tree, passwd)?, &text(tree, group)?], pinned, kept_ids)
}

const FILES: [&str; 2] = ["/etc/passwd", "/etc/group"];

/// Takes over what programs have added since `Accounts::write`.
pub fn adopt(tree: &FileTree, accounts: &mut Accounts) -> Result<()> {
    accounts.adopt(&text(tree, FILES[0])?, &text(tree, FILES[1])?)
}

fn text(tree: &FileTree, path: &str) -> Result<String> {
    String::from_utf8(tree.read(path)?.default_because("an absent file is an empty one"))
        .map_err(|_| Error::integrity(format!("{path} is not UTF-8")))
}

/// Every account of the image as sysusers lines with ids. What systemd-sysusers would refuse is left out: names of a distribution's own
/// passwd file that it does not take, and homes or shells that are no absolute paths.
pub fn static_lines(accounts: &Accounts) -> String {
    let mut out = String::from("# Ids of this image, so that an upgraded host gets the same ones.\n");
    let field = |text: &str| if text.is_empty() { "-".to_owned() } else { quote_literal(text).replace('%', "%%") };
    let path = |text: &AccountField| AccountField::parse_path(text).map_or_else(|_| "-".to_owned(), |path| field(&path));
    let takes = |name: &AccountName| AccountName::parse(name).is_ok();
    for group in accounts.groups().iter().filter(|group| takes(&group.name)) {
        let _ = writeln!(out, "g {} {}", group.name, group.gid);
    }
    for user in accounts.users().iter().filter(|user| takes(&user.name)) {
        let (gecos, home, shell) = (field(&user.gecos), path(&user.home), path(&user.shell));
        let _ = writeln!(out, "u {} {}:{} {gecos} {home} {shell}", user.name, user.uid, user.gid);
    }
    for group in accounts.groups().iter().filter(|group| takes(&group.name)) {
        for member in group.members.iter().filter(|member| takes(member) && accounts.uid(member).is_some()) {
            let _ = writeln!(out, "m {member} {}", group.name);
        }
    }
    out
}

/// Writes the static lines, and hides the packages' files, whose accounts they have: systemd-sysusers warns of each line that comes twice.
pub fn write_static(tree: &mut FileTree, accounts: &Accounts) -> Result<ImagePath> {
    for (path, _) in texts(tree)? {
        if let Some(name) = path.strip_prefix("/usr/lib/sysusers.d/").filter(|_| path != STATIC) {
            tree.insert(&ImagePath::parse(format!("/etc/sysusers.d/{name}"))?, Inode::symlink("/dev/null"), Edit::Replace)?;
        }
    }
    let path = ImagePath::parse(STATIC)?;
    tree.insert(&path, Inode::file(static_lines(accounts).into_bytes(), Attributes::root(0o644)), Edit::Replace)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// passwd and group of the texts, without root and without passwords, sorted. `Err`: refused.
    fn ours(text: &str) -> std::result::Result<Vec<String>, String> {
        let base = "root:x:0:0:root:/root:/bin/bash\nbase:x:42:42::/:/bin/sh\n";
        let accounts =
            Accounts::plan(&[("a.conf".into(), text.into())], base, BASE_GROUP, &Pinned::default()).map_err(|e| e.to_string())?;
        let mut rows: Vec<String> = accounts.users().iter().map(ToString::to_string).collect();
        rows.extend(accounts.groups().iter().map(ToString::to_string));
        rows.sort();
        Ok(rows)
    }

    const BASE_GROUP: &str = "root:x:0:\nbase:x:42:\n";

    /// The same from systemd-sysusers; a line that it refuses is an error, also if it goes on. `None` without the program.
    fn theirs(text: &str) -> Option<std::result::Result<Vec<String>, String>> {
        let root = tempfile::tempdir().unwrap();
        let conf = root.path().join("usr/lib/sysusers.d");
        std::fs::create_dir_all(&conf).unwrap();
        std::fs::create_dir_all(root.path().join("etc")).unwrap();
        std::fs::write(conf.join("a.conf"), text).unwrap();
        std::fs::write(root.path().join("etc/passwd"), "root:x:0:0:root:/root:/bin/bash\nbase:x:42:42::/:/bin/sh\n").unwrap();
        std::fs::write(root.path().join("etc/group"), BASE_GROUP).unwrap();
        let out = Command::new("systemd-sysusers").arg(format!("--root={}", root.path().display())).output().ok()?;
        let said = String::from_utf8_lossy(&out.stderr);
        // It goes on after some errors, and ends well. A line that comes a second time is passed over without being wrong.
        if said
            .lines()
            .any(|line| !["Creating ", "Suggested "].iter().any(|fine| line.starts_with(fine)) && !line.contains("ignoring line"))
            || !out.status.success()
        {
            return Some(Err(said.into_owned()));
        }
        let read = |name: &str| std::fs::read_to_string(root.path().join("etc").join(name)).unwrap();
        let mut rows: Vec<String> = read("passwd").lines().chain(read("group").lines()).map(str::to_owned).collect();
        rows.sort();
        Some(Ok(rows))
    }

    #[test]
    fn lines_make_the_accounts_that_systemd_sysusers_makes_or_are_refused_as_there() {
        let (mut skipped, mut differences) = (false, Vec::new());
        for text in [
            "u a 501 \"A, B\" /var/lib/a /bin/sh",
            "u a 501 'single' /a//b/ /bin/sh/",
            "u a 501 \"M\\xc3 \\\"q\\\"\"",
            "u a 501 \"Müller 100%%\"",
            "u a",
            "u a -\nu b -\n",
            "g a 501\nu a",
            "g a 501\nu a 502",
            "u a 501:base",
            "u a -:42",
            "u a -:base",
            "g x 700\nu a 500:700",
            "u a 500:700\ng x 700",
            "u a 500\ng a 600",
            "m a b",
            "m a base",
            "u a 500\nm a b\nm a base",
            "u a -\nu a 500",
            "g a 5\ng a 6",
            "u b 42",
            "g b 42",
            "g x 600\nu c 600",
            "r - 300-301\nu a\nu b",
            "r - 700\nr - 300-302\nu a\nu b",
            "u a /usr/bin/nothing",
            "# c\n\n  u a 501\n",
            "u a %T",
            "u a 501 - %T/x",
            // Refused.
            "u one 501 \"a:b\" /var/lib/one",
            "u Bad.Name:x 502",
            "u three 503 \"multi\\nline:0:0\" /",
            "u three 503 \"multi\\nline\" /",
            "u four 504:777 \"a\"",
            "u five 505 \"a\" relative/home",
            "u six 506 \"b\" \"/var/lib/a:b\"",
            "u a 5 g /a/../b",
            "u a 5 g / sh",
            "u a 5 g / /bin/s:h",
            "u a 65535",
            "u a 4294967295",
            "u a 0700",
            "u a +5",
            "u a 5:",
            "u a :5",
            "u a -:5",
            "u a -:nogroup",
            "u 123",
            "u -",
            "u a.b",
            "u a 5 g / /sh more",
            "u a \"open",
            "u a 5 %z",
            "g a 5 text",
            "g a 65535",
            "m a",
            "m a 5",
            "m a b c",
            "r x 5-6",
            "r - 6-5",
            "r -",
            "x a",
            "g! a",
            "u a2345678901234567890123456789012",
        ] {
            let mine = ours(text);
            match theirs(text) {
                None => skipped = true,
                Some(Ok(rows)) if mine.as_ref() == Ok(&rows) => {}
                Some(Err(_)) if mine.is_err() => {}
                Some(theirs) => differences.push(format!("{text}\n  ours   {mine:?}\n  theirs {theirs:?}")),
            }
        }
        assert!(differences.is_empty(), "{}", differences.join("\n"));
        if skipped {
            fixtures::missing("no systemd-sysusers");
        }
    }

    #[test]
    fn a_field_that_passwd_cannot_hold_is_refused_on_a_machine_without_systemd_sysusers() {
        for (line, said) in [
            ("u one 501 \"a:b\" /var/lib/one", "bad GECOS: it must not hold a colon"),
            ("u Bad.Name:x 502 \"a\" /var/lib/one", "bad name"),
            ("u three 503 \"multi\\nline:0:0\" /", "bad GECOS"),
            ("u four 504:777 \"a\" /", "777"),
            ("u five 505 \"a\" relative/home", "bad home directory: it must be an absolute path"),
            ("u six 506 \"b\" \"/var/lib/a:b\"", "bad home directory: it must not hold a colon"),
        ] {
            let error = ours(&format!("u good 500\n{line}\n")).expect_err(line);
            assert!(error.contains(said), "{line}: {error}");
        }
    }

    #[test]
    fn the_static_lines_are_read_back_by_systemd_sysusers() {
        let base = "root:x:0:0:root:/root:/bin/bash\nodd.name:x:7:7:M\"x\" 50% \\:rel:\nq:x:8:8:M\"x\" 5%H \\ é:/q:/s\n";
        let accounts = Accounts::plan(&[], base, "root:x:0:\nodd.name:x:7:\nq:x:8:\n", &Pinned::default()).unwrap();
        let text = static_lines(&accounts);
        assert!(!text.contains("odd.name"), "{text}");
        let base: String = base.lines().filter(|line| !line.starts_with("odd")).map(|line| format!("{line}\n")).collect();
        let again = Accounts::plan(&[("a".into(), text.clone())], "", "", &Pinned::default()).unwrap();
        assert_eq!(again.users().iter().map(|user| format!("{user}\n")).collect::<String>().replace("*", "x"), base);
        if let Some(theirs) = theirs(&text) {
            assert!(theirs.as_ref().unwrap().iter().any(|row| row == "q:x:8:8:M\"x\" 5%H \\ é:/q:/s"), "{theirs:?}");
        }
    }

    #[test]
    fn etc_hides_usr_and_the_static_lines_plan_the_same_accounts() {
        let mut tree = FileTree::new();
        for (path, text) in [
            ("/usr/lib/sysusers.d/b.conf", "u bad\n"),
            ("/etc/sysusers.d/b.conf", "u good - \"G G\" /var/lib/good\n"),
            ("/usr/lib/sysusers.d/a.conf", "g video\nm good video\n"),
        ] {
            let inode = Inode::file(text.as_bytes(), Attributes::root(0o644));
            tree.insert(&ImagePath::parse(path).unwrap(), inode, Edit::Create).unwrap();
        }
        let accounts = plan(&tree, &Pinned::default(), &[], &KeptIds::default()).unwrap();
        assert_eq!((accounts.gid("video"), accounts.uid("good"), accounts.uid("bad")), (Some(999), Some(998), None));
        let again = Accounts::plan(&[("x".into(), static_lines(&accounts))], "", "", &Pinned::default()).unwrap();
        assert_eq!((again.users(), again.groups()), (accounts.users(), accounts.groups()));

        write_static(&mut tree, &accounts).unwrap();
        let names: Vec<String> = texts(&tree).unwrap().into_iter().map(|(path, _)| path).collect();
        assert_eq!(names, [STATIC, "/etc/sysusers.d/b.conf"], "the packages' lines are hidden, an administrator's are not");
    }
}
