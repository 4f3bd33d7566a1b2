//! THE function: a recipe to disk images, one paragraph per stage.

use super::deferred_progress::DeferredProgress;
use super::history::{self, Parent, Previous};
use super::release::release;
use super::stages::Stages;
use super::{LockReport, LockedRow, Report, Settings, budget, cache};
use disks::export::{self, Artifact, ExportOptions, Finished};
use evidence::Signatures;
use image::{BOOT_DATA, DeploymentSource, DiskImage, DiskPlan, DiskRequest};
use model::{
    ByteSize, Digest, Error, FolderLock, ImageSeed, Progress, Result, ResultExt, Segments, SourceDateEpoch, sweep, sweep_scratch,
    sync_folder,
};
use ostree::{Commit, KnownContents, Store};
use rayon::prelude::*;
use recipe::lock::{KeptIds, Lockfile};
use recipe::{Firmware, Recipe, Rollback, RootModel};
use rootfs::{BootImages, ProgramCache, Rootfs};
use std::path::Path;
use supply::fetch::Pack;
use supply::locking::{self, Update};
use supply::packs;

/// Locks, fetches, composes, commits, lays out the disk and writes it in every format asked for.
pub fn build(recipe: &Recipe, settings: &Settings, progress: &dyn Progress) -> Result<Report> {
    let out = settings.out.join(&recipe.name);
    let written: &[&Path] = if settings.images_only { &[&out] } else { &[&settings.repo, &out] };
    in_pool(settings, written, progress, || undisturbed(settings, progress, || build_all(recipe, settings, progress)))
}

/// Does it once more if a file of the cache turned out to be damaged behind a stamp that said otherwise: then every file is verified whole.
fn undisturbed<T>(settings: &Settings, progress: &dyn Progress, work: impl Fn() -> Result<T>) -> Result<T> {
    let first = work();
    match first {
        Err(error) if settings.supply.facts.alarm().is_raised() => {
            progress.warn(&format!("{error:#}: all of the cache that is needed is verified, and the build begins again"));
            settings.supply.facts.distrust();
            work()
        }
        first => first,
    }
}

/// Resolves anew and writes the lockfile.
pub fn lock(recipe: &Recipe, update: &Update, settings: &Settings, progress: &dyn Progress) -> Result<LockReport> {
    in_pool(settings, &[], progress, || Ok(lock_report(recipe, &locking::lock(recipe, update, &settings.supply, progress)?)))
}

/// Locks if need be, and brings every package into the cache.
pub fn fetch(recipe: &Recipe, settings: &Settings, progress: &dyn Progress) -> Result<LockReport> {
    in_pool(settings, &[], progress, || {
        let lock = locking::ensure(recipe, &settings.supply, progress)?;
        packs::bring(recipe, &lock.packages, &lock.repositories, &settings.supply, progress)?;
        packs::bring(recipe, &lock.tools, &lock.repositories, &settings.supply, progress)?;
        Ok(lock_report(recipe, &lock))
    })
}

/// What a recipe may say and this program cannot do yet must not be passed over in silence.
fn refuse_unbuilt(recipe: &Recipe) -> Result<()> {
    if recipe.root != RootModel::Ostree {
        return Err(Error::recipe("[root] model: composefs is not built yet").hint("set model = \"ostree\""));
    }
    Ok(())
}

/// All that a disk is planned from.
struct Composed {
    lock: Lockfile,
    packages: Vec<Pack>,
    tools: Vec<Pack>,
    epoch: SourceDateEpoch,
    rootfs: Rootfs,
    boot_images: BootImages,
    version: String,
    commit: Commit,
    previous: Option<Previous>,
    signatures: Signatures,
    seed: ImageSeed,
}

impl Composed {
    fn plan(&self, recipe: &Recipe) -> Result<DiskPlan> {
        let source = |commit, tree, version| DeploymentSource {
            commit,
            tree,
            signatures: self.signatures.get(&commit.id).map(Vec::as_slice),
            version,
        };
        let current = || source(&self.commit, self.rootfs.tree(), Some(self.version.clone()));
        let rollback = match &self.previous {
            Some(Previous { commit, tree, version }) => source(commit, tree, version.clone()),
            None => current(),
        };
        image::plan(&DiskRequest {
            recipe,
            current: current(),
            rollback,
            boot_images: &self.boot_images,
            labels: self.rootfs.labels(),
            seed: &self.seed,
            epoch: self.epoch,
        })
    }

    fn evidence<'a>(&'a self, recipe: &'a Recipe, artifacts: &'a [Artifact]) -> evidence::Build<'a> {
        evidence::Build {
            recipe,
            lock: &self.lock,
            packages: &self.packages,
            tools: &self.tools,
            seed: &self.seed,
            commit: self.commit.id,
            parent: self.commit.parent,
            signatures: &self.signatures,
            version: &self.version,
            ledger: self.rootfs.ledger(),
            artifacts,
        }
    }
}

