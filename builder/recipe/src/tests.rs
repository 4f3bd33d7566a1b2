use super::*;
use model::{ByteSize, Kind};
use std::fs;

pub(super) const GOOD: &str = r#"schema = 1
name = "demo"
ref = "demo/x86_64/stable"
include = ["include/base.toml"]
[[repo]]
id = "local"
type = "rpm-md"
url = "../packages"
keys = "unsigned"
[packages]
install = ["bash"]
[kernel]
args = ["rw"]
[tuning]
"net.ipv4.ip_forward" = 1
"#;

pub(super) const BASE: &str = r#"title = "Included"
name = "other"
[[repo]]
id = "suite"
type = "deb"
mirror = "apt"
suite = "trixie"
keys = ["keys/archive.asc"]
[packages]
install = ["systemd"]
[kernel]
args = ["root=LABEL=root"]
[overlay]
folders = ["base"]
[disk]
esp = "32MiB"
"#;

/// A project with a recipe, its include, a key and an overlay.
pub(super) fn project(recipe: &str, base: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["recipes/include", "recipes/keys", "rootfs-overlay/base"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    fs::write(dir.path().join("recipes/demo.toml"), recipe).unwrap();
    fs::write(dir.path().join("recipes/include/base.toml"), base).unwrap();
    fs::write(dir.path().join("recipes/keys/archive.asc"), "key").unwrap();
    dir
}

pub(super) fn load_in(dir: &tempfile::TempDir) -> Result<Recipe> {
    load(&dir.path().join("recipes/demo.toml"))
}

/// The faults with the folder's name taken off.
fn faults(recipe: &str, base: &str) -> Vec<String> {
    let dir = project(recipe, base);
    let error = load_in(&dir).unwrap_err();
    assert_eq!(error.kind(), Kind::Recipe);
    let prefix = format!("{}/", dir.path().join("recipes").display());
    error.to_string().lines().map(|line| line.replace(&prefix, "")).collect()
}

#[test]
fn arrays_concatenate_and_the_includers_scalars_win() {
    let dir = project(GOOD, BASE);
    let recipe = load_in(&dir).unwrap();
    assert_eq!((recipe.name.as_str(), recipe.title.as_str()), ("demo", "Included"));
    assert_eq!(recipe.kernel.args, ["root=LABEL=root", "rw"]);
    assert_eq!(recipe.packages.install, ["bash", "systemd"]);
    assert_eq!(recipe.disk.esp, ByteSize::mib(32));
    assert_eq!(recipe.disk.boot, ByteSize::mib(512));
    assert_eq!(recipe.tuning["net.ipv4.ip_forward"], "1");
    let ids: Vec<&str> = recipe.repos.iter().map(|repo| repo.id.as_str()).collect();
    assert_eq!(ids, ["suite", "local"]);
    assert_eq!(recipe.overlays[0].path, dir.path().join("rootfs-overlay/base"));
    assert!(matches!(&recipe.repos[0].trust, Trust::Keys(keys) if keys[0].path == dir.path().join("recipes/keys/archive.asc")));
    assert_eq!(recipe.repos[0].kind, RepoKind::Deb { suite: "trixie".into(), components: vec!["main".into()], arch: "amd64".into() });
}

#[test]
fn the_digest_follows_what_is_effective_and_not_where_it_stands() {
    let digest = |recipe: &str, base: &str| load_in(&project(recipe, base)).unwrap().digest();
    let first = digest(GOOD, BASE);
    assert_eq!(first, digest(GOOD, BASE), "another directory");
    assert_eq!(first, digest(&GOOD.replace("[kernel]", "# a remark\n\n[kernel]"), BASE), "another layout");
    assert_ne!(first, digest(&GOOD.replace("\"rw\"", "\"ro\""), BASE));
    assert_ne!(first, digest(GOOD, &BASE.replace("32MiB", "64MiB")));
}

#[test]
fn all_faults_of_all_files_come_at_once_with_their_places() {
    let recipe = GOOD
        .replace("[packages]", "[packges]\ninstal = []\n[packages]\nweek = true")
        .replace("args = [\"rw\"]", "args = \"rw\"")
        .replace("keys = \"unsigned\"", "keys = [\"keys/archve.asc\"]");
    let base = BASE.replace("\"base\"", "\"bse\"").replace("32MiB", "32MB").replace("\"deb\"", "\"dep\"");
    let found = faults(&recipe, &base);
    for expected in [
        "demo.toml:9:9: cannot read key file \"keys/archve.asc\": No such file or directory (os error 2); hint: did you mean `keys/archive.asc`",
        "demo.toml:10:2: unknown key `packges`; hint: did you mean `packages`",
        "demo.toml:13:1: unknown key `week` in [packages]; hint: did you mean `weak`",
        "demo.toml:16:8: `args` must be an array, found a string",
        "include/base.toml:5:8: `type` must be one of rpm-md, deb, found \"dep\"; hint: did you mean `deb`",
        "include/base.toml:16:7: `esp` must be a size, found \"32MB\"; hint: a whole number of MiB, GiB or TiB, such as \"512MiB\"",
    ] {
        assert!(found.iter().any(|line| line == expected), "{expected}\nis not among\n{}", found.join("\n"));
    }
    assert!(found.iter().any(|line| line.starts_with("include/base.toml:14:12: no overlay folder `bse`") && line.ends_with("`base`")));
}

#[test]
fn each_bad_value_is_named_where_it_stands() {
    for (old, new, expected) in [
        ("schema = 1", "schema = 2", "demo.toml:1:10: this builder reads schema 1 only; hint: write `schema = 1`"),
        ("schema = 1\n", "", "demo.toml:1:1: missing key `schema`; hint: write `schema = 1` as the first line"),
        ("\"demo\"", "\"De mo\"", "demo.toml:2:8: bad `name`: a name is made of a-z, 0-9 and -, found \"De mo\""),
        ("include/base.toml", "include/bas.toml", "demo.toml:4:12: cannot read included file"),
        ("include/base.toml", "demo.toml", "demo.toml:4:12: demo.toml includes itself, directly or through others"),
        ("keys = \"unsigned\"\n", "keys = \"unsigned\"\nrelax = [\"sha1-sig\"]\n", "found \"sha1-sig\""),
        ("keys = \"unsigned\"\n", "", "missing key `keys` in [[repo]]; hint: name the key files"),
        (
            "\"rw\"",
            "\"ostree=/x\"",
            "demo.toml:13:9: kernel argument \"ostree=/x\" is the builder's; hint: `ostree=` is written by the builder",
        ),
        ("\"net.ipv4.ip_forward\"", "net.ipv4.ip_forward", "demo.toml:15:1: sysctl name `net…` must be quoted"),
        ("[kernel]", "[rpmdb]\npath = \"/var/lib/rpm\"\n[kernel]", "`path` must be below /usr, found /var/lib/rpm; hint: Fedora has it"),
        ("[kernel]", "[kernel", "demo.toml:12:"),
        ("[kernel]", "[[link]]\npath = \"bin\"\ntarget = \"usr/bin\"\n[kernel]", "demo.toml:13:8: `path` must start with /"),
        (
            "[kernel]",
            "[units]\nenable = [\"docker\"]\n[kernel]",
            "demo.toml:13:11: \"docker\" is not a unit's name; hint: did you mean `docker.service`",
        ),
        (
            "[kernel]",
            "[disk]\ngrow = true\n[kernel]",
            "demo.toml:13:8: `grow` must be the unit that makes the root grow or false, found true",
        ),
        (
            "[kernel]",
            "[initramfs]\nexclude = [\"/a\", \"b*\"]\n[kernel]",
            "demo.toml:13:18: bad name in `exclude`: it must be an absolute path",
        ),
        ("[kernel]", "[disk]\nsector = 520\n[kernel]", "demo.toml:13:10: `sector` must be 512 or 4096, found 520"),
        (
            "[kernel]",
            "[disk]\nsector = 4096\n[kernel]",
            "demo.toml:13:10: no BIOS starts from a disk with sectors of 4096 bytes; hint: set firmware = [\"uefi\"]",
        ),
        (
            "[kernel]",
            "[output]\nformats = [\"raw\", \"ova\", \"vhd\"]\n[disk]\nsector = 4096\nfirmware = [\"uefi\"]\n[kernel]",
            "demo.toml:15:10: ova, vhd: such disks always have sectors of 512 bytes",
        ),
        ("[kernel]", "[output]\nformats = [\"qcow\"]\n[kernel]", "found \"qcow\"; hint: did you mean `qcow2`"),
    ] {
        assert!(GOOD.contains(old));
        let found = faults(&GOOD.replacen(old, new, 1), BASE);
        assert!(found.iter().any(|line| line.contains(expected)), "{expected}\nis not among\n{}", found.join("\n"));
    }
}

#[test]
fn what_is_left_out_is_the_sum_of_all_files_and_a_root_grows_by_the_unit_that_is_named_last() {
    let base = BASE.replace(
        "esp = \"32MiB\"",
        "grow = \"grow.service\"\n[trim]\npaths = [\"/usr/share/man/*\"]\n[initramfs]\nexclude = [\"/usr/bin/b*\", \"/usr/lib/x/*\"]",
    );
    let load = |disk: &str| {
        let own = format!(
            "{GOOD}[trim]\npaths = [\"/usr/share/doc/*\"]\nkeep = [\"/*/copyright\"]\n[initramfs]\nexclude = [\"/usr/bin/[ac]*\", \"/usr/bin/b*\"]\n{disk}"
        );
        load_in(&project(&own, &base)).unwrap()
    };
    let recipe = load("");
    assert_eq!(recipe.initramfs.exclude, ["/usr/bin/[ac]*", "/usr/bin/b*", "/usr/lib/x/*"]);
    assert_eq!(recipe.trim.paths, ["/usr/share/doc/*", "/usr/share/man/*"]);
    assert_eq!(recipe.trim.keep, ["/*/copyright"]);
    assert_eq!(recipe.disk.grow.as_deref(), Some("grow.service"));
    assert_eq!(load("[disk]\ngrow = \"other.service\"").disk.grow.as_deref(), Some("other.service"));
    assert_eq!(load("[disk]\ngrow = false").disk.grow, None);
    assert_ne!(recipe.digest(), load("[disk]\ngrow = false").digest());
    assert_eq!(load_in(&project(GOOD, BASE)).unwrap().disk.grow, None, "a unit must be named");
}

#[test]
fn a_cycle_of_includes_is_a_fault_and_a_diamond_is_not() {
    let cyclic = format!("include = [\"../demo.toml\"]\n{BASE}");
    assert!(faults(GOOD, &cyclic)[0].contains("include/base.toml:1:12: ../demo.toml includes itself"));
    let dir = project(&GOOD.replace("[\"include/base.toml\"]", "[\"include/base.toml\", \"include/two.toml\"]"), BASE);
    fs::write(dir.path().join("recipes/include/two.toml"), "include = [\"base.toml\"]").unwrap();
    assert_eq!(load_in(&dir).unwrap().kernel.args, ["root=LABEL=root", "rw"]);
}

/// The project's own recipes, overlay and keys in a folder of their own, with a stand-in for each key file that the publisher has to give.
fn own_project(with_keys: bool) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            if entry.path().is_dir() { copy(&entry.path(), &to) } else { fs::copy(entry.path(), to).map(drop).unwrap() }
        }
    }
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let dir = tempfile::tempdir().unwrap();
    copy(&top.join("recipes"), &dir.path().join("recipes"));
    copy(&top.join("rootfs-overlay"), &dir.path().join("rootfs-overlay"));
    for fingerprint in
        ["36F612DCF27F7D1A48A835E4DBFCF71C6D9F90A6", "99DB70FAE1D7CE227FB6488205B555B38483C65D", "DE15B14486CD377B9E876E1A234654DA9A296436"]
    {
        if !with_keys {
            fs::remove_file(dir.path().join(format!("recipes/keys/{fingerprint}.asc"))).unwrap();
        }
    }
    dir
}

