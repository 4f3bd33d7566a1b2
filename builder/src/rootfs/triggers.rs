//! Programs of the image that turn many packages' files into one: the linker cache, the hardware database, certificates, module lists.
//! Each runs once, in the sandbox, over exactly the files that it declares; its outputs are cached by the digest of those inputs, so a change
//! elsewhere in the tree does not run it again.

use crate::base::{AtomicFile, Blob, Digest, Error, Hasher, ImagePath, Result, ResultExt, SourceDateEpoch};
use crate::rootfs::Checkout;
use crate::tree::{Attributes, Edit, FileTree, Inode, NodeKind};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// One program and what it reads and writes.
pub struct Trigger {
    pub name: &'static str,
    /// Shell text run by the image's /bin/sh with `set -e`.
    pub script: String,
    /// Runs only if this path is in the tree.
    pub needs: String,
    /// True for the paths that the program may see.
    pub inputs: fn(&ImagePath) -> bool,
    /// What is read back; other changes are dropped with the sandbox.
    pub outputs: Vec<String>,
}

/// Where scratch checkouts and cached outputs live.
pub struct TriggerCache {
    pub outputs: PathBuf,
    pub scratch: PathBuf,
}

/// What a program needs besides its data: the merged /usr links, the linker's files, the libraries and a shell.
/// Everything else in /usr/bin stays outside: container engines are big, and copying them would take longer than any of these programs.
fn programs(path: &ImagePath, names: &[&str]) -> bool {
    let text = path.as_bytes();
    let linker = !text[1..].contains(&b'/') || below(path, &["/etc/ld.so"]);
    let named = |folder: &str| {
        text.strip_prefix(folder.as_bytes()).is_some_and(|n| ["sh", "dash", "bash", "mkdir"].iter().chain(names).any(|w| w.as_bytes() == n))
    };
    linker || library(path) || named("/usr/bin/") || named("/usr/sbin/")
}

/// Shared objects where the linker looks for them, and systemd's own.
fn library(path: &ImagePath) -> bool {
    let inside = |folder: &str| {
        let rest = path.as_bytes().strip_prefix(folder.as_bytes())?;
        Some(!rest.contains(&b'/') && rest.windows(3).any(|w| w == b".so"))
    };
    [
        "/usr/lib/",
        "/usr/lib64/",
        "/usr/lib/x86_64-linux-gnu/",
        "/usr/lib/x86_64-linux-gnu/systemd/",
        "/usr/lib/systemd/",
        "/usr/lib64/systemd/",
    ]
    .iter()
    .any(|folder| inside(folder) == Some(true))
}

fn below(path: &ImagePath, places: &[&str]) -> bool {
    places.iter().any(|p| path.as_bytes().starts_with(p.as_bytes()))
}

