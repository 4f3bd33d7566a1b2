use super::releases::releases;
use super::*;
use crate::{CommitId, DeltaName, DeltaOptions, DeltaReport, ObjectKind, Store, commit};
use model::{Digest, Silent};
use std::path::PathBuf;

struct Sample {
    folder: tempfile::TempDir,
    store: Store,
    old: CommitId,
    new: CommitId,
    new_tree: FileTree,
}

impl Sample {
    fn new(seed: u64) -> Sample {
        let folder = tempfile::tempdir().unwrap();
        let (old_tree, new_tree) = releases(seed);
        let store = Store::create(&folder.path().join("repo")).unwrap();
        let old = commit(&old_tree, &meta()).unwrap();
        let new = commit(&new_tree, &CommitMeta { parent: Some(old.id), ..meta() }).unwrap();
        store.write(&old, &old_tree, REF, Store::LEVEL, &Silent).unwrap();
        store.write(&new, &new_tree, REF, Store::LEVEL, &Silent).unwrap();
        Sample { folder, store, old: old.id, new: new.id, new_tree }
    }

    fn at(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, from: Option<CommitId>) -> DeltaReport {
        self.store.write_delta(from, self.new, &small_parts(), &Silent).unwrap()
    }

    fn delta(&self, from: Option<CommitId>) -> PathBuf {
        self.store.path().join(DeltaName { from, to: self.new }.path())
    }

    /// A bare repository that has the old commit alone, as a host has it.
    fn host(&self) {
        ok(self.at(), &format!("rm -rf host && ostree init --repo=host --mode=bare && ostree pull-local --repo=host repo {}", self.old));
    }

    /// The host's checkout of the new commit is the new tree, file for file.
    fn host_has_the_new_tree(&self) {
        ok(self.at(), "ostree fsck --repo=host");
        ok(self.at(), &format!("rm -rf out expected && ostree checkout --repo=host {} out", self.new));
        on_disk::write(&self.new_tree, &self.at().join("expected"));
        let described = |root: &str| -> Vec<(String, String)> {
            let lines = on_disk::describe(&self.at().join(root)).into_iter();
            lines.map(|(name, line)| (name, line.split(" | ").next().unwrap_or_default().to_owned())).collect()
        };
        assert_eq!(described("out"), described("expected"));
    }
}

/// Of every kind more than one, and files that are larger than a part.
fn small_parts() -> DeltaOptions {
    DeltaOptions { part_size: 200_000, ..DeltaOptions::default() }
}

