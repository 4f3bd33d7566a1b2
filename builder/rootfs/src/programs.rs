//! Programs of the image that turn many packages' files into one: the linker cache, the hardware database, certificates, module lists.
//! Each runs once, in the sandbox, over exactly the files that it declares; its outputs are cached by the digest of those inputs, so a change
//! elsewhere in the tree does not run it again.

use crate::Checkout;
use model::tree::{Attributes, Edit, FileTree, Inode, NodeKind};
use model::{
    AtomicFile, Blob, CheckedFile, Digest, Entry, Error, Facts, Hasher, ImagePath, OptionJudged, Result, ResultExt, ResultJudged,
    SourceDateEpoch, question, set_aside,
};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One program and what it reads and writes.
pub struct Program {
    pub name: &'static str,
    /// Programs with their arguments, run one after the other; the first failure ends the program. No shell reads them, so that a name from a package
    /// cannot become a command.
    pub commands: Vec<Vec<String>>,
    /// Runs only if this path is in the tree.
    pub needs: String,
    /// True for the paths that the program may see.
    pub inputs: Box<dyn Fn(&ImagePath) -> bool>,
    /// What is read back; other changes are dropped with the sandbox.
    pub outputs: Vec<String>,
}

impl Program {
    /// What is run, as bytes that no other list of commands has.
    fn commands_identity(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let number = |bytes: &mut Vec<u8>, n: usize| bytes.extend_from_slice(&(n as u64).to_le_bytes());
        number(&mut bytes, self.commands.len());
        for command in &self.commands {
            number(&mut bytes, command.len());
            for word in command {
                number(&mut bytes, word.len());
                bytes.extend_from_slice(word.as_bytes());
            }
        }
        bytes
    }
}

/// A command from words.
pub fn command<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}

/// Where scratch checkouts and cached outputs live.
pub struct ProgramCache {
    pub outputs: PathBuf,
    pub scratch: PathBuf,
    /// What earlier runs gave: an output that is not what a run of this user gave is made anew.
    pub facts: Arc<Facts>,
}

