//! Every package of the stub repository whose scriptlets fail or succeed on purpose, installed by dnf into an empty root and composed by us: what
//! dnf installs with a warning we compose with a row in the ledger, and what dnf does not install stops the build. Both name the same phase.

use model::{Digest, Silent, SourceDateEpoch};
use packages::rpm::Phase;
use rayon::prelude::*;
use recipe::lock::KeptIds;
use rootfs::{ProgramCache, compose};
use std::path::{Path, PathBuf};
use std::process::Command;
use supply::fetch::{Pack, Trust, verify};

/// The phase that failed, if any, and whether the package was installed all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Outcome {
    installed: bool,
    failed: Option<Phase>,
}

/// rpm's names of the phases in its messages.
const NAMES: [(&str, Phase); 4] =
    [("PRETRANS", Phase::Pretrans), ("PREIN", Phase::Pre), ("POSTIN", Phase::Post), ("POSTTRANS", Phase::Posttrans)];

fn by_dnf(repository: &Path, name: &str) -> Outcome {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("root");
    let output = Command::new("dnf")
        .args(["-y", "--noplugins", "--nogpgcheck", "--releasever=29", "--forcearch=x86_64", "--repo=r"])
        .args(["--setopt=reposdir=/dev/null", "--setopt=module_platform_id=platform:f29", "--setopt=install_weak_deps=0"])
        .arg(format!("--setopt=cachedir={}", scratch.path().join("cache").display()))
        .arg(format!("--installroot={}", root.display()))
        .arg(format!("--repofrompath=r,file://{}", repository.display()))
        .args(["install", name])
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let installed = Command::new("rpm").arg("--root").arg(&root).args(["-q", name]).output().unwrap().status.success();
    assert_eq!(output.status.success(), installed, "dnf says of {name}: {said}");
    let failed = NAMES.iter().find(|(phase, _)| said.contains(&format!("Error in {phase} scriptlet"))).map(|(_, phase)| *phase);
    Outcome { installed, failed }
}

fn by_us(package: &Path, name: &str) -> Outcome {
    let scratch = tempfile::tempdir().unwrap();
    let path = |name: &str| scratch.path().join(name);
    let text = "schema = 1\nname = \"a\"\nref = \"a\"\n[packages]\ninstall = [\"a\"]\n[disk]\ngrow = false\n[overlay]\nfolders = [\"unit\"]\n[[repo]]\nid = \"r\"\ntype = \"rpm-md\"\nurl = \"https://a/\"\nkeys = \"unsigned\"\n";
    // The one unit that every image must have.
    let units = path("rootfs-overlay/unit/usr/lib/systemd/system");
    std::fs::create_dir_all(&units).unwrap();
    std::fs::write(units.join("multi-user.target"), "[Unit]\n").unwrap();
    std::fs::create_dir(path("recipes")).unwrap();
    std::fs::write(path("recipes/r.toml"), text).unwrap();
    let recipe = recipe::load(&path("recipes/r.toml")).unwrap();
    let bytes = std::fs::read(package).unwrap();
    let verified = verify(package, &Digest::of(&bytes), bytes.len() as u64, Trust::Unsigned).unwrap();
    let pack = Pack::import(&path("packs"), &verified, &model::Facts::none()).unwrap();
    let cache = ProgramCache { outputs: path("outputs"), scratch: path("scratch"), facts: Default::default() };
    match compose(&[pack], &recipe, &KeptIds::default(), &cache, SourceDateEpoch(1_600_000_000), &Silent) {
        Ok(rootfs) => {
            let failing = rootfs.ledger().iter().find(|row| row.failure.is_some());
            Outcome { installed: true, failed: failing.and_then(|row| Phase::parse(&row.phase)) }
        }
        Err(error) => {
            let said = error.to_string();
            let failed = Phase::ALL
                .into_iter()
                .find(|phase| said.contains(&format!("%{} ", phase.name())) || said.contains(&format!(" {} ", phase.name())));
            assert!(said.contains(name) && failed.is_some(), "the refusal names neither package nor phase: {said}");
            Outcome { installed: false, failed }
        }
    }
}

#[test]
fn a_failing_scriptlet_means_to_us_what_it_means_to_dnf() {
    let Some(repository) = fixtures::file("rpms/stub-repos/dnf-ci-scriptlets") else { return };
    if !Command::new("dnf").arg("--version").output().is_ok_and(|output| output.status.success()) {
        fixtures::missing("no dnf");
        return;
    }
    if !rustix::process::geteuid().is_root() {
        fixtures::skip("dnf installs as root only");
        return;
    }
    let mut packages: Vec<PathBuf> = std::fs::read_dir(repository.join("x86_64")).unwrap().map(|entry| entry.unwrap().path()).collect();
    packages.retain(|path| path.extension().is_some_and(|extension| extension == "rpm"));
    packages.sort();
    let rows: Vec<(String, Outcome, Outcome)> = packages
        .par_iter()
        .map(|path| {
            let file = path.file_name().unwrap().to_string_lossy().into_owned();
            let name = file.split("-1.0-1").next().unwrap().to_owned();
            let (theirs, ours) = (by_dnf(&repository, &name), by_us(path, &name));
            (name, theirs, ours)
        })
        .collect();
    for (name, theirs, ours) in &rows {
        println!("{name}: dnf {theirs:?}, ours {ours:?}");
    }
    let differing: Vec<_> = rows.iter().filter(|(_, theirs, ours)| theirs != ours).collect();
    assert!(differing.is_empty(), "{differing:#?}");
    // Each of the four phases failed once, in both ways.
    assert_eq!(rows.iter().filter(|(_, theirs, _)| theirs.failed.is_some()).count(), 4, "{rows:#?}");
    assert_eq!(rows.iter().filter(|(_, theirs, _)| !theirs.installed).count(), 2, "{rows:#?}");
}