fn files_of(delta: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(delta).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn ostree_applies_every_delta_offline_and_has_the_new_tree() {
    if !can_run() {
        return;
    }
    for seed in 1..=3 {
        let sample = Sample::new(seed);
        let report = sample.write(Some(sample.old));
        let made = report.made.unwrap();
        // Eight programs but the one that not everybody may read, two with other attributes, the library and the module.
        assert!(made.patched >= 11 && report.parts > 4, "seed {seed}: {} patched, {} parts", made.patched, report.parts);
        sample.host();
        ok(sample.at(), &format!("ostree static-delta apply-offline --repo=host {}", sample.delta(Some(sample.old)).display()));
        sample.host_has_the_new_tree();

        // From nothing, into an archive repository too, which has no patches.
        assert_eq!(sample.write(None).made.unwrap().patched, 0);
        for mode in ["bare", "archive"] {
            ok(sample.at(), &format!("rm -rf host && ostree init --repo=host --mode={mode}"));
            ok(sample.at(), &format!("ostree static-delta apply-offline --repo=host {}", sample.delta(None).display()));
            sample.host_has_the_new_tree();
        }
    }
}

/// libostree before 2023.7 looks through a new commit while its parts are being applied, and fetches what is not there yet as objects, whoever made the delta.
fn fetches_deltas_alone() -> bool {
    let said = ok(Path::new("/"), "ostree --version");
    let version = said.split('\'').nth(1).and_then(|version| version.split_once('.')).expect("a version in quotes");
    let [year, month] = [version.0, version.1].map(|number| number.parse::<u32>().unwrap());
    (year, month) >= (2023, 7)
}

/// Delta parts and objects that a pull says it fetched.
fn fetched(said: &str) -> [usize; 2] {
    [" delta parts", " loose fetched"].map(|what| {
        let before = said.split(what).next().unwrap();
        before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    })
}

#[test]
fn ostree_pull_needs_nothing_but_the_delta() {
    if !can_run() {
        return;
    }
    let sample = Sample::new(7);
    let at = sample.at();
    let parts = [sample.write(Some(sample.old)).parts, sample.write(None).parts];
    ok(at, "ostree summary --repo=repo -u");
    ok(at, "mkdir server && cp -a repo/config repo/deltas repo/summary repo/refs server/");
    // A server that has no objects, where that can be asked for.
    ok(at, if fetches_deltas_alone() { "mkdir server/objects" } else { "cp -a repo/objects server/" });
    let add = "ostree remote add --repo=host --no-gpg-verify r file://$PWD/server";
    let pull = format!("ostree pull --repo=host --require-static-deltas r {REF} 2>&1");
    for (is_new, parts) in [(false, parts[0]), (true, parts[1])] {
        if is_new {
            ok(at, "rm -rf host && ostree init --repo=host --mode=bare");
        } else {
            sample.host();
        }
        ok(at, add);
        let said = ok(at, &pull);
        let [found, loose] = fetched(&said);
        assert_eq!(found, parts, "{said}");
        assert!(loose == 0 || !fetches_deltas_alone(), "{said}");
        assert_eq!(ok(at, &format!("ostree rev-parse --repo=host r:{REF}")), sample.new.to_string());
        sample.host_has_the_new_tree();
    }
    // Once, that it is the deltas which were fetched.
    ok(at, "rm -rf server/deltas");
    sample.host();
    ok(at, add);
    assert!(!run(at, &pull).status.success());
}

#[test]
fn ostree_refuses_a_part_of_ours_that_was_damaged() {
    if !can_run() {
        return;
    }
    let sample = Sample::new(8);
    sample.write(Some(sample.old));
    let delta = sample.delta(Some(sample.old));
    let apply = format!("ostree static-delta apply-offline --repo=host {}", delta.display());
    for (name, good) in files_of(&delta).into_iter().filter(|(name, _)| name != "superblock") {
        sample.host();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        std::fs::write(delta.join(&name), bad).unwrap();
        let output = run(sample.at(), &apply);
        assert!(!output.status.success(), "part {name}");
        std::fs::write(delta.join(&name), good).unwrap();
    }
    // We find it, too, and write the part anew.
    std::fs::write(delta.join("0"), "damaged").unwrap();
    assert!(sample.write(Some(sample.old)).made.is_some());
    assert!(sample.write(Some(sample.old)).made.is_none());
    sample.host();
    ok(sample.at(), &apply);
    sample.host_has_the_new_tree();
}

#[test]
fn ostree_lists_and_shows_what_the_report_says() {
    if !can_run() {
        return;
    }
    let sample = Sample::new(9);
    let report = sample.write(Some(sample.old));
    sample.write(None);
    let mut names: Vec<String> = sample.store.deltas().unwrap().iter().map(|delta| delta.name.to_string()).collect();
    names.sort();
    assert_eq!(ok(sample.at(), "ostree static-delta list --repo=repo | sort"), names.join("\n"));

    let shown = ok(sample.at(), &format!("ostree static-delta show --repo=repo {}", report.name));
    let numbers = |key: &str| -> u64 {
        let values = shown.split(key).skip(1).map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse::<u64>().unwrap());
        values.sum()
    };
    assert_eq!(numbers("Number of parts: "), report.parts as u64, "{shown}");
    assert_eq!(numbers("nobjects="), report.new_objects as u64, "{shown}");
    // Two files are copies of old ones: written from them, without a patch.
    assert_eq!((numbers("bspatch="), numbers(" write=")), (report.made.unwrap().patched as u64 - 2, 2), "{shown}");

    // A summary names each superblock by its digest.
    ok(sample.at(), "ostree summary --repo=repo -u");
    let summary = ok(sample.at(), "ostree summary --repo=repo -v --raw");
    for delta in sample.store.deltas().unwrap() {
        let digest: Vec<String> = delta.superblock.as_bytes().iter().map(|byte| format!("0x{byte:02x}")).collect();
        assert!(summary.contains(&delta.name.to_string()) && summary.contains(&digest.join(", ")), "{} {summary}", delta.name);
    }
}