#[test]
fn every_recipe_of_the_project_is_valid_and_has_its_keys() {
    let dir = own_project(true);
    let mut names = Vec::new();
    for entry in fs::read_dir(dir.path().join("recipes")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let recipe = load(&path).unwrap();
            assert!(recipe.overlays.iter().any(|overlay| overlay.name == "machine"), "{}", recipe.name);
            assert_eq!(recipe.tools.repos, ["forky"]);
            names.push(recipe.name);
        }
    }
    names.sort();
    assert_eq!(names, ["atomic-host", "atomic-host-cloud", "atomic-host-minimal", "centos-stream-atomic-host", "fedora-atomic-host"]);
}

#[test]
fn the_recipe_that_the_readme_shows_is_valid() {
    let dir = own_project(true);
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/README.md")).unwrap();
    let shown: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert!(shown.contains(&"name = \"kiosk\""), "{readme}");
    fs::create_dir_all(dir.path().join("rootfs-overlay/kiosk")).unwrap();
    let path = dir.path().join("recipes/kiosk.toml");
    fs::write(&path, shown.join("\n")).unwrap();
    let recipe = load(&path).unwrap();
    assert!(recipe.packages.install.contains(&"tmux".to_owned()) && recipe.units.enable.contains(&"docker.service".to_owned()));
}