/// The triggers of every image, in the order in which they run.
pub fn standard(kernel_version: Option<&str>) -> Vec<Trigger> {
    let mut list = vec![
        Trigger {
            name: "ldconfig",
            script: "ldconfig -X".into(),
            needs: "/usr/sbin/ldconfig".into(),
            // The directories of ld.so.conf may be anywhere below /usr; what is not a shared object does not count.
            inputs: |p| below(p, &["/usr/"]) && p.name().is_some_and(|n| n.windows(3).any(|w| w == b".so")) || programs(p, &["ldconfig"]),
            outputs: vec!["/etc/ld.so.cache".into()],
        },
        Trigger {
            name: "hwdb",
            script: "systemd-hwdb update --usr".into(),
            needs: "/usr/bin/systemd-hwdb".into(),
            inputs: |p| below(p, &["/usr/lib/udev/hwdb.d/", "/etc/udev/hwdb.d/"]) || programs(p, &["systemd-hwdb"]),
            outputs: vec!["/usr/lib/udev/hwdb.bin".into()],
        },
        Trigger {
            name: "catalog",
            script: "mkdir -p /var/lib/systemd/catalog; journalctl --update-catalog".into(),
            needs: "/usr/bin/journalctl".into(),
            inputs: |p| below(p, &["/usr/lib/systemd/catalog/"]) || programs(p, &["journalctl"]),
            outputs: vec!["/var/lib/systemd/catalog/database".into()],
        },
        Trigger {
            name: "gschemas",
            script: "glib-compile-schemas /usr/share/glib-2.0/schemas".into(),
            needs: "/usr/bin/glib-compile-schemas".into(),
            // Debian keeps the program beside the library and links to it.
            inputs: |p| {
                below(p, &["/usr/share/glib-2.0/schemas/", "/usr/lib/x86_64-linux-gnu/glib-2.0/"]) || programs(p, &["glib-compile-schemas"])
            },
            outputs: vec!["/usr/share/glib-2.0/schemas/gschemas.compiled".into()],
        },
    ];
    if let Some(version) = kernel_version {
        let at = format!("/usr/lib/modules/{version}");
        list.push(Trigger {
            name: "depmod",
            script: format!("depmod {version}"),
            needs: "/usr/sbin/depmod".into(),
            inputs: |p| below(p, &["/usr/lib/modules/", "/usr/lib/depmod.d/", "/etc/depmod.d/"]) || programs(p, &["depmod", "kmod"]),
            outputs: [
                "alias",
                "alias.bin",
                "builtin.alias.bin",
                "builtin.bin",
                "dep",
                "dep.bin",
                "devname",
                "softdep",
                "symbols",
                "symbols.bin",
                "weakdep",
            ]
            .iter()
            .map(|end| format!("{at}/modules.{end}"))
            .collect(),
        });
    }
    list
}

/// What building an SELinux policy reads: the modules, the store, the programs that expand them, and the accounts whose homes get labels. No
/// `selinuxenabled`: the answer of the machine that builds must not count.
pub(super) fn selinux_inputs(path: &ImagePath) -> bool {
    let data = ["/etc/selinux/", "/usr/share/selinux/", "/usr/libexec/selinux/", "/usr/lib/selinux/", "/var/lib/selinux/"];
    let accounts = ["/etc/passwd", "/etc/group", "/etc/shells", "/etc/login.defs", "/etc/nsswitch.conf"];
    below(path, &data)
        || accounts.iter().any(|file| file.as_bytes() == path.as_bytes())
        || programs(path, &["semodule", "setfiles", "sefcontext_compile", "cat", "cut", "grep", "sed", "bzip2"])
}

/// Runs (or takes from the cache) one trigger and puts its outputs into the tree. Returns the paths that changed.
pub fn run(tree: &mut FileTree, trigger: &Trigger, cache: &TriggerCache, epoch: SourceDateEpoch) -> Result<Vec<ImagePath>> {
    let needs = ImagePath::parse(&trigger.needs)?;
    if tree.resolve(&needs).is_none() {
        return Ok(Vec::new());
    }
    let key = input_digest(tree, trigger, epoch)?;
    let cached = cache.outputs.join(format!("{key}.output"));
    let known = read_cached(&cached);
    let outputs = match known.as_deref().and_then(decode) {
        Some(outputs) => outputs,
        None => {
            let scratch = cache.scratch.join(format!("{}-{}", trigger.name, std::process::id()));
            let checkout = Checkout::write(tree, &scratch, &|p| (trigger.inputs)(p))?;
            let script = format!("set -e; umask 022; {}", trigger.script);
            checkout.run(&["/bin/sh", "-c", &script], &[], epoch).context(|| format!("trigger {}", trigger.name))?;
            let mut outputs = Vec::new();
            for output in &trigger.outputs {
                if let Some(found) = checkout.read_back(&ImagePath::parse(output)?, epoch)? {
                    flatten(&found, &ImagePath::parse(output)?, &mut outputs)?;
                }
            }
            if outputs.is_empty() {
                return Err(Error::tool(format!("trigger {} left none of its outputs ({})", trigger.name, trigger.outputs.join(", "))));
            }
            store(&cached, &outputs)?;
            outputs
        }
    };
    let mut changed = Vec::new();
    for output in outputs {
        let path = ImagePath::parse(&output.path)?;
        let attributes = Attributes { mtime: i64::from(epoch.0), ..Attributes::root(output.mode) };
        let inode = match output.kind {
            OutputKind::Directory => {
                if tree.get(&path).is_some() {
                    continue;
                }
                Inode::directory(attributes)
            }
            OutputKind::File(bytes) => Inode::file(&*bytes, attributes),
            OutputKind::Symlink(target) => {
                let mut inode = Inode::symlink(&*target);
                inode.attributes.mtime = i64::from(epoch.0);
                inode
            }
        };
        tree.insert(&path, inode, Edit::Replace)?;
        changed.push(path);
    }
    Ok(changed)
}

