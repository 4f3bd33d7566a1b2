//! What rpm makes of the same packages, and the rules by which we differ.

mod accounts;
mod conflicts;
mod listing;
mod order;
mod scriptlets;
mod stubs;
mod trees;
mod triggers;

use model::Digest;
use std::path::{Path, PathBuf};
use std::process::Command;
use supply::fetch::{Pack, Trust, verify};

/// The real packages of CentOS 7.7, sorted by file name; `None` where they are not.
fn centos() -> Option<Vec<PathBuf>> {
    Some(fixtures::packages(&fixtures::folder()?.join("rpms/centos-7.7")))
}

/// Without the older of the two releases that are there: two packages of one name and one set of paths.
fn centos_of_one_release() -> Option<Vec<PathBuf>> {
    let old = ["centos-release-7-6", "epel-release-7-11"];
    Some(centos()?.into_iter().filter(|path| !old.iter().any(|old| file_name(path).starts_with(old))).collect())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Whether tests may take longer than a few seconds.
#[expect(clippy::disallowed_methods, reason = "a test's own input, not a build's")]
fn is_thorough() -> bool {
    std::env::var_os("ATOMIC_IMAGE_THOROUGH").is_some()
}

/// Imported without asking for signatures.
fn packs(paths: &[PathBuf], folder: &Path) -> Vec<Pack> {
    let import = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        let verified = verify(path, &Digest::of(&bytes), bytes.len() as u64, Trust::Unsigned).unwrap();
        Pack::import(folder, &verified, &model::Facts::none()).unwrap()
    };
    paths.iter().map(import).collect()
}

/// What rpm says when it is to install `packages` below `root`; `None` where there is no rpm.
fn rpm(root: &Path, options: &str, packages: &[PathBuf]) -> Option<String> {
    let common = "--map-root-user rpm -i --nosignature --nodigest --ignoreos --ignorearch --ignoresize --nodeps --define";
    let mut command = Command::new("unshare");
    command.args(common.split_whitespace()).args(["_db_backend sqlite", "--root"]).arg(root).args(options.split_whitespace());
    match command.args(packages).env("LC_ALL", "C").output() {
        Ok(output) => Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()),
        Err(_) => {
            fixtures::missing("no rpm or no unshare");
            None
        }
    }
}

/// A package that rpmbuild makes of a spec file's sections; `None` where there is no rpmbuild.
fn built(folder: &Path, name: &str, sections: &str) -> Option<PathBuf> {
    let [spec, packages] = [folder.join(format!("{name}.spec")), folder.join("packages")];
    let head = format!(
        "Name: {name}\nVersion: 1\nRelease: 1\nSummary: x\nLicense: x\nAutoReqProv: no\n%define __os_install_post %{{nil}}\n%define debug_package %{{nil}}\n"
    );
    let sections = if sections.contains("%description") { sections.to_owned() } else { format!("%description\nx\n{sections}") };
    std::fs::write(&spec, head + &sections).unwrap();
    let mut command = Command::new("rpmbuild");
    command.args(["-bb", "--nodeps", "--define", "_build_id_links none", "--define", "_rpmfilename %{NAME}.rpm"]);
    for (name, value) in [("_topdir", folder.join("top")), ("_rpmdir", packages.clone())] {
        command.arg("--define").arg(format!("{name} {}", value.display()));
    }
    let Ok(output) = command.arg(&spec).env("LC_ALL", "C").output() else {
        fixtures::missing("no rpmbuild");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(packages.join(format!("{name}.rpm")))
}
