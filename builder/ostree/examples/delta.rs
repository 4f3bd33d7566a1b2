//! Makes the delta between two commits of a store and prints what it took, for tests/bench/delta.
//!
//!     delta STORE FROM TO      refs or commits; FROM may be `nothing`

#![allow(clippy::disallowed_methods, reason = "it measures")]

use atomic_image_ostree::{CommitId, DeltaOptions, Store};
use model::{Error, Result, Silent};
use std::path::Path;
use std::time::Instant;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [store, from, to] = words.as_slice() else { return Err(Error::recipe("usage: delta STORE FROM TO")) };
    let store = Store::open(Path::new(store))?;
    let commit = |name: &str| match CommitId::parse(name) {
        Ok(id) => Ok(id),
        Err(_) => store.resolve_ref(name)?.ok_or_else(|| Error::recipe(format!("no ref {name}"))),
    };
    let from = if from == "nothing" { None } else { Some(commit(from)?) };
    let began = Instant::now();
    let report = store.write_delta(from, commit(to)?, &DeltaOptions::default(), &Silent)?;
    let seconds = began.elapsed().as_secs_f64();
    let patched = report.made.map_or(0, |made| made.patched);
    println!(
        "{{\"seconds\": {seconds:.3}, \"bytes\": {}, \"parts\": {}, \"objects\": {}, \"patched\": {patched}}}",
        report.bytes, report.parts, report.new_objects
    );
    Ok(())
}