#[test]
fn signatures_travel_inside_and_large_files_beside_a_delta() {
    let sample = Sample::new(10);
    let metadata = crate::gvariant::Value::tuple(&[
        crate::gvariant::Value::string("test.signature"),
        crate::gvariant::Value::variant(crate::gvariant::Value::string("signed"), "s"),
    ]);
    let metadata = crate::gvariant::Value::array(crate::gvariant::Shape::VARIANT, &[metadata]).into_bytes();
    let plain = sample.write(Some(sample.old));
    let object = sample.store.object_path(ObjectKind::Commit, sample.new.digest()).with_extension("commitmeta");
    std::fs::write(object, &metadata).unwrap();
    let options = DeltaOptions { largest_in_part: 50_000, ..small_parts() };
    let report = sample.store.write_delta(Some(sample.old), sample.new, &options, &Silent).unwrap();
    assert!(report.made.is_some() && report.fallbacks > 3, "signing makes it anew");
    assert_eq!(report.new_objects, plain.new_objects);
    if !can_run() {
        return;
    }
    let at = sample.at();
    ok(at, "ostree summary --repo=repo -u");
    sample.host();
    ok(at, "ostree remote add --repo=host --no-gpg-verify r file://$PWD/repo");
    let said = ok(at, &format!("ostree pull --repo=host --require-static-deltas r {REF} 2>&1"));
    let [parts, loose] = fetched(&said);
    assert!(parts == report.parts && loose >= report.fallbacks, "{said}");
    sample.host_has_the_new_tree();
    assert_eq!(ok(at, &format!("ostree show --repo=host --print-detached-metadata-key=test.signature {}", sample.new)), "'signed'");
}

#[test]
fn the_same_commits_give_the_same_bytes_with_any_number_of_threads() {
    let samples = [Sample::new(11), Sample::new(11)];
    let made: Vec<BTreeMap<String, Vec<u8>>> = [(0, 1), (0, 2), (1, 7)]
        .map(|(which, threads)| {
            let sample: &Sample = &samples[which];
            sample.store.remove_delta(DeltaName { from: Some(sample.old), to: sample.new }).unwrap();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(pool.install(|| sample.write(Some(sample.old))).made.is_some());
            files_of(&sample.delta(Some(sample.old)))
        })
        .into();
    assert!(made[0] == made[1] && made[1] == made[2]);
    assert!(made[0].len() > 5);
    assert_eq!(std::fs::read_dir(samples[0].store.path().join("tmp")).unwrap().count(), 1, "nothing but libostree's cache stays in tmp/");
}

#[test]
fn the_cost_is_what_a_host_fetches() {
    let sample = Sample::new(12);
    let before = sample.store.cost(Some(sample.old), sample.new).unwrap();
    assert_eq!(before.delta, None);
    let report = sample.write(Some(sample.old));
    let on_disk: usize = files_of(&sample.delta(Some(sample.old))).values().map(Vec::len).sum();
    let after = sample.store.cost(Some(sample.old), sample.new).unwrap();
    assert_eq!((after.delta, report.bytes), (Some(on_disk as u64), on_disk as u64));
    assert!(on_disk as u64 * 2 < after.objects, "{on_disk} of {}", after.objects);
    // The incompressible file weighs most of what cannot be patched.
    assert_eq!(report.made.unwrap().contents[0].path.to_string(), "/usr/share/noise");
    let all: u64 = after.contents.iter().map(|content| content.bytes).sum();
    assert!(all < after.objects && after.contents.is_sorted_by(|a, b| a.bytes >= b.bytes));
    // From nothing every object is fetched.
    let objects = |extensions: &[&str]| -> u64 {
        let folders = std::fs::read_dir(sample.store.path().join("objects")).unwrap();
        let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap()).map(|file| file.unwrap());
        files.filter(|f| extensions.iter().any(|e| f.file_name().to_string_lossy().ends_with(e))).map(|f| f.metadata().unwrap().len()).sum()
    };
    let [first, both] = [sample.store.cost(None, sample.old).unwrap(), sample.store.cost(None, sample.new).unwrap()];
    assert_eq!(first.objects + after.objects, objects(&["filez", "dirtree", "dirmeta", "commit"]));
    assert!(both.objects < first.objects + after.objects);
    let absent = CommitId::new(Digest::of(b"absent"));
    assert!(
        sample.store.cost(Some(absent), sample.new).is_err()
            && sample.store.write_delta(Some(absent), sample.new, &small_parts(), &Silent).is_err()
    );
}

#[test]
fn a_damaged_superblock_is_an_error_of_the_delta_and_written_anew() {
    let sample = Sample::new(13);
    sample.write(None);
    let path = sample.delta(None).join("superblock");
    let good = std::fs::read(&path).unwrap();
    for bad in [&good[..good.len() / 2], b"", b"\xff\xff\xff\xff\xff\xff\xff\xff", &[good.as_slice(), b"x"].concat()] {
        std::fs::write(&path, bad).unwrap();
        let error = sample.store.cost(None, sample.new).unwrap_err();
        assert_eq!(error.kind(), model::Kind::Integrity, "{error}");
        assert!(error.to_string().contains("superblock"), "{error}");
        assert!(sample.write(None).made.is_some());
        assert_eq!(std::fs::read(&path).unwrap(), good);
    }
}