/// Borrowed from a cache entry's bytes where it comes from there: an initramfs and a hardware database are many bytes.
#[derive(Serialize, Deserialize)]
struct Output<'a> {
    path: Vec<u8>,
    mode: u16,
    #[serde(borrow)]
    kind: OutputKind<'a>,
}

#[derive(Serialize, Deserialize)]
enum OutputKind<'a> {
    Directory,
    File(#[serde(with = "as_bytes", borrow)] Cow<'a, [u8]>),
    Symlink(Vec<u8>),
}

/// The same encoding as a sequence of bytes in postcard: length and bytes.
mod as_bytes {
    use serde::de::{Deserializer, Visitor};
    use serde::ser::Serializer;
    use std::borrow::Cow;

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, [u8]>, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Cow<'de, [u8]>;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Cow<'de, [u8]>, E> {
                Ok(Cow::Borrowed(bytes))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

fn flatten(found: &FileTree, at: &ImagePath, outputs: &mut Vec<Output<'static>>) -> Result<()> {
    for entry in found.walk_from(at).unwrap_or_default() {
        let inode = found.inode(entry.id);
        let kind = match &inode.kind {
            NodeKind::Directory(_) => OutputKind::Directory,
            NodeKind::File(content) => OutputKind::File(content.to_vec()?.into()),
            NodeKind::Symlink(target) => OutputKind::Symlink(target.to_vec()),
            _ => continue,
        };
        outputs.push(Output { path: entry.path.as_bytes().to_vec(), mode: inode.attributes.mode, kind });
    }
    Ok(())
}

/// `None` for a cache entry that is absent, cut short or changed: its first 32 bytes are the digest of the rest.
fn read_cached(cached: &Path) -> Option<Vec<u8>> {
    let bytes = std::fs::read(cached).ok()?;
    let (digest, body) = bytes.split_first_chunk::<32>()?;
    (Digest::of(body).as_bytes() == digest).then_some(bytes)
}

fn decode(entry: &[u8]) -> Option<Vec<Output<'_>>> {
    postcard::from_bytes(entry.get(32..)?).ok()
}

fn store(cached: &Path, outputs: &[Output]) -> Result<()> {
    let body = postcard::to_stdvec(outputs).map_err(|e| Error::internal("encode trigger outputs").source(e))?;
    let mut bytes = Digest::of(&body).as_bytes().to_vec();
    bytes.extend_from_slice(&body);
    AtomicFile::write(cached, &bytes)
}

/// Every selected path with its attributes and the identity of its content.
fn input_digest(tree: &FileTree, trigger: &Trigger, epoch: SourceDateEpoch) -> Result<Digest> {
    let mut hasher = Hasher::new();
    let mut field = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    field(b"trigger 3");
    field(trigger.script.as_bytes());
    field(&epoch.0.to_le_bytes());
    for output in &trigger.outputs {
        field(output.as_bytes());
    }
    for entry in tree.walk() {
        let inode = tree.inode(entry.id);
        if inode.is_directory() || !(trigger.inputs)(&entry.path) {
            continue;
        }
        field(entry.path.as_bytes());
        field(&inode.st_mode().to_le_bytes());
        match &inode.kind {
            NodeKind::File(content) => field(&content_identity(content)?),
            NodeKind::Symlink(target) => field(target),
            _ => {}
        }
    }
    Ok(hasher.finish())
}

fn content_identity(content: &Blob) -> Result<Vec<u8>> {
    match content.identity() {
        Some(identity) => Ok(identity.into_bytes()),
        None => Ok(content.digest()?.as_bytes().to_vec()),
    }
}
