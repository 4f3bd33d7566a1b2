//! Real packages installed by rpm and by us, scriptlets included: the same trees, but for what a named rule explains.

use super::listing::{self, Listing, Row};
use super::stubs::{coreutils, glibc_common, shadow_utils};
use super::*;
use crate::install::{Environment, Installation, Rules};
use crate::programs::ProgramCache;
use crate::{Checkout, order, rpm_database};
use conf::passwd::{parse_group, parse_passwd};
use model::tree::FileTree;
use model::{ImagePath, Silent, SourceDateEpoch};
use recipe::DefaultPolicy;
use std::collections::BTreeMap;

/// The closure of bash, glibc-common (whose payload is not among the fixtures) excepted.
const CLOSURE_OF_BASH: [&str; 17] = [
    "basesystem",
    "bash",
    "centos-release",
    "filesystem",
    "glibc",
    "libgcc",
    "libstdc++",
    "ncurses-base",
    "ncurses-libs",
    "nspr",
    "nss-softokn-freebl",
    "nss-util",
    "setup",
    "tzdata",
    "libselinux",
    "pcre",
    "libsepol",
];

/// Why a path may differ: the name of the rule, and whether it speaks of this path and these rows (ours, rpm's).
type Rule = (&'static str, fn(&str, Option<&Row>, Option<&Row>) -> bool);

const RULES: [Rule; 11] = [
    ("rpm's own database is another stage's", |path, ours, _| {
        ours.is_none() && (path.starts_with("/var/lib/rpm") || path.starts_with("/root/.rpmdb"))
    }),
    ("the linker's cache is of the moment; the image's is made by a trigger when all is there", |path, ours, theirs| {
        let same = ours.zip(theirs).is_none_or(|(ours, theirs)| (ours.mode, ours.owner) == (theirs.mode, theirs.owner));
        same && (path == "/etc/ld.so.cache" || path.starts_with("/var/cache/ldconfig"))
    }),
    ("accounts are written from a plan, whose names and ids are compared apart", |path, ours, theirs| {
        let same = ours.zip(theirs).is_some_and(|(ours, theirs)| (ours.mode, ours.owner) == (theirs.mode, theirs.owner));
        same && ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"].contains(&path)
    }),
    ("alternatives are links without a database; chkconfig, whose program makes them, is not among the fixtures", |path, _, theirs| {
        // Of the library behind the link ldconfig makes one more name.
        let links = ["/usr/lib64/libnssckbi.so", "/usr/lib64/p11-kit-trust.so", "/etc/alternatives"];
        theirs.is_none() && (links.contains(&path) || path.starts_with("/etc/alternatives/"))
    }),
    ("an image has no directory of info pages", |path, _, _| path == "/usr/share/info/dir" || path == "/usr/share/info/dir.old"),
    ("modules of GIO are listed by a trigger of every image", |path, ours, _| {
        ours.is_none() && path == "/usr/lib64/gio/modules/giomodule.cache"
    }),
    ("GSettings' schemas are compiled by a trigger of every image", |path, ours, _| {
        ours.is_none() && path == "/usr/share/glib-2.0/schemas/gschemas.compiled"
    }),
    ("icons are listed by a trigger of every image", |path, ours, _| ours.is_none() && path == "/usr/share/icons/hicolor/icon-theme.cache"),
    ("what scripts leave in /run, /tmp and /dev is gone at the next boot", |path, ours, _| {
        ours.is_none() && ["/run/", "/tmp/", "/dev/", "/var/tmp/"].iter().any(|top| path.starts_with(top))
    }),
    ("grubby keeps a log with the time of its script", |path, ours, theirs| {
        ours.is_some() && theirs.is_some() && path == "/var/log/grubby_prune_debug"
    }),
    ("mount points of the sandbox are there for every script", |path, _, theirs| {
        theirs.is_none() && ["/proc", "/dev", "/sys", "/run", "/tmp", "/var/tmp"].contains(&path)
    }),
];

struct Installed {
    tree: FileTree,
    packs: Vec<Pack>,
}

fn ours(paths: &[PathBuf], folder: &Path) -> Installed {
    let packs = order::of(&packs(paths, &folder.join("packs")));
    let cache = ProgramCache { outputs: folder.join("outputs"), scratch: folder.join("scratch"), facts: Default::default() };
    let around = Environment { cache: &cache, epoch: SourceDateEpoch(7), progress: &Silent };
    let rules = Rules { default: Some(DefaultPolicy::Sandbox), ..Rules::default() };
    let (mut tree, mut installation) = Installation::unpack(&packs, &rules, around).unwrap();
    installation.run_scriptlets(&mut tree, around).unwrap();
    installation.run_last(&mut tree, around).unwrap();
    installation.accounts.write(&mut tree).unwrap();
    for row in installation.rows().iter().filter(|row| row.failure.is_some()) {
        let failure = row.failure.as_deref().unwrap_or_default().replace('\n', " ");
        println!("%{} of {} failed: {}", row.phase.name(), row.package, failure.chars().take(120).collect::<String>());
    }
    Installed { tree, packs }
}

/// In namespaces of its own, as root: an owner cannot be given by anybody else.
fn installed_by_rpm(paths: &[PathBuf], root: &Path) -> Option<Listing> {
    if !rustix::process::geteuid().is_root() {
        fixtures::skip("only root can install with rpm");
        return None;
    }
    std::fs::create_dir(root).unwrap();
    let options =
        "--mount --pid --fork --net --ipc --uts rpm -i --nosignature --nodigest --ignoreos --ignorearch --ignoresize --nodeps --define";
    let mut command = Command::new("unshare");
    command.args(options.split_whitespace()).args(["_db_backend sqlite", "--root"]).arg(root).args(paths).env("LC_ALL", "C");
    let Ok(output) = command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output() else {
        fixtures::missing("no rpm or no unshare");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("unpacking of archive failed") && !said.contains("conflicts"), "{said}");
    Some(listing::of_disk(root))
}

/// Every difference, explained or not; how many each rule explains is printed.
fn compare(ours: &Listing, theirs: &Listing) -> Vec<String> {
    let mut unexplained = Vec::new();
    let mut explained: BTreeMap<&str, usize> = BTreeMap::new();
    let mut same = 0;
    for path in ours.keys().chain(theirs.keys().filter(|path| !ours.contains_key(*path))) {
        let (mine, other) = (ours.get(path), theirs.get(path));
        if mine == other {
            same += 1;
        } else if let Some((name, _)) = RULES.iter().find(|(_, applies)| applies(path, mine, other)) {
            *explained.entry(name).or_default() += 1;
        } else {
            unexplained.push(format!("{path}\n  ours {mine:?}\n  rpm  {other:?}"));
        }
    }
    println!("{same} paths are the same; {} are not, and no rule says why", unexplained.len());
    for (rule, count) in explained {
        println!("{count:6} {rule}");
    }
    unexplained
}

/// Names, ids and members; passwords and comments are the plan's own.
fn accounts(passwd: &str, group: &str) -> Vec<String> {
    let users = parse_passwd(passwd).unwrap().into_iter().map(|u| format!("{}:{}:{}:{}:{}", u.name, u.uid, u.gid, u.home, u.shell));
    let mut rows: Vec<String> = users.collect();
    rows.extend(parse_group(group).unwrap().into_iter().map(|g| format!("{}:{}:{:?}", g.name, g.gid, g.members)));
    rows.sort();
    rows
}

fn named(path: &Path, names: &[&str]) -> bool {
    // `name-version-release.arch.rpm`
    let file = file_name(path);
    file.rsplitn(3, '-').nth(2).is_some_and(|name| names.contains(&name))
}

/// The tree that both make of `paths`; whatever differs without a reason fails.
fn compared(paths: &[PathBuf], folder: &Path) -> Option<FileTree> {
    let root = folder.join("root");
    let theirs = installed_by_rpm(paths, &root)?;
    let Installed { tree, .. } = ours(paths, folder);
    let unexplained = compare(&listing::of_tree(&tree), &theirs);
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let mine = |path: &str| String::from_utf8(tree.read(path).unwrap().unwrap()).unwrap();
    let [ours, theirs] = [accounts(&mine("/etc/passwd"), &mine("/etc/group")), accounts(&read("etc/passwd"), &read("etc/group"))];
    assert_eq!(ours, theirs);
    assert!(unexplained.is_empty(), "{} unexplained differences\n{}", unexplained.len(), unexplained.join("\n"));
    Some(tree)
}

#[test]
fn a_root_of_real_packages_is_the_one_that_rpm_installs() {
    if !is_thorough() {
        return fixtures::skip("takes a minute; set ATOMIC_IMAGE_THOROUGH");
    }
    let Some(paths) = centos_of_one_release() else { return };
    let folder = tempfile::tempdir().unwrap();
    // Its programs need libraries whose payloads are not among the fixtures.
    let mut paths: Vec<PathBuf> = paths.into_iter().filter(|path| !named(path, &["shadow-utils"])).collect();
    let Some(stubs) = [glibc_common, shadow_utils, coreutils].iter().map(|stub| stub(folder.path())).collect::<Option<Vec<_>>>() else {
        return;
    };
    paths.extend(stubs);
    let Some(tree) = compared(&paths, folder.path()) else { return };
    let owner = |path: &str| tree.at(path).map(|inode| (inode.attributes.uid, inode.attributes.gid));
    assert_eq!(owner("/usr/libexec/dbus-1/dbus-daemon-launch-helper"), Some((0, 81)));
    assert_eq!(owner("/var/lib/tpm"), Some((59, 59)));
}

#[test]
fn the_closure_of_bash_with_capabilities_is_the_one_that_rpm_installs() {
    let Some(paths) = centos_of_one_release() else { return };
    let folder = tempfile::tempdir().unwrap();
    let chosen =
        [CLOSURE_OF_BASH.as_slice(), &["shadow-utils", "which", "sed", "tar", "gawk", "findutils", "zlib", "p11-kit-trust"]].concat();
    let mut paths: Vec<PathBuf> = paths.into_iter().filter(|path| named(path, &chosen)).collect();
    let Some(stub) = glibc_common(folder.path()) else { return };
    paths.push(stub);
    let Some(tree) = compared(&paths, folder.path()) else { return };
    assert!(tree.at("/usr/bin/newuidmap").unwrap().attributes.xattrs.contains_key(b"security.capability".as_slice()));
    // The comparison sees what it is to see.
    let mut changed = listing::of_tree(&tree);
    let before = compare(&changed, &changed.clone()).len();
    for (path, change) in [
        ("/usr/bin/bash", (|row: &mut Row| row.mode ^= 1) as fn(&mut Row)),
        ("/usr/bin/sed", |row| row.owner.1 = 7),
        ("/usr/bin/gawk", |row| row.content.clear()),
        ("/usr/bin/sh", |row| row.content.push('x')),
        ("/usr/bin/tar", |row| row.capability = Some(vec![1])),
        ("/usr/bin/find", |row| row.names += 1),
    ] {
        change(changed.get_mut(path).unwrap());
    }
    assert_eq!((before, compare(&listing::of_tree(&tree), &changed).len()), (0, 6));
}

#[test]
fn the_closure_of_bash_runs_its_own_bash_and_rpm_knows_its_packages() {
    let Some(paths) = centos_of_one_release() else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(stub) = glibc_common(folder.path()) else { return };
    let mut paths: Vec<PathBuf> = paths.into_iter().filter(|path| named(path, &CLOSURE_OF_BASH)).collect();
    assert_eq!(paths.len(), CLOSURE_OF_BASH.len());
    paths.push(stub);
    let Installed { mut tree, packs } = ours(&paths, folder.path());
    let database = ImagePath::parse("/usr/lib/sysimage/rpm").unwrap();
    rpm_database::write(&mut tree, &database, &packs, SourceDateEpoch(1_600_000_000)).unwrap();

    let checkout = Checkout::write(&tree, folder.path(), "checkout", &|_| true).unwrap();
    let root = checkout.path();
    let script = "echo $BASH_VERSION $UID $PWD; read -r line < /etc/centos-release; echo $line; [[ -x /bin/bash && ! -e /work ]] && echo \"${BASH##*/}\"; \
                  while read -r shell; do echo $shell; done < /etc/shells";
    let said = checkout.run(&["/bin/bash", "-c", script], &[("LC_ALL", "C")], SourceDateEpoch(0)).unwrap();
    assert!(said.starts_with("4.2.46(2)-release 0 /\n") && said.contains(" release 7.7.1908 (Core)\nbash\n"), "{said}");
    assert!(said.contains("\n/bin/bash\n"), "{said}");

    // CentOS 7's own rpm 4.11 reads Berkeley DB, and its library's payload is not among the fixtures: a newer one reads our database.
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "rpm", "--root"]).arg(root).args(["--dbpath", "/usr/lib/sysimage/rpm", "-qa"]);
    let Ok(output) = command.env("LC_ALL", "C").output() else { return fixtures::missing("no rpm or no unshare") };
    let mut listed: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    listed.sort();
    let full = |pack: &Pack| {
        let nevra = &pack.metadata().nevra;
        format!("{}-{}-{}.{}", nevra.name, nevra.evr.version, nevra.evr.release, nevra.arch)
    };
    let mut expected: Vec<String> = packs.iter().map(full).collect();
    expected.sort();
    assert_eq!(listed, expected, "{}", String::from_utf8_lossy(&output.stderr));
}
