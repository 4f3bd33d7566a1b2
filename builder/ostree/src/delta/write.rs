//! Makes a delta and puts it into the repository.

use super::content::{NewContent, Sending};
use super::cost::heaviest_first;
use super::listing::SUPERBLOCK;
use super::packing::{Item, PartPlan, plan};
use super::part::Part;
use super::similar::OldFiles;
use super::{ContentCost, DeltaName, Fallback, ObjectName, PartBuilder, PartHeader, Reachable, Superblock};
use crate::{CommitId, ObjectKind, Store};
use model::{Digest, Entry, Error, Hasher, Progress, Result, ResultExt, ScratchDirectory, sweep_scratch};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read};
use std::path::Path;

#[derive(Debug, Clone)]
pub struct DeltaOptions {
    /// Most bytes of a part before compression. libostree writes 32 MB; with half of that a middling update has parts for each core, and takes 1 % more bytes.
    pub part_size: u64,
    /// Larger files are sent whole, in bytes: a patch takes nine times as much memory as the old file.
    pub largest_patched: u64,
    /// Larger files are in no part, in bytes: a part is in memory while it is made.
    pub largest_in_part: u64,
}

impl Default for DeltaOptions {
    fn default() -> Self {
        DeltaOptions { part_size: 16 << 20, largest_patched: 64 << 20, largest_in_part: 128 << 20 }
    }
}

/// Memory that patches may take at the same time, in bytes. One that needs more is made alone.
const PATCHING_MEMORY: u64 = 512 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaReport {
    pub name: DeltaName,
    /// What a host fetches: superblock, parts and fallbacks.
    pub bytes: u64,
    pub parts: usize,
    pub fallbacks: usize,
    /// Without the commit object, which is in the superblock.
    pub new_objects: usize,
    /// `None` if the delta was there already.
    pub made: Option<MadeDelta>,
}

/// What is only known while a delta is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeDelta {
    /// Files that are made of an old one.
    pub patched: usize,
    /// An estimate of each new file's share of the bytes, the heaviest first.
    pub contents: Vec<ContentCost>,
}

impl Store {
    /// Makes the delta from one commit, or from nothing, to another, unless it is there already. What `to` has as detached metadata, such as its signatures,
    /// is part of it, so a commit is signed first.
    pub fn write_delta(
        &self,
        from: Option<CommitId>,
        to: CommitId,
        options: &DeltaOptions,
        progress: &dyn Progress,
    ) -> Result<DeltaReport> {
        let _span = tracing::info_span!("delta").entered();
        let name = DeltaName { from, to };
        let _lock = self.lock_shared()?;
        let commit = self.read_metadata(ObjectKind::Commit, to.digest())?;
        let mut superblock = Superblock::new(name, commit, self.detached_metadata(to)?)?;
        if let Some(report) = self.present(&superblock)? {
            return Ok(report);
        }
        let old = from.map_or_else(|| Ok(Reachable::default()), |from| Reachable::of(self, from))?;
        let new = Reachable::of(self, to)?;
        let contents = self.new_contents(&old, &new, options)?;
        let decided = self.decide(contents, options, progress)?;

        let mut shares: Vec<ContentCost> =
            decided.iter().map(|(content, sending)| ContentCost { path: content.path.clone(), bytes: sending.cost(content) }).collect();
        heaviest_first(&mut shares);
        let is_patched = |sending: &Sending| matches!(sending, Sending::Copy(_) | Sending::Patch { .. });
        let made = MadeDelta { patched: decided.iter().filter(|(_, sending)| is_patched(sending)).count(), contents: shares };

        let mut items = Vec::new();
        for &object in new.metadata.difference(&old.metadata) {
            items.push(Item::Metadata(object, self.object_size(object)?));
        }
        for (content, sending) in decided {
            match sending {
                Sending::Fallback => superblock.fallbacks.push(fallback(&content)),
                sending => items.push(Item::Content(Box::new(content), sending)),
            }
        }
        let plans = plan(items, options);
        let tmp = self.root.join("tmp");
        sweep_scratch(&tmp)?;
        let scratch = ScratchDirectory::create(&tmp, "delta")?;
        superblock.parts = self.make_parts(plans, scratch.path(), progress)?;
        let bytes = superblock.encode();
        let path = scratch.path().join(SUPERBLOCK);
        std::fs::write(&path, &bytes).context(|| format!("write {}", path.display()))?;
        self.place_delta(&superblock, scratch.path())?;
        report(&superblock, bytes.len(), Some(made))
    }