/// Everything up to the commit; nothing is written but the cache and the lockfile. `store` is where a rollback's commit may be.
fn compose(
    recipe: &Recipe,
    settings: &Settings,
    store: impl FnOnce() -> Result<Option<Store>>,
    known: &KnownContents,
    stages: &mut Stages,
    progress: &dyn Progress,
) -> Result<(Composed, Option<Store>)> {
    refuse_unbuilt(recipe)?;
    // What runs that were killed left behind.
    for name in ["", "packs", "outputs", "converted", "rpms", "deb", "rpmmd/metadata"] {
        sweep(&settings.supply.cache.join(name));
    }
    for (state, name) in
        settings.supply.facts.folder().into_iter().flat_map(|state| ["contents", "digests", "stores"].map(|name| (state, name)))
    {
        sweep(&state.join(name));
    }
    if let Some(folder) = recipe.lockfile().parent() {
        sweep(folder);
    }
    sweep_scratch(&settings.supply.cache.join("scratch"))?;
    let lock = locking::ensure(recipe, &settings.supply, progress)?;
    let epoch = recipe.epoch.unwrap_or(lock.epoch);
    stages.done("lock");

    let packages = packs::open(recipe, &lock.packages, &lock.repositories, &settings.supply, progress)?;
    let tools = packs::open(recipe, &lock.tools, &lock.repositories, &settings.supply, progress)?;
    stages.done("fetch");

    let cache = ProgramCache {
        outputs: settings.supply.cache.join("outputs"),
        scratch: settings.supply.cache.join("scratch"),
        facts: settings.supply.facts.clone(),
    };
    let kept_ids = KeptIds::of(&lock.accounts);
    let rootfs = rootfs::compose(&packages, recipe, &kept_ids, &cache, epoch, progress)?;
    let lock = locking::remember(recipe, lock, rootfs.kept_ids(), &settings.supply)?;
    let mut tool_tree = rootfs::compose_tools(&tools, progress)?;
    let boot_images = rootfs::boot_images(&mut tool_tree, &BOOT_DATA, &cache, epoch)?;
    stages.done("rootfs");

    progress.begin("commit", 0, "");
    let version = recipe.version_at(epoch);
    let store = store()?;
    let objects = ostree::tree_objects(rootfs.tree(), ostree::content_ids(rootfs.tree(), known)?)?;
    let tree = history::Tree { recipe, tree: rootfs.tree(), objects, version: &version, bootloader: boot_images.digest(), epoch };
    let (commit, previous) = tree.commit(store.as_ref(), settings, progress)?;
    let signatures = match settings.parent {
        Parent::Given(_) => settings.signatures.clone(),
        Parent::OfStore => history::signatures(&commit, previous.as_ref(), store.as_ref(), &settings.signing_keys)?,
    };
    stages.done("commit");

    let seed = ImageSeed::new(Digest::of(format!("{} {}", recipe.digest(), lock.digest_of_packages()?).as_bytes()));
    Ok((Composed { lock, packages, tools, epoch, rootfs, boot_images, version, commit, previous, signatures, seed }, store))
}

/// The disk that `build` would write; every content is hashed anew.
pub fn plan(recipe: &Recipe, settings: &Settings, progress: &dyn Progress) -> Result<Segments> {
    in_pool(settings, &[], progress, || {
        undisturbed(settings, progress, || {
            let store = || match history::has_history(recipe) && settings.parent != Parent::Given(None) {
                true => Store::open(&settings.repo).map(Some),
                false => Ok(None),
            };
            let (composed, _) = compose(recipe, settings, store, &KnownContents::none(), &mut Stages::start(), progress)?;
            progress.begin("disk", 0, "");
            Ok(composed.plan(recipe)?.disk.segments)
        })
    })
}