#[test]
fn a_distribution_whose_key_is_not_there_says_how_to_get_it_and_nothing_else() {
    let dir = own_project(false);
    for (name, faults, url) in [
        ("fedora-atomic-host", 2, "https://fedoraproject.org/fedora.pgp"),
        ("centos-stream-atomic-host", 3, "https://www.centos.org/keys/RPM-GPG-KEY-CentOS-Official"),
    ] {
        let error = load(&dir.path().join(format!("recipes/{name}.toml"))).unwrap_err().to_string();
        assert_eq!(error.lines().count(), faults, "{error}");
        for line in error.lines() {
            assert!(line.contains("cannot read key file") && line.contains("`gpg --show-keys` must say the fingerprint"), "{line}");
        }
        let to = dir.path().join("recipes/include/../keys").display().to_string();
        assert!(error.contains(&format!("hint: download it from {url} to {to}")), "{error}");
    }
}

#[test]
fn an_rpm_md_repository_has_one_address_and_says_what_its_metadata_rests_on() {
    for (old, new, expected) in [
        (
            "url = \"../packages\"",
            "url = \"../packages\"\nmetalink = \"https://x/m\"",
            Some("demo.toml:9:12: both `url` and `metalink`; hint: keep one"),
        ),
        ("url = \"../packages\"", "", Some("missing key `url` in [[repo]]; hint: or `metalink`, `mirrorlist`")),
        ("url = \"../packages\"", "metalink = \"ftp://x/m\"", Some("`metalink` must start with http://, https:// or file:///")),
        (
            "url = \"../packages\"\nkeys = \"unsigned\"",
            "metalink = \"http://x/m\"\nkeys = [\"keys/archive.asc\"]",
            Some("proves nothing about the metadata"),
        ),
        (
            "url = \"../packages\"",
            "mirrorlist = \"https://x/m\"\nmetadata = \"metalink\"",
            Some("`metadata = \"metalink\"` without a metalink"),
        ),
        ("keys = \"unsigned\"", "keys = \"unsigned\"\nmetadata = \"signed\"", Some("`metadata = \"signed\"` without keys")),
        ("keys = \"unsigned\"", "keys = [\"keys/archive.asc\"]\nkeys-from = \"http://x\"", Some("`keys-from` must start with https://")),
        ("[packages]", "[packages]\nmodules = [\"nodejs\"]", Some("`modules` must be name:stream, found \"nodejs\"")),
        ("[packages]", "[packages]\nmodules = [\"a:1\", \"a:2\"]", Some("two streams of the module a; hint: keep one")),
        (
            "url = \"../packages\"\nkeys = \"unsigned\"",
            "metalink = \"https://x/m\"\nkeys = [\"keys/archive.asc\"]\nexclude = [\"x*\"]",
            None,
        ),
        ("url = \"../packages\"", "mirrorlist = \"../mirrors.txt\"\nmetadata = \"unsigned\"", None),
    ] {
        assert!(GOOD.contains(old));
        let recipe = GOOD.replacen(old, new, 1);
        match expected {
            Some(expected) => {
                let found = faults(&recipe, BASE);
                assert!(found.iter().any(|line| line.contains(expected)), "{expected}\nis not among\n{}", found.join("\n"));
            }
            None => drop(load_in(&project(&recipe, BASE)).unwrap()),
        }
    }
    let digest = |mirror: &str| load_in(&project(&GOOD.replace("url = \"../packages\"", mirror), BASE)).unwrap().digest();
    assert_eq!(digest("url = \"https://a/x\""), digest("mirrorlist = \"https://b/y\""), "mirrors are no part of the intent");
}

