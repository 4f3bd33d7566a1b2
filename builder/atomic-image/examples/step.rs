//! One step of a build, timed alone, for tests/bench: `step RECIPE CACHE OUT ext4|qcow2-zstd|qcow2-zlib|store|files|tenfold|repository`. Packages must be in the cache already
//! and the lockfile must be there. What comes before the step is not counted. Prints JSON: seconds, bytes of what was made, the process's peak memory.

#![allow(clippy::disallowed_methods, reason = "a bench's harness may drop an error")]

use atomic_image::pipeline::{self, Parent, Settings};
use disks::Compression;
use disks::export::{qcow2, raw};
use filesystems::ext4;
use model::tree::{Attributes, Edit, FileTree, Inode, NodeKind};
use model::{AtomicFile, Blob, Error, Facts, ImagePath, Result, ResultExt, Silent, SourceDateEpoch};
use ostree::{CommitMeta, Deployment, KnownContents, Store, SysrootRequest};
use recipe::lock::{KeptIds, Lockfile};
use rootfs::ProgramCache;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use supply::SupplySettings;
use supply::fetch::{FoundPack, Pack};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let result = match words.as_slice() {
        [recipe, cache, out, step] => run(recipe.as_ref(), cache.as_ref(), out.as_ref(), step),
        _ => Err(Error::recipe("usage: step RECIPE CACHE OUT ext4|qcow2-zstd|qcow2-zlib|store|files|tenfold|repository")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(recipe: &Path, cache: &Path, out: &Path, step: &str) -> Result<()> {
    let began = match step {
        "ext4" => {
            let tree = tree_of(recipe, cache)?;
            let began = Instant::now();
            write_ext4(tree.tree(), out)?;
            began
        }
        // Not of the recipe: 60,000 files of 10 KB that lie in one file, as contents lie in packs.
        "files" => {
            let tree = files(&cache.join("bench-files"))?;
            let began = Instant::now();
            write_ext4(&tree, out)?;
            began
        }
        "qcow2-zstd" | "qcow2-zlib" => {
            let disk = pipeline::plan(&recipe::load(recipe)?, &settings(cache)?, &Silent)?;
            let compression = if step == "qcow2-zstd" { Compression::Zstd } else { Compression::Zlib };
            let began = Instant::now();
            qcow2::write(&disk, compression, out, &Silent)?.name()?;
            began
        }
        "store" => {
            let tree = tree_of(recipe, cache)?;
            let epoch = SourceDateEpoch(1_700_000_000);
            let meta = CommitMeta { subject: "bench".into(), body: String::new(), parent: None, epoch, metadata: Default::default() };
            let began = Instant::now();
            let store = Store::create(out)?;
            let commit = ostree::tree_objects(tree.tree(), ostree::content_ids(tree.tree(), &KnownContents::none())?)?.commit(&meta)?;
            store.write(&commit, tree.tree(), "bench", Store::LEVEL, &Silent)?;
            began
        }
        // Commit, deployments and filesystem of a tree ten times larger, written with its digest: for its peak memory.
        "tenfold" => {
            let tree = tenfold(tree_of(recipe, cache)?.tree())?;
            let epoch = SourceDateEpoch(1_700_000_000);
            let began = Instant::now();
            let meta = CommitMeta { subject: "bench".into(), body: String::new(), parent: None, epoch, metadata: Default::default() };
            let commit = ostree::commit(&tree, &meta)?;
            let deployment = |serial| Deployment {
                commit: &commit,
                tree: &tree,
                signatures: None,
                serial,
                kargs: vec![],
                title: "bench".into(),
                version: None,
            };
            let remote = "bench".to_owned();
            let deployments = vec![deployment(0), deployment(1)];
            let request = SysrootRequest { os: "bench".into(), ref_name: "bench".into(), remote, deployments, epoch };
            let root = ostree::sysroot(&request)?.root;
            let options = ext4::Options { stable_prefix: true, ..ext4::Options::new("root", [7; 16], epoch) };
            raw::write(&ext4::plan(&root, &options)?, "raw", None, out, &Silent)?.name()?;
            began
        }
        // No step of ours: what a peer needs, the locked packages and the key that signed them.
        "repository" => {
            let lock = Lockfile::read(&recipe::load(recipe)?.lockfile())?;
            std::fs::create_dir_all(out).context(|| format!("create {}", out.display()))?;
            for package in &lock.packages {
                let name = format!("{}.rpm", package.nevra);
                let source = package.source_sha256.ok_or_else(|| Error::recipe(format!("{name} is not repackaged")))?;
                let from = cache.join("converted").join(format!("{source}-v{}.rpm", supply::repos::deb::CONVERTER_VERSION));
                std::fs::hard_link(&from, out.join(&name)).context(|| format!("link {} as {name}", from.display()))?;
            }
            let key = supply::repos::deb::public_key()?;
            std::fs::write(out.join("RPM-GPG-KEY"), key).context(|| "write the key")?;
            Instant::now()
        }
        other => return Err(Error::recipe(format!("no step {other:?}"))),
    };
    let seconds = began.elapsed().as_secs_f64();
    println!("{{\"seconds\": {seconds:.4}, \"bytes\": {}, \"peak_memory\": {}}}", size(out), peak_memory());
    Ok(())
}

fn write_ext4(tree: &FileTree, out: &Path) -> Result<()> {
    let plan = ext4::plan(tree, &ext4::Options::new("root", [7; 16], SourceDateEpoch(1_700_000_000)))?;
    let mut file = AtomicFile::create(out)?;
    raw::fill(&plan, file.file(), out, &Silent)?;
    file.commit_unsynced().map(drop)
}

fn tree_of(recipe: &Path, cache: &Path) -> Result<rootfs::Rootfs> {
    let recipe = recipe::load(recipe)?;
    let lock = Lockfile::read(&recipe.lockfile())?;
    let facts = facts()?;
    let open = |p: &recipe::lock::LockedPackage| {
        let digest = p.sha256.ok_or_else(|| Error::recipe(format!("{} is not locked to a digest", p.nevra)))?;
        match Pack::open(&cache.join("packs"), &digest, &facts)? {
            FoundPack::Whole(pack) => Ok(pack),
            _ => Err(Error::recipe(format!("no pack of {}: build once before", p.nevra))),
        }
    };
    let packs = lock.packages.iter().map(open).collect::<Result<Vec<Pack>>>()?;
    let triggers = ProgramCache { outputs: cache.join("outputs"), scratch: cache.join("scratch"), facts: facts.clone() };
    rootfs::compose(&packs, &recipe, &KeptIds::of(&lock.accounts), &triggers, recipe.epoch.unwrap_or(lock.epoch), &Silent)
}

/// The tree, and nine times more its /usr with packed contents that are each a little shorter, so that none of those is the same object.
fn tenfold(tree: &FileTree) -> Result<FileTree> {
    let mut out = tree.clone();
    let usr = tree.get(&ImagePath::parse("/usr")?).ok_or_else(|| Error::recipe("a tree without /usr"))?;
    for copy in 1..10u64 {
        let top = ImagePath::parse(format!("/usr/copy{copy}"))?;
        out.graft(&top, tree, usr)?;
        for entry in out.walk_from(&top).unwrap_or_default() {
            if let NodeKind::File(blob) = &out.inode(entry.id).kind
                && matches!(blob, Blob::Checked { .. })
                && blob.len() > 10
            {
                let shorter = blob.slice(0, blob.len() - copy)?;
                out.inode_mut(entry.id).kind = NodeKind::File(shorter);
            }
        }
    }
    Ok(out)
}

fn files(source: &Path) -> Result<FileTree> {
    const COUNT: u64 = 60_000;
    const LENGTH: u64 = 10_000;
    let stride = LENGTH.next_multiple_of(4096);
    if !source.exists() {
        let one: Vec<u8> = (0..stride).map(|n| ((n * n) >> 7) as u8).collect();
        std::fs::write(source, one.repeat(COUNT as usize)).context(|| format!("write {}", source.display()))?;
    }
    let file = Arc::new(File::open(source).context(|| format!("open {}", source.display()))?);
    let mut tree = FileTree::new();
    for i in 0..COUNT {
        let blob = Blob::Extent { file: file.clone(), path: source.into(), offset: i * stride, len: LENGTH };
        let path = ImagePath::parse(format!("/d{}/{i}", i % 600))?;
        tree.insert(&path, Inode::file(blob, Attributes::root(0o644)), Edit::Create)?;
    }
    Ok(tree)
}

/// The facts of the builds that were made before, where the program keeps them unless told otherwise.
fn facts() -> Result<Arc<Facts>> {
    #[expect(clippy::disallowed_methods, reason = "the command line's part is not used here")]
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let folder = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    let folder = folder.ok_or_else(|| Error::recipe("neither XDG_STATE_HOME nor HOME is set"))?;
    Facts::open(&folder.join("atomic-image")).map(Arc::new)
}

fn settings(cache: &Path) -> Result<Settings> {
    Ok(Settings {
        supply: SupplySettings {
            cache: cache.to_path_buf(),
            facts: facts()?,
            offline: true,
            ca: None,
            proxies: Default::default(),
            allow_older: false,
            locked: true,
            mirror: None,
            // Expiry is not judged: nothing is fetched.
            now: SourceDateEpoch(1_700_000_000),
        },
        out: PathBuf::new(),
        durable: false,
        repo: PathBuf::new(),
        images_only: true,
        formats: Vec::new(),
        signing_keys: Arc::default(),
        parent: Parent::OfStore,
        signatures: Default::default(),
        jobs: std::thread::available_parallelism().map_or(1, |n| n.get()),
    })
}

/// Of a file, or of all below a directory.
fn size(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return path.metadata().map_or(0, |m| m.len()) };
    entries.flatten().map(|entry| size(&entry.path())).sum()
}

/// VmHWM, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}