/// Runs (or takes from the cache) one program and puts its outputs into the tree. Returns the paths that changed.
pub fn run(tree: &mut FileTree, program: &Program, cache: &ProgramCache, epoch: SourceDateEpoch) -> Result<Vec<ImagePath>> {
    let _span = tracing::debug_span!("program", name = program.name).entered();
    let needs = ImagePath::parse(&program.needs)?;
    if tree.resolve(&needs).is_none() {
        return Ok(Vec::new());
    }
    let key = input_digest(tree, program, epoch)?;
    let cached = cache.outputs.join(format!("{key}.output"));
    let made = cache.facts.get(output_question(&key));
    let outputs = match made.map(|made| read_cached(&cached, made, &cache.facts)).transpose()?.flatten() {
        Some(outputs) => outputs,
        None => {
            let checkout = Checkout::write(tree, &cache.scratch, program.name, &|p| (program.inputs)(p))?;
            for command in &program.commands {
                let words: Vec<&str> = command.iter().map(String::as_str).collect();
                checkout.run(&words, &[], epoch).context(|| format!("program {}", program.name))?;
            }
            let mut outputs = Vec::new();
            for output in &program.outputs {
                if let Some(found) = checkout.read_back(&ImagePath::parse(output)?, epoch)? {
                    flatten(&found, &ImagePath::parse(output)?, &mut outputs);
                }
            }
            if outputs.is_empty() {
                return Err(Error::tool(format!("program {} left none of its outputs ({})", program.name, program.outputs.join(", "))));
            }
            let made = store(&cached, &outputs)?;
            cache.facts.add(output_question(&key), made);
            read_cached(&cached, made, &cache.facts)?
                .ok_or_else(|| Error::internal(format!("what was just written to {} cannot be read", cached.display())))?
        }
    };
    let mut changed = Vec::new();
    for output in outputs {
        let path = ImagePath::parse(&output.path)?;
        let attributes = Attributes::at(epoch, output.mode);
        let inode = match output.kind {
            OutputKind::Directory => {
                if tree.get(&path).is_some() {
                    continue;
                }
                Inode::directory(attributes)
            }
            OutputKind::File(content) => Inode::file(content, attributes),
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

struct Output {
    path: Vec<u8>,
    mode: u16,
    kind: OutputKind<Blob>,
}

/// `C` is a file's contents.
#[derive(Serialize, Deserialize)]
enum OutputKind<C> {
    Directory,
    File(C),
    Symlink(Vec<u8>),
}

/// An output as the head of a cache entry names it: of contents the length.
type Named = (Vec<u8>, u16, OutputKind<u64>);

fn flatten(found: &FileTree, at: &ImagePath, outputs: &mut Vec<Output>) {
    for entry in found.walk_from(at).default_because("an absent folder has no entries") {
        let inode = found.inode(entry.id);
        let kind = match &inode.kind {
            NodeKind::Directory(_) => OutputKind::Directory,
            NodeKind::File(content) => OutputKind::File(content.clone()),
            NodeKind::Symlink(target) => OutputKind::Symlink(target.to_vec()),
            _ => continue,
        };
        outputs.push(Output { path: entry.path.as_bytes().to_vec(), mode: inode.attributes.mode, kind });
    }
}

/// What a program makes of its inputs: the digest of the cache entry.
pub fn output_question(inputs: &Digest) -> Digest {
    question("output", &[inputs.as_bytes()])
}

/// Writes a cache entry: the length of its head (8 bytes, little endian), the head, and the contents one after the other. Returns the SHA-256 of all that.
fn store(cached: &Path, outputs: &[Output]) -> Result<Digest> {
    let head: Vec<Named> = outputs
        .iter()
        .map(|output| {
            let kind = match &output.kind {
                OutputKind::Directory => OutputKind::Directory,
                OutputKind::File(content) => OutputKind::File(content.len()),
                OutputKind::Symlink(target) => OutputKind::Symlink(target.clone()),
            };
            (output.path.clone(), output.mode, kind)
        })
        .collect();
    let head = postcard::to_stdvec(&head).map_err(|e| Error::internal("encode program outputs").source(e))?;
    let mut atomic = AtomicFile::create(cached)?;
    let mut hasher = Hasher::new();
    let mut write = |bytes: &[u8]| {
        hasher.update(bytes);
        atomic.file().write_all(bytes).context(|| format!("write {}", cached.display()))
    };
    write(&(head.len() as u64).to_le_bytes())?;
    write(&head)?;
    for output in outputs {
        if let OutputKind::File(content) = &output.kind {
            content.for_each_window(&mut write)?;
        }
    }
    atomic.commit_unsynced()?;
    Ok(hasher.finish())
}

/// In bytes: far beyond what programs make of a whole image.
const LARGEST_ENTRY: u64 = 4 << 30;

/// Contents stay in the file: an initramfs and a hardware database are many bytes. `None` for an entry that is absent, or that is not `made`; the latter
/// is set aside.
fn read_cached(cached: &Path, made: Digest, facts: &Facts) -> Result<Option<Vec<Output>>> {
    let found = match Entry::open(cached)? {
        Entry::Absent => return Ok(None),
        Entry::Unreadable(_) => None,
        Entry::Open(_, metadata) if metadata.len() > LARGEST_ENTRY => None,
        // What cannot be read to its end is no entry either.
        Entry::Open(file, _) => CheckedFile::scan(file, cached, facts.alarm().clone())
            .none_because("an entry that cannot be read is made anew")
            .filter(|(_, digest)| *digest == made),
    };
    let outputs = found.and_then(|(file, _)| {
        let len = file.len();
        outputs_of(&Blob::Checked { file: Arc::new(file), offset: 0, len, content: None })
    });
    if outputs.is_none() {
        set_aside(cached)?;
    }
    Ok(outputs)
}

fn outputs_of(entry: &Blob) -> Option<Vec<Output>> {
    let mut head_length = [0; 8];
    entry.read_exact_at(&mut head_length, 0).none_because("an entry that cannot be read is made anew")?;
    let head = entry.slice(8, u64::from_le_bytes(head_length)).none_because("an entry that cannot be read is made anew")?;
    let mut at = 8 + head.len();
    let named: Vec<Named> = postcard::from_bytes(&head.to_vec().none_because("an entry that cannot be read is made anew")?)
        .none_because("an entry that cannot be read is made anew")?;
    let output = |(path, mode, kind): Named| {
        let kind = match kind {
            OutputKind::Directory => OutputKind::Directory,
            OutputKind::File(length) => {
                let content = entry.slice(at, length).none_because("an entry that cannot be read is made anew")?;
                at += length;
                OutputKind::File(content)
            }
            OutputKind::Symlink(target) => OutputKind::Symlink(target),
        };
        Some(Output { path, mode, kind })
    };
    named.into_iter().map(output).collect()
}

/// Every selected path with its attributes and the identity of its content.
fn input_digest(tree: &FileTree, program: &Program, epoch: SourceDateEpoch) -> Result<Digest> {
    let mut hasher = Hasher::new();
    let mut field = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    field(b"trigger 5");
    field(&program.commands_identity());
    field(&epoch.0.to_le_bytes());
    for output in &program.outputs {
        field(output.as_bytes());
    }
    for entry in tree.walk() {
        let inode = tree.inode(entry.id);
        if inode.is_directory() || !(program.inputs)(&entry.path) {
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
        Some(identity) => Ok(identity.bytes().to_vec()),
        None => Ok(content.digest()?.as_bytes().to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_as_stored_and_not_at_all_once_a_byte_is_wrong() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("outputs");
        let cached = folder.join("entry");
        let output = |path: &str, kind| Output { path: path.into(), mode: 0o640, kind };
        let long = vec![3; 3 << 20];
        let outputs = [
            output("/d", OutputKind::Directory),
            output("/d/one", OutputKind::File(long.clone().into())),
            output("/d/none", OutputKind::File(Blob::empty())),
            output("/d/link", OutputKind::Symlink(b"one".to_vec())),
            output("/d/two", OutputKind::File(b"two".to_vec().into())),
        ];
        let made = store(&cached, &outputs).unwrap();
        let facts = Facts::none();
        let read = |cached: &Path| {
            let shown = |output: Output| {
                let kind = match output.kind {
                    OutputKind::Directory => b"directory".to_vec(),
                    OutputKind::File(content) => content.to_vec().unwrap(),
                    OutputKind::Symlink(target) => [b"to ", target.as_slice()].concat(),
                };
                (String::from_utf8(output.path).unwrap(), output.mode, kind)
            };
            let read = read_cached(cached, made, &facts).unwrap();
            read.map(|outputs| outputs.into_iter().map(shown).collect::<Vec<_>>())
        };
        let expected: Vec<(String, u16, Vec<u8>)> =
            [("/d", &b"directory"[..]), ("/d/one", &long), ("/d/none", b""), ("/d/link", b"to one"), ("/d/two", b"two")]
                .map(|(path, kind)| (path.to_owned(), 0o640, kind.to_vec()))
                .to_vec();
        assert!(read(&cached) == Some(expected));
        let bytes = std::fs::read(&cached).unwrap();
        for at in [0, 7, 20, 1 << 20, bytes.len() - 1] {
            let mut twin = bytes.clone();
            twin[at] ^= 1;
            std::fs::write(&cached, &twin).unwrap();
            assert!(read(&cached).is_none() && !cached.exists(), "{at}");
        }
        for length in [0, 7, 8, 40, bytes.len() - 1] {
            std::fs::write(&cached, &bytes[..length]).unwrap();
            assert!(read(&cached).is_none() && !cached.exists(), "{length}");
        }
        assert!(read(&cached).is_none(), "an entry that is absent");
        // Somebody else's entry, whole in itself.
        store(&cached, &outputs[..1]).unwrap();
        assert!(read(&cached).is_none());
        assert_eq!(std::fs::read_dir(cache.path().join("damaged")).unwrap().count(), 11);
    }
}