fn build_all(recipe: &Recipe, settings: &Settings, progress: &dyn Progress) -> Result<Report> {
    check_signing_keys(recipe, settings, progress)?;
    let folder = settings.out.join(&recipe.name);
    let mut stages = Stages::start();
    let known = match settings.supply.facts.folder() {
        Some(state) => KnownContents::load(state.join("contents").join(&recipe.name))?,
        None => KnownContents::none(),
    };
    if settings.images_only && recipe.deployments.rollback == Rollback::Previous {
        return Err(Error::recipe("rollback = \"previous\" needs the tree store").hint("build without --images-only"));
    }
    let open_store = || {
        if settings.images_only { Ok(None) } else { Store::create(&settings.repo)?.remembering(&settings.supply.facts).map(Some) }
    };
    let (composed, store) = compose(recipe, settings, open_store, &known, &mut stages, progress)?;
    if recipe.budget.size.is_some() {
        // Before anything is published.
        budget::check_disk(recipe, composed.plan(recipe)?.disk.layout.size, &composed.packages)?;
    }
    // It only saves time.
    let _ = known.save();
    let _lock = FolderLock::acquire(&folder, || progress.note(&format!("waiting for another build that writes to {}", folder.display())))?;
    sweep(&folder);
    // The disk needs nothing that the store writes: they share the cores, and the slower one shows its bar when the other is done.
    let deferred = DeferredProgress::new(progress);
    let (stored, exported) = rayon::join(
        || {
            let (mut stages, mut costs) = (Stages::start(), Vec::new());
            if let Some(store) = &store {
                store.write_commit(&composed.commit, composed.rootfs.tree(), Store::LEVEL, &deferred)?;
                stages.done("store");
                costs = release(recipe, settings, store, composed.commit.id, &composed.packages, &deferred)?;
                stages.done("release");
            }
            Ok::<_, Error>((stages, costs))
        },
        || {
            let mut stages = Stages::start();
            progress.begin("disk", 0, "");
            let DiskPlan { disk, warnings } = composed.plan(recipe)?;
            stages.done("disk");
            let exported = export(recipe, settings, &disk, &composed, progress);
            stages.done("images");
            deferred.show();
            let finished = exported?;
            if settings.durable {
                finished.par_iter().with_max_len(1).try_for_each(Finished::sync)?;
                stages.done("sync");
            }
            Ok((finished, warnings, stages))
        },
    );
    let (finished, warnings, exporting) = exported?;
    let (storing, costs) = stored?;
    stages.join(storing);
    stages.join(exporting);
    let artifacts = publish(finished, &folder, settings.durable)?;
    evidence::write(&folder.join("manifest.json"), &composed.evidence(recipe, &artifacts))?;
    if settings.durable {
        sync_folder(&settings.out)?;
    }
    Ok(Report {
        artifacts,
        commit: composed.commit.id.to_string(),
        package_count: composed.lock.packages.len(),
        warnings,
        updates: costs,
        seconds: stages.seconds(),
        stages: stages.finish(),
        lockfile: recipe.lockfile(),
    })
}

/// A host refuses what none of its keys has signed.
fn check_signing_keys(recipe: &Recipe, settings: &Settings, progress: &dyn Progress) -> Result<()> {
    let Some(update) = &recipe.update else { return Ok(()) };
    let trusted = |key: &signing::SigningKey| update.keys.iter().any(|known| known.public() == key.public());
    if let Some(stranger) = settings.signing_keys.iter().find(|key| !trusted(key)) {
        return Err(Error::recipe(format!("the signing key {} is none of the recipe's [update] keys", stranger.public()))
            .hint("add its NAME.pub to [update] keys, or sign with another key"));
    }
    if settings.signing_keys.is_empty() && !settings.images_only {
        progress.warn("the commit is not signed, so that hosts will refuse it: give --sign-key FILE, or sign it later with `tree sign`");
    }
    Ok(())
}

/// Gives the artifacts their names. The manifest of an earlier build goes first, so that whatever interrupts this, a manifest that is there tells the truth.
fn publish(finished: Vec<Finished>, folder: &Path, durable: bool) -> Result<Vec<Artifact>> {
    let manifest = folder.join("manifest.json");
    match std::fs::remove_file(&manifest) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        removed => {
            removed.context(|| format!("remove the manifest of an earlier build {}", manifest.display()))?;
            if durable {
                sync_folder(folder)?;
            }
        }
    }
    export::publish(finished, folder, durable)
}

/// Writes the disk in every format asked for.
fn export(recipe: &Recipe, settings: &Settings, disk: &DiskImage, composed: &Composed, progress: &dyn Progress) -> Result<Vec<Finished>> {
    let formats = if settings.formats.is_empty() { &recipe.output.formats } else { &settings.formats };
    let checkpoints = settings.supply.facts.folder().map(|state| state.join("digests"));
    let options = ExportOptions {
        name: &recipe.name,
        title: &recipe.title,
        version: &composed.version,
        compression: recipe.output.compression,
        sector: recipe.disk.sector,
        uefi: recipe.disk.firmware.contains(&Firmware::Uefi),
        seed: composed.seed,
        epoch: composed.epoch,
        checkpoints: checkpoints.as_deref(),
    };
    export::export(&disk.segments, formats, &options, &settings.out.join(&recipe.name), progress)
}

/// Runs `work` on the settings' number of threads, in a cache that is ready. `written` are the folders besides the cache that it writes to.
fn in_pool<T: Send>(settings: &Settings, written: &[&Path], progress: &dyn Progress, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(settings.jobs.max(1))
        .build()
        .map_err(|e| Error::internal("start the worker threads").source(e))?;
    cache::prepare(&settings.supply.cache)?;
    // Everybody takes them in this order.
    let _turns = cache::take_turns(&[&[settings.supply.cache.as_path()], written].concat(), progress)?;
    pool.install(work)
}

fn lock_report(recipe: &Recipe, lock: &Lockfile) -> LockReport {
    let row = |p: &recipe::lock::LockedPackage| {
        Some(LockedRow { nevra: p.nevra.to_string(), repo: p.repo.clone(), sha256: p.sha256?, size: ByteSize(p.size) })
    };
    LockReport { lockfile: recipe.lockfile(), packages: lock.packages.iter().filter_map(row).collect() }
}
