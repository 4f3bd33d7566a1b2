//! The inputs in `builder/fuzz/seeds`, a folder for each subject: `seed-N` are made by our own writers, others were found by cargo-fuzz.

use crate::Subject;
use crate::random::Random;
use std::path::PathBuf;

/// Inputs stored of a subject that has no seeds and makes each input of pieces.
const MADE: u64 = 6;
/// Bytes of all files; they are part of the repository.
const STORED_MAX: u64 = 300 << 10;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds")).join(name)
}

/// The stored inputs of a subject, in the order of their names.
pub fn stored(name: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(folder(name)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// The targets of cargo-fuzz. A subject that is none (`repository`, whose inputs only number what it makes) has nothing stored.
fn targets() -> Vec<String> {
    let manifest = std::fs::read_to_string(folder("..").join("Cargo.toml")).unwrap();
    manifest.split("[[bin]]\nname = \"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

/// With ATOMIC_IMAGE_REWRITE=1 the files `seed-N` are made anew.
#[expect(clippy::disallowed_methods, reason = "a test's own setting, not a build's")]
pub fn write_if_asked(subject: &Subject<'_>) {
    if std::env::var("ATOMIC_IMAGE_REWRITE").as_deref() != Ok("1") || !targets().iter().any(|target| target == subject.name) {
        return;
    }
    let folder = folder(subject.name);
    std::fs::create_dir_all(&folder).unwrap();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("seed-")) {
            std::fs::remove_file(path).unwrap();
        }
    }
    let mut inputs = subject.seeds.clone();
    if let Some(make) = subject.make.filter(|_| inputs.is_empty()) {
        inputs.extend((0..MADE).map(|number| make(&mut Random::new(number))));
    }
    for (number, input) in inputs.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), input).unwrap();
    }
}

#[test]
fn every_target_of_cargo_fuzz_has_small_seeds() {
    let targets = targets();
    assert!(targets.len() > 30, "{targets:?}");
    let mut total = 0;
    for target in &targets {
        let inputs = stored(target);
        assert!(!inputs.is_empty(), "{target} has no seeds: ATOMIC_IMAGE_REWRITE=1 cargo test --release -p atomic-image --test fuzz");
        total += inputs.iter().map(|input| input.len() as u64).sum::<u64>();
    }
    assert!(total <= STORED_MAX, "{total} bytes of seeds, more than {STORED_MAX}");
    let folders = std::fs::read_dir(folder("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let strangers: Vec<String> = folders.filter(|name| !targets.contains(name)).collect();
    assert!(strangers.is_empty(), "folders without a target: {strangers:?}");
}
