//! Which units start: `systemctl preset-all`, then the recipe's own lists, as symlinks under /etc/systemd.
//!
//! Follows systemd's install.c: an alias or a masked unit is passed over, `Also=` goes with its unit, a template is enabled only through its
//! default or listed instances. Without a matching rule a unit is enabled, as systemd does.

use crate::conf_files;
use conf::preset::{self, Rule, Verdict};
use conf::unit_install::{Install, UnitName};
use model::tree::{Edit, FileTree, Inode, NodeKind};
use model::{Error, ImagePath, OptionJudged, Result, glob_matches};
use std::collections::{BTreeMap, BTreeSet};

/// What the recipe says itself; stronger than any preset.
#[derive(Debug, Clone, Default)]
pub struct Units {
    pub enable: Vec<String>,
    pub disable: Vec<String>,
    pub mask: Vec<String>,
    /// Target of default.target.
    pub default: Option<String>,
}

/// Units of the system manager or of every user's manager.
struct Scope {
    config: &'static str,
    vendor: &'static str,
    presets: [&'static str; 3],
}

const SYSTEM: Scope = Scope {
    config: "/etc/systemd/system",
    vendor: "/usr/lib/systemd/system",
    presets: ["/etc/systemd/system-preset", "/run/systemd/system-preset", "/usr/lib/systemd/system-preset"],
};
const USER: Scope = Scope {
    config: "/etc/systemd/user",
    vendor: "/usr/lib/systemd/user",
    presets: ["/etc/systemd/user-preset", "/run/systemd/user-preset", "/usr/lib/systemd/user-preset"],
};

/// Presets of the system and of users, then the explicit lists. Returns the links made, sorted.
pub fn apply(tree: &mut FileTree, units: &Units) -> Result<Vec<ImagePath>> {
    let mut made = preset_all(tree, &SYSTEM)?;
    made.extend(preset_all(tree, &USER)?);
    let mut missing = Vec::new();
    for name in &units.disable {
        let mut gone = BTreeSet::from([name.clone()]);
        gone.extend(find(tree, &SYSTEM, name)?.map(|unit| unit.aliases()).default_because("a unit that is not there has no aliases"));
        unlink(tree, &SYSTEM, &gone)?;
    }
    for name in &units.enable {
        match find(tree, &SYSTEM, name)? {
            Some(_) => made.extend(enable(tree, &SYSTEM, name, &mut BTreeSet::new())?),
            None => missing.push(name.clone()),
        }
    }
    for name in &units.mask {
        let path = ImagePath::parse(SYSTEM.config)?.join(name)?;
        if tree.get(&path).is_some_and(|id| !matches!(tree.inode(id).kind, NodeKind::Symlink(_))) {
            return Err(Error::recipe(format!("cannot mask {name}: {path} is a unit file")).hint("remove that file from the overlay"));
        }
        tree.insert(&path, Inode::symlink("/dev/null"), Edit::Replace)?;
        made.push(path);
    }
    if let Some(target) = &units.default {
        match find(tree, &SYSTEM, target)? {
            Some(unit) => {
                let path = ImagePath::parse(SYSTEM.config)?.join("default.target")?;
                tree.insert(&path, Inode::symlink(unit.path), Edit::Replace)?;
                made.push(path);
            }
            None => missing.push(target.clone()),
        }
    }
    if !missing.is_empty() {
        return Err(Error::recipe(format!("[units] names what no package ships: {}", missing.join(", ")))
            .hint("install the package that has the unit, or drop the name"));
    }
    made.retain(|path| tree.get(path).is_some());
    made.sort();
    made.dedup();
    Ok(made)
}

fn preset_all(tree: &mut FileTree, scope: &Scope) -> Result<Vec<ImagePath>> {
    let mut rules: Vec<Rule> = Vec::new();
    for (name, text) in conf_files::read_all(tree, &scope.presets, ".preset")? {
        rules.extend(preset::parse(&name, &text)?);
    }
    let mut names = BTreeSet::new();
    for directory in [scope.config, scope.vendor] {
        let Some((_, id)) = tree.resolve(&ImagePath::parse(directory)?) else { continue };
        for (name, child) in tree.children(id) {
            let name = String::from_utf8_lossy(name).into_owned();
            if UnitName::parse(&name).is_some() && matches!(tree.inode(child).kind, NodeKind::File(_) | NodeKind::Symlink(_)) {
                names.insert(name);
            }
        }
    }
    let (mut plus, mut minus) = (Vec::new(), BTreeSet::new());
    for name in names {
        let Some(unit) = find(tree, scope, &name)? else { continue };
        if unit.name != name {
            continue;
        }
        let rule = rules.iter().find(|rule| glob_matches(&rule.glob, &name));
        match rule.map_or(Verdict::Enable, |rule| rule.verdict) {
            Verdict::Enable => {
                let instances = rule.map(|r| r.instances.as_slice()).unwrap_or(&[]);
                match UnitName::parse(&name).filter(|n| n.is_template() && !instances.is_empty()) {
                    Some(template) => plus.extend(instances.iter().map(|i| template.with_instance(i))),
                    None => plus.push(name),
                }
            }
            Verdict::Disable => {
                minus.extend(unit.aliases());
                minus.extend(unit.install.also.iter().cloned());
                minus.insert(name);
            }
            Verdict::Ignore => {}
        }
    }
    unlink(tree, scope, &minus)?;
    let (mut made, mut done) = (Vec::new(), BTreeSet::new());
    for name in plus {
        made.extend(enable(tree, scope, &name, &mut done)?);
    }
    Ok(made)
}

/// A unit file as found: its own name (not an alias), the path that links point to, and its `[Install]`.
struct Unit {
    name: String,
    path: String,
    /// A link to a file outside the unit directories (dracut's): enabling puts a link of the same name into the configuration.
    outside: bool,
    install: Install,
}

impl Unit {
    fn aliases(&self) -> Vec<String> {
        let Some(name) = UnitName::parse(&self.name) else { return Vec::new() };
        self.install.alias.iter().map(|alias| name.expand(alias)).collect()
    }
}

/// `None` if there is no such unit, or it is masked.
fn find(tree: &FileTree, scope: &Scope, name: &str) -> Result<Option<Unit>> {
    let Some(parsed) = UnitName::parse(name) else { return Ok(None) };
    let template = parsed.is_instance().then(|| parsed.with_instance(""));
    for candidate in [Some(name.to_owned()), template].into_iter().flatten() {
        for directory in [scope.config, scope.vendor] {
            let path = format!("{directory}/{candidate}");
            let Some(inode) = tree.at(&path) else { continue };
            let target = match &inode.kind {
                NodeKind::Symlink(target) => String::from_utf8_lossy(target).into_owned(),
                NodeKind::File(_) => String::new(),
                _ => continue,
            };
            if target == "/dev/null" {
                return Ok(None);
            }
            let text = match tree.read(&path)? {
                // An empty unit file masks as well.
                Some(bytes) if bytes.is_empty() => return Ok(None),
                Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                None => return Ok(None),
            };
            let mut install = Install::parse(&text);
            for (_, drop_in) in conf_files::read_all(
                tree,
                &[&format!("{}/{candidate}.d", scope.config), &format!("{}/{candidate}.d", scope.vendor)],
                ".conf",
            )? {
                install.merge(&drop_in);
            }
            let real = target.rsplit('/').next().filter(|t| !t.is_empty() && *t != candidate);
            let name = real.unwrap_or(name).to_owned();
            let file = tree.resolve(&ImagePath::parse(&path)?).map_or_else(|| path.clone(), |(file, _)| file.to_string());
            let outside = real.is_none() && !target.is_empty() && ![scope.config, scope.vendor].iter().any(|d| file.starts_with(d));
            let path = if outside { file } else { path };
            return Ok(Some(Unit { name, path, outside, install }));
        }
    }
    Ok(None)
}

/// The links of one unit and of all in its `Also=`.
fn enable(tree: &mut FileTree, scope: &Scope, name: &str, done: &mut BTreeSet<String>) -> Result<Vec<ImagePath>> {
    if !done.insert(name.to_owned()) {
        return Ok(Vec::new());
    }
    let Some(unit) = find(tree, scope, name)? else { return Ok(Vec::new()) };
    if unit.name != name && UnitName::parse(&unit.name).is_some() {
        return enable(tree, scope, &unit.name, done);
    }
    let Some(parsed) = UnitName::parse(name) else { return Ok(Vec::new()) };
    let instance = match (&unit.install.default_instance, parsed.is_template()) {
        (Some(default), true) => Some(parsed.with_instance(&parsed.expand(default))),
        _ => None,
    };
    let enabled = instance.unwrap_or_else(|| name.to_owned());
    let Some(as_enabled) = UnitName::parse(&enabled) else { return Ok(Vec::new()) };
    let mut links: BTreeMap<String, ()> = BTreeMap::new();
    for alias in &unit.install.alias {
        let mut alias = parsed.expand(alias);
        if let Some(template) = UnitName::parse(&alias).filter(|a| a.is_template() && parsed.is_instance()) {
            alias = template.with_instance(parsed.instance.unwrap_or(""));
        }
        if alias != name {
            links.insert(alias, ());
        }
    }
    if !as_enabled.is_template() {
        for (targets, kind) in
            [(&unit.install.wanted_by, "wants"), (&unit.install.required_by, "requires"), (&unit.install.upheld_by, "upholds")]
        {
            for target in targets {
                let target = as_enabled.expand(target);
                if UnitName::parse(&target).is_some() {
                    links.insert(format!("{target}.{kind}/{enabled}"), ());
                }
            }
        }
    }
    if unit.outside {
        links.insert(as_enabled.instance.map_or_else(|| name.to_owned(), |_| as_enabled.with_instance("")), ());
    }
    let mut made = Vec::new();
    for link in links.keys() {
        let path = ImagePath::parse(scope.config)?.join(link)?;
        // What stands there already (a masked unit, an overlay's file) stays, as without --force.
        if tree.get(&path).is_none() {
            tree.insert(&path, Inode::symlink(&unit.path), Edit::Create)?;
            made.push(path);
        }
    }
    for also in &unit.install.also {
        made.extend(enable(tree, scope, &parsed.expand(also), done)?);
    }
    Ok(made)
}

/// Removes every link below the configuration directory whose name, or whose target's name, is one of `names`; then directories left empty.
fn unlink(tree: &mut FileTree, scope: &Scope, names: &BTreeSet<String>) -> Result<()> {
    let root = ImagePath::parse(scope.config)?;
    let mut emptied = BTreeSet::new();
    for entry in tree.walk_from(&root).default_because("an absent folder has no entries") {
        let NodeKind::Symlink(target) = &tree.inode(entry.id).kind else { continue };
        if &**target == b"/dev/null" {
            continue;
        }
        let own = String::from_utf8_lossy(entry.path.name().unwrap_or(&[])).into_owned();
        let pointed = String::from_utf8_lossy(target.rsplit(|&b| b == b'/').next().unwrap_or(&[])).into_owned();
        let instance_of = UnitName::parse(&own).filter(UnitName::is_instance).map(|n| n.with_instance(""));
        if names.contains(&own) || names.contains(&pointed) || instance_of.is_some_and(|t| names.contains(&t)) {
            tree.remove(&entry.path);
            emptied.extend(entry.path.parent());
        }
    }
    for directory in emptied {
        if directory != root && tree.get(&directory).is_some_and(|id| tree.children(id).len() == 0) {
            tree.remove(&directory);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::tree::Attributes;
    use std::process::Command;

    const UNITS: &[(&str, &str)] = &[
        ("a.service", "[Install]\nWantedBy=multi-user.target\nAlias=alias-a.service\nAlso=b.socket\n"),
        ("b.socket", "[Install]\nWantedBy=sockets.target\n"),
        ("c.service", "[Install]\nRequiredBy=x.target\nWantedBy=y.target z@%N.service\n"),
        ("off.service", "[Install]\nWantedBy=multi-user.target\n"),
        ("static.service", "[Service]\nExecStart=/bin/true\n"),
        ("getty@.service", "[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n"),
        ("t@.service", "[Install]\nWantedBy=multi-user.target\n"),
        ("i@.service", "[Install]\nWantedBy=i-%i.target\nAlias=j@.service\n"),
        ("masked.service", "[Install]\nWantedBy=multi-user.target\n"),
        ("multi-user.target", "[Unit]\n#\n"),
    ];
    const PRESET: &str = "disable off.*\nenable i@.service one two\ndisable t@.service\nignore none*\n";

    fn sample() -> FileTree {
        let mut tree = FileTree::new();
        let mut put = |path: String, text: &str| {
            tree.insert(&ImagePath::parse(path).unwrap(), Inode::file(text.as_bytes(), Attributes::root(0o644)), Edit::Create).unwrap();
        };
        for (name, text) in UNITS {
            put(format!("/usr/lib/systemd/system/{name}"), text);
        }
        put("/usr/lib/systemd/system-preset/90-x.preset".into(), PRESET);
        put("/usr/lib/far/far.service".into(), "[Install]\nWantedBy=multi-user.target\n");
        let mut link = |path: &str, target: &str| {
            tree.insert(&ImagePath::parse(path).unwrap(), Inode::symlink(target), Edit::Create).unwrap();
        };
        link("/usr/lib/systemd/system/dbus-c.service", "c.service");
        link("/etc/systemd/system/masked.service", "/dev/null");
        link("/usr/lib/systemd/system/far.service", "../../far/far.service");
        link("/etc/systemd/system/multi-user.target.wants/off.service", "/usr/lib/systemd/system/off.service");
        tree
    }

    fn links(tree: &FileTree) -> Vec<String> {
        tree.walk_from(&ImagePath::parse("/etc/systemd/system").unwrap())
            .unwrap()
            .into_iter()
            .filter_map(|entry| match &tree.inode(entry.id).kind {
                NodeKind::Symlink(target) => Some(format!("{} -> {}", entry.path, String::from_utf8_lossy(target))),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn the_links_are_those_that_systemctl_preset_all_makes() {
        let mut tree = sample();
        apply(&mut tree, &Units::default()).unwrap();
        let host = tempfile::tempdir().unwrap();
        for entry in sample().walk() {
            let at = host.path().join(String::from_utf8_lossy(&entry.path.as_bytes()[1..]).as_ref());
            match &sample().inode(entry.id).kind {
                NodeKind::Directory(_) => std::fs::create_dir_all(at).unwrap(),
                NodeKind::File(content) => std::fs::write(at, content.to_vec().unwrap()).unwrap(),
                NodeKind::Symlink(target) => std::os::unix::fs::symlink(String::from_utf8_lossy(target).as_ref(), at).unwrap(),
                _ => {}
            }
        }
        match Command::new("systemctl").arg(format!("--root={}", host.path().display())).arg("preset-all").output() {
            Err(_) => fixtures::missing("no systemctl"),
            Ok(out) => {
                assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
                let find = ["etc/systemd/system", "-type", "l", "-printf", "/%p -> %l\n"];
                let listed = Command::new("find").args(find).current_dir(host.path()).output().unwrap();
                let listed = String::from_utf8(listed.stdout).unwrap();
                // A split-usr systemd looks the same unit up under /lib.
                let mut expected: Vec<String> = listed.lines().map(|l| l.replace("-> /lib/systemd", "-> /usr/lib/systemd")).collect();
                expected.sort();
                let mut ours = links(&tree);
                ours.sort();
                assert_eq!(ours, expected);
                assert!(expected.len() > 8);
            }
        }
    }

    #[test]
    fn the_recipe_is_stronger_than_a_preset_and_an_unknown_unit_is_an_error() {
        let mut tree = sample();
        let units = Units {
            enable: vec!["off.service".into(), "t@x.service".into()],
            disable: vec!["c.service".into(), "getty@.service".into()],
            mask: vec!["static.service".into()],
            default: Some("multi-user.target".into()),
        };
        apply(&mut tree, &units).unwrap();
        let links = links(&tree).join("\n");
        for present in [
            "multi-user.target.wants/off.service",
            "wants/t@x.service -> /usr/lib/systemd/system/t@.service",
            "static.service -> /dev/null",
            "default.target -> /usr",
        ] {
            assert!(links.contains(present), "{present}\n{links}");
        }
        assert!(!links.contains("/c.service") && !links.contains("getty"), "{links}");
        let error = apply(&mut tree, &Units { enable: vec!["no.service".into()], ..Units::default() }).unwrap_err();
        assert!(error.to_string().contains("no.service"));
    }
}