    /// The report of a delta that is there, whole, made by the same rules and with the same signatures.
    fn present(&self, wanted: &Superblock) -> Result<Option<DeltaReport>> {
        let found = match self.superblock(wanted.name) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            // A damaged one is written anew.
            Err(e) if e.kind() == model::Kind::Integrity => return Ok(None),
            Err(e) => return Err(e),
        };
        let (superblock, bytes) = found;
        if !superblock.is_current || superblock.detached != wanted.detached {
            return Ok(None);
        }
        let folder = self.root.join(wanted.name.path());
        for (number, part) in superblock.parts.iter().enumerate() {
            if digest_of_file(&folder.join(number.to_string()), part.size)? != Some(part.digest) {
                return Ok(None);
            }
        }
        report(&superblock, bytes.len(), None).map(Some)
    }

    /// The files and symlinks that only the new commit has, each with the old file that it resembles.
    fn new_contents(&self, old: &Reachable, new: &Reachable, options: &DeltaOptions) -> Result<Vec<NewContent>> {
        let known: BTreeSet<&Digest> = old.files.values().collect();
        let mut old_files = OldFiles::of(self, old, options.largest_patched);
        let mut out = Vec::new();
        for (digest, path) in new.contents() {
            if known.contains(&digest) {
                continue;
            }
            let header = self.content_header(digest)?;
            let is_symlink = header.file.is_symlink();
            let old = if is_symlink { None } else { old_files.similar(path, header.size)? };
            let packed = self.object_size(ObjectName { kind: ObjectKind::ArchiveFile, digest })?;
            out.push(NewContent { digest, header, path: path.clone(), packed, old });
        }
        // The largest first, so that no core is left alone with one at the end.
        out.sort_by_key(|content| (std::cmp::Reverse(content.weight()), content.digest));
        Ok(out)
    }

    fn decide(&self, contents: Vec<NewContent>, options: &DeltaOptions, progress: &dyn Progress) -> Result<Vec<(NewContent, Sending)>> {
        progress.begin("patches", contents.iter().map(|content| content.header.size).sum(), "bytes");
        let mut out = Vec::with_capacity(contents.len());
        let mut rest = contents.as_slice();
        while !rest.is_empty() {
            let mut weight = 0u64;
            let fitting = rest.iter().take_while(|content| {
                weight = weight.saturating_add(content.weight());
                weight <= PATCHING_MEMORY
            });
            let (batch, later) = rest.split_at(fitting.count().max(1));
            let decided: Vec<Sending> = batch
                .par_iter()
                .with_max_len(1)
                .map(|content| {
                    let sending = content.decide(self, options).context(|| format!("compare {}", content.path));
                    progress.advance(content.header.size);
                    sending
                })
                .collect::<Result<_>>()?;
            out.extend(batch.iter().cloned().zip(decided));
            rest = later;
        }
        Ok(out)
    }

    /// Writes each part into `folder` under its number.
    fn make_parts(&self, plans: Vec<PartPlan>, folder: &Path, progress: &dyn Progress) -> Result<Vec<PartHeader>> {
        progress.begin("delta", plans.iter().map(|plan| plan.payload).sum(), "bytes");
        let numbered = plans.into_par_iter().enumerate().with_max_len(1);
        let made = numbered.map(|(number, plan)| {
            let Part { payload, objects, unpacked } = self.fill(&plan)?;
            let packed = plan.packing.pack(&payload)?;
            let path = folder.join(number.to_string());
            std::fs::write(&path, &packed).context(|| format!("write {}", path.display()))?;
            progress.advance(plan.payload);
            Ok(PartHeader { digest: Digest::of(&packed), size: packed.len() as u64, unpacked, objects })
        });
        made.collect()
    }

    fn fill(&self, plan: &PartPlan) -> Result<Part> {
        let mut part = PartBuilder::default();
        for item in &plan.items {
            match item {
                Item::Metadata(object, _) => part.metadata(*object, &self.read_metadata(object.kind, object.digest)?),
                Item::Content(content, sending) => {
                    let object = ObjectName { kind: ObjectKind::ArchiveFile, digest: content.digest };
                    let (header, size) = (&content.header.file, content.header.size);
                    match sending {
                        Sending::Whole(_) if header.is_symlink() => part.whole(object, header, header.target.as_bytes()),
                        Sending::Whole(_) => part.whole(object, header, &self.content(content.digest, size)?),
                        Sending::Copy(old) => part.copy(object, header, size, old.digest),
                        Sending::Patch { old, patch } => part.patched(object, header, size, old.digest, &patch.stream()?),
                        Sending::Fallback => return Err(Error::internal(format!("{} is in a part", content.path))),
                    }
                }
            }
        }
        Ok(part.finish())
    }

    /// Moves the files into the delta's folder, the superblock last: until then nobody sees a delta there.
    fn place_delta(&self, superblock: &Superblock, made: &Path) -> Result<()> {
        let folder = self.root.join(superblock.name.path());
        self.remove_delta(superblock.name)?;
        std::fs::create_dir_all(&folder).context(|| format!("create directory {}", folder.display()))?;
        let place = |name: &str| {
            let to = folder.join(name);
            std::fs::rename(made.join(name), &to).context(|| format!("rename to {}", to.display()))
        };
        (0..superblock.parts.len()).try_for_each(|number| place(&number.to_string()))?;
        self.sync()?;
        place(SUPERBLOCK)?;
        self.sync()
    }
}

fn report(superblock: &Superblock, length: usize, made: Option<MadeDelta>) -> Result<DeltaReport> {
    Ok(DeltaReport {
        name: superblock.name,
        bytes: superblock.fetched()?.saturating_add(length as u64),
        parts: superblock.parts.len(),
        fallbacks: superblock.fallbacks.len(),
        new_objects: superblock.parts.iter().map(|part| part.objects.len()).sum::<usize>() + superblock.fallbacks.len(),
        made,
    })
}

fn fallback(content: &NewContent) -> Fallback {
    let object = ObjectName { kind: ObjectKind::ArchiveFile, digest: content.digest };
    Fallback { object, size: content.packed, unpacked: content.header.size }
}

/// `None` for a file that is absent, or is not `size` bytes long.
fn digest_of_file(path: &Path, size: u64) -> Result<Option<Digest>> {
    let Entry::Open(mut file, metadata) = Entry::open(path)? else { return Ok(None) };
    if metadata.len() != size {
        return Ok(None);
    }
    let mut hasher = Hasher::new();
    let mut window = vec![0; 1 << 20];
    loop {
        match file.read(&mut window) {
            Ok(0) => return Ok(Some(hasher.finish())),
            Ok(n) => hasher.update(window.get(..n).unwrap_or(&[])),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e).context(|| format!("read {}", path.display())),
        }
    }
}
