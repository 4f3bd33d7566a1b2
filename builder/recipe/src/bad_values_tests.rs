//! Recipes with one bad value each: every one is refused where the value stands, before anything is done.

use super::tests::{BASE, GOOD, load_in, project};
use model::Kind;

/// Lines of `GOOD`, and what to write there instead; each is wrong by itself.
const REPLACED: &[(&str, &[&str])] = &[
    (
        "name = \"demo\"",
        &[
            r#"name = """#,
            r#"name = "a b""#,
            r#"name = "a:b""#,
            r#"name = "a\nb""#,
            r#"name = "a\u0000b""#,
            r#"name = "../up""#,
            r#"name = "a/b""#,
            r#"name = "-a""#,
            r#"name = "a-""#,
            r#"name = "A""#,
            r#"name = "ä""#,
            r#"name = 5"#,
            r#"name = ["demo"]"#,
            r#"name = "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn""#,
        ],
    ),
    (
        "ref = \"demo/x86_64/stable\"",
        &[
            r#"ref = """#,
            r#"ref = "/demo""#,
            r#"ref = "demo/""#,
            r#"ref = "demo//stable""#,
            r#"ref = "demo/../stable""#,
            r#"ref = "demo/.hidden""#,
            r#"ref = "demo/a..b""#,
            r#"ref = "demo/stable.lock""#,
            r#"ref = "demo.lock/stable""#,
            r#"ref = "demo/a.""#,
            r#"ref = "demo/-a""#,
            r#"ref = "demo stable""#,
            r#"ref = "demo:stable""#,
            r#"ref = "demo\nstable""#,
            r#"ref = "demo/\u0000""#,
            r#"ref = "demo/ö""#,
            r#"ref = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef""#,
            r#"ref = true"#,
        ],
    ),
    (
        "include = [\"include/base.toml\"]",
        &[
            r#"include = ["/dev/zero"]"#,
            r#"include = ["/proc/self/fd"]"#,
            r#"include = ["include"]"#,
            r#"include = ["absent.toml"]"#,
            r#"include = [""]"#,
            r#"include = ["a\u0000b"]"#,
            r#"include = [5]"#,
            r#"include = "include/base.toml""#,
        ],
    ),
    ("id = \"local\"", &[r#"id = """#, r#"id = "a/b""#, r#"id = "..""#, r#"id = "a b""#, r#"id = "a\nb""#, r#"id = "suite""#, r#"id = 1"#]),
    ("type = \"rpm-md\"", &[r#"type = "rpm""#, r#"type = 1"#]),
    (
        "url = \"../packages\"",
        &[
            r#"url = """#,
            r#"url = "ftp://x/y""#,
            r#"url = "http://x/a b""#,
            r#"url = "http://x/a\nb""#,
            r#"url = "https://x/{a}""#,
            r#"url = "http://x/<a>""#,
            r#"mirror = "dnf""#,
            r#"mirror = "apt""#,
            r#"url = 1"#,
            "url = \"../packages\"\nsnapshots = \"\"",
            "url = \"../packages\"\nsnapshots = 5",
            "url = \"../packages\"\nsnapshots = [\"https://x\", 5]",
            "url = \"../packages\"\nsnapshots = \"ftp://x\"",
            "url = \"../packages\"\nsnapshots = [\"https://x/{day}\"]",
            "url = \"../packages\"\nsnapshots = \"https://x/a b\"",
        ],
    ),
    (
        "keys = \"unsigned\"",
        &[
            r#"keys = "none""#,
            r#"keys = []"#,
            r#"keys = [""]"#,
            r#"keys = ["/dev/zero"]"#,
            r#"keys = ["keys"]"#,
            r#"keys = ["keys/absent.asc"]"#,
            r#"keys = ["a\u0000b"]"#,
            "keys = \"unsigned\"\nkeys-from = \"https://x/key\"",
            "keys = \"unsigned\"\npriority = -1",
            "keys = \"unsigned\"\npriority = \"high\"",
            "keys = \"unsigned\"\npackages = [\"a b\"]",
            "keys = \"unsigned\"\nexclude = [\"a'b\"]",
            "keys = \"unsigned\"\nexclude = [\"$(x)\"]",
            "keys = \"unsigned\"\nallow-expired = \"yes\"",
            "keys = \"unsigned\"\nrelax = [\"md4\"]",
            "keys = \"unsigned\"\nrelax = []",
            "keys = \"unsigned\"\nsuite = \"trixie\"",
            "keys = [\"keys/archive.asc\"]\nsuite = \"a b\"",
            "keys = [\"keys/archive.asc\"]\narch = \"../x\"",
            "keys = [\"keys/archive.asc\"]\ncomponents = [\"a//b\"]",
            "keys = \"unsigned\"\nmetadata = \"none\"",
        ],
    ),
    (
        "install = [\"bash\"]",
        &[
            r#"install = [""]"#,
            r#"install = ["a\nb"]"#,
            r#"install = [" bash"]"#,
            r#"install = "bash""#,
            "install = [\"bash\"]\nexclude = [\"a b\"]",
            "install = [\"bash\"]\nmodules = [\"a:b:c\"]",
            "install = [\"bash\"]\nmodules = [\"a:b\\nc\"]",
            "install = [\"bash\"]\nmodules = [\"../a:b\"]",
            "install = [\"bash\"]\ninstallonly = [\"a b\"]",
            "install = [\"bash\"]\nweak = 1",
            "install = [\"bash\"]\nrepos = [\"local\"]",
        ],
    ),
    (
        "args = [\"rw\"]",
        &[
            r#"args = [""]"#,
            r#"args = ["a b"]"#,
            r#"args = ["a\nb"]"#,
            r#"args = ["a\u0000"]"#,
            r#"args = ["bad=\"open"]"#,
            r#"args = ["a=\"b\" \"c"]"#,
            r#"args = ["a=$b"]"#,
            r#"args = ["a=\\n"]"#,
            r#"args = ["a='b'"]"#,
            r#"args = ["a;b"]"#,
            r#"args = ["ostree=/x"]"#,
            r#"args = ["root=/dev/sda1"]"#,
            r#"args = ["--"]"#,
            r#"args = [5]"#,
            "args = [\"rw\"]\npackage = \"a b\"",
        ],
    ),
    (
        "\"net.ipv4.ip_forward\" = 1",
        &[
            r#""net.x" = "a\nb""#,
            r#""net.x" = "a\u0000b""#,
            r#""net.x" = true"#,
            r#""net.x" = 1.5"#,
            r#""net x" = 1"#,
            r#""net\nx" = 1"#,
            r#""net=x" = 1"#,
            r#""" = 1"#,
            r#""net..x" = 1"#,
            r#"net.x = 1"#,
            r#""net.x" = 99999999999999999999"#,
        ],
    ),
];

/// Keys and tables that `GOOD` does not have, each wrong by itself.
const ADDED: &[&str] = &[
    r#"title = """#,
    r#"title = "a\nlinux /evil""#,
    r#"title = "a\u001b[2J""#,
    r#"title = " a""#,
    r#"title = "a\u2028b""#,
    r#"title = 1"#,
    r#"version = "1\n2""#,
    r#"version = "1 2""#,
    r#"version = "1/2""#,
    r#"version = 1.0"#,
    r#"epoch = -1"#,
    r#"epoch = 4294967296"#,
    r#"epoch = "now""#,
    r#"hostname = "a b""#,
    r#"name = "again""#,
    "[accounts]\nusers = [{ name = \"x\" }]",
    "[accounts]\nusers = [{ uid = 800 }]",
    "[accounts]\nusers = [{ name = \"a:b\", uid = 800 }]",
    "[accounts]\nusers = [{ name = \"a b\", uid = 800 }]",
    "[accounts]\nusers = [{ name = \"a.b\", uid = 800 }]",
    "[accounts]\nusers = [{ name = \"5\", uid = 800 }]",
    "[accounts]\nusers = [{ name = \"a\\nb\", uid = 800 }]",
    "[accounts]\nusers = [{ name = \"n2345678901234567890123456789012\", uid = 800 }]",
    "[accounts]\nusers = [{ name = \"x\", uid = 65535 }]",
    "[accounts]\nusers = [{ name = \"x\", uid = 4294967295 }]",
    "[accounts]\nusers = [{ name = \"x\", uid = 4294967296 }]",
    "[accounts]\nusers = [{ name = \"x\", uid = -1 }]",
    "[accounts]\nusers = [{ name = \"x\", uid = 0 }]",
    "[accounts]\nusers = [{ name = \"root\", uid = 5 }]",
    "[accounts]\nusers = [{ name = \"x\", uid = \"800\" }]",
    "[accounts]\nusers = [{ name = \"x\", uid = 800, gid = 65535 }]",
    "[accounts]\nusers = [{ name = \"x\", uid = 800, gid = 800, group = \"x\" }]",
    "[accounts]\nusers = [{ name = \"x\", uid = 800, group = \"a b\" }]",
    "[accounts]\nusers = [{ name = \"x\", uid = 800, gecos = \"a:b\" }]",
    "[accounts]\nusers = [{ name = \"x\", uid = 800, gecos = \"a\\nroot::0:0::/:/bin/sh\" }]",
    "[accounts]\nusers = [{ name = \"x\", uid = 800, home = \"rel\" }]",
    "[accounts]\nusers = [{ name = \"x\", uid = 800, home = \"/a/../b\" }]",
    "[accounts]\nusers = [{ name = \"x\", uid = 800, home = \"/a:b\" }]",
    "[accounts]\nusers = [{ name = \"x\", uid = 800, shell = \"sh\" }]",
    "[accounts]\nusers = [{ name = \"x\", uid = 800, shell = \"/bin/sh\\n\" }]",
    "[accounts]\nusers = [{ name = \"x\", uid = 800, id = 5 }]",
    "[accounts]\nusers = [{ name = \"x\", uid = 800 }, { name = \"x\", uid = 801 }]",
    "[accounts]\nusers = [{ name = \"x\", uid = 800 }, { name = \"y\", uid = 800 }]",
    "[accounts]\ngroups = [{ name = \"x\" }]",
    "[accounts]\ngroups = [{ name = \"x:y\", gid = 800 }]",
    "[accounts]\ngroups = [{ name = \"x\", gid = 4294967295 }]",
    "[accounts]\ngroups = [{ name = \"x\", gid = 0 }]",
    "[accounts]\ngroups = [{ name = \"x\", gid = 800 }, { name = \"y\", gid = 800 }]",
    "[accounts]\nusers = [\"x\"]",
    "[[attribute]]\nmode = \"0644\"",
    "[[attribute]]\npath = \"/x\"",
    "[[attribute]]\npath = \"x\"\nmode = \"0644\"",
    "[[attribute]]\npath = \"/../x\"\nmode = \"0644\"",
    "[[attribute]]\npath = \"/a\\nb\"\nmode = \"0644\"",
    "[[attribute]]\npath = \"/x\"\nmode = \"0999\"",
    "[[attribute]]\npath = \"/x\"\nmode = \"77777\"",
    "[[attribute]]\npath = \"/x\"\nmode = 420",
    "[[attribute]]\npath = \"/x\"\nuser = \"a:b\"",
    "[[attribute]]\npath = \"/x\"\ngroup = \"4294967295\"",
    "[[link]]\npath = \"/x\"",
    "[[link]]\npath = \"/\"\ntarget = \"y\"",
    "[[link]]\npath = \"/a/../b\"\ntarget = \"y\"",
    "[[link]]\npath = \"/x\"\ntarget = \"\"",
    "[[link]]\npath = \"/x\"\ntarget = \"a\\nb\"",
    "[[link]]\npath = \"/x\"\ntarget = \"y\"\n[[link]]\npath = \"/x\"\ntarget = \"z\"",
    "[[copy]]\nfrom = \"/x\"",
    "[[copy]]\nfrom = \"x\"\nto = \"/y\"",
    "[[copy]]\nfrom = \"/x\"\nto = \"/../y\"",
    "[[copy]]\nfrom = \"/x\"\nto = \"/x\"",
    "[[copy]]\nfrom = \"/x\"\nto = \"/y\"\nmode = \"rw\"",
    "[[conflict]]\npath = \"x\"\npackage = \"a\"\nreason = \"r\"",
    "[[conflict]]\npath = \"/a/../x\"\npackage = \"a\"\nreason = \"r\"",
    "[[conflict]]\npath = \"/x\"\npackage = \"a b\"\nreason = \"r\"",
    "[[conflict]]\npath = \"/x\"\npackage = \"a\"\nreason = \"\"",
    "[[scriptlet]]\npackage = \"a\"\npolicy = \"run\"\nreason = \"r\"",
    "[[scriptlet]]\npackage = \"a\"\nreason = \"r\"",
    "[[scriptlet]]\npackage = \"a\"\npolicy = \"skip\"",
    "[[scriptlet]]\npackage = \"a b\"\npolicy = \"skip\"\nreason = \"r\"",
    "[[scriptlet]]\npackage = \"a\"\npolicy = \"skip\"\nreason = \"r\"\nphase = \"during\"",
    "[[scriptlet]]\npackage = \"a\"\npolicy = \"skip\"\nreason = \"r\"\ndigest = \"abc\"",
    "[[scriptlet]]\npackage = \"a\"\npolicy = \"skip\"\nreason = \"r\\u0000\"",
    "[scriptlets]\ndefault = \"allow\"",
    "[units]\nenable = [\"sshd\"]",
    "[units]\nenable = [\"a b.service\"]",
    "[units]\nenable = [\"../a.service\"]",
    "[units]\nenable = [\".service\"]",
    "[units]\nenable = [\"a\\nb.service\"]",
    "[units]\nenable = [\"a.service\"]\ndisable = [\"a.service\"]",
    "[units]\nenable = [\"a.service\"]\nmask = [\"a.service\"]",
    "[units]\ndefault = \"a.service\"",
    "[units]\ndefault = \"multi-user\"",
    "[overlay]\nfolders = [\"absent\"]",
    "[overlay]\nfolders = [\"../recipes\"]",
    "[overlay]\nfolders = [\"/etc\"]",
    "[overlay]\nfolders = [\"\"]",
    "[overlay]\nfolders = [\"a\\u0000b\"]",
    "[rpmdb]\npath = \"/var/lib/rpm\"",
    "[rpmdb]\npath = \"/usr\"",
    "[rpmdb]\npath = \"usr/lib/rpm\"",
    "[initramfs]\nmodules = [\"a b\"]",
    "[initramfs]\nmodules = [\"a'; touch /x; '\"]",
    "[initramfs]\ndrivers = [\"a\\nb\"]",
    "[initramfs]\nomit = [\"-x\"]",
    "[initramfs]\ngenerator = \"mkinitcpio\"",
    "[selinux]\nmode = \"on\"",
    "[selinux]\npolicy = \"../x\"",
    "[selinux]\npolicy = \"a b\"",
    "[root]\nmodel = \"composefs\"",
    "[root]\nmodel = \"btrfs\"",
    "[disk]\nsize = \"1MiB\"",
    "[disk]\nsize = \"1000TiB\"",
    "[disk]\nsize = \"0GiB\"",
    "[disk]\nsize = \"10GB\"",
    "[disk]\nsize = \"1.5GiB\"",
    "[disk]\nsize = 10",
    "[disk]\nsize = \"99999999999999999999GiB\"",
    "[disk]\nsize = \"3TiB\"\n[output]\nformats = [\"vhd\"]",
    "[disk]\nsize = \"3TiB\"\n[output]\nformats = [\"ova\"]",
    "[disk]\nesp = \"1MiB\"",
    "[disk]\nesp = \"3TiB\"",
    "[disk]\nesp = \"16MiB\"\nsector = 4096\nfirmware = [\"uefi\"]",
    "[disk]\nboot = \"1MiB\"",
    "[disk]\nboot = \"20TiB\"",
    "[disk]\nreserve = \"1000TiB\"",
    "[disk]\nsector = 1024",
    "[disk]\nsector = \"512\"",
    "[disk]\nfilesystem = \"xfs\"",
    "[disk]\nfirmware = []",
    "[disk]\nfirmware = [\"efi\"]",
    "[disk]\ngrow = \"yes\"",
    "[disk]\ngrow = true",
    "[disk]\ngrow = 1",
    "[trim]\npaths = [\"usr/share/man/*\"]",
    "[trim]\npaths = \"/usr/share/man/*\"",
    "[trim]\nkeep = [\"/usr/../x\"]",
    "[trim]\nfiles = [\"/usr/share/man/*\"]",
    "[initramfs]\nexclude = [\"usr/bin/x\"]",
    "[initramfs]\nexclude = [\"/usr/../x*\"]",
    "[initramfs]\nexclude = [\"/a\\nb\"]",
    "[initramfs]\nexclude = \"/usr/bin/x\"",
    "[deployments]\nos = \"a b\"",
    "[deployments]\nos = \"..\"",
    "[deployments]\nrollback = \"none\"",
    "[output]\nformats = []",
    "[output]\nformats = [\"iso\"]",
    "[output]\nformats = \"raw\"",
    "[output]\ncompression = \"gzip\"",
    "[tools]\nrepos = [\"locl\"]",
    "[tools]\nrepos = [\"a\\nb\"]",
    "[tools]\ninstall = [5]",
    "[nonsense]",
    "nonsense = 1",
    "\"non\\nsense\" = 1",
    "a = ",
    "[disk",
];

/// The recipe, and the lines in which the bad value stands.
fn recipes() -> Vec<(String, std::ops::RangeInclusive<usize>)> {
    let mut all = Vec::new();
    for (old, bad) in REPLACED {
        let before = GOOD.split_once(old).unwrap().0.matches('\n').count() + 1;
        all.extend(bad.iter().map(|new| (GOOD.replacen(old, new, 1), before..=before + new.matches('\n').count())));
    }
    for added in ADDED {
        // Plain keys go to the top, tables in front of one of `GOOD`.
        let at = if added.starts_with('[') { GOOD.find("[kernel]").unwrap() } else { GOOD.find("ref =").unwrap() };
        let before = GOOD[..at].matches('\n').count() + 1;
        all.push((format!("{}{added}\n{}", &GOOD[..at], &GOOD[at..]), before..=before + added.matches('\n').count()));
    }
    all
}

#[test]
fn every_bad_value_is_a_fault_with_its_line_and_column() {
    let recipes = recipes();
    assert!(recipes.len() >= 150, "{}", recipes.len());
    let mut unnamed = Vec::new();
    for (recipe, lines) in recipes {
        let dir = project(&recipe, BASE);
        let bad = recipe.lines().skip(lines.start() - 1).take(lines.clone().count()).collect::<Vec<_>>().join(" | ");
        let Err(error) = load_in(&dir) else {
            unnamed.push(format!("{bad}\n    is accepted"));
            continue;
        };
        let text = error.to_string();
        let place = |line: &str| {
            let (_, rest) = line.split_once("demo.toml:").or_else(|| line.split_once("include/base.toml:"))?;
            let (line, rest) = rest.split_once(':')?;
            let (column, _) = rest.split_once(": ")?;
            Some((line.parse::<usize>().ok()?, column.parse::<usize>().ok()?))
        };
        let named = text.lines().filter_map(place).any(|(line, _)| lines.contains(&line));
        let all_have_places = text.lines().all(|line| place(line).is_some());
        if error.kind() != Kind::Recipe || !named || !all_have_places || text.contains("Some(") || text.contains("None") {
            unnamed.push(format!("{bad}\n    {text}"));
        }
    }
    assert!(unnamed.is_empty(), "{}", unnamed.join("\n"));
}

#[test]
fn a_message_is_one_line_of_bounded_length_whatever_the_recipe_holds() {
    let long = "n".repeat(5000);
    for recipe in [
        GOOD.replace("name = \"demo\"", &format!("name = \"{long}\"")),
        GOOD.replace("schema = 1", &format!("schema = 1\n{long} = 1")),
        GOOD.replace("schema = 1", "schema = 1\n\"a\\nb\\u001b\" = 1"),
        GOOD.replace("[\"rw\"]", &format!("[\"{long}\"]")),
    ] {
        let text = load_in(&project(&recipe, BASE)).unwrap_err().to_string();
        assert!(
            text.lines().count() == 1 && text.len() < 1500 && !text.contains('\u{1b}'),
            "{} lines, {} bytes",
            text.lines().count(),
            text.len()
        );
    }
}

#[test]
fn a_recipe_of_any_size_or_depth_is_answered_quickly() {
    let deep = |open: &str, close: &str, depth: usize| format!("{GOOD}x = {}1{}\n", open.repeat(depth), close.repeat(depth));
    let many: String = (0..20_000).map(|n| format!("\"k{n}\",")).collect();
    for (recipe, expected) in [
        (format!("{GOOD}#{}\n", "x".repeat(2 << 20)), "expected at most 1048576"),
        (deep("[", "]", 100_000), "demo.toml:"),
        (deep("{a=", "}", 100_000), "demo.toml:"),
        (format!("{GOOD}{}x = 1\n", "a.".repeat(100_000)), "demo.toml:"),
        (format!("{GOOD}[{}x]\n", "a.".repeat(100_000)), "demo.toml:"),
        (GOOD.replace("args = [\"rw\"]", &format!("args = [{many} 5]")), "demo.toml:13:"),
    ] {
        let error = load_in(&project(&recipe, BASE)).unwrap_err();
        assert_eq!(error.kind(), Kind::Recipe);
        let text = format!("{error:#}");
        assert!(text.contains(expected), "{expected}: {:?}", text.chars().take(500).collect::<String>());
    }
}
