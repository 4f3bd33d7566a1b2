//! How many of the scriptlets of real packages are understood by reading.

use super::*;
use crate::order;
use crate::scriptlets::{self, Phase};
use recipe::DefaultPolicy;
use std::collections::BTreeMap;

/// Of the same packages, before the shapes of rpm distributions were known (and without triggers): understood, lua, sandbox.
const BEFORE: [usize; 3] = [108, 5, 33];

#[test]
fn most_scriptlets_of_centos_are_understood_by_reading() {
    let Some(paths) = centos_of_one_release() else { return };
    let folder = tempfile::tempdir().unwrap();
    let packs = order::of(&packs(&paths, folder.path()));
    let (_, ledger) = scriptlets::decide(&scriptlets::of(&packs).unwrap(), &[], DefaultPolicy::Sandbox).unwrap();
    let mut counts: BTreeMap<Phase, BTreeMap<&str, usize>> = BTreeMap::new();
    for row in &ledger {
        *counts.entry(row.phase).or_default().entry(&row.handler).or_default() += 1;
    }
    let handlers = ["understood", "lua", "sandbox"];
    println!("{:20}{:>12}{:>6}{:>9}", "", handlers[0], handlers[1], handlers[2]);
    let line = |name: &str, counts: [usize; 3]| println!("{name:20}{:>12}{:>6}{:>9}", counts[0], counts[1], counts[2]);
    let mut total = [0; 3];
    for (phase, counts) in &counts {
        let row = handlers.map(|handler| counts.get(handler).copied().unwrap_or(0));
        line(&format!("%{}", phase.name()), row);
        total.iter_mut().zip(row).for_each(|(total, count)| *total += count);
    }
    line("all", total);
    line("all, before", BEFORE);
    for row in ledger.iter().filter(|row| row.handler == "sandbox") {
        println!("in the sandbox: %{} of {}", row.phase.name(), row.package);
    }
    assert_eq!(total.iter().sum::<usize>(), ledger.len());
    assert!(total[0] >= 127 && total[2] <= 15, "{total:?}");
}
