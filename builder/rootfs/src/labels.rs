//! SELinux: the configuration that the recipe asks for, the policy built where a package leaves that to its installation, and a label on every inode.

use crate::programs::{Program, command};
use crate::scriptlets::analysis;
use crate::standard_programs::selinux_inputs;
use crate::text_file::text_file;
use conf::file_contexts::FileContexts;
use model::tree::{Attributes, FileTree};
use model::{Error, ImagePath, OptionJudged, Result, ResultExt, ResultJudged, SourceDateEpoch};
use packages::rpm::Phase;
use rayon::prelude::*;
use recipe::{Selinux, SelinuxMode};
use supply::fetch::Pack;

const XATTR: &[u8] = b"security.selinux";

/// Where an OSTree system keeps what a policy knows by another name. libselinux substitutes once, so no line builds on another.
const SUBSTITUTIONS: [(&str, &str); 6] = [
    ("/usr/etc", "/etc"),
    ("/var/home", "/home"),
    ("/var/roothome", "/root"),
    ("/var/usrlocal", "/usr/local"),
    ("/var/opt", "/opt"),
    ("/var/srv", "/srv"),
];

/// Where semodule is to keep its modules: /var is empty in a new image.
const STORE: &str = "store-root=/etc/selinux\n";

/// Where a tree has policy modules of its own, `NAME.cil` each, beside those of the policy's package.
const LOCAL_MODULES: &str = "/usr/share/selinux/packages";

/// A local module has this priority in the store (semodule(8)): above the 100 of a distribution's, so that it could replace one of the same name.
const LOCAL_PRIORITY: u16 = 400;

/// Which label a path of the running system gets.
#[derive(Debug)]
pub struct Labels {
    contexts: FileContexts,
}

/// Before any scriptlet: /etc/selinux/config as the recipe says, and a module store below /etc.
pub fn configure(tree: &mut FileTree, selinux: &Selinux, epoch: SourceDateEpoch) -> Result<Vec<ImagePath>> {
    let mode = match selinux.mode {
        SelinuxMode::Disabled => return Ok(Vec::new()),
        SelinuxMode::Permissive => "permissive",
        SelinuxMode::Enforcing => "enforcing",
    };
    let mut written = vec![text_file(tree, "/etc/selinux/config", format!("SELINUX={mode}\nSELINUXTYPE={}\n", selinux.policy), epoch)?];
    let semanage = "/etc/selinux/semanage.conf";
    if let Some(bytes) = tree.read(semanage)? {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if !text.lines().any(|line| line.trim_start().starts_with("store-root")) {
            // Settings come before the first section.
            let text = format!("# /var is empty in a new image.\n{STORE}\n{text}");
            written.push(text_file(tree, semanage, text, epoch)?);
        }
    }
    Ok(written)
}

/// After the overlay: puts local modules into the module store, so that the policy is linked with them. They are in CIL, which `semodule` compiles by itself.
pub fn add_local_modules(tree: &mut FileTree, selinux: &Selinux, epoch: SourceDateEpoch) -> Result<Vec<ImagePath>> {
    let mut written = Vec::new();
    let Some((_, packages)) = tree.resolve(&ImagePath::parse(LOCAL_MODULES)?) else { return Ok(written) };
    let names: Vec<String> = tree.children(packages).filter_map(|(name, _)| module_name(name)).collect();
    if selinux.mode == SelinuxMode::Disabled || names.is_empty() {
        return Ok(written);
    }
    if is_linked(tree, &selinux.policy) {
        return Err(Error::recipe(format!(
            "{LOCAL_MODULES}/{}.cil: the policy {:?} comes linked, without a module store",
            names[0], selinux.policy
        ))
        .hint("local modules need a policy that is linked at its installation, such as Debian's"));
    }
    for name in names {
        let source = format!("{LOCAL_MODULES}/{name}.cil");
        let Some(bytes) = tree.read(&source).context(|| format!("read {source}"))? else { continue };
        let text = String::from_utf8(bytes).map_err(|_| Error::recipe(format!("{source} is not UTF-8")))?;
        let module = format!("/etc/selinux/{}/active/modules/{LOCAL_PRIORITY}/{name}", selinux.policy);
        written.push(text_file(tree, &format!("{module}/cil"), text, epoch)?);
        written.push(text_file(tree, &format!("{module}/lang_ext"), "cil".to_owned(), epoch)?);
    }
    Ok(written)
}

