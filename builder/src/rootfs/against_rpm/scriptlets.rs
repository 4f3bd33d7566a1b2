//! How many of the scriptlets of real packages are understood by reading.

use super::*;
use crate::recipe::DefaultPolicy;
use crate::rootfs::order;
use crate::rootfs::scriptlets::{self, Phase};
use std::collections::BTreeMap;

/// Of the same 212 packages, before the shapes of rpm distributions were known: understood, lua, sandbox.
const BEFORE: [usize; 3] = [0, 0, 0];

#[test]
fn most_scriptlets_of_centos_are_understood_by_reading() {
    let Some(paths) = centos_of_one_release() else { return };
    let folder = tempfile::tempdir().unwrap();
    let packs = order::of(&packs(&paths, folder.path()));
    let (_, ledger) = scriptlets::decide(&scriptlets::of(&packs), &[], DefaultPolicy::Sandbox).unwrap();
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
    assert!(total[0] >= 120 && total[2] <= 25, "{total:?}");
}

#[test]
fn temporary_before() {
    let Some(paths) = centos_of_one_release() else { return };
    let folder = tempfile::tempdir().unwrap();
    let packs = packs(&paths, folder.path());
    let mut total = [0; 3];
    for s in scriptlets::of(&packs).iter().filter(|s| !s.phase.name().contains("trigger")) {
        let before = matches!(s.phase, Phase::Pre | Phase::Pretrans);
        let program = s.interpreter.first().map_or("", String::as_str);
        let understood = match program {
            "" | "/bin/sh" | "/usr/bin/sh" | "/bin/bash" | "/usr/bin/bash" | "/bin/dash" => {
                old_reader::read(&s.text, if before { "install" } else { "configure" }).remainder.is_empty()
            }
            program if s.text.trim().is_empty() => old_reader::native_command(program).is_some(),
            _ => false,
        };
        let at = if understood { 0 } else if program == "<lua>" { 1 } else { 2 };
        total[at] += 1;
    }
    println!("BEFORE {total:?}");
}