#[test]
fn a_row_says_whose_a_file_is_and_a_trigger_is_ruled_like_a_scriptlet() {
    let digest = |rows: &str| load_in(&project(&format!("{GOOD}{rows}"), BASE)).map(|recipe| (recipe.digest(), recipe));
    let plain = digest("").unwrap().0;
    let rows = "[[conflict]]\npath = \"/etc/*\"\npackage = \"bash\"\nreason = \"theirs is newer\"\n\
                [[scriptlet]]\npackage = \"glib2\"\nphase = \"transfiletriggerin\"\npolicy = \"skip\"\nreason = \"no desktop\"\n";
    let (with_rows, recipe) = digest(rows).unwrap();
    assert_ne!(plain, with_rows);
    assert_eq!((recipe.conflicts[0].package.as_str(), recipe.scriptlets[0].phase), ("bash", Some(Phase::Transfiletriggerin)));
    let bad = faults(&format!("{GOOD}[[conflict]]\npath = \"etc/x\"\npackage = \"bash\"\n"), BASE).join("../..");
    assert!(bad.contains("absolute path") && bad.contains("reason"), "{bad}");
}

#[test]
fn a_list_of_security_modules_stands_for_the_one_that_selinux_asks_for_and_must_have_it() {
    let arguments = |args: &str| {
        let recipe = GOOD.replace("args = [\"rw\"]", &format!("args = [{args}]")) + "[selinux]\nmode = \"enforcing\"\n";
        load_in(&project(&recipe, BASE)).map(|recipe| recipe.kernel_arguments())
    };
    let shown = |args: &str| arguments(args).unwrap().join(" ");
    assert_eq!(shown(""), "root=LABEL=root security=selinux selinux=1 enforcing=1");
    assert_eq!(shown("\"lsm=yama,selinux\""), "root=LABEL=root lsm=yama,selinux selinux=1 enforcing=1");
    let two = shown("\"lsm=yama\", \"lsm=yama,selinux\"");
    assert_eq!(two, "root=LABEL=root lsm=yama lsm=yama,selinux selinux=1 enforcing=1", "the kernel takes the last");
    let error = arguments("\"lsm=yama,selinux\", \"lsm=yama,bpf\"").unwrap_err();
    assert!(format!("{error:#}").contains("leaves out the module that [selinux] needs"), "{error:#}");
}