/// The module that a file of the folder has, by the names that libsemanage takes: `NAME.cil` with letters, digits, `_`, `.` and `-`.
fn module_name(file: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(file).none_because("a file of another kind")?.strip_suffix(".cil")?;
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    is_name.then(|| name.to_owned())
}

fn is_linked(tree: &FileTree, policy: &str) -> bool {
    tree.at(&format!("{}/file_contexts", folder("/etc", policy))).is_some()
}

/// For a policy that is shipped as modules, which the package's own %post links and expands (Debian): that script, over what it reads.
pub fn policy_program(tree: &FileTree, packs: &[Pack], selinux: &Selinux) -> Option<Program> {
    if selinux.mode == SelinuxMode::Disabled || is_linked(tree, &selinux.policy) {
        return None;
    }
    let pack = packs.iter().find(|pack| pack.metadata().nevra.name == format!("selinux-policy-{}", selinux.policy))?;
    let script = pack.scriptlets().iter().find(|s| s.phase == Phase::Post && s.text.contains("semodule"))?;
    let (_, own) = analysis::cut_sections(&script.text);
    Some(Program {
        name: "selinux",
        // The repackager's first line gives it dpkg's arguments.
        // A script of the package's own, whole and unchanged but for its end.
        commands: vec![command(["/bin/sh", "-e", "-c", &own])],
        needs: "/usr/sbin/semodule".into(),
        inputs: Box::new(selinux_inputs),
        outputs: vec![format!("/etc/selinux/{}", selinux.policy)],
    })
}

/// After the policy is there: its list of other names learns those of an OSTree system, so that `restorecon` agrees with the image. Where the policy has
/// another name for a place below (`/etc/systemd/system` is looked up as /usr/lib/systemd/system), the OSTree system's name for it is in the list, too.
pub fn substitute(tree: &mut FileTree, selinux: &Selinux, epoch: SourceDateEpoch) -> Result<Vec<ImagePath>> {
    if selinux.mode == SelinuxMode::Disabled {
        return Ok(Vec::new());
    }
    let path = format!("{}/file_contexts.subs_dist", folder("/etc", &selinux.policy));
    let old = String::from_utf8_lossy(&tree.read(&path)?.default_because("an absent file is an empty one")).into_owned();
    let known: Vec<(&str, &str)> = old
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.trim().split_once(char::is_whitespace).map(|(alias, original)| (alias, original.trim())))
        .collect();
    let mut added = String::new();
    for (alias, original) in SUBSTITUTIONS {
        let below: String = known
            .iter()
            .filter_map(|(path, meant)| {
                Some(format!("{alias}{} {meant}\n", path.strip_prefix(original).filter(|rest| rest.starts_with('/'))?))
            })
            .collect();
        let here = if known.iter().any(|(path, _)| *path == alias) { String::new() } else { format!("{alias} {original}\n") };
        // Of several lines that fit libselinux takes the last up to 3.7 and the first from 3.8 on.
        added += &format!("{below}{here}{below}");
    }
    Ok(vec![text_file(tree, &path, added + &old, epoch)?])
}

fn folder(etc: &str, policy: &str) -> String {
    format!("{etc}/selinux/{policy}/contexts/files")
}

impl Labels {
    /// Lines of the policy's file contexts.
    pub fn line_count(&self) -> usize {
        self.contexts.line_count()
    }

