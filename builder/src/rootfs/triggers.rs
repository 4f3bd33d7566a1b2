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