    /// The labels of a tree in OSTree shape; `None` if the recipe wants none.
    pub fn of(tree: &FileTree, selinux: &Selinux) -> Result<Option<Labels>> {
        if selinux.mode == SelinuxMode::Disabled {
            return Ok(None);
        }
        let folder = folder("/usr/etc", &selinux.policy);
        let text = |name: &str| -> Result<Option<String>> {
            let path = format!("{folder}/{name}");
            let bytes = tree.read(&path).context(|| format!("read {path}"))?;
            Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        };
        let mut files = Vec::new();
        for name in ["file_contexts", "file_contexts.homedirs", "file_contexts.local"] {
            match text(name)? {
                Some(text) => files.push((format!("/etc/selinux/{}/contexts/files/{name}", selinux.policy), text)),
                None if files.is_empty() => {
                    return Err(Error::recipe(format!(
                        "[selinux] policy = \"{0}\": the tree has no /etc/selinux/{0}/contexts/files/{name}",
                        selinux.policy
                    ))
                    .hint(
                        "install the policy (selinux-policy-targeted for \"targeted\"; on Debian selinux-policy-default, policycoreutils \
                         and semodule-utils for \"default\"), or set [selinux] mode = \"disabled\"",
                    ));
                }
                None => {}
            }
        }
        let contexts = FileContexts::parse(&files)?;
        let (local, distribution) = (
            text("file_contexts.subs")?.default_because("an absent file is an empty one"),
            text("file_contexts.subs_dist")?.default_because("an absent file is an empty one"),
        );
        Ok(Some(Labels { contexts: contexts.with_substitutions(&local, &distribution) }))
    }

    /// Labels every inode of a tree in OSTree shape by its first name; /usr/etc is what the running system has in /etc.
    pub fn apply(&self, tree: &mut FileTree) -> Result<usize> {
        self.apply_as(tree, &|path| match path.strip_prefix(b"/usr/etc") {
            Some(rest) if rest.is_empty() || rest[0] == b'/' => [b"/etc", rest].concat(),
            _ => path.to_vec(),
        })
    }

    /// Labels the physical root and boot filesystems: the root's own folders stand below /sysroot in the running system, the stateroot's var is its
    /// /var, and what deployments share with the repository is labelled already. A kernel's copy in /boot gets the label of its place there, as
    /// libostree gives it; and both get the `lost+found` that a filesystem has, so that it is labelled, too.
    pub fn apply_to_sysroot(&self, root: &mut FileTree, boot: &mut FileTree, os: &str, epoch: SourceDateEpoch) -> Result<()> {
        let lost = ImagePath::parse("/lost+found")?;
        for tree in [&mut *root, &mut *boot] {
            tree.ensure_directory(&lost, Attributes::at(epoch, 0o700))?;
        }
        for entry in boot.walk() {
            boot.inode_mut(entry.id).attributes.xattrs.remove(XATTR);
        }
        let var = format!("/ostree/deploy/{os}/var");
        self.apply_as(root, &|path| match path.strip_prefix(var.as_bytes()) {
            Some(rest) if rest.is_empty() || rest[0] == b'/' => [b"/var", rest].concat(),
            _ if path == b"/" => b"/sysroot".to_vec(),
            _ => [b"/sysroot", path].concat(),
        })?;
        self.apply_as(boot, &|path| if path == b"/" { b"/boot".to_vec() } else { [b"/boot", path].concat() }).map(drop)
    }

    /// Labels what has no label in a tree that the running system sees under other names. An inode that no line matches stays without.
    pub fn apply_as(&self, tree: &mut FileTree, seen: &(dyn Fn(&[u8]) -> Vec<u8> + Sync)) -> Result<usize> {
        let entries = tree.walk();
        let labels: Vec<Option<&str>> = entries
            .par_iter()
            .map(|entry| self.contexts.label(&seen(entry.path.as_bytes()), &tree.inode(entry.id).kind))
            .collect::<Result<_>>()?;
        let mut count = 0;
        for (entry, label) in entries.iter().zip(labels) {
            let xattrs = &mut tree.inode_mut(entry.id).attributes.xattrs;
            if let Some(label) = label
                && !xattrs.contains_key(XATTR)
            {
                // As libselinux writes it: with the NUL that ends a C string.
                xattrs.insert(XATTR.into(), [label.as_bytes(), &[0]].concat().into());
                count += 1;
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
#[path = "labels_tests.rs"]
mod tests;
